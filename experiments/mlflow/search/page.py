"""A page of runs as MLflow writes them: a fixed number of queries, whatever the page holds.

Written by hand from plain rows: through model instances a page of 1,000 runs takes three times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import orjson

from experiments import metricstore
from experiments.metricstore import Hit
from experiments.metricstore.sorting import STATUS
from experiments.mlflow import wire
from experiments.models import Experiment, RunInput, RunModel
from mlportal.lib.sql import Among

CHUNK = 5000
# Most runs have neither datasets nor models, so nobody asks for them before it is known that there are some.
_COLUMNS = """
    r.experiment_id, r.uuid, r.name, r.user_name, r.state, r.started_ms, r.ended_ms, r.lifecycle, r.params, r.tags,
    EXISTS (SELECT 1 FROM experiments_runinput i WHERE i.run_id = r.id)
      OR EXISTS (SELECT 1 FROM experiments_runmodel l WHERE l.run_id = r.id), """
_LINKS = Among("""
    SELECT l.run_id, l.direction, m.uuid, l.step FROM experiments_runmodel l
    JOIN experiments_loggedmodel m ON m.id = l.logged_model_id WHERE l.run_id IN (%s) ORDER BY l.id
""")
Body = dict[str, Any]


def columns() -> str:
    """SQL of what is read of a run `r`, for a search to carry along."""
    return _COLUMNS + metricstore.points_column()


@cache
def _rows(columns: str) -> Among:
    return Among(f"SELECT r.id, {columns} FROM experiments_run r WHERE r.id IN (%s)")  # noqa: S608 - our own columns


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
    rows |= {row[0]: row[1:] for row in _rows(columns()).of(hit.run_id for hit in hits if not hit.carried)}
    metrics = metricstore.points_json({run_id: row[-1] for run_id, row in rows.items()})
    linked = [run_id for run_id, row in rows.items() if row[-2]]
    inputs, links = _inputs(linked), _links(linked)
    for run_id in (hit.run_id for hit in hits):
        row = rows.get(run_id)
        if row is None:
            continue
        body = _body(row, places, metrics.get(run_id))
        if row[-2]:
            read, made = links.get(run_id, ([], []))
            body["inputs"] = wire.filled({"dataset_inputs": inputs.get(run_id), "model_inputs": read})
            body["outputs"] = wire.filled({"model_outputs": made})
        yield body


def _body(row: tuple[Any, ...], places: dict[int, _Place], metrics: str | None) -> Body:
    experiment_id, uuid, name, user_name, state, started_ms, ended_ms, lifecycle, params, tags, *_ = row
    place = places[experiment_id]
    info = {
        "run_id": uuid, "run_uuid": uuid, "run_name": name, "experiment_id": place.experiment_id,
        "user_id": user_name, "status": STATUS[state], "start_time": started_ms,
        "artifact_uri": f"{place.before}{uuid}{place.after}", "lifecycle_stage": lifecycle,
    }  # fmt: skip
    if ended_ms is not None:
        info["end_time"] = ended_ms
    data: Body = {"metrics": orjson.Fragment(metrics)} if metrics else {}
    if params != "{}":
        data["params"] = _pairs(params)
    if tags != "{}":
        data["tags"] = _pairs(tags)
    return {"info": info, "data": data, "inputs": {}, "outputs": {}}


def _pairs(document: str) -> orjson.Fragment | list[Body]:
    """Write a document of texts as a list of keys and values.

    Where nothing is escaped each quote begins or ends a text, so only what stands between the texts is exchanged.
    """
    if "\\" in document:
        return wire.pairs(orjson.loads(document))
    parts = document.split('"')
    count = len(parts) // 4
    parts[2::4] = ['","value":"'] * count
    parts[4:-1:4] = ['"},{"key":"'] * (count - 1)
    parts[0], parts[-1] = '[{"key":"', '"}]'
    return orjson.Fragment("".join(parts))


def _inputs(run_ids: Sequence[int]) -> dict[int, list[Body]]:
    """Datasets that the runs read."""
    found: dict[int, list[Body]] = defaultdict(list)
    read = RunInput.objects.filter(run__in=run_ids).select_related("dataset").order_by("pk")
    for row in read if run_ids else ():
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
