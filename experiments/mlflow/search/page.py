"""A page of runs as MLflow writes them: a fixed number of queries, whatever the page holds.

Written by hand from plain rows: through model instances a page of 1,000 runs takes three times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import connection

from experiments import metricstore
from experiments.metricstore.sorting import STATUS
from experiments.mlflow import wire
from experiments.models import Experiment, RunInput, RunModel

CHUNK = 5000
_RUNS = """
    SELECT id, experiment_id, uuid, name, user_name, state, started_ms, ended_ms, lifecycle, params, tags
    FROM experiments_run WHERE id IN ({})
"""
_LINKS = """
    SELECT l.run_id, l.direction, m.uuid, l.step FROM experiments_runmodel l
    JOIN experiments_loggedmodel m ON m.id = l.logged_model_id WHERE l.run_id IN ({}) ORDER BY l.id
"""
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
    metrics = _metrics(run_ids)
    inputs = _inputs(run_ids)
    links = _links(run_ids)
    rows = {row[0]: row for row in _rows(_RUNS, run_ids)}
    for run_id in run_ids:
        if run_id in rows:
            read, made = links.get(run_id, _NO_LINKS)
            yield {
                **_body(rows[run_id], places, metrics.get(run_id)),
                "inputs": wire.filled({"dataset_inputs": inputs.get(run_id), "model_inputs": read}),
                "outputs": wire.filled({"model_outputs": made}),
            }


_NO_LINKS: tuple[list[Body], list[Body]] = ([], [])


def _body(row: tuple[Any, ...], places: dict[int, _Place], metrics: list[Body] | None) -> Body:
    _, experiment_id, uuid, name, user_name, state, started_ms, ended_ms, lifecycle, params, tags = row
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
    for run_id, name, value, is_nan, step, stamp in metricstore.latest_rows(run_ids):
        shown = "NaN" if is_nan else value if -_INF < value < _INF else wire.number(value)
        found[run_id].append({"key": name, "value": shown, "timestamp": stamp, "step": step})
    return found


def _inputs(run_ids: Sequence[int]) -> dict[int, list[Body]]:
    """Data sets that the runs read."""
    found: dict[int, list[Body]] = defaultdict(list)
    # Most pages have none, and asking through the ORM costs half as much as the whole page.
    linked = [row[0] for row in _rows("SELECT id FROM experiments_runinput WHERE run_id IN ({})", run_ids)]
    for row in RunInput.objects.filter(pk__in=linked).select_related("dataset").order_by("pk") if linked else ():
        found[row.run_id].append(wire.dataset_input(row))
    return found


def _links(run_ids: Sequence[int]) -> dict[int, tuple[list[Body], list[Body]]]:
    """Models that the runs read, and models they made."""
    found: dict[int, tuple[list[Body], list[Body]]] = defaultdict(lambda: ([], []))
    for run_id, direction, uuid, step in _rows(_LINKS, run_ids):
        if direction == RunModel.Direction.INPUT:
            found[run_id][0].append({"model_id": uuid})
        else:
            found[run_id][1].append({"model_id": uuid, "step": step})
    return found


def _rows(query: str, run_ids: Sequence[int]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query.format(", ".join(["%s"] * len(run_ids))), [*run_ids])
        return cursor.fetchall()
