"""A page of runs as MLflow writes them: a fixed number of queries, whatever the page holds.

Written by hand from plain rows: through model instances a page of 1,000 runs takes three times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from experiments.metricstore import Hit
from experiments.metricstore.sorting import STATUS
from experiments.mlflow import wire
from experiments.models import Experiment, RunInput, RunModel
from mlportal.lib.sql import Among

CHUNK = 5000
# Most runs have neither datasets nor models, so nobody asks for them before it is known that there are some.
COLUMNS = """
    r.experiment_id, r.uuid, r.name, r.user_name, r.state, r.started_ms, r.ended_ms, r.lifecycle, r.params, r.tags,
    r.latest,
    EXISTS (SELECT 1 FROM experiments_runinput i WHERE i.run_id = r.id)
      OR EXISTS (SELECT 1 FROM experiments_runmodel l WHERE l.run_id = r.id)
"""
_ROWS = Among(f"SELECT r.id, {COLUMNS} FROM experiments_run r WHERE r.id IN (%s)")  # noqa: S608 - our own columns
_LINKS = Among("""
    SELECT l.run_id, l.direction, m.uuid, l.step FROM experiments_runmodel l
    JOIN experiments_loggedmodel m ON m.id = l.logged_model_id WHERE l.run_id IN (%s) ORDER BY l.id
""")
Body = dict[str, Any]
Pairs = orjson.Fragment | list[dict[str, str]] | None
# What stands between the quotes of a document, several in lines, and what does in lists of keys and values.
_BETWEEN = {
    "{": '[{"key":"', ":": '","value":"', ": ": '","value":"', ",": '"},{"key":"', ", ": '"},{"key":"',
    "}\n{": '"}]\n[{"key":"', "}": '"}]', "": "",
}  # fmt: skip


def runs(hits: Sequence[Hit], experiments: dict[int, Experiment]) -> list[Body]:
    """Return runs that were found, in their order.

    Parameters
    ----------
    hits : sequence of Hit
        What they did not carry is read; runs deleted meanwhile are left out.
    experiments : dict of int to Experiment
        The experiments of these runs.
    """
    places = {number: _Place(experiment) for number, experiment in experiments.items()}
    found: list[Body] = []
    for start in range(0, len(hits), CHUNK):
        found.extend(_chunk(hits[start : start + CHUNK], places))
    return found


class _Place:
    """What the runs of one experiment have in common."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment_id = wire.wire_id(experiment)
        whole = wire.below(wire.location(experiment), "\0/artifacts")
        self.before, _, self.after = whole.partition("\0")


def _chunk(hits: Sequence[Hit], places: dict[int, _Place]) -> Iterable[Body]:
    rows = {hit.run_id: hit.carried for hit in hits if hit.carried}
    rows |= {row[0]: row[1:] for row in _ROWS.of(hit.run_id for hit in hits if not hit.carried)}
    found = [(hit.run_id, rows[hit.run_id]) for hit in hits if hit.run_id in rows]
    params, tags = pair_lists([row[8] for _, row in found]), pair_lists([row[9] for _, row in found])
    linked = [run_id for run_id, row in found if row[-1]]
    inputs, links = _inputs(linked), _links(linked)
    for (run_id, row), *pairs in zip(found, params, tags, strict=True):
        body = _body(row, places, *pairs)
        if row[-1]:
            read, made = links.get(run_id, ([], []))
            body["inputs"] = wire.filled({"dataset_inputs": inputs.get(run_id), "model_inputs": read})
            body["outputs"] = wire.filled({"model_outputs": made})
        yield body


def _body(row: tuple[Any, ...], places: dict[int, _Place], params: Pairs, tags: Pairs) -> Body:
    experiment_id, uuid, name, user_name, state, started_ms, ended_ms, lifecycle, _, _, latest, _ = row
    place = places[experiment_id]
    info = {
        "run_id": uuid, "run_uuid": uuid, "run_name": name, "experiment_id": place.experiment_id,
        "user_id": user_name, "status": STATUS[state], "start_time": started_ms,
        "artifact_uri": f"{place.before}{uuid}{place.after}", "lifecycle_stage": lifecycle,
    }  # fmt: skip
    if ended_ms is not None:
        info["end_time"] = ended_ms
    data: Body = {"metrics": orjson.Fragment(latest)} if latest else {}
    if params:
        data["params"] = params
    if tags:
        data["tags"] = tags
    return {"info": info, "data": data, "inputs": {}, "outputs": {}}


def pair_lists(documents: Sequence[str]) -> list[Pairs]:
    """Write documents of texts as JSON lists of keys and values, None for an empty one.

    Where nothing is escaped each quote begins or ends a text, so only what stands between the texts is exchanged,
    in all documents at once. Others are parsed.
    """
    plain = [text for text in documents if text != "{}" and "\\" not in text]
    parts = "\n".join(plain).split('"')
    try:
        parts[::2] = map(_BETWEEN.__getitem__, parts[::2])
    except KeyError:  # spaced in another way
        return [wire.pairs(orjson.loads(text)) or None for text in documents]
    lists = iter("".join(parts).split("\n"))
    return [
        None if text == "{}" else wire.pairs(orjson.loads(text)) if "\\" in text else orjson.Fragment(next(lists))
        for text in documents
    ]


def _inputs(run_ids: Sequence[int]) -> dict[int, list[Body]]:
    """Datasets that the runs read."""
    found: dict[int, list[Body]] = defaultdict(list)
    if run_ids:
        for row in RunInput.objects.filter(run__in=run_ids).select_related("dataset").order_by("pk"):
            found[row.run_id].append(wire.dataset_input(row))
    return found


def _links(run_ids: Sequence[int]) -> dict[int, tuple[list[Body], list[Body]]]:
    """Models that the runs read, and models they made."""
    found: dict[int, tuple[list[Body], list[Body]]] = defaultdict(lambda: ([], []))
    for run_id, direction, uuid, step in _LINKS.of(run_ids):
        if direction == RunModel.Direction.INPUT:
            found[run_id][0].append({"model_id": uuid})
        else:
            found[run_id][1].append({"model_id": uuid, "step": step})
    return found
