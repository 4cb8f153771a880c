"""The REST API of monitors, windows, rules and alerts."""

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring.models import Alert, AlertRule
from monitoring.services import alerts
from tests.factories.monitoring import make_monitor, make_rule, make_window, sample, watcher
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/projects/churn/"
RULE = {"name": "Age", "metric": "drift.psi", "warn": 0.1, "critical": 0.25, "column": "age"}


@pytest.fixture
def project():
    return make_project()


class Caller:
    """Calls the API with the token of a member."""

    def __init__(self, client, project, role, scopes=("read", "alerts", "write", "admin")):
        self.client, self.user = client, make_user(f"user-{role}", role=role, project=project)
        self.headers = {"Authorization": f"Bearer {make_token(self.user, project, list(scopes))}"}

    def __call__(self, method, path, body=None, **extra):
        send = getattr(self.client, method)
        options = {"headers": self.headers | extra}
        if method != "get":
            options |= {"data": body if body is not None else {}, "content_type": "application/json"}
        return send(ROOT + path, **options)


@pytest.fixture
def call(client, project):
    return Caller(client, project, "ops")


def firing(project, number=1):
    monitor = project.monitors.first() or make_monitor(project)
    rule = make_rule(project, f"Rule {number}")
    window = make_window(monitor, number)
    alerts.settle(watcher(project), rule=rule, window=window, outcome="breach", samples=[sample("critical")])
    return Alert.objects.latest("pk")


def test_monitors_and_windows(call, project):
    monitor = make_monitor(project)
    window = make_window(monitor)
    window.scores.create(column="age", kind="numeric", role="feature", state="ok", measure="psi", value=0.01)
    listed = call("get", "monitors/").json()["results"]
    assert [(row["endpoint"], row["is_live"], row["step_seconds"]) for row in listed] == [
        ("churn-production", True, 60)
    ]
    assert call("get", f"monitors/{monitor.pk}/").json()["version"] == "churn v1"
    assert [row["id"] for row in call("get", f"monitors/{monitor.pk}/windows/").json()["results"]] == [window.pk]
    found = call("get", f"monitors/{monitor.pk}/windows/{window.pk}/").json()
    assert (found["verdict"], [score["column"] for score in found["scores"]]) == ("ok", ["age"])


def test_pace(call, project):
    monitor = make_monitor(project)
    assert call("patch", f"monitors/{monitor.pk}/", {"min_samples": 50}).json()["min_samples"] == 50
    for body in ({"min_samples": "50"}, {"min_samples": -1}, {"nonsense": 1}, [], {"window_seconds": 61}):
        answer = call("patch", f"monitors/{monitor.pk}/", body)
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_rules_are_made_and_changed(call):
    made = call("post", "alert-rules/", RULE)
    assert (made.status_code, made.json()["revision"]) == (201, 1)
    number = made.json()["id"]
    assert call("patch", f"alert-rules/{number}/", {"warn": 0.2, "revision": 1}).json()["warn"] == 0.2
    assert call("patch", f"alert-rules/{number}/", {"warn": 0.2, "revision": 1}).status_code == 409
    assert call("post", "alert-rules/", RULE).status_code == 409
    assert [row["name"] for row in call("get", "alert-rules/").json()["results"]] == ["Age"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"warn": "x"}, "warn"), ({"metric": 5}, "metric"), ({"metric": {}}, "metric"), ({"colour": 1}, "colour"),
        ({"needed": 9}, "needed"), ({"name": None}, "name"), ({"enabled": "no"}, "enabled"),
        ({"revision": 1}, "revision"),
    ],
)  # fmt: skip
def test_wrong_rules_are_refused_by_name(call, change, field):
    answer = call("post", "alert-rules/", RULE | change)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert not AlertRule.objects.exists()


def test_missing_field_is_named(call):
    assert call("post", "alert-rules/", {"name": "Age"}).json()["field"] == "metric"


def test_same_idempotency_key_makes_one_rule(call):
    first = call("post", "alert-rules/", RULE, **{"Idempotency-Key": "k1"})
    second = call("post", "alert-rules/", RULE, **{"Idempotency-Key": "k1"})
    assert (first.json(), AlertRule.objects.count()) == (second.json(), 1)


def test_alert_from_firing_to_resolved(call, project):
    path = f"alerts/{firing(project).pk}/"
    assert call("get", path).json()["state"] == "firing"
    assert call("post", f"{path}acknowledge/", {"note": "mine"}).json()["acknowledged_by"] == "user-ops"
    assert call("post", f"{path}acknowledge/").status_code == 409
    assert call("post", f"{path}unacknowledge/").json()["acknowledged_by"] is None
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    assert call("post", f"{path}silence/", {"until": until}).json()["silenced"] is True
    assert call("get", "silences/").json()["results"][0]["author"] == "user-ops"
    assert call("post", f"{path}unsilence/").json()["silenced"] is False
    assert call("post", f"{path}assign/", {"user": "user-ops"}).json()["assigned_to"] == "user-ops"
    assert call("post", f"{path}assign/", {"user": None}).json()["assigned_to"] is None
    assert call("post", f"{path}comments/", {"text": "real"}).status_code == 201
    found = call("post", f"{path}resolve/", {"reason": "known"}).json()
    assert (found["state"], found["timeline"][0]["text"]) == ("resolved", "known")
    assert call("post", f"{path}resolve/").status_code == 409


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("silence", {}), ("silence", {"until": "tomorrow"}), ("silence", {"until": 5}),
        ("silence", {"until": "2020-01-01"}),
        ("silence", {"until": "2026-99-99T00:00:00Z"}), ("silence", {"until": "2099-01-01T00:00:00Z"}),
        ("assign", {}), ("assign", {"user": 5}), ("assign", {"user": "nobody"}), ("comments", {"text": ""}),
        ("comments", {"text": 5}), ("comments", {"text": "x" * 10_001}), ("acknowledge", {"note": 5}),
        ("resolve", {"x": 1}),
    ],
)  # fmt: skip
def test_wrong_actions_are_refused(call, project, action, body):
    answer = call("post", f"alerts/{firing(project).pk}/{action}/", body)
    assert answer.status_code == 400
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 2), ("?state=open", 1), ("?state=resolved", 1), ("?state=acknowledged", 0), ("?endpoint=no", 0)],
)
def test_alerts_are_filtered(call, project, query, count):
    first, _second = firing(project, 1), firing(project, 2)
    Alert.objects.filter(pk=first.pk).update(state="resolved", fingerprint="f" * 64)
    assert len(call("get", f"alerts/{query}").json()["results"]) == count


def test_unknown_state_is_refused(call):
    assert call("get", "alerts/?state=bad").status_code == 400


@pytest.mark.parametrize("path", ["alerts/", "monitors/", "alert-rules/", "silences/"])
def test_lists_page_by_cursor(call, project, path):
    answer = call("get", f"{path}?limit=1").json()
    assert sorted(answer) == ["next", "previous", "results"]


@pytest.mark.parametrize("count", [1, 3])
def test_alert_list_has_a_fixed_number_of_queries(call, project, count, django_assert_num_queries):
    for number in range(1, count + 1):
        firing(project, number)
    call("get", "alerts/")
    with django_assert_num_queries(ALERT_QUERIES):
        call("get", "alerts/")


ALERT_QUERIES = 3


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("scientist", 403), ("manager", 403), ("ops", 200)])
def test_acknowledging_needs_the_right(client, project, role, status):
    alert = firing(project)
    call = Caller(client, project, role)
    assert call("get", f"alerts/{alert.pk}/").status_code == 200
    assert call("post", f"alerts/{alert.pk}/acknowledge/").status_code == status


def test_scope_is_needed_besides_the_role(client, project):
    alert = firing(project)
    call = Caller(client, project, "ops", scopes=["read"])
    assert call("post", f"alerts/{alert.pk}/acknowledge/").status_code == 403


def test_nothing_of_another_project_is_found(client, project):
    alert = firing(project)
    other = make_project("fraud")
    call = Caller(client, other, "ops")
    assert call("get", f"alerts/{alert.pk}/").status_code == 404
    assert client.get(ROOT + "alerts/").status_code == 401
