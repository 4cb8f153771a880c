"""Figures of any stretch of time from stored counts and cells: performance, its estimate, fairness, quality."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import Max, Q, TextField
from django.db.models.functions import Cast

from monitoring import sums
from monitoring.drift import expected, fairness, performance, score, shape
from monitoring.drift.measures import Measure
from monitoring.drift.performance import Cells
from monitoring.drift.shape import Counts
from monitoring.models import AlertRule, Bucket, LabelBucket, Monitor, SegmentBucket, Window
from projects.models import Project

OF_ROWS = (*shape.OUTPUTS, shape.ROWS)
MEASURED = (*OF_ROWS, shape.SCHEMA, shape.DROPPED, shape.ERROR)
ESTIMATING = (shape.SCORE, shape.ERROR)
SCHEMA_WORDS = ("with a missing column", "with an unknown column", "with a value of another type")


@dataclass(frozen=True)
class Stored:
    """What is stored of a stretch of time, read once: counts of columns, cells of labels, counts of segments."""

    buckets: list[tuple[datetime, str, Counts]]
    labels: list[tuple[datetime, str, Cells]]
    segments: list[tuple[datetime, str, Counts]]

    def within(self, start: datetime, end: datetime) -> "Stored":
        """Return the part between two moments."""
        kept = [[row for row in rows if start <= row[0] < end] for rows in (self.buckets, self.labels, self.segments)]
        return Stored(*kept)  # type: ignore[arg-type]


def read(
    monitor: Monitor, start: datetime, end: datetime, columns: Sequence[str] = MEASURED, *, segment: str = ""
) -> Stored:
    """Read what figures of a stretch and of all its parts need, of one segment as if it were all; three queries."""
    rows = _Within(monitor, start, end, segment).buckets.filter(column__in=columns)
    buckets = list(rows.values_list("hour", "column", "counts"))
    return Stored(buckets, *_beside_counts(monitor, start, end, segment))


def _beside_counts(monitor: Monitor, start: datetime, end: datetime, segment: str) -> tuple[list[Any], list[Any]]:
    """Read the cells of labels and, where groups are compared, their answers; of a segment its labels alone."""
    if segment:
        return [(hour, "", cells) for hour, cells in _Within(monitor, start, end, segment).labels()], []
    rows = LabelBucket.objects.filter(monitor=monitor, hour__gte=start, hour__lt=end)
    answers = _selected(monitor, start, end) if monitor.sensitive_columns else []
    return list(rows.values_list("hour", "segment", "cells")), answers


def measured(
    monitor: Monitor, start: datetime, end: datetime, columns: Sequence[str] = MEASURED, *, segment: str = ""
) -> dict[str, Measure]:
    """Performance, its estimate, fairness, labels and quality between two moments, by the name of the metric."""
    buckets = sums.rows(monitor, start, end, segment=segment, columns=columns)
    return figures_of(monitor, Stored(buckets, *_beside_counts(monitor, start, end, segment)))


def figures_of(monitor: Monitor, stored: Stored) -> dict[str, Measure]:
    """Return the figures of what was read."""
    parts: dict[str, list[Counts]] = {}
    for _hour, column, counts in stored.buckets:
        parts.setdefault(column, []).append(counts)
    counts_by = {column: merged(monitor, column, held) for column, held in parts.items()}
    cells: dict[str, list[Cells]] = {}
    for _hour, segment, one in stored.labels:
        cells.setdefault(segment, []).append(one)
    cells_by = {segment: performance.merge(held) for segment, held in cells.items()}
    return {
        **of_labels(cells_by.get("", {}), _answered(counts_by)),
        **_of_estimate(monitor, counts_by),
        **_of_quality(counts_by),
        **_of_fairness(_groups(monitor, stored.segments, cells_by)),
    }


def merged(monitor: Monitor, column: str, parts: list[Counts]) -> Counts:
    """Add counts of one column; those of another grid than the newest are left out."""
    grid = monitor.reference.get(column)
    fitting = [part for part in parts if grid is None or shape.fits(grid, part)] or parts
    return shape.merge(part for part in fitting if len(part["counts"]) == len(fitting[-1]["counts"]))


def _answered(counts_by: Mapping[str, Counts]) -> int:
    held = [shape.size(counts_by[column]) for column in (*shape.OUTPUTS, shape.ROWS) if column in counts_by]
    return max(held, default=0)


def of_labels(cells: Cells, answered: int) -> dict[str, Measure]:
    """Figures of labelled predictions, with the coverage beside them."""
    labelled = performance.size(cells)
    told = f"{labelled:,} of {answered:,} predictions have a label." if answered else ""
    found = {
        f"performance.{name}": Measure(value, labelled, told) for name, value in performance.figures(cells).items()
    }
    if answered:
        found["label.coverage"] = Measure(min(labelled / answered, 1.0), answered, told)
    if labelled:
        found["label.lag"] = Measure(performance.lag_hours(cells), labelled, told)
    return found


def _of_estimate(monitor: Monitor, counts_by: Mapping[str, Counts]) -> dict[str, Measure]:
    rows = _answered(counts_by)
    found = expected.figures(monitor.reference, counts_by)
    return {f"performance.estimated.{name}": Measure(value, rows) for name, value in found.items()}


def _of_quality(counts_by: Mapping[str, Counts]) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    if shape.ROWS in counts_by:
        held = counts_by[shape.ROWS]
        found["quality.duplicates"] = Measure(shape.repeated_share(held), shape.size(held))
    if shape.SCHEMA in counts_by:
        held = counts_by[shape.SCHEMA]
        told = ", ".join(f"{count} {name}" for count, name in zip(held["counts"], SCHEMA_WORDS, strict=True) if count)
        found["quality.schema"] = Measure(shape.filled(held) / max(shape.size(held), 1), shape.size(held), told)
    if counts_by:
        lost = shape.filled(counts_by[shape.DROPPED]) if shape.DROPPED in counts_by else 0
        found["log.dropped"] = Measure(float(lost), max(lost, _answered(counts_by)))
    return found


def fairness_of(
    monitor: Monitor, start: datetime, end: datetime, cells_by: Mapping[str, Cells]
) -> dict[str, list[fairness.Group]]:
    """Groups of each sensitive column between two moments."""
    return _groups(monitor, _selected(monitor, start, end) if monitor.sensitive_columns else [], cells_by)


def _selected(monitor: Monitor, start: datetime, end: datetime) -> list[tuple[datetime, str, Counts]]:
    """Read the answers of every segment."""
    rows = SegmentBucket.objects.filter(monitor=monitor, hour__gte=start, hour__lt=end, column=shape.PREDICTION)
    return list(rows.values_list("hour", "segment", "counts"))


def _groups(
    monitor: Monitor, rows: Iterable[tuple[datetime, str, Counts]], cells_by: Mapping[str, Cells]
) -> dict[str, list[fairness.Group]]:
    level = _selected_level(monitor)
    if not monitor.sensitive_columns or level is None:
        return {}
    parts: dict[str, list[Counts]] = {}
    for _hour, segment, counts in rows:
        parts.setdefault(segment, []).append(counts)
    found: dict[str, list[fairness.Group]] = {}
    for column in monitor.sensitive_columns:
        own = {name.removeprefix(f"{column}="): held for name, held in parts.items() if name.startswith(f"{column}=")}
        whole = {name: merged(monitor, shape.PREDICTION, held) for name, held in own.items()}
        selected = {name: (held["counts"][level], shape.size(held)) for name, held in whole.items()}
        cells = {name: cells_by.get(f"{column}={name}", {}) for name in own}
        found[column] = fairness.groups(selected, cells)
    return found


def _selected_level(monitor: Monitor) -> int | None:
    """Place of the class that is selected for in the grid of the answers."""
    levels = monitor.reference.get(shape.PREDICTION, {}).get("levels", [])
    wanted = performance.canonical(monitor.classes[-1]) if len(monitor.classes) == 2 else None
    return next((place for place, name in enumerate(levels) if performance.canonical(name) == wanted), None)


def _of_fairness(groups_by: Mapping[str, list[fairness.Group]]) -> dict[str, Measure]:
    """Worst figure over the sensitive columns."""
    found: dict[str, Measure] = {}
    for column, groups in groups_by.items():
        for name, value in fairness.figures(groups).items():
            held = found.get(f"fairness.{name}")
            worse = (
                held is None or held.value is None or (value < held.value if "ratio" in name else value > held.value)
            )
            if worse:
                rows = sum(group.rows for group in groups)
                found[f"fairness.{name}"] = Measure(value, rows, f"Between the groups of {column}.")
    return found


# --- over time -------------------------------------------------------------------------------------


@dataclass
class Point:
    """One stretch of an endpoint's time, whatever versions answered in it."""

    ends_at: datetime
    answered: int = 0
    cells: list[Cells] = field(default_factory=list)
    estimated: dict[str, float] = field(default_factory=dict)
    band: dict[str, expected.Band] = field(default_factory=dict)

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """Figures of its labelled predictions."""
        return of_labels(performance.merge(self.cells), self.answered)


def points(
    project: Project,
    endpoint: str,
    *,
    since: datetime,
    until: datetime,
    cell: int,
    segment: str = "",
    only: Monitor | None = None,
) -> list[Point]:
    """Performance of an endpoint over time, oldest first, in stretches of ``cell`` seconds; four queries a version.

    ``only`` is the monitor of a variant; without it all versions count that were live, one after the other.
    """
    first, last = int(since.timestamp()) // cell, -(-int(until.timestamp()) // cell)
    made = {
        number: Point(datetime.fromtimestamp((number + 1) * cell, tz=until.tzinfo)) for number in range(first, last)
    }
    start = datetime.fromtimestamp(first * cell, tz=until.tzinfo)
    for monitor in [only] if only else monitors_between(project, endpoint, start):
        within = _Within(monitor, start, until, segment)
        for hour, rows in within.rows():
            made[int(hour.timestamp()) // cell].answered += rows
        for hour, cells in within.labels():
            made[int(hour.timestamp()) // cell].cells.append(cells)
        for number, counts in within.estimating(cell).items():
            _estimate(made[number], monitor, counts)
    return list(made.values())


def monitors_between(project: Project, endpoint: str, start: datetime) -> list[Monitor]:
    """Monitors of what was live on an endpoint after a moment, oldest first."""
    rows = (
        Monitor.objects.main().in_project(project).filter(Q(valid_to=None) | Q(valid_to__gt=start), endpoint=endpoint)
    )
    return list(rows.order_by("valid_from", "pk"))


@dataclass(frozen=True)
class _Within:
    """Buckets of one monitor, or of one segment of it, between two moments."""

    monitor: Monitor
    start: datetime
    end: datetime
    segment: str

    @property
    def buckets(self) -> Any:
        within = {"monitor": self.monitor, "hour__gte": self.start, "hour__lt": self.end}
        if self.segment:
            return SegmentBucket.objects.filter(segment=self.segment, **within)
        return Bucket.objects.filter(**within)

    def rows(self) -> Iterable[tuple[datetime, int]]:
        held = self.buckets.filter(column__in=OF_ROWS).values_list("hour").annotate(most=Max("rows"))
        return list(held)

    def labels(self) -> Iterable[tuple[datetime, Cells]]:
        within = {"monitor": self.monitor, "hour__gte": self.start, "hour__lt": self.end, "segment": self.segment}
        return list(LabelBucket.objects.filter(**within).values_list("hour", "cells"))

    def estimating(self, cell: int) -> dict[int, dict[str, Counts]]:
        if "estimate" not in self.monitor.reference.get(shape.SCORE, {}):
            return {}
        parts: dict[int, dict[str, list[Counts]]] = {}
        rows = self.buckets.filter(column__in=ESTIMATING).values_list("hour", "column", "counts")
        for hour, column, counts in rows:
            parts.setdefault(int(hour.timestamp()) // cell, {}).setdefault(column, []).append(counts)
        return {
            number: {column: merged(self.monitor, column, held) for column, held in columns.items()}
            for number, columns in parts.items()
        }


def _estimate(point: Point, monitor: Monitor, counts: dict[str, Counts]) -> None:
    learned = monitor.reference[shape.SCORE]["estimate"]
    point.estimated = expected.figures(monitor.reference, counts)
    rows = max((shape.filled(held) for held in counts.values()), default=0)
    bands = {name: expected.band(learned, name, rows) for name in point.estimated}
    point.band = {name: band for name, band in bands.items() if band}


# --- any window ------------------------------------------------------------------------------------


def scores_between(monitor: Monitor, start: datetime, end: datetime, segment: str = "") -> list[score.Score]:
    """Drift of every column between any two moments, of all requests or of one segment, from stored counts."""
    counts_by = counts_of(monitor, start, end, segment=segment, columns=list(monitor.reference))
    return score.columns(monitor.reference, counts_by, min_samples=monitor.min_samples) if counts_by else []


def counts_of(
    monitor: Monitor, start: datetime, end: datetime, *, segment: str = "", columns: Collection[str] | None = None
) -> dict[str, Counts]:
    """Counts of every column, or of some, between any two moments, added up; those of another grid are left out."""
    held = sums.parts(monitor, start, end, segment=segment, columns=columns)
    return {column: merged(monitor, column, parts) for column, parts in held.items()}


def rows_of(counts: Mapping[str, Counts]) -> int:
    """How many answered rows the counts of all columns are of."""
    return max((shape.size(held) for column, held in counts.items() if column not in shape.NOT_ROWS), default=0)


def counts_between(monitor: Monitor, column: str, start: datetime, end: datetime, segment: str = "") -> Counts | None:
    """Counts of one column between any two moments."""
    return counts_of(monitor, start, end, segment=segment, columns=[column]).get(column)


def own_traffic_of(monitor: Monitor, start: datetime, end: datetime) -> Counts | None:
    """Requests, errors and latency of the monitor's version alone."""
    return counts_between(monitor, shape.TRAFFIC, start, end)


def traffic_of(monitor: Monitor, start: datetime, end: datetime) -> Counts | None:
    """Requests, errors and latency between two moments; of what is live those of all variants of the endpoint."""
    own = own_traffic_of(monitor, start, end)
    if monitor.variant:
        return own
    shares = [counts_between(one, shape.TRAFFIC, start, end) for one in _beside(monitor, start, end)]
    held = [own, *shares] if own else shares
    found = [counts for counts in held if counts]
    return shape.merge(found) if found else None


def _beside(monitor: Monitor, start: datetime, end: datetime) -> list[Monitor]:
    """Monitors of the variants that got a share of the requests between two moments."""
    rows = Monitor.objects.filter(project=monitor.project_id, endpoint=monitor.endpoint).exclude(variant="")
    rows = rows.filter(Q(valid_to=None) | Q(valid_to__gt=start), valid_from__lt=end).defer("reference")
    return list(rows.order_by("pk"))


@dataclass(frozen=True)
class Requests:
    """Counts of requests in their finest steps, read once and looked at piece by piece: moments and counts a column."""

    rows: Mapping[str, tuple[list[datetime], list[Counts]]]

    def between(self, start: datetime, end: datetime) -> dict[str, Counts]:
        """Counts of each column between two moments, added up."""
        found = {}
        for column, (moments, counts) in self.rows.items():
            if part := counts[bisect_left(moments, start) : bisect_left(moments, end)]:
                found[column] = shape.merge(part)
        return found

    def before(self, end: datetime, rule: AlertRule, monitor: Monitor) -> tuple[datetime, dict[str, Counts]]:
        """What a rule with a window of its own looks at: with fewer requests than it asks for, the whole last step."""
        start = end - timedelta(seconds=rule.reach_on(monitor))
        counts = self.between(start, end)
        seen = shape.size(counts[shape.TRAFFIC]) if shape.TRAFFIC in counts else 0
        if seen >= rule.min_samples or start <= end - monitor.step:
            return start, counts
        return end - monitor.step, self.between(end - monitor.step, end)


def requests_between(monitor: Monitor, start: datetime, end: datetime, *, alone: bool = False) -> Requests:
    """Read the counts of requests; of what is live those of all variants, unless ``alone``. Two queries."""
    beside = [] if alone or monitor.variant else [one.pk for one in _beside(monitor, start, end)]
    wanted = Q(monitor=monitor, column__in=shape.NOT_ROWS) | Q(monitor__in=beside, column=shape.TRAFFIC)
    rows = Bucket.objects.filter(wanted, hour__gte=start, hour__lt=end).order_by("hour")
    found: dict[str, tuple[list[datetime], list[Counts]]] = {}
    for hour, column, text in rows.values_list("hour", "column", Cast("counts", TextField())).iterator():
        moments, counts = found.setdefault(column, ([], []))
        moments.append(hour)
        counts.append(sums.read(text))
    return Requests(found)


def add_requests(window: Window, traffic: Counts | None) -> None:
    """Write requests, errors and latency into a window, saved or not."""
    if traffic is None:
        return
    window.requests, window.errors = shape.size(traffic), traffic["nulls"]
    window.latency_p50_us = shape.latency_us(traffic, 0.50)
    window.latency_p95_us = shape.latency_us(traffic, 0.95)
    window.latency_p99_us = shape.latency_us(traffic, 0.99)


def of_requests(counts: Mapping[str, Counts]) -> dict[str, Measure]:
    """Figures of the counts of requests alone; no request is none lost, so that an alert about lost lines ends."""
    return {"log.dropped": Measure(0.0), **_of_quality(counts)}


def segments_of(monitor: Monitor, since: datetime) -> list[str]:
    """Segments that had requests after a moment, by name."""
    # every segment has counts in every column, so one column tells them all
    column = next((name for name in (*shape.OUTPUTS, *monitor.reference) if name in monitor.reference), "")
    rows = SegmentBucket.objects.filter(monitor=monitor, hour__gte=since, column=column)
    return sorted(set(rows.values_list("segment", flat=True)))
