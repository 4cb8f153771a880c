"""Forget statistics that are older than they are kept: counts, windows and scores, minute counts of variants."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import transaction

from monitoring.drift.series import BASELINE
from monitoring.models import (
    Bucket,
    Day,
    LabelBucket,
    Monitor,
    SegmentBucket,
    VariantCount,
    Week,
    Window,
)
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events, legal_holds

BATCH = 2_000
MOST_BATCHES = 100


def old(project: Project, *, before: datetime) -> Iterator[tuple[str, Any]]:
    """Rows of a project that are about a time before a moment, by what they are.

    The first windows of each monitor stay: rules that look at changes compare with them.
    """
    here: dict[str, Any] = {"monitor__project": project}
    yield "counts", Bucket.objects.filter(hour__lt=before, **here)
    yield "segment_counts", SegmentBucket.objects.filter(hour__lt=before, **here)
    yield "label_counts", LabelBucket.objects.filter(hour__lt=before, **here)
    yield "weeks", Week.objects.filter(at__lt=before, **here)  # before the days that they are made of
    yield "days", Day.objects.filter(at__lt=before, **here)
    yield "variant_counts", VariantCount.objects.filter(minute__lt=before, project=project)
    for monitor in Monitor.objects.filter(project=project, windows__ends_at__lt=before).distinct().order_by("pk"):
        first = Window.objects.filter(monitor=monitor).order_by("ends_at").values_list("ends_at", flat=True)[:BASELINE]
        ends = list(first)
        yield "windows", Window.objects.filter(monitor=monitor, ends_at__lt=before, ends_at__gt=ends[-1])


def tally(project: Project, *, before: datetime) -> dict[str, int]:
    """Count what would go."""
    found: dict[str, int] = {}
    for kind, rows in old(project, before=before):
        if count := rows.count():
            found[kind] = found.get(kind, 0) + count
    return found


def forget(by: Actor, *, project: Project, before: datetime) -> dict[str, int]:
    """Delete statistics about a time before a moment, in batches of 2,000 and at most 100.

    Each batch is a transaction with its event; the next call goes on with what is left. While a legal hold covers the
    project nothing goes.
    """
    require(by, Permission.MONITOR_EDIT, project)
    found: dict[str, int] = {}
    left = MOST_BATCHES
    for kind, rows in old(project, before=before):
        while left and (gone := _batch(by, project, kind, rows, before)):
            found[kind] = found.get(kind, 0) + gone
            left -= 1
    return found


def _batch(by: Actor, project: Project, kind: str, rows: Any, before: datetime) -> int:
    with transaction.atomic():
        if legal_holds.stands(project, alone=True):
            return 0
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if keys:
            rows.model._base_manager.filter(pk__in=keys).delete()
            data = {"kind": kind, "rows": len(keys), "before": before.isoformat(timespec="seconds")}
            events.record(by, "statistics.forgotten", project=project, data=data)
    return len(keys)
