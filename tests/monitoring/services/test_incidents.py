"""Alerts fold into incidents; causes are ranked; closing needs one; rules are played back over the past."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mlportal.lib.errors import Conflict, Invalid
from monitoring.models import Alert, DriftScore, Incident, Window
from monitoring.services import alerts, backtests, causes, external, incidents, rules
from monitoring.services.course import Course
from projects.models import Dataset, Event
from projects.permissions import Permission
from tests.factories.deployments import make_dataset_version
from tests.factories.monitoring import NOON, make_monitor, make_rule, make_window, sample, watcher
from tests.factories.projects import actor, make_project, make_token, make_user, system

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ops(project):
    return actor(make_user("ops", role="admin", project=project))


def reader(project):
    return system(project, Permission.MONITOR_VIEW)


def settle(project, rule, window, signal="critical"):
    outcome = "breach" if signal in ("warn", "critical") else "ok"
    alerts.settle(watcher(project), rule=rule, window=window, outcome=outcome, samples=[sample(signal)])


def test_alerts_of_one_endpoint_are_one_incident_until_it_is_closed(project, ops):
    monitor = make_monitor(project)
    one, two = make_rule(project, "one", severity="high"), make_rule(project, "two", keep_firing=0)
    for number, rule in enumerate([one, two]):
        settle(project, rule, make_window(monitor, number))
    incident = Incident.objects.get()
    assert (incident.alerts.count(), incident.severity, incident.endpoint) == (2, "critical", "churn-production")
    for alert in Alert.objects.all():
        alerts.acknowledge(ops, alert=alert)
    incident.refresh_from_db()
    assert (incident.acknowledged_at is not None, incident.quiet_at) == (True, None)
    with pytest.raises(Conflict):
        incidents.close(ops, incident=incident, outcome="real", cause="A new value arrived.")
    for alert in Alert.objects.all():
        alerts.resolve(ops, alert=alert)
    incident.refresh_from_db()
    assert incident.quiet_at is not None
    for outcome, cause, event in [("", "x", None), ("real", "", None), ("real", "x", 10**9), ("real", "x", {})]:
        with pytest.raises(Invalid):
            incidents.close(ops, incident=incident, outcome=outcome, cause=cause, event=event)
    change = Event.objects.filter(verb="monitor.bound").get()
    closed = incidents.close(ops, incident=incident, outcome="false", cause="A test", event=change.pk)
    assert (closed.cause_event_id, set(Alert.objects.values_list("judgement", flat=True))) == (change.pk, {"false"})
    with pytest.raises(Conflict):
        incidents.close(ops, incident=incident, outcome="real", cause="again")
    settle(project, make_rule(project, "three"), make_window(monitor, 9))
    assert Incident.objects.open().get().pk != incident.pk


def test_deploy_just_before_outranks_an_old_one_and_one_elsewhere(project):
    monitor = make_monitor(project)
    make_monitor(project, endpoint="other-production")
    settle(project, make_rule(project), make_window(monitor, 1))
    incident = Incident.objects.get()
    Incident.objects.filter(pk=incident.pk).update(opened_at=timezone.now())
    incident.refresh_from_db()
    ranked = [cause for cause in causes.ranked(reader(project), incident=incident) if cause.event]
    bound = [cause for cause in ranked if cause.title == "Another version is watched"]
    assert [cause.percent for cause in bound] == [40, 10]
    assert "elsewhere" in bound[1].evidence
    late = causes.ranked(
        reader(project), incident=Incident(project=project, endpoint="x", opened_at=timezone.now() + timedelta(days=8))
    )
    assert late == []


def test_drift_is_ranked_by_importance_and_new_values_are_named(project):
    monitor = make_monitor(project)
    window = make_window(monitor, 1)
    shared = {"window": window, "kind": "numeric", "role": "feature", "measure": "psi", "state": "alert"}
    DriftScore.objects.create(column="age", weight=0.6, value=0.5, **shared)
    DriftScore.objects.create(column="on", weight=0.1, value=0.9, **shared)
    DriftScore.objects.create(column="plan", weight=0.3, value=0.1, unseen_share=0.2, others={"wallet": 60},
                              **(shared | {"state": "ok"}))  # fmt: skip
    settle(project, make_rule(project), window)
    incident = Incident.objects.get()
    found = [
        (cause.kind, cause.title, cause.percent)
        for cause in causes.ranked(reader(project), incident=incident)
        if cause.column
    ]
    assert found == [
        ("drift", "age drifted", 100), ("schema", "plan has values never seen in training", 40),
        ("drift", "on drifted", 17),
    ]  # fmt: skip


def history(monitor, latencies):
    rows = [
        Window(
            monitor=monitor, starts_at=NOON + timedelta(hours=number - 1), ends_at=NOON + timedelta(hours=number),
            rows=100, requests=100, verdict="ok", computed_at=NOON, latency_p99_us=value * 1000,
        )
        for number, value in enumerate(latencies)
    ]  # fmt: skip
    Window.objects.bulk_create(rows)


def play(project, now, **fields):
    by = system(project, Permission.MONITOR_VIEW)
    rule = rules.draft(by, project=project, **{"name": "r", "metric": "latency.p99_ms"} | fields)
    return backtests.play(by, project=project, rule=rule, now=now)


def test_rule_is_played_back_as_it_would_have_been_applied(project):
    monitor = make_monitor(project)
    values = [100.0] * 10 + [900.0] * 4 + [100.0] * 10 + [900.0] + [100.0] * 10 + [900.0] * 3
    history(monitor, values)
    now = NOON + timedelta(hours=len(values))
    counts = Alert.objects.count(), Event.objects.count()
    played = play(project, now, critical=500, needed=2, of=3)
    assert [(one.at - NOON) / timedelta(hours=1) for one in played.firings] == [11, 36]
    assert [one.until is None for one in played.firings] == [False, True]
    assert (played.windows, played.sentence) == (38, "Would have fired 2 times in 90 days.")
    assert len(play(project, now, critical=500, needed=1, of=1).firings) == 3
    assert play(project, now, critical=5000).firings == []
    assert len(play(project, now, critical=2, compare="vs_previous", needed=1, of=1, keep_firing=0).firings) == 3
    assert (Alert.objects.count(), Event.objects.count()) == counts


def test_firings_are_joined_with_what_people_said(project, ops):
    monitor = make_monitor(project)
    history(monitor, [100.0] * 10 + [900.0] * 4 + [100.0] * 30 + [900.0] * 4 + [100.0] * 5)
    for hours, outcome in ((10, "real"), (44, "false"), (30, "real")):
        at = NOON + timedelta(hours=hours)
        Incident.objects.create(
            project=project, endpoint=monitor.endpoint, title="t", opened_at=at, quiet_at=at + timedelta(hours=4),
            closed_at=timezone.now() + timedelta(days=1), outcome=outcome, cause="c",
        )  # fmt: skip
    played = play(project, NOON + timedelta(hours=60), critical=500, needed=2, of=3)
    assert [one.judgement for one in played.firings] == ["real", "false"]
    assert (played.real, played.false, played.precision, played.missed) == (1, 1, 0.5, 1)


def test_alerts_of_alertmanager_open_and_resolve_once(project):
    by = watcher(project)
    labels = {"alertname": "DiskFull", "severity": "warning", "instance": "db1"}
    body = {"version": "4", "alerts": [{"status": "firing", "labels": labels, "annotations": {"summary": "Disk full"}}]}
    assert len(external.receive(by, project=project, body=body)) == 1
    assert external.receive(by, project=project, body=body) == []
    alert = Alert.objects.get()
    assert (alert.title, alert.severity, alert.kind, alert.all_labels["instance"]) == (
        "Disk full", "medium", "external", "db1",
    )  # fmt: skip
    body["alerts"][0]["status"] = "resolved"
    assert len(external.receive(by, project=project, body=body)) == 1
    assert external.receive(by, project=project, body=body) == []
    alert.refresh_from_db()
    assert (alert.state, Event.objects.filter(verb__in=["alert.firing", "alert.resolved"]).count()) == ("resolved", 2)


@pytest.mark.parametrize(
    "body",
    [
        [], {}, {"alerts": {}}, {"alerts": [1]}, {"alerts": [{"status": "odd", "labels": {"alertname": "a"}}]},
        {"alerts": [{"status": "firing", "labels": {}}]},
        {"alerts": [{"status": "firing", "labels": {"alertname": 3}}]},
        {"version": "5", "alerts": []}, {"alerts": [{"status": "firing", "labels": {"alertname": "a"}}] * 501},
    ],
)  # fmt: skip
def test_body_of_another_shape_is_refused(project, body):
    from mlportal.lib.errors import DomainError

    with pytest.raises(DomainError):
        external.receive(watcher(project), project=project, body=body)
    assert Alert.objects.count() == 0


def test_alertmanager_calls_the_route_with_a_token(project, client):
    secret = make_token(make_user("robot", role="admin", project=project), project, ["alerts"])
    body = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "annotations": {}}]}
    url = "/api/v1/projects/churn/alerts/alertmanager/"
    call = {"data": body, "content_type": "application/json"}
    assert client.post(url, **call).status_code == 401
    answer = client.post(url, **call, headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.json()) == (200, {"received": 1, "changed": [Alert.objects.get().pk]})


def test_values_of_a_marked_column_stand_in_no_cause_and_no_alert(project):
    dataset = make_dataset_version(project).dataset
    Dataset.objects.filter(pk=dataset.pk).update(marks={"plan": "personal"})
    monitor = make_monitor(project, links={"dataset": dataset.name})
    window = make_window(monitor, 1)
    score = DriftScore.objects.create(
        window=window, column="plan", kind="categorical", role="feature", weight=0.3, measure="psi", value=0.5,
        state="alert", unseen_share=0.2, others={"wallet": 60}, samples=300,
    )  # fmt: skip
    settle(project, make_rule(project), window)
    incident = Incident.objects.get()
    scientist = actor(make_user("sara", role="scientist", project=project))
    told = [causes.ranked(by, incident=incident) for by in (reader(project), scientist)]
    said = [" ".join(cause.evidence for cause in found) for found in told]
    assert ["wallet" in text for text in said] == [False, True]
    rule = make_rule(project, "unseen", metric="quality.unseen", warn=None, critical=0.1, op="above")
    finding = Course(window).ask(rule)
    assert [(each.signal, "wallet" in f"{each.title} {each.detail}") for each in finding.samples] == [
        ("critical", False)
    ]
    Dataset.objects.filter(pk=dataset.pk).update(marks={})
    assert "wallet" in Course(window).ask(rule).samples[0].detail
    assert score.others == {"wallet": 60}
