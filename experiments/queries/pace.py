"""How long a training will take: what like trainings took, else its own pace, else nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from django.db.models import QuerySet

from experiments.models import TrainingJob
from mlportal.lib.lease import WorkState

MOST_ALIKE = 7
LIKE_SIZE = 1.5
# Before this share is done, the pace so far tells too little.
MIN_SHARE = 0.08


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds a training takes or has left, and how many like trainings say so; 0: its own pace says it."""

    seconds: float
    alike: int = 0


def usual(rows: QuerySet[TrainingJob], *, spec: Mapping[str, Any], row_count: int | None) -> Estimate | None:
    """Return the middle duration of the newest trainings with the same algorithm and about as many rows."""
    alike = rows.filter(state=WorkState.SUCCEEDED, spec__algorithm=spec.get("algorithm"), started_at__isnull=False)
    if row_count is not None:
        near = (int(row_count / LIKE_SIZE), int(row_count * LIKE_SIZE) + 1)
        alike = alike.filter(dataset_version__row_count__range=near)
    times = alike.order_by("-pk").values_list("started_at", "ended_at")[:MOST_ALIKE]
    took = [(ended - started).total_seconds() for started, ended in times if started and ended]
    return Estimate(median(took), len(took)) if took else None


def left(job: TrainingJob, elapsed: float | None) -> Estimate | None:
    """Return what a training has left.

    Like trainings are believed until this one takes longer than they did, or shows by its own pace that it will.
    """
    if job.state != WorkState.RUNNING or elapsed is None:
        return None
    own = elapsed * (1 - job.progress) / job.progress if job.progress >= MIN_SHARE else None
    rows = TrainingJob.objects.filter(project=job.project_id)
    known = usual(rows, spec=job.spec, row_count=job.dataset_version.row_count)
    if known is not None and known.seconds > elapsed and not _far(own, known.seconds - elapsed):
        return Estimate(known.seconds - elapsed, known.alike)
    return None if own is None else Estimate(own)


def _far(own: float | None, theirs: float) -> bool:
    """Whether a training's own pace is so unlike others' that these say nothing about it."""
    return own is not None and own > 2 * theirs + 5
