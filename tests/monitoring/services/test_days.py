"""A window read through the sums of days and weeks is the one read from its buckets, whatever came late."""

from datetime import timedelta

import numpy as np
import pytest
from django.db import transaction
from django.utils import timezone

from monitoring import drift, history, sums
from monitoring.drift import shape
from monitoring.models import Bucket, Day, DaySum, SegmentBucket, Week, WeekSum
from monitoring.services import days, monitors
from tests.factories.monitoring import GRIDS, NOON, make_monitor
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
PACE = {"bucket_seconds": 7200, "step_seconds": 7200, "window_seconds": 86400, "min_samples": 200}
BEGIN = NOON - timedelta(days=20)
LATER = timedelta(hours=1)
SEGMENTS = ("", "plan=a", "plan=b")


def counts(chance) -> dict:
    """Whole numbers, whose sums are exact in any order; values the reference lacks, and keys of rows."""
    size = int(chance.integers(1, 40))
    keys = {f"{key:03x}": 1 for key in chance.choice(1500, 400, replace=False)}
    return {
        "age": drift.fill(GRIDS["age"], chance.integers(0, 90, size).tolist()),
        "plan": drift.fill(GRIDS["plan"], [f"new {each}" for each in chance.integers(0, 60, size)]),
        shape.TRAFFIC: shape.traffic([2000.0] * size, errors=1),
        shape.ROWS: {"counts": [size], "nulls": 0, "keys": keys},
    }


def write(monitor, chance, rows: int) -> None:
    for _row in range(rows):
        with transaction.atomic():
            hour = BEGIN + timedelta(hours=int(chance.integers(0, 24 * 18)))
            monitors.add_counts(monitor, hour, counts(chance), segment=str(chance.choice(SEGMENTS)))


def straight(monitor, start, end, segment) -> dict:
    """Counts of a window, bucket by bucket."""
    kind, of = (SegmentBucket, {"segment": segment}) if segment else (Bucket, {})
    held: dict = {}
    rows = kind.objects.filter(monitor=monitor, hour__gte=start, hour__lt=end, **of).order_by("hour")
    for column, one in rows.values_list("column", "counts"):
        held.setdefault(column, []).append(one)
    return {column: history.merged(monitor, column, parts) for column, parts in held.items()}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_window_is_the_same_through_sums(seed):
    chance = np.random.default_rng(seed)
    monitor = make_monitor(make_project(), pace=PACE)
    for _round in range(3):
        write(monitor, chance, 25)
        days.sum_left(timezone.now() + LATER)
        write(monitor, chance, int(chance.integers(0, 3)))  # late ones: their days are read from buckets again
        for _window in range(6):
            start, end = sorted(BEGIN + timedelta(hours=int(one)) for one in chance.integers(-6, 24 * 19, 2))
            for segment in SEGMENTS:
                read = history.counts_of(monitor, start, end, segment=segment)
                assert read == straight(monitor, start, end, segment)
    assert DaySum.objects.exclude(segment="").exists()
    assert WeekSum.objects.exclude(segment="").exists()


def test_a_day_is_summed_once_it_is_over_and_quiet():
    monitor = make_monitor(make_project(), pace=PACE)
    write(monitor, np.random.default_rng(4), 3)
    named = Day.objects.count()
    assert days.sum_left() == 0  # counts came less than five minutes ago
    assert days.sum_left(BEGIN) == 0
    assert (days.sum_left(timezone.now() + LATER), days.sum_left(timezone.now() + LATER)) == (named, 0)
    assert not Day.objects.filter(changed_at__isnull=False).exists()


def test_counts_that_come_while_a_day_is_summed_are_kept():
    monitor = make_monitor(make_project(), pace=PACE)
    chance = np.random.default_rng(5)
    with transaction.atomic():
        monitors.add_counts(monitor, BEGIN, counts(chance))
    read_before = Day.objects.get()
    with transaction.atomic():
        monitors.add_counts(monitor, BEGIN, counts(chance))
    assert days._sum(read_before) == 0
    assert not DaySum.objects.exists()
    assert Day.objects.get().changed_at is not None


def test_a_month_is_read_from_its_sums(django_assert_num_queries):
    monitor = make_monitor(make_project(), pace=PACE)
    for hour in range(0, 24 * 19, 6):
        with transaction.atomic():
            monitors.add_counts(monitor, BEGIN + timedelta(hours=hour), counts(np.random.default_rng(hour)))
    days.sum_left(timezone.now() + LATER)
    end = BEGIN + timedelta(days=18)
    whole = history.counts_of(monitor, BEGIN, end)
    Bucket.objects.filter(hour__gte=BEGIN + timedelta(days=1), hour__lt=end - timedelta(days=1)).delete()
    with django_assert_num_queries(5):
        assert history.counts_of(monitor, BEGIN, end) == whole
    monday = sums.week_of(BEGIN + timedelta(days=7))
    assert (monday.weekday(), monday.hour) == (0, 0)
    DaySum.objects.filter(day__at__gte=monday, day__at__lt=monday + sums.WEEK).delete()
    assert history.counts_of(monitor, BEGIN, end) == whole, "what is whole is read from the week"


def test_a_week_holds_until_one_of_its_days_changes():
    monitor = make_monitor(make_project(), pace=PACE)
    monday = sums.week_of(BEGIN)
    for day in range(6):  # the last of the week has none yet
        with transaction.atomic():
            monitors.add_counts(monitor, monday + timedelta(days=day), counts(np.random.default_rng(day)))
    start, end = monday, monday + sums.WEEK
    for late in (2, 6):
        days.sum_left(timezone.now() + LATER)
        held = Week.objects.get()
        assert sums._summed(monitor, start, end) == ({held.pk: monday}, {})
        with transaction.atomic():
            monitors.add_counts(monitor, monday + timedelta(days=late), counts(np.random.default_rng(late)))
        assert sums._summed(monitor, start, end)[0] == {}
        assert history.counts_of(monitor, start, end) == straight(monitor, start, end, "")
        assert days._sum_week(monitor.pk, monday) == 0, "not while a day of it waits"
        assert days._sum(Day.objects.get(changed_at__isnull=False)) == 1
        assert sums._summed(monitor, start, end)[0] == {}, "the day was summed, its week not yet"
        assert history.counts_of(monitor, start, end) == straight(monitor, start, end, "")
        assert days._sum_week(monitor.pk, monday) == 1
        assert history.counts_of(monitor, start, end) == straight(monitor, start, end, "")
    assert WeekSum.objects.filter(segment="", column="age").count() == 1
