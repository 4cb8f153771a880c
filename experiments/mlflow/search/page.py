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
    with connection.cursor() as cursor:
        cursor.execute(_RUNS.format(", ".join(["%s"] * len(run_ids))), [*run_ids])
        rows = {row[0]: row for row in cursor.fetchall()}
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
    found: dict[int, list[Body]] = defaultdict(list)
    number = wire.number
    for run_id, name, value, is_nan, step, stamp in metricstore.latest_rows(run_ids):
        found[run_id].append(
            {"key": name, "value": "NaN" if is_nan else number(value), "timestamp": stamp, "step": step}
        )
    return found


def _inputs(run_ids: Sequence[int]) -> dict[int, list[Body]]:
    found: dict[int, list[Body]] = defaultdict(list)
    for row in RunInput.objects.filter(run__in=run_ids).select_related("dataset").order_by("pk"):
        found[row.run_id].append(wire.dataset_input(row))
    return found


def _links(run_ids: Sequence[int]) -> dict[int, tuple[list[Body], list[Body]]]:
    """Models that the runs read, and models they made."""
    found: dict[int, tuple[list[Body], list[Body]]] = defaultdict(lambda: ([], []))
    rows = RunModel.objects.filter(run__in=run_ids).order_by("pk")
    for run_id, direction, uuid, step in rows.values_list("run_id", "direction", "logged_model__uuid", "step"):
        if direction == RunModel.Direction.INPUT:
            found[run_id][0].append({"model_id": uuid})
        else:
            found[run_id][1].append({"model_id": uuid, "step": step})
    return found
