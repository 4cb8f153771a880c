"""From counts to a judged window to an alert, with a step of a minute."""

from datetime import timedelta

import numpy as np
import pytest
from django.db import transaction

from monitoring import pipeline
from monitoring.drift import shape
from monitoring.models import Alert, AlertRule, Bucket, DriftScore, Monitor, RuleEvaluation, Window
from monitoring.services import monitors
from tests.factories.monitoring import GRIDS, NOON, make_monitor, make_rule, requests
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
RNG = np.random.default_rng(21)
MINUTE = timedelta(minutes=1)


def shifted(size=300):
    return requests(size, age=RNG.normal(70, 10, size))


def ask(monitor, minute, counts):
    with transaction.atomic():
        monitors.add_counts(monitor, NOON + minute * MINUTE, counts)


def roll(monitor, minute):
    """Judge as if the given minute had just ended."""
    return pipeline.roll_window(monitor.pk, NOON + minute * MINUTE + timedelta(seconds=15))


@pytest.fixture
def monitor():
    return make_monitor(make_project())


def test_quiet_minute_is_judged_ok(monitor):
    ask(monitor, 0, requests())
    assert roll(monitor, 1) == 1
    window = Window.objects.get()
    assert (window.rows, window.verdict, window.reasons, window.requests) == (300, "ok", [], 300)
    assert window.latency_p99_us == pytest.approx(2000, rel=0.07)
    assert (window.scores.count(), Alert.objects.count(), window.settled_at is not None) == (4, 0, True)
    assert RuleEvaluation.objects.count() == 9


def test_shifted_traffic_opens_a_drift_alert_after_two_windows(monitor):
    for minute in range(2):
        ask(monitor, minute, shifted())
    assert roll(monitor, 2) == 2
    alert = Alert.objects.get(rule__name="Data drift")
    assert (alert.state, alert.severity, alert.endpoint, alert.version) == (
        "firing", "critical", "churn-production", "churn v1",
    )  # fmt: skip
    assert alert.title.startswith("age drifted, PSI ")
    score = DriftScore.objects.filter(column="age").latest("pk")
    assert (score.state, score.mean) == ("alert", pytest.approx(70, abs=2))


def test_alert_resolves_when_traffic_is_normal_again(monitor):
    for minute, counts in enumerate([shifted(), shifted(), requests(1500), requests(1500)]):
        ask(monitor, minute, counts)
    roll(monitor, 4)
    assert Alert.objects.get(rule__name="Data drift").state == "resolved"


def test_rolling_again_changes_nothing(monitor):
    for minute in range(2):
        ask(monitor, minute, shifted())
    roll(monitor, 2)
    before = list(Alert.objects.values()), list(Window.objects.values())
    assert roll(monitor, 2) == 0
    Monitor.objects.update(rolled_to=None)
    Window.objects.update(settled_at=None)
    pipeline._settle_left(Monitor.objects.select_related("project").get())
    assert (list(Alert.objects.values()), Window.objects.count()) == (before[0], len(before[1]))


def test_a_monitor_that_cannot_be_judged_does_not_keep_the_others_from_it(monitor):
    other = make_monitor(monitor.project, endpoint="other")
    for each in (monitor, other):
        ask(each, 0, requests())
    broken = {name: {key: held for key, held in grid.items() if key != "kind"} for name, grid in GRIDS.items()}
    Monitor.objects.filter(pk=monitor.pk).update(reference=broken)
    assert pipeline.roll_due(NOON + MINUTE + timedelta(seconds=15)) == 1
    assert [window.monitor_id for window in Window.objects.all()] == [other.pk]


def test_window_judged_before_a_crash_is_settled_by_the_next_roll(monitor):
    ask(monitor, 0, requests())
    roll(monitor, 1)
    RuleEvaluation.objects.all().delete()
    Window.objects.update(settled_at=None)
    assert roll(monitor, 1) == 0
    assert (RuleEvaluation.objects.count(), Window.objects.filter(settled_at=None).count()) == (9, 0)


def test_window_that_has_not_ended_waits_for_the_shipper(monitor):
    ask(monitor, 0, requests())
    assert pipeline.roll_window(monitor.pk, NOON + MINUTE + timedelta(seconds=14)) == 0
    assert roll(monitor, 1) == 1


def test_few_requests_reach_back_until_there_are_enough(monitor):
    for minute in range(4):
        ask(monitor, minute, requests(90))
    roll(monitor, 4)
    window = Window.objects.latest("ends_at")
    assert (window.rows, window.ends_at - window.starts_at, window.verdict) == (270, 3 * MINUTE, "ok")
    assert Window.objects.earliest("ends_at").verdict == "too_few"


def test_minute_without_requests_is_no_data_and_not_green(monitor):
    ask(monitor, 0, requests())
    roll(monitor, 4)
    verdicts = list(Window.objects.order_by("ends_at").values_list("verdict", flat=True))
    assert verdicts == ["ok", "no_data", "no_data", "no_data"]
    assert list(Alert.objects.filter(state="firing").values_list("rule__name", flat=True)) == ["No requests"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"age": None}, "age: cannot compute: The column is missing from the requests."),
        ({"age": [np.nan] * 300}, "age: cannot compute: Every value in this window is empty."),
        ({"age": ["text"] * 300}, "age: cannot compute: Every value in this window is empty."),
    ],
)
def test_what_cannot_be_computed_is_said_and_raised(monitor, change, reason):
    AlertRule.objects.update(no_data_then="alert", no_data_after=1)
    counts = requests(300, **{name: values for name, values in change.items() if values is not None})
    for name, values in change.items():
        if values is None:
            del counts[name]
    ask(monitor, 0, counts)
    roll(monitor, 1)
    window = Window.objects.get()
    assert (window.verdict, window.reasons[0]) == ("cannot_compute", reason)
    assert Alert.objects.filter(rule__name="Data drift", state="no_data").exists()


def test_empty_reference_cannot_be_computed():
    monitor = make_monitor(make_project(), reference_grids={})
    ask(monitor, 0, requests())
    roll(monitor, 1)
    assert list(Window.objects.values_list("verdict", "reasons")) == [
        ("cannot_compute", ["The version has no reference to compare with."])
    ]


def test_counts_of_another_schema_are_left_out(monitor):
    ask(monitor, 0, requests())
    Bucket.objects.filter(column="age").update(counts={"counts": [3, 4], "nulls": 0})
    roll(monitor, 1)
    window = Window.objects.get()
    assert window.verdict == "cannot_compute"
    assert window.reasons[0] == "age: cannot compute: The window was counted on another reference."


def test_everything_new_in_a_category(monitor):
    for minute in range(2):
        ask(monitor, minute, requests(300, plan=["wallet"] * 300))
    roll(monitor, 2)
    assert DriftScore.objects.filter(column="plan").latest("pk").others == {"wallet": 300}
    detail = Alert.objects.get(rule__name="Data drift").detail
    assert detail == "A new value “wallet” arrived and is now 100% of requests."


def test_rule_that_fails_does_not_stop_the_others(monitor):
    AlertRule.objects.all().delete()
    make_rule(monitor.project, "Broken", metric="no.such")
    make_rule(monitor.project, "Sound")
    for minute in range(3):
        ask(monitor, minute, shifted())
    roll(monitor, 3)
    assert list(Alert.objects.order_by("rule__name").values_list("rule__name", "state")) == [
        ("Broken", "error"), ("Sound", "firing"),
    ]  # fmt: skip


def test_long_pause_is_caught_up_with_the_last_windows_only(monitor):
    ends = pipeline.due_ends(monitor, NOON + timedelta(days=3))
    assert (len(ends), ends[-1]) == (200, NOON + timedelta(days=3) - MINUTE)


def test_failed_and_slow_requests_are_counted_in_the_last_step(monitor):
    counts = requests(300)
    counts[shape.TRAFFIC] = shape.traffic([2_000_000.0] * 280, errors=20)
    for minute in range(2):
        ask(monitor, minute, counts)
    roll(monitor, 2)
    names = Alert.objects.filter(state="firing").order_by("rule__name").values_list("rule__name", flat=True)
    assert list(names) == ["Failed requests", "Slow answers"]


def test_roll_due_takes_live_monitors_only(monitor):
    ask(monitor, 0, requests())
    Monitor.objects.update(valid_to=NOON)
    assert pipeline.roll_due(NOON + 2 * MINUTE) == 0
    Monitor.objects.update(valid_to=None)
    assert pipeline.roll_due(NOON + 2 * MINUTE) == 1


def test_grids_know_their_columns():
    assert sorted(GRIDS) == [shape.SCORE, "age", "on", "plan"]
