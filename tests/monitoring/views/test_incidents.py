"""Pages and routes of incidents, routes and played-back rules, through the door."""

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring.models import Alert, AlertRoute, AlertRule, Incident, Window
from monitoring.services import alerts
from tests.factories.monitoring import make_monitor, make_rule, make_window, sample, watcher
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def site(client, project):
    client.force_login(make_user("eva", role="admin", project=project))
    return client


@pytest.fixture
def incident(project):
    alerts.settle(
        watcher(project), rule=make_rule(project), window=make_window(make_monitor(project)), outcome="breach",
        samples=[sample("critical")],
    )  # fmt: skip
    return Incident.objects.get()


def test_incident_is_read_acknowledged_silenced_and_closed(site, incident):
    root = f"/p/churn/incidents/{incident.pk}/"
    text = site.get(root).content.decode()
    for words in ("Likely causes", "age drifted, PSI 0.30", "Another version is watched", "Close incident"):
        assert words in text
    listed = site.get("/p/churn/incidents/").content.decode()
    assert "1 of 1 alert fires" in listed
    assert "<table" not in listed, "on a phone only its first column would be in sight"
    assert site.post(f"{root}acknowledge/").status_code == 303
    assert site.post(f"{root}silence/", {"for": "1h"}).status_code == 303
    assert site.post(f"{root}close/", {"outcome": "real", "cause": "New value"}).status_code == 409
    alerts.resolve(watcher(incident.project), alert=Alert.objects.get())
    assert site.post(f"{root}close/", {"outcome": "real", "cause": ""}).status_code == 422
    assert site.post(f"{root}close/", {"outcome": "real", "cause": "New value"}).status_code == 303
    assert "New value" in site.get("/p/churn/incidents/?state=closed").content.decode()
    assert site.post(f"{root}dance/").status_code == 404


@pytest.mark.parametrize("count", [1, 3])
def test_incident_list_has_a_fixed_number_of_queries(site, project, count, django_assert_num_queries):
    for number in range(count):
        Incident.objects.create(project=project, endpoint=f"e{number}", title="t", opened_at=timezone.now())
    site.get("/p/churn/incidents/")
    with django_assert_num_queries(LIST_QUERIES):
        site.get("/p/churn/incidents/")


LIST_QUERIES = 6


def test_incident_of_another_project_is_not_there(site):
    other = make_project("other")
    made = Incident.objects.create(project=other, endpoint="e", title="t", opened_at=timezone.now())
    assert site.get(f"/p/churn/incidents/{made.pk}/").status_code == 404


TRIED = {
    "name": "Try", "metric": "latency.p99_ms", "group_by": "endpoint", "op": "above", "critical": "5", "needed": "1",
    "of": "1", "keep_firing": "1", "min_samples": "0", "no_data_after": "3", "no_data_then": "keep", "severity": "high",
    "try": "1",
}  # fmt: skip


def test_rule_is_tried_without_being_saved(site, project):
    make_monitor(project)
    text = site.post("/p/churn/monitoring/rules/new/", TRIED).content.decode()
    assert "Would have fired 0 times" in text
    assert "Nothing is saved" in text
    assert not project.alert_rules.filter(name="Try").exists()


def test_an_edited_rule_shows_when_it_would_have_fired_and_whether_that_was_real(site, project):
    rule, monitor, now = make_rule(project), make_monitor(project), timezone.now()
    hours = [now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=back) for back in range(30, 0, -1)]
    for place, end in enumerate(hours):
        slow = place in (5, 20)
        Window.objects.create(
            monitor=monitor, starts_at=end - timedelta(hours=1), ends_at=end, rows=100, requests=100, verdict="ok",
            computed_at=end, latency_p99_us=9_000 if slow else 1_000,
        )  # fmt: skip
    Incident.objects.create(
        project=project, endpoint=monitor.endpoint, title="t", opened_at=hours[20], quiet_at=hours[21],
        closed_at=now, outcome="real", cause="c",
    )  # fmt: skip
    before = AlertRule.objects.values().get(pk=rule.pk)
    page = site.post(f"/p/churn/monitoring/rules/{rule.pk}/", TRIED | {"revision": rule.revision}).content.decode()
    assert "Would have fired 2 times in 90 days; 1 inside real trouble, 0 false." in page
    assert AlertRule.objects.values().get(pk=rule.pk) == before


def test_alert_is_judged_on_its_page_and_counts_for_its_rule(site, incident):
    alert = Alert.objects.get()
    assert site.post(f"/p/churn/alerts/{alert.pk}/judge/", {"judgement": "real"}).status_code == 303
    assert "1 of 1 real" in site.get("/p/churn/monitoring/rules/").content.decode()


def test_api_of_incidents_routes_silences_and_backtest(client, project, incident):
    from projects.models import Channel

    secret = make_token(make_user("robot", role="admin", project=project), project, ["read", "alerts"])
    headers = {"Authorization": f"Bearer {secret}"}
    root = "/api/v1/projects/churn/"

    def call(method, path, body=None):
        return getattr(client, method)(root + path, body, content_type="application/json", headers=headers)

    assert call("get", "incidents/").json()["results"][0]["id"] == incident.pk
    assert call("get", f"incidents/{incident.pk}/").json()["causes"][0]["title"] == "Another version is watched"
    assert call("post", f"incidents/{incident.pk}/close/", {"outcome": "real", "cause": "c"}).status_code == 409
    played = call("post", "alert-rules/backtest/", {"metric": "error.rate", "critical": 0.5})
    assert (played.status_code, played.json()["firings"]) == (200, [])
    channel = Channel.objects.create(project=project, name="c", name_key="c", kind="email", recipients=["a@b.org"])
    made = call("post", "alert-routes/", {"name": "all", "channel": channel.pk})
    assert made.status_code == 201, made.json()
    number = made.json()["id"]
    assert call("patch", f"alert-routes/{number}/", {"repeat": 60}).json()["repeat"] == 60
    assert call("patch", f"alert-routes/{number}/", {"repeat": 1}).json()["field"] == "repeat"
    assert call("delete", f"alert-routes/{number}/").status_code == 204
    assert AlertRoute.objects.in_force().count() == 0
    silence = call("post", "silences/", {"matchers": "kind=drift", "until": "2000-01-01T00:00:00Z"})
    assert silence.status_code == 400
