"""Rules with a window of their own, and what they say about retraining."""

from datetime import timedelta

import pytest

from mlportal.lib.errors import Invalid
from monitoring.drift import shape
from monitoring.models import AlertRule, Bucket, Window
from monitoring.services import backtests, rules
from monitoring.services.course import Course
from projects.permissions import Permission
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_team
from tests.factories.monitoring import NOON, make_monitor, requests
from tests.factories.projects import make_project, system

pytestmark = pytest.mark.django_db
LATE = {"name": "late", "metric": "latency.p99_ms", "critical": 100.0}


def course(minutes: int = 60):
    """An hour of quiet traffic whose last five minutes are slow, seen as one window of an hour."""
    monitor = make_monitor(make_project())
    for minute in range(minutes):
        counts = requests(50) | {shape.TRAFFIC: shape.traffic([500_000.0 if minute >= 55 else 2000.0] * 50, errors=0)}
        for column, held in counts.items():
            hour = NOON + timedelta(minutes=minute)
            Bucket.objects.create(monitor=monitor, hour=hour, column=column, counts=held, rows=50)
    ends_at = NOON + timedelta(minutes=60)
    window = Window.objects.create(
        monitor=monitor, starts_at=NOON, ends_at=ends_at, rows=3000, requests=3000, verdict="ok", computed_at=ends_at,
        latency_p99_us=500_000.0,
    )  # fmt: skip
    return Course(window)


def rule(project, **fields) -> AlertRule:
    return rules.create(system(project, Permission.MONITOR_EDIT), project=project, **(LATE | fields))


@pytest.mark.parametrize(("seconds", "value"), [(300, 500), (3600, 500), (60, 500)])
def test_latency_over_a_window_of_its_own(seconds, value):
    seen = course()
    found = seen.ask(rule(seen.monitor.project, window_seconds=seconds))
    assert found.samples[0].value == pytest.approx(value, rel=0.08)


def test_a_longer_window_thins_out_what_a_short_one_shows():
    seen = course()
    project = seen.monitor.project
    short = seen.ask(rule(project, metric="latency.p50_ms", window_seconds=300))
    long = seen.ask(rule(project, name="long", metric="latency.p50_ms", window_seconds=3600))
    assert short.samples[0].value == pytest.approx(500, rel=0.08)
    assert long.samples[0].value == pytest.approx(2, rel=0.08)
    assert (short.outcome, long.outcome) == ("breach", "ok")


def test_drift_over_a_window_of_its_own_counts_its_rows_only():
    seen = course()
    project = seen.monitor.project
    few = seen.ask(rule(project, name="few", metric="traffic.requests", op="below", critical=260.0, window_seconds=300))
    assert few.samples[0].value == 250
    quiet = seen.ask(rule(project, name="drift", metric="drift.psi", critical=0.25, window_seconds=600))
    assert quiet.outcome == "ok"


def test_it_is_played_back_as_well():
    seen = course()
    project = seen.monitor.project
    by = system(project, Permission.MONITOR_VIEW)
    draft = rules.draft(by, project=project, **LATE, window_seconds=300, needed=1, of=1)
    played = backtests.play(by, project=project, rule=draft, now=NOON + timedelta(hours=2))
    assert (played.windows, len(played.firings)) == (120, 1)


@pytest.mark.parametrize(
    "fields",
    [{"window_seconds": 59}, {"window_seconds": True}, {"window_seconds": 10**9}, {"action": "dance"},
     {"window_seconds": 300, "compare": "cusum"}, {"window_seconds": 300, "over": 3}],
)  # fmt: skip
def test_wrong_ones_are_refused_by_name(fields):
    with pytest.raises(Invalid) as caught:
        rule(make_project(), **fields)
    assert caught.value.field == next(iter(fields))


def test_both_are_set_and_read_over_the_api():
    team = make_team()
    ops = Api(team, "ops", "read", "alerts", "admin")
    made = ops.post("alert-rules/", LATE | {"window_seconds": 300, "action": "none"})
    assert (made.status_code, made.json()["window_seconds"], made.json()["action"]) == (201, 300, "none")
    cleared = ops.send("patch", f"alert-rules/{made.json()['id']}/", {"window_seconds": None, "action": ""})
    assert (cleared.status_code, cleared.json()["window_seconds"], cleared.json()["action"]) == (200, None, "")
    page = browser(team, "ops").get(f"/p/churn/monitoring/rules/{made.json()['id']}/").content.decode()
    assert "Window of its own (seconds)" in page
