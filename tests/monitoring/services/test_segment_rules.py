"""Rules about one segment: what they see, what they say, which are refused, and what would have been."""

from datetime import timedelta

import numpy as np
import pytest
from django.db import transaction

from mlportal.lib.errors import Conflict, Invalid
from monitoring import pipeline, queries
from monitoring.drift import performance
from monitoring.models import Alert, Backfill, LabelBucket, Monitor, RuleEvaluation
from monitoring.services import backtests, monitors, rules, segments
from projects.permissions import Permission
from projects.services import marks
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_dataset_version, make_team
from tests.factories.monitoring import NOON, make_monitor, make_window, requests, watcher
from tests.factories.projects import make_project, system

pytestmark = pytest.mark.django_db
HALF = np.array([80.0] * 300)
NORTH = {"name": "North", "metric": "drift.psi", "column": "age", "critical": 0.25, "needed": 1, "of": 1}


def watched(project, **changes) -> Monitor:
    monitor = make_monitor(project, **changes)
    Monitor.objects.filter(pk=monitor.pk).update(segment_columns=["plan"])
    monitor.refresh_from_db()
    return monitor


def count(monitor, minute: int, segment: str, **changes) -> None:
    """300 requests of one segment in a minute, counted with all requests and apart."""
    with transaction.atomic():
        at = NOON + timedelta(minutes=minute)
        for part in ("", segment):
            monitors.add_counts(monitor, at, requests(300, **changes), segment=part)


def made(project, **fields):
    return rules.create(watcher(project), project=project, **(NORTH | {"segment": "plan=b"} | fields))


def test_only_the_one_that_moved_opens_an_alert_that_names_it(django_assert_num_queries):
    monitor = watched(make_project())
    one, two = made(monitor.project), made(monitor.project, name="South", segment="plan=a")
    for minute in range(3):
        count(monitor, minute, "plan=b", age=HALF)
        count(monitor, minute, "plan=a")
        count(monitor, minute, "plan=c")
    pipeline.roll_window(monitor.pk, NOON + timedelta(minutes=4))
    alert = Alert.objects.select_related("rule", "monitor").get(rule=one)
    assert (alert.state, alert.labels["segment"], alert.column) == ("firing", "plan=b", "age")
    assert alert.title.endswith("(plan=b)")
    assert alert.value > 5
    assert set(RuleEvaluation.objects.filter(rule=two).values_list("outcome", flat=True)) == {"ok"}
    with django_assert_num_queries(3):
        points = queries.evidence(alert)
    assert len(points) == 3
    assert [value for _at, value in points] == [pytest.approx(alert.value)] * 3


def test_a_segment_of_few_requests_is_looked_at_over_a_longer_time():
    monitor = watched(make_project())
    Monitor.objects.filter(pk=monitor.pk).update(min_samples=500)
    rule = made(monitor.project)
    count(monitor, 0, "plan=b", age=HALF)
    count(monitor, 1, "plan=a")
    count(monitor, 2, "plan=b", age=HALF)
    pipeline.roll_window(monitor.pk, NOON + timedelta(minutes=4))
    told = dict(RuleEvaluation.objects.filter(rule=rule).values_list("window_end", "outcome"))
    assert list(told.values()) == ["too_few", "no_data", "breach"]


def test_performance_of_a_segment_counts_its_own_labels():
    monitor = watched(make_project())
    count(monitor, 0, "plan=b")
    rows = [performance.Row("yes", "yes" if place < 30 else "no", None, ("no", "yes"), 60.0) for place in range(50)]
    cells = performance.count(rows, regression=False)
    LabelBucket.objects.create(monitor=monitor, hour=NOON, segment="plan=b", cells=cells)
    rule = made(monitor.project, metric="performance.accuracy", column="", op="below", critical=0.9)
    pipeline.roll_window(monitor.pk, NOON + timedelta(minutes=2))
    alert = Alert.objects.get(rule=rule)
    assert alert.value == pytest.approx(0.6)
    assert queries.evidence(alert)[-1][1] == pytest.approx(0.6)


def test_nothing_is_judged_while_stored_predictions_are_being_counted_by_its_column():
    monitor = watched(make_project())
    rule = made(monitor.project)
    Backfill.objects.create(monitor=monitor, columns=["plan"], until_chunk=1)
    count(monitor, 0, "plan=b", age=HALF)
    pipeline.roll_window(monitor.pk, NOON + timedelta(minutes=2))
    seen = RuleEvaluation.objects.get(rule=rule)
    assert (seen.outcome, "still being counted" in seen.detail) == ("too_few", True)


def test_an_endpoint_that_does_not_count_its_column_apart_is_left_out():
    project = make_project()
    watched(project)
    other = make_monitor(project, endpoint="other-production", version="other v1")
    rule = made(project)
    count(other, 0, "plan=b", age=HALF)
    pipeline.roll_window(other.pk, NOON + timedelta(minutes=2))
    assert not RuleEvaluation.objects.filter(rule=rule).exists()


def test_the_past_is_played_back_from_stored_counts_one_window_in_a_while():
    monitor = watched(make_project())
    for minute in range(1, 181):
        make_window(monitor, minute)
    for minute in range(178):
        count(monitor, minute, "plan=b", **({"age": HALF} if 60 <= minute < 90 else {}))
    by = system(monitor.project, Permission.MONITOR_VIEW)
    draft = rules.draft(by, project=monitor.project, **NORTH, segment="plan=b")
    played = backtests.play(by, project=monitor.project, rule=draft, now=NOON + timedelta(minutes=185))
    assert (played.windows, played.undecided, played.every) == (90, 1, "2 minutes")
    assert [(one.at, one.until) for one in played.firings] == [
        (NOON + timedelta(minutes=62), NOON + timedelta(minutes=94))
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"segment": "north"}, "such as region=north"),
        ({"segment": "plan=z"}, "Nothing is counted of plan=z"),
        ({"segment": "on=true"}, "Choose its column"),
        ({"endpoint": "other-production"}, "Nothing is counted"),
        ({"metric": "error.rate", "column": ""}, "all requests together"),
        ({"metric": "fairness.tpr_difference", "column": ""}, "all requests together"),
    ],
)
def test_wrong_ones_are_refused_by_name(fields, said):
    monitor = watched(make_project())
    with pytest.raises(Invalid, match=said) as caught:
        made(monitor.project, **fields)
    assert caught.value.field == "segment"


def test_the_segments_there_are_stand_beside_a_refusal():
    monitor = watched(make_project())
    with pytest.raises(Invalid) as caught:
        made(monitor.project, segment="plan=z")
    assert caught.value.limit == ["plan=a", "plan=b", "plan=c", "plan=(other)", "plan=(empty)"]
    assert segments.offered(monitor.project) == caught.value.limit


def test_its_column_stays_counted_apart_until_the_rule_is_off():
    monitor = watched(make_project())
    rule = made(monitor.project)
    with pytest.raises(Conflict, match="'North' looks at a segment of plan"):
        monitors.update_watch(watcher(monitor.project), monitor=monitor, segment_columns=[])
    rules.disable(watcher(monitor.project), rule=rule)
    monitors.update_watch(watcher(monitor.project), monitor=monitor, segment_columns=[])
    with pytest.raises(Invalid, match="Nothing is counted"):
        rules.update(watcher(monitor.project), rule=rule, enabled=True)


def test_a_marked_column_is_not_named_and_one_that_was_marked_since_has_a_code():
    team = make_team()
    monitor = watched(team.project)
    rule = made(team.project)
    dataset = make_dataset_version(team.project).dataset
    dataset.marks = {"plan": "personal"}
    dataset.save()
    with pytest.raises(Invalid, match="Values of plan are marked"):
        made(team.project, name="again")
    code = marks.from_everybody(dataset).called("plan", "b")
    count(monitor, 0, "plan=b", age=HALF)
    pipeline.roll_window(monitor.pk, NOON + timedelta(minutes=2))
    assert Alert.objects.get(rule=rule).labels["segment"] == f"plan={code}"
    ops = Api(team, "ops", "read", "alerts", "admin")
    assert ops.get(f"alert-rules/{rule.pk}/").json()["segment"] == f"plan={code}"
    site = browser(team, "ops")
    page = site.get(f"/p/churn/monitoring/rules/{rule.pk}/")
    assert f"plan={code}" in page.content.decode()
    given = {name: value for name, value in page.context["form"].initial.items() if value is not None}
    site.post(f"/p/churn/monitoring/rules/{rule.pk}/", given | {"enabled": ""})
    rule.refresh_from_db()
    assert (rule.enabled, rule.segment) == (False, "plan=b")


def test_it_is_set_and_read_over_the_api_and_offered_on_the_page():
    team = make_team()
    watched(team.project)
    ops = Api(team, "ops", "read", "alerts", "admin")
    given = ops.post("alert-rules/", NORTH | {"segment": "plan=b"})
    assert (given.status_code, given.json()["segment"]) == (201, "plan=b")
    page = browser(team, "ops").get(f"/p/churn/monitoring/rules/{given.json()['id']}/").content.decode()
    assert '<option value="plan=(other)">' in page
    listed = browser(team, "ops").get("/p/churn/monitoring/rules/").content.decode()
    assert "Feature drift (PSI) of age, plan=b" in listed
