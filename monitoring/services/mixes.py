"""Causes that segments and labels show: another mix of requests, and labels that come late or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max

from monitoring import history
from monitoring.drift import performance, shape
from monitoring.drift.performance import Cells
from monitoring.models import Bucket, LabelBucket, Monitor, SegmentBucket, Window

USUAL = 7  # windows before that are compared with
LEAST_ROWS = 50
LEAST_MOVED = 0.05
LATE = 2.0


@dataclass(frozen=True)
class Cause:
    """One candidate; ``score`` is 0 to 1."""

    score: float
    kind: str
    title: str
    evidence: str
    at: datetime | None = None
    href: str = ""
    event: int | None = None
    column: str = ""

    @property
    def percent(self) -> int:
        """The score for a bar."""
        return round(100 * self.score)


# --- segments --------------------------------------------------------------------------------------


def segments(window: Window, hidden: frozenset[str] = frozenset()) -> Iterator[Cause]:
    """Say which watched column has other shares of its values than in the windows before; one query.

    Parameters
    ----------
    hidden
        Columns whose values the reader may not see.
    """
    monitor = window.monitor
    if not monitor.watched_columns:
        return
    now, before = _shares(window)
    for column in monitor.watched_columns:
        held = {name: (now.get(name, 0), before.get(name, 0)) for name in {*now, *before} if _of(name, column)}
        total_now, total_before = sum(one for one, _ in held.values()), sum(one for _, one in held.values())
        if min(total_now, total_before) < LEAST_ROWS:
            continue
        moved = {name: one / total_now - two / total_before for name, (one, two) in held.items()}
        distance = sum(abs(change) for change in moved.values()) / 2
        if distance < LEAST_MOVED:
            continue
        name = max(moved, key=lambda each: abs(moved[each]))
        one, two = held[name]
        told = f"A group of {column}" if column in hidden else name
        text = f"{told}: {two / total_before:.0%} of requests before, {one / total_now:.0%} now."
        yield Cause(min(2 * distance, 1.0) * 0.8, "mix", f"The mix of {column} changed", text, window.ends_at,
                    column=column)  # fmt: skip


def _of(segment: str, column: str) -> bool:
    return segment.startswith(f"{column}=")


def _shares(window: Window) -> tuple[dict[str, int], dict[str, int]]:
    """Count the rows of each segment in the window and in those before."""
    monitor, length = window.monitor, window.ends_at - window.starts_at
    rows = SegmentBucket.objects.filter(
        monitor=monitor, hour__gte=window.starts_at - USUAL * length, hour__lt=window.ends_at, column__in=shape.OUTPUTS
    )
    now: dict[str, int] = {}
    before: dict[str, int] = {}
    # every segment counts its answers and its scores; the larger of both is its size
    for segment, hour, count in rows.values_list("segment", "hour").annotate(most=Max("rows")).order_by():
        held = now if hour >= window.starts_at else before
        held[segment] = held.get(segment, 0) + count
    return now, before


# --- labels ----------------------------------------------------------------------------------------


def labels(window: Window, at: datetime) -> Iterator[Cause]:
    """Say when labels that are due have not come, or come much later than before; two queries."""
    monitor, length = window.monitor, window.ends_at - window.starts_at
    due = at - timedelta(seconds=monitor.label_delay_seconds)
    begin = due - length
    now, before = _Labels(), _Labels()
    within = {"monitor": monitor, "hour__gte": begin - USUAL * length, "hour__lt": due}
    for hour, cells in LabelBucket.objects.filter(segment="", **within).values_list("hour", "cells"):
        (now if hour >= begin else before).add(cells)
    if not before.cells:
        return
    rows = Bucket.objects.filter(column__in=history.OF_ROWS, **within).values_list("hour").annotate(most=Max("rows"))
    for hour, count in rows.order_by():
        (now if hour >= begin else before).rows += count
    yield from _fewer(monitor, now, before, due)
    yield from _later(now, before, due)


@dataclass
class _Labels:
    rows: int = 0
    cells: Cells | None = None

    def add(self, cells: Cells) -> None:
        self.cells = performance.add(self.cells or {}, cells)

    @property
    def coverage(self) -> float:
        return min(performance.size(self.cells or {}) / self.rows, 1.0) if self.rows else 0.0

    @property
    def lag(self) -> float | None:
        return performance.lag_hours(self.cells or {})


def _fewer(monitor: Monitor, now: _Labels, before: _Labels, due: datetime) -> Iterator[Cause]:
    if now.rows < LEAST_ROWS or before.rows < LEAST_ROWS or now.coverage > before.coverage / LATE:
        return
    score = 0.7 * (1 - now.coverage / before.coverage)
    wait = f" after {monitor.label_delay_seconds / 3600:.0f} h" if monitor.label_delay_seconds else ""
    text = f"{now.coverage:.0%} of predictions have a label{wait}, usually {before.coverage:.0%}."
    yield Cause(score, "labels", "Labels are missing", text, due)


def _later(now: _Labels, before: _Labels, due: datetime) -> Iterator[Cause]:
    if now.lag is None or not before.lag or now.lag < LATE * before.lag:
        return
    score = 0.6 * min(now.lag / before.lag / (2 * LATE), 1.0)
    text = f"Half of them came within {now.lag:.1f} h, usually {before.lag:.1f} h: the newest windows lack some."
    yield Cause(score, "labels", "Labels come later than usual", text, due)
