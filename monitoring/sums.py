"""Read stored counts of any stretch of time: whole days from their sums, the rest from the counts themselves."""

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_

import orjson
from django.db.models import Max, Q, TextField
from django.db.models.functions import Cast

from monitoring.drift import shape
from monitoring.drift.shape import Counts
from monitoring.models import Bucket, Day, DaySum, Monitor, SegmentBucket

DAY = timedelta(days=1)
MOST_SPANS = 100
LONGEST_MERGE = timedelta(days=7)

Row = tuple[datetime, str, Counts]
Span = tuple[datetime, datetime]


def day_of(moment: datetime) -> datetime:
    """Midnight before a moment, in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def rows(
    monitor: Monitor, start: datetime, end: datetime, *, segment: str = "", columns: Collection[str] | None = None
) -> list[Row]:
    """Counts between two moments with the moment they begin at, oldest first; three queries, one for less than a day.

    They add up to what the single buckets add up to.

    Parameters
    ----------
    segment : str
        Of one segment only, ``region=north``; empty for all requests.
    columns : collection of str, optional
        Of these columns only.
    """
    days = _summed_days(monitor, start, end)
    spans = _between(list(days.values()), start, end)
    if len(spans) > MOST_SPANS:
        days, spans = {}, [(start, end)]
    chosen = {} if columns is None else {"column__in": list(columns)}
    summed = DaySum.objects.filter(day__in=list(days), segment=segment, **chosen).order_by("pk")
    stored = summed.values_list("day_id", "column", "counts")
    found = [(days[day], column, read(text)) for day, column, text in stored]
    if spans:
        kind, of = (SegmentBucket, {"segment": segment}) if segment else (Bucket, {})
        within = reduce(or_, (Q(hour__gte=first, hour__lt=last) for first, last in spans))
        raw = kind.objects.filter(within, monitor=monitor, **of, **chosen)
        # By orjson texts are read nine times faster than by the driver.
        as_text = raw.values_list("hour", "column", Cast("counts", TextField()))
        found += [(hour, column, read(text)) for hour, column, text in as_text]
    return sorted(found, key=lambda row: row[0])


def parts(
    monitor: Monitor, start: datetime, end: datetime, *, segment: str = "", columns: Collection[str] | None = None
) -> dict[str, list[Counts]]:
    """Counts of each column between two moments, oldest first; as `rows`."""
    held: dict[str, list[Counts]] = {}
    for _at, column, counts in rows(monitor, start, end, segment=segment, columns=columns):
        held.setdefault(column, []).append(counts)
    return held


def _summed_days(monitor: Monitor, start: datetime, end: datetime) -> dict[int, datetime]:
    """Begin of each day that lies in the stretch whole and whose sums hold, by its id, the oldest first."""
    if end - start < DAY:
        return {}
    days = Day.objects.filter(monitor=monitor, at__gte=start, at__lte=end - DAY, changed_at=None)
    return dict(days.order_by("at").values_list("pk", "at"))


def _between(days: list[datetime], start: datetime, end: datetime) -> list[Span]:
    """Stretches that the days leave over."""
    begins, ends = [start, *(day + DAY for day in days)], [*days, end]
    return [(first, last) for first, last in zip(begins, ends, strict=True) if first < last]


def begin(monitor: Monitor, end: datetime, *, segment: str = "") -> datetime:
    """Begin of the window that ends at a moment; it reaches back window by window, at most 7 days, for enough rows.

    Parameters
    ----------
    segment : str
        Whose rows are counted, ``region=north``; empty for all.
    """
    kind, of = (SegmentBucket, {"segment": segment}) if segment else (Bucket, {})
    rows = dict(
        kind.objects.filter(monitor=monitor, hour__gte=end - max(LONGEST_MERGE, monitor.window), hour__lt=end, **of)
        .exclude(column__in=shape.NOT_ROWS)
        .values_list("hour")
        .annotate(most=Max("rows"))
    )
    start = end - monitor.window
    if not any(hour >= start for hour in rows):
        return start
    oldest = min(rows)
    while sum(count for hour, count in rows.items() if hour >= start) < monitor.min_samples:
        if start <= oldest:
            break
        start -= monitor.window
    return start


def read(text: str) -> Counts:
    """Read counts from the text they are stored as."""
    try:
        counts: Counts = orjson.loads(text)
    except orjson.JSONDecodeError:  # a sum beyond all numbers, which only Python writes and reads
        counts = json.loads(text)
    return counts
