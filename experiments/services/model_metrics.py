"""Metric points that were measured of a logged model, beside the run that measured them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from django.db import transaction

from experiments.metricstore.limits import Metric
from experiments.models import LoggedModel, LoggedModelMetric, Run
from mlportal.lib.errors import Missing
from projects.actor import Actor
from projects.permissions import Permission, require


class ModelPoint(NamedTuple):
    """One metric point of a logged model and the data it was measured on."""

    model_id: str
    metric: Metric
    dataset_name: str = ""
    dataset_digest: str = ""


def record(by: Actor, *, run: Run, points: Sequence[ModelPoint]) -> None:
    """Attach metric points of a run to the logged models they speak of; identical points are kept once.

    Raises
    ------
    Missing
        When the project has no such logged model.
    """
    require(by, Permission.RUN_LOG, run.project, within=run)
    wanted = {point.model_id for point in points}
    with transaction.atomic():
        rows = LoggedModel.objects.in_project(run.project).active().filter(uuid__in=wanted)
        known = dict(rows.values_list("uuid", "pk"))
        if unknown := sorted(wanted - known.keys()):
            raise Missing(f"Logged model with ID '{unknown[0][:60]}' not found.")
        LoggedModelMetric.objects.bulk_create(
            [_row(run, known[point.model_id], point) for point in points], ignore_conflicts=True
        )


def _row(run: Run, model: int, point: ModelPoint) -> LoggedModelMetric:
    key, value, stamp, step = point.metric
    unknown = math.isnan(value)
    return LoggedModelMetric(
        logged_model_id=model, run=run, key=key, value=0.0 if unknown else value, is_nan=unknown, step=step,
        stamp_ms=stamp, dataset_name=point.dataset_name, dataset_digest=point.dataset_digest,
    )  # fmt: skip
