"""A page of runs as MLflow writes them: a fixed number of queries, whatever the page holds.

Written by hand from plain rows: through model instances a page of 1,000 runs takes three times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from experiments import metricstore
from experiments.metricstore.sorting import STATUS
from experiments.mlflow import wire
from experiments.models import Experiment, RunInput, RunModel
from mlportal.lib.sql import Among

CHUNK = 5000
# Most runs have neither datasets nor models, so nobody asks for them before it is known that there are some.
_RUNS = Among("""
    SELECT r.id, r.experiment_id, r.uuid, r.name, r.user_name, r.state, r.started_ms, r.ended_ms, r.lifecycle,
           r.params, r.tags, EXISTS (SELECT 1 FROM experiments_runinput i WHERE i.run_id = r.id)
             OR EXISTS (SELECT 1 FROM experiments_runmodel l WHERE l.run_id = r.id)
    FROM experiments_run r WHERE r.id IN (%s)
""")
_LINKS = Among("""
    SELECT l.run_id, l.direction, m.uuid, l.step FROM experiments_runmodel l
    JOIN experiments_loggedmodel m ON m.id = l.logged_model_id WHERE l.run_id IN (%s) ORDER BY l.id
""")
_INF = float("inf")
Body = dict[str, Any]


def runs(run_ids: Sequence[int], experiments: dict[int, Experiment]) -> list[Body]:
    """Return runs in the order of their ids.

    Parameters
    ----------
    run_ids : sequence of int
        Those deleted meanwhile are left out.
    experiments : dict of int to Experiment
        The experiments of these runs.
    """
    places = {number: _Place(experiment) for number, experiment in experiments.items()}
    found: list[Body] = []
    for start in range(0, len(run_ids), CHUNK):
        found.extend(_chunk(run_ids[start : start + CHUNK], places))
    return found


class _Place:
    """What the runs of one experiment have in common."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment_id = wire.wire_id(experiment)
        whole = wire.below(wire.location(experiment), "\0/artifacts")
        self.before, _, self.after = whole.partition("\0")


def _chunk(run_ids: Sequence[int], places: dict[int, _Place]) -> Iterable[Body]:
    rows = {row[0]: row for row in _RUNS.of(run_ids)}
    metrics = _metrics(run_ids)
    linked = [row[0] for row in rows.values() if row[-1]]
    inputs, links = _inputs(linked), _links(linked)
    for run_id in run_ids:
        if run_id in rows:
            read, made = links.get(run_id, _NO_LINKS)
            body = _body(rows[run_id], places, metrics.get(run_id))
            body["inputs"] = wire.filled({"dataset_inputs": inputs.get(run_id), "model_inputs": read})
            body["outputs"] = wire.filled({"model_outputs": made})
            yield body


_NO_LINKS: tuple[list[Body], list[Body]] = ([], [])


def _body(row: tuple[Any, ...], places: dict[int, _Place], metrics: list[Body] | None) -> Body:
    _, experiment_id, uuid, name, user_name, state, started_ms, ended_ms, lifecycle, params, tags, _ = row
    place = places[experiment_id]
    info = {
        "run_id": uuid, "run_uuid": uuid, "run_name": name, "experiment_id": place.experiment_id,
        "user_id": user_name, "status": STATUS[state], "start_time": started_ms,
        "artifact_uri": f"{place.before}{uuid}{place.after}", "lifecycle_stage": lifecycle,
    }  # fmt: skip
    if ended_ms is not None:
        info["end_time"] = ended_ms
    data: Body = {"metrics": metrics} if metrics else {}
    if params != "{}":
        data["params"] = wire.pairs(orjson.loads(params))
    if tags != "{}":
        data["tags"] = wire.pairs(orjson.loads(tags))
    return {"info": info, "data": data}


def _metrics(run_ids: Sequence[int]) -> dict[int, list[Body]]:
    found: dict[int, list[Body]] = {run_id: [] for run_id in run_ids}
    rows, names = metricstore.latest_rows(run_ids)
    for run_id, key_id, value, is_nan, step, stamp in rows:
        shown = "NaN" if is_nan else value if -_INF < value < _INF else wire.number(value)
        found[run_id].append({"key": names[key_id], "value": shown, "timestamp": stamp, "step": step})
    return found


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
