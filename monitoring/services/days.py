"""Add up the counts of whole days and weeks, and mark days whose counts change: `monitoring.sums` reads them."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from django.db import transaction
from django.db.models import F, TextField, Value
from django.db.models.functions import Cast
from django.utils import timezone

from mlportal.lib import apart
from monitoring import sums
from monitoring.drift import shape
from monitoring.drift.shape import Counts
from monitoring.models import Bucket, Day, DaySum, Monitor, SegmentBucket, Week, WeekSum

QUIET = timedelta(minutes=5)
MOST_DAYS = 200
BATCH = 500


def touch(monitor: Monitor, hour: datetime) -> None:
    """Say that counts of a moment change, in the transaction that changes them; one query."""
    Day.objects.bulk_create(
        [Day(monitor=monitor, at=sums.day_of(hour), changed_at=timezone.now())],
        update_conflicts=True, update_fields=["changed_at"], unique_fields=["monitor", "at"],
    )  # fmt: skip


def sum_left(now: datetime | None = None) -> int:
    """Add up days that are over and that got no counts for five minutes, and their weeks; returns how many days."""
    now = now or timezone.now()
    rows = Day.objects.filter(changed_at__lt=now - QUIET, at__lte=now - sums.DAY).order_by("changed_at", "pk")
    taken = list(rows[:MOST_DAYS])
    done = sum(apart.do(partial(_sum, day), what="day", row=day.pk) for day in taken)
    for monitor, monday in sorted({(day.monitor_id, sums.week_of(day.at)) for day in taken}):
        apart.do(partial(_sum_week, monitor, monday), what="week of monitor", row=monitor)
    return done


def _sum(day: Day) -> int:
    """Add up a day without a lock: counts that come meanwhile mark it again, and then nothing is kept."""
    made = [DaySum(day=day, segment=segment, column=column, counts=json.dumps(counts))
            for segment, column, counts in _totals(_rows(day))]  # fmt: skip
    with transaction.atomic():
        mine = Day.objects.filter(pk=day.pk, changed_at=day.changed_at)
        if not mine.update(changed_at=None, summed=F("summed") + 1):
            return 0
        DaySum.objects.filter(day=day).delete()
        DaySum.objects.bulk_create(made, batch_size=BATCH)
    return 1


def _sum_week(monitor: int, monday: datetime) -> int:
    """Add up a week from the sums of its days, and note how often those were made: the next sum of a day ends it."""
    held = list(Day.objects.filter(monitor=monitor, at__gte=monday, at__lt=monday + sums.WEEK))
    if any(day.changed_at for day in held):
        return 0
    rows = DaySum.objects.filter(day__in=held).order_by("segment", "column", "day__at", "pk")
    texts = rows.values_list("segment", "column", "counts").iterator(chunk_size=BATCH)
    totals = list(_totals((segment, column, sums.read(text)) for segment, column, text in texts))
    with transaction.atomic():
        week, _ = Week.objects.update_or_create(
            monitor_id=monitor, at=monday, defaults={"summed": sum(day.summed for day in held)}
        )
        week.sums.all().delete()
        made = [WeekSum(week=week, segment=segment, column=column, counts=json.dumps(counts))
                for segment, column, counts in totals]  # fmt: skip
        WeekSum.objects.bulk_create(made, batch_size=BATCH)
    return 1


def _rows(day: Day) -> Iterator[tuple[str, str, Counts]]:
    """Segment, column and counts of each bucket of the day, those of one column together and in order of time."""
    within = {"monitor": day.monitor_id, "hour__gte": day.at, "hour__lt": day.at + sums.DAY}
    for kind, segment in ((Bucket, Value("")), (SegmentBucket, F("segment"))):
        rows = kind.objects.filter(**within).annotate(part=segment).order_by("part", "column", "hour")
        texts = rows.values_list("part", "column", Cast("counts", TextField()))
        yield from ((part, column, sums.read(text)) for part, column, text in texts.iterator(chunk_size=BATCH))


def _totals(rows: Iterable[tuple[str, str, Counts]]) -> Iterator[tuple[str, str, Counts]]:
    for (segment, column, _bins), held in groupby(rows, key=lambda row: (row[0], row[1], len(row[2]["counts"]))):
        yield segment, column, shape.add_up(counts for *_where, counts in held)
