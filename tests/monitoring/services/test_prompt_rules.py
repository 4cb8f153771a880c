"""Rules with a window of their own on a monitor that is judged every hour: they look every five minutes."""

from datetime import timedelta

import pytest
from django.db import transaction

from monitoring import pipeline, queries
from monitoring.drift import shape
from monitoring.models import Alert, AlertRule, Bucket, RuleEvaluation, Window
from monitoring.pipeline import counting, prompt
from monitoring.services import backtests, rules
from projects.permissions import Permission
from tests.factories.monitoring import NOON, make_monitor, make_rule
from tests.factories.projects import make_project, system

pytestmark = pytest.mark.django_db
HOURLY = {"bucket_seconds": 3600, "step_seconds": 3600, "window_seconds": 86_400, "min_samples": 200}
MINUTE, LATE = timedelta(minutes=1), timedelta(seconds=31)


@pytest.fixture
def monitor():
    AlertRule.objects.all().delete()
    made = make_monitor(make_project(), pace=HOURLY)
    AlertRule.objects.update(created_at=NOON)
    return made


def ask(monitor, minute: int, answered: int, failed: int = 0, *, us: int = 2000, lost: int = 0) -> None:
    at = int((NOON + minute * MINUTE).timestamp() * 1000)
    gaps = [{"since": at - 7_200_000, "at": at, "rows": lost}] if lost else []
    with transaction.atomic():
        counting.add_traffic(monitor, [(at, us)] * answered, [(at, "value_invalid")] * failed, gaps)


def roll(monitor, minute: int) -> int:
    return pipeline.roll_due(NOON + minute * MINUTE + LATE)


def state_of(name: str) -> list[str]:
    return list(Alert.objects.filter(rule__name=name).exclude(state="inactive").values_list("state", flat=True))


def test_failing_requests_fire_within_ten_minutes_and_not_at_the_end_of_the_second_hour(monitor):
    for minute in (1, 6):
        ask(monitor, minute, 30, 30)
    assert roll(monitor, 5) == 0
    assert state_of("Failed requests") == ["pending"]
    roll(monitor, 10)
    alert = Alert.objects.get(rule__name="Failed requests")
    assert (alert.state, alert.value, Window.objects.count()) == ("firing", 0.5, 0)
    ask(monitor, 11, 60)
    ask(monitor, 16, 60)
    roll(monitor, 20)
    assert state_of("Failed requests") == ["resolved"]


def test_each_own_window_is_looked_at_once(monitor):
    ask(monitor, 1, 60)
    ends = RuleEvaluation.objects.filter(rule__name="Failed requests")
    for minute in (5, 5, 6, 10):
        roll(monitor, minute)
    assert list(ends.order_by("window_end").values_list("window_end", flat=True)) == [
        NOON + 5 * MINUTE, NOON + 10 * MINUTE,
    ]  # fmt: skip


def test_few_requests_are_judged_over_the_last_hour(monitor):
    for minute in range(0, 60, 5):
        ask(monitor, minute, 3, 1)
    roll(monitor, 60)
    alert = Alert.objects.get(rule__name="Failed requests")
    assert (alert.state, alert.value) == ("firing", 0.25)
    few = RuleEvaluation.objects.filter(rule__name="Failed requests", window_end=NOON + 5 * MINUTE)
    assert few.get().outcome == "too_few"


def test_lost_lines_fire_at_once_whenever_they_were_lost_and_end_when_no_more_are(monitor):
    ask(monitor, 121, 0, lost=7)
    roll(monitor, 125)
    alert = Alert.objects.get(rule__name="Predictions not logged")
    assert (alert.state, alert.severity, alert.value) == ("firing", "critical", 7.0)
    roll(monitor, 135)
    assert state_of("Predictions not logged") == ["resolved"]


def test_requests_are_counted_in_five_minutes_and_add_up_with_the_hours_before(monitor):
    ask(monitor, 3, 10)
    ask(monitor, 7, 10)
    Bucket.objects.create(
        monitor=monitor, hour=NOON - timedelta(hours=1), column=shape.TRAFFIC, rows=5,
        counts=shape.traffic([2000.0] * 5, errors=0),
    )  # fmt: skip
    starts = Bucket.objects.filter(column=shape.TRAFFIC).order_by("hour").values_list("hour", flat=True)
    assert [int((start - NOON) / MINUTE) for start in starts] == [-60, 0, 5]
    monitor.refresh_from_db()
    roll(monitor, 60)
    assert Window.objects.get().requests == 20


@pytest.mark.parametrize(("bucket", "length"), [(3600, 300), (900, 300), (60, 60), (7200, 7200), (2100, 2100)])
def test_only_steps_that_make_up_hours_are_counted_finer(bucket, length):
    pace = {"bucket_seconds": bucket, "step_seconds": bucket, "window_seconds": bucket, "min_samples": 1}
    assert make_monitor(make_project(), pace=pace).traffic_seconds == length


def test_requests_a_second_of_a_step_and_of_a_window_of_its_own(monitor):
    fields = {"metric": "traffic.rps", "op": "below", "warn": None, "critical": 0.5}
    own = make_rule(monitor.project, "own", window_seconds=300, **fields)
    whole = make_rule(monitor.project, "whole", **fields)
    AlertRule.objects.update(created_at=NOON)
    ask(monitor, 56, 300)
    roll(monitor, 60)
    found = dict(Alert.objects.filter(rule__in=[own, whole]).values_list("rule__name", "value"))
    assert found["whole"] == pytest.approx(300 / 3600)
    assert (Alert.objects.get(rule=own).state, Alert.objects.get(rule=own).value) == ("recovering", 1.0)


def test_the_page_of_an_alert_and_the_try_out_show_the_same_windows(monitor):
    for minute in (1, 6, 11, 16):
        ask(monitor, minute, 30, 30 if minute in (1, 6) else 0)
    roll(monitor, 20)
    alert = Alert.objects.get(rule__name="Failed requests")
    told = {at: value for at, value in queries.evidence(alert) if value is not None}
    assert [round(told[NOON + minute * MINUTE], 2) for minute in (5, 10, 15, 20)] == [0.5, 0.5, 0.0, 0.0]
    by = system(monitor.project, Permission.MONITOR_VIEW)
    draft = rules.draft(
        by, project=monitor.project, name="r", metric="error.rate", critical=0.3, window_seconds=300, needed=2, of=3
    )
    played = backtests.play(by, project=monitor.project, rule=draft, now=NOON + 20 * MINUTE)
    assert (played.windows, [(one.at - NOON) / MINUTE for one in played.firings]) == (4, [10.0])


def test_old_notes_are_dropped_and_the_newest_stays(monitor):
    rule = AlertRule.objects.get(name="Failed requests")
    for days in (40, 35, 31):
        RuleEvaluation.objects.create(rule=rule, monitor=monitor, window_end=NOON - timedelta(days=days), outcome="ok")
    assert prompt.forget_old(NOON) == 2
    assert RuleEvaluation.objects.get().window_end == NOON - timedelta(days=31)
