"""How long alerts took, which causes segments and labels show, and what an alert's metric was in each window."""

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring import queries
from monitoring.drift import measures
from monitoring.models import (
    Alert,
    AlertRule,
    AlertTransition,
    Bucket,
    DriftScore,
    Incident,
    LabelBucket,
    Monitor,
    RuleEvaluation,
    SegmentBucket,
    Window,
)
from monitoring.models.rules import UNMEASURED, Metric
from monitoring.pipeline import roll_window
from monitoring.services import causes, response, waiting
from projects.permissions import Permission
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_team
from tests.factories.monitoring import NOON, make_monitor, make_rule, make_window
from tests.factories.projects import make_project, system

pytestmark = pytest.mark.django_db


def alert(monitor: Monitor, number: int, *, seen: int | None = None, over: int | None = None, state: str = "resolved"):
    """An alert of an hour ago, acknowledged and resolved after so many minutes."""
    at = timezone.now() - timedelta(hours=1)
    rule = make_rule(monitor.project, f"r{number}")
    made = Alert.objects.create(
        project=monitor.project, rule=rule, monitor=monitor, fingerprint=f"{number:064x}", state=state, opened_at=at,
        changed_at=at, endpoint=monitor.endpoint, title="t", resolved_at=at + timedelta(minutes=over) if over else None,
    )  # fmt: skip
    for seq, minutes in enumerate([seen, (seen or 0) + 30] if seen else []):
        AlertTransition.objects.create(
            alert=made, seq=seq, at=at + timedelta(minutes=minutes), kind=AlertTransition.Kind.ACKNOWLEDGED
        )
    return made


def test_times_count_the_first_look_and_the_end():
    monitor = make_monitor(make_project())
    alert(monitor, 1, seen=10, over=40)
    alert(monitor, 2, seen=20, over=20)
    alert(monitor, 3, state="firing")
    alert(monitor, 4, state="pending")
    Alert.objects.filter(pk=alert(monitor, 5, seen=50, over=50).pk).update(
        opened_at=timezone.now() - timedelta(days=31)
    )
    times = response.of_alerts(Alert.objects.all())
    assert (times.fired, times.acknowledge.count, times.resolve.count) == (3, 2, 2)
    assert (times.acknowledge.mean_seconds, times.resolve.mean_seconds) == (pytest.approx(900), pytest.approx(1800))
    assert times.resolve.median_seconds == pytest.approx(1800)
    empty = response.of_alerts(Alert.objects.none())
    assert (empty.fired, empty.acknowledge.mean_seconds) == (0, None)


def test_times_stand_on_the_pages_and_in_the_api():
    team = make_team()
    alert(make_monitor(team.project), 1, seen=10, over=40)
    client = browser(team, "ops")
    for address in ("/p/churn/alerts/", "/ops/"):
        page = client.get(address).content.decode()
        assert "MTTA" in page, address
        assert "10:00" in page
        assert "40:00" in page
    ops = Api(team, "viewer", "read")
    told = ops.get("alerts/times/?days=7").json()
    assert (told["days"], told["acknowledge"]["mean_seconds"]) == (7, pytest.approx(600))
    for days in ("0", "366", "x"):
        assert ops.get(f"alerts/times/?days={days}").status_code == 400


# --- causes ----------------------------------------------------------------------------------------


def incident_of(monitor: Monitor, window: Window) -> Incident:
    return Incident(project=monitor.project, endpoint=monitor.endpoint, opened_at=window.ends_at)


def segment(monitor: Monitor, minute: int, name: str, rows: int) -> None:
    SegmentBucket.objects.create(
        monitor=monitor, hour=NOON + timedelta(minutes=minute), segment=name, column="__prediction__",
        counts={"counts": [rows], "nulls": 0}, rows=rows,
    )  # fmt: skip


def test_another_mix_of_segments_is_a_cause():
    monitor = make_monitor(make_project())
    by = system(monitor.project, Permission.MONITOR_VIEW)
    Monitor.objects.update(segment_columns=["region", "plan"])
    window = make_window(monitor, 5)
    for minute in range(4):
        segment(monitor, minute, "region=north", 80)
        segment(monitor, minute, "region=south", 20)
        segment(monitor, minute, "plan=a", 100)
    segment(monitor, 4, "region=north", 20)
    segment(monitor, 4, "region=south", 80)
    segment(monitor, 4, "plan=a", 100)
    [found] = [cause for cause in causes.ranked(by, incident=incident_of(monitor, window)) if cause.kind == "mix"]
    assert (found.title, found.column, found.percent) == ("The mix of region changed", "region", 80)
    assert found.evidence in (
        "region=north: 80% of requests before, 20% now.", "region=south: 20% of requests before, 80% now.",
    )  # fmt: skip


def labelled(monitor: Monitor, minute: int, labels: int, *, lag: int = 40, rows: int = 100) -> None:
    hour = NOON + timedelta(minutes=minute)
    cells = {"n": labels, "confusion": {"yes": {"yes": labels}}, "lags": {str(lag): labels}} if labels else {}
    LabelBucket.objects.create(monitor=monitor, hour=hour, segment="", cells=cells)
    Bucket.objects.create(
        monitor=monitor, hour=hour, column="__prediction__", counts={"counts": [rows], "nulls": 0}, rows=rows
    )


def test_missing_and_late_labels_are_causes():
    monitor = make_monitor(make_project())
    by = system(monitor.project, Permission.MONITOR_VIEW)
    for minute in range(4):
        labelled(monitor, minute, 80)
    labelled(monitor, 4, 10, lag=60)
    found = {cause.title: cause for cause in causes.ranked(by, incident=incident_of(monitor, make_window(monitor, 5)))}
    assert found["Labels are missing"].evidence == "10% of predictions have a label, usually 80%."
    assert found["Labels come later than usual"].percent == 60
    Monitor.objects.update(label_delay_seconds=60)  # the newest minute is not due yet, so nothing is missing
    titles = [cause.title for cause in causes.ranked(by, incident=incident_of(monitor, Window.objects.get()))]
    assert not [title for title in titles if title.startswith("Labels")]


# --- evidence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [one for one in Metric if one not in UNMEASURED])
def test_every_metric_has_its_own_evidence(metric, django_assert_max_num_queries):
    monitor = make_monitor(make_project())
    windows = [make_window(monitor, number) for number in (1, 2)]
    Window.objects.update(
        requests=200, errors=10, latency_p50_us=2000, latency_p95_us=5000, latency_p99_us=9000, weighted_share=0.4
    )
    for window in windows:
        DriftScore.objects.create(
            window=window, column="age", kind="numeric", role="feature", state="ok", measure="psi", value=0.3,
            null_share=0.1, unseen_share=0.2, outside_share=0.05,
        )  # fmt: skip
    labelled(monitor, 0, 50)
    labelled(monitor, 1, 25)
    held = Alert(rule=make_rule(monitor.project, metric=metric), monitor=monitor, column="age")
    with django_assert_max_num_queries(4):
        found = queries.evidence(held)
    assert [at for at, _value in found] == [window.ends_at for window in windows]
    wanted = {
        "error.rate": [0.05] * 2, "latency.p50_ms": [2.0] * 2, "latency.p95_ms": [5.0] * 2, "latency.p99_ms": [9.0] * 2,
        "traffic.requests": [200.0] * 2, "traffic.rps": [200 / 60] * 2,
        "drift.share": [0.4] * 2, "quality.null_share": [0.1] * 2,
        "quality.unseen": [0.2] * 2, "quality.outside": [0.05] * 2, "label.coverage": [0.5, 0.25],
        "performance.accuracy": [1.0, 1.0], "drift.psi": [0.3] * 2, "prediction.psi": [0.3] * 2,
    }  # fmt: skip
    if metric in wanted:
        assert [value for _at, value in found] == wanted[metric]
    else:
        assert metric in measures.WORDS


# --- labels that are not due -----------------------------------------------------------------------

DELAYS = [
    ("performance.accuracy", 0, 600, 600), ("performance.accuracy", 900, 600, 900), ("label.coverage", 0, 600, 600),
    ("fairness.tpr_difference", 0, 600, 600), ("fairness.selection_rate_ratio", 0, 600, 0),
    ("performance.estimated.accuracy", 0, 600, 0), ("drift.psi", 0, 600, 0), ("drift.psi", 60, 600, 60),
    ("label.lag", 0, 600, 0),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "own", "labels", "wait"), DELAYS)
def test_how_long_a_rule_waits(metric, own, labels, wait):
    monitor, project = Monitor(label_delay_seconds=labels), make_project()
    assert waiting.delay_of(make_rule(project, metric=metric, evaluation_delay=own), monitor) == wait


def test_a_window_is_judged_by_labels_only_when_they_are_due():
    monitor = make_monitor(make_project())
    Monitor.objects.update(label_delay_seconds=600)
    slow = make_rule(monitor.project, "slow", metric="performance.accuracy", op="below", warn=0.9, critical=0.5)
    fast = make_rule(monitor.project, "fast", metric="traffic.requests", op="below", warn=10.0, critical=5.0)
    AlertRule.objects.update(created_at=NOON)
    labelled(monitor, 0, 50)
    roll_window(monitor.pk, NOON + timedelta(minutes=2))
    assert set(RuleEvaluation.objects.filter(rule__in=[slow, fast]).values_list("rule__name", flat=True)) == {"fast"}
    roll_window(monitor.pk, NOON + timedelta(minutes=12))
    judged = RuleEvaluation.objects.filter(rule=slow).order_by("window_end").values_list("window_end", flat=True)
    assert judged[0] == NOON + timedelta(minutes=1)
    assert max(judged) <= NOON + timedelta(minutes=2)
