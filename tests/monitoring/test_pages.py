"""Pages of monitoring: what they show, to whom, and with how many queries."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from monitoring.drift import shape
from monitoring.models import Alert, AlertRule, Bucket, Monitor, Window
from monitoring.pipeline import roll_window
from monitoring.services import alert_facts, alerts, monitors
from monitoring.views.alerts import silence_until
from projects.models import Comment
from tests.factories.monitoring import make_monitor, make_rule, make_window, requests, sample, watcher
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ops(project):
    return make_user("olga", role="ops", project=project)


@pytest.fixture
def site(client, ops):
    client.force_login(ops)
    return client


def judged(project, *, endpoint="churn-production", minutes=3, **changes):
    """A monitor whose last windows are judged."""
    now = timezone.now().replace(second=0, microsecond=0)
    monitor = make_monitor(project, since=now - timedelta(minutes=minutes), endpoint=endpoint)
    for minute in range(minutes):
        with transaction.atomic():
            monitors.add_counts(monitor, now - timedelta(minutes=minutes - minute), requests(300, **changes))
    roll_window(monitor.pk, now + timedelta(seconds=16))
    return monitor


def firing(project, number=1, **labels):
    monitor = Monitor.objects.first() or make_monitor(project)
    rule = make_rule(project, f"Rule {number}")
    window = make_window(monitor, number)
    alerts.settle(watcher(project), rule=rule, window=window, outcome="breach", samples=[sample("critical")])
    return Alert.objects.latest("pk")


@pytest.mark.parametrize(("value", "said"), [(0.02, "Back inside the clear limit"), (0.88, "matters too little")])
def test_a_drift_that_matters_no_more_is_not_called_small(site, project, value, said):
    """A column nobody weighs may drift far beyond the limit while the rule is quiet about it."""
    alert = firing(project)
    window = make_window(alert.monitor, 2)
    found = [sample("clear", value)]
    alerts.settle(watcher(project), rule=alert.rule, window=window, outcome="ok", samples=found)
    text = site.get(f"/p/churn/alerts/{alert.pk}/").content.decode()
    assert (said in text, f"value {value}" in text) == (True, True)


# --- overview ------------------------------------------------------------------------------------------


def test_overview_without_monitors_says_how_it_begins(site):
    answer = site.get("/p/churn/monitoring/")
    assert answer.status_code == 200
    assert "Nothing is watched yet" in answer.content.decode()


def test_overview_before_the_first_window(site, project):
    make_monitor(project)
    assert "No window has ended yet" in site.get("/p/churn/monitoring/").content.decode()


def test_overview_shows_the_map_and_the_verdict(site, project):
    judged(project)
    text = site.get("/p/churn/monitoring/").content.decode()
    assert "The last 300 requests look like the training data of churn v1." in text
    assert text.count('<th scope="row"><a href="?column=') == 3
    assert 'id="ds-data"' in text
    assert 'id="sc-data"' in text


def test_overview_tells_drift(site, project):
    judged(project, plan=["wallet"] * 300)
    text = site.get("/p/churn/monitoring/?column=plan&measure=js&sort=name&range=1h").content.decode()
    assert "1 feature drifted" in text
    assert "wallet" in text


def test_overview_counts_requests_that_no_window_judged_yet(site, project):
    monitors = {"": make_monitor(project, endpoint="churn-production")}
    monitors["canary"] = Monitor.objects.get(pk=monitors[""].pk)
    monitors["canary"].pk, monitors["canary"].variant = None, "canary"
    monitors["canary"].save()
    for monitor in monitors.values():
        make_window(monitor)
    hour = timezone.now() - timedelta(hours=2)
    for name, size, errors in (("", 30, 2), ("canary", 10, 1)):
        Bucket.objects.create(
            monitor=monitors[name], hour=hour, column=shape.TRAFFIC, rows=size,
            counts=shape.traffic([2000.0] * (size - errors), errors=errors),
        )  # fmt: skip
    Bucket.objects.create(
        monitor=monitors[""],
        hour=hour - timedelta(days=1),
        column=shape.TRAFFIC,
        rows=9,
        counts=shape.traffic([], errors=9),
    )

    def shown(variant: str) -> dict[str, str]:
        page = site.get(f"/p/churn/monitoring/?endpoint=churn-production&variant={variant}")
        return {fact["label"]: fact["value"] for fact in page.context["facts"]}

    assert (shown("")["Requests, 24 h"], shown("")["Failed requests"]) == ("40", "7.5%")
    assert (shown("canary")["Requests, 24 h"], shown("canary")["Failed requests"]) == ("10", "10.0%")


@pytest.mark.parametrize(
    ("step", "age", "usual"),
    [(3600, timedelta(hours=5), "24h"), (3600, timedelta(days=3), "7d"), (3600, timedelta(days=60), "30d"),
     (60, timedelta(days=60), "1h")],
)  # fmt: skip
def test_a_young_endpoint_begins_with_a_range_that_its_windows_fill(site, project, step, age, usual):
    monitor = make_monitor(project, endpoint="churn-production")
    Monitor.objects.filter(pk=monitor.pk).update(step_seconds=step, window_seconds=86_400)
    window = make_window(monitor)
    Window.objects.filter(pk=window.pk).update(ends_at=timezone.now() - age)
    assert site.get("/p/churn/monitoring/").context["choice"].range_key == usual
    assert site.get("/p/churn/monitoring/performance/").context["range_key"] == usual
    assert site.get("/p/churn/monitoring/?range=90d").context["choice"].range_key == "90d"


@pytest.mark.parametrize(
    "query",
    ["range=9y", "sort=magic", "measure=magic", "column=%3Cb%3E", "at=abc", "at=99999999999999999999", "endpoint=no"],
)
def test_overview_takes_wrong_choices_for_none(site, project, query):
    judged(project, minutes=1)
    assert site.get(f"/p/churn/monitoring/?{query}").status_code == 200


@pytest.mark.parametrize("count", [1, 3])
def test_overview_has_a_fixed_number_of_queries(site, project, count, django_assert_num_queries):
    for number in range(count):
        judged(project, endpoint=f"e{number}", minutes=2)
    site.get("/p/churn/monitoring/")
    with django_assert_num_queries(OVERVIEW_QUERIES):
        site.get("/p/churn/monitoring/")


OVERVIEW_QUERIES = 21


# --- alerts --------------------------------------------------------------------------------------------


def test_alerts_list_and_detail(site, project):
    alert = firing(project)
    text = site.get("/p/churn/alerts/").content.decode()
    assert "age drifted, PSI 0.30" in text
    text = site.get(f"/p/churn/alerts/{alert.pk}/").content.decode()
    assert "Its mean moved." in text
    assert "Fired, value 0.3" in text
    assert f'action="/p/churn/alerts/{alert.pk}/acknowledge/"' in text


def test_alert_offers_retraining_from_the_run(client, project):
    make_monitor(project, links={"run": 7, "model": "churn", "dataset": "subscriptions"})
    client.force_login(make_user("sam", role="scientist", project=project))
    text = client.get(f"/p/churn/alerts/{firing(project).pk}/").content.decode()
    assert 'href="/p/churn/jobs/new/?from=run:7"' in text


def test_alert_offers_no_retraining_to_who_may_not_launch(site, project):
    make_monitor(project, links={"run": 7})
    assert "?from=run:7" not in site.get(f"/p/churn/alerts/{firing(project).pk}/").content.decode()


def test_title_and_comment_are_escaped(site, project):
    alert = firing(project)
    Alert.objects.filter(pk=alert.pk).update(title="<script>alert(1)</script>")
    site.post(f"/p/churn/alerts/{alert.pk}/comment/", {"text": "<img src=x onerror=alert(1)>"})
    text = site.get(f"/p/churn/alerts/{alert.pk}/").content.decode()
    assert "<script>alert(1)" not in text
    assert "<img src=x" not in text


@pytest.mark.parametrize(
    ("tab", "count"), [("open", 2), ("acknowledged", 1), ("silenced", 1), ("resolved", 1), ("magic", 2)]
)
def test_tabs(site, project, ops, tab, count):
    made = [firing(project, number) for number in range(1, 6)]
    by = actor(ops)
    alerts.acknowledge(by, alert=made[0])
    alerts.resolve(by, alert=made[1])
    Alert.objects.filter(pk=made[2].pk).update(fingerprint="f" * 64)
    made[2].refresh_from_db()
    alerts.silence(by, alert=made[2], until=timezone.now() + timedelta(hours=1))
    answer = site.get(f"/p/churn/alerts/?state={tab}")
    assert len(answer.context["listed"]) == count


@pytest.mark.parametrize("count", [1, 3])
def test_alerts_have_a_fixed_number_of_queries(site, project, count, django_assert_num_queries):
    for number in range(1, count + 1):
        firing(project, number)
    site.get("/p/churn/alerts/")
    with django_assert_num_queries(ALERT_QUERIES):
        site.get("/p/churn/alerts/")


ALERT_QUERIES = 20


@pytest.mark.parametrize(
    ("action", "values", "check"),
    [
        ("acknowledge", {}, lambda alert: alert.acknowledged_by is not None),
        ("silence", {"for": "1h"}, lambda alert: alert_facts.is_silenced(alert, timezone.now())),
        ("silence", {"for": "morning"}, lambda alert: alert_facts.is_silenced(alert, timezone.now())),
        ("resolve", {"reason": "known"}, lambda alert: alert.state == "resolved"),
        ("assign", {"user": ""}, lambda alert: alert.assigned_to is None),
        ("comment", {"text": "hello"}, lambda alert: Comment.objects.on("alert", alert.pk).get().text == "hello"),
    ],
)
def test_buttons(site, project, action, values, check):
    alert = firing(project)
    answer = site.post(f"/p/churn/alerts/{alert.pk}/{action}/", values)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/p/churn/alerts/{alert.pk}/")
    alert.refresh_from_db()
    assert check(alert)


def test_assign_to_me(site, project, ops):
    alert = firing(project)
    site.post(f"/p/churn/alerts/{alert.pk}/assign/", {"user": str(ops.pk)})
    alert.refresh_from_db()
    assert alert.assigned_to == ops


@pytest.mark.parametrize(
    ("action", "values", "status"),
    [
        ("silence", {"for": "ever"}, 422),
        ("comment", {"text": ""}, 422),
        ("assign", {"user": "999999"}, 422),
        ("assign", {"user": "abc"}, 422),
        ("unsilence", {}, 409),
        ("unacknowledge", {}, 409),
        ("explode", {}, 404),
    ],
)
def test_buttons_refuse_with_a_sentence(site, project, action, values, status):
    answer = site.post(f"/p/churn/alerts/{firing(project).pk}/{action}/", values)
    assert answer.status_code == status


@pytest.mark.parametrize(("hour", "day"), [(7, 20), (9, 21), (23, 21)])
def test_silence_until_the_next_nine_o_clock(hour, day):
    until = silence_until("morning", datetime(2026, 11, 20, hour, 30 * (hour != 9), tzinfo=UTC))
    assert until == datetime(2026, 11, day, 9, tzinfo=UTC)


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("scientist", 403), ("ops", 303), ("admin", 303)])
def test_only_some_roles_acknowledge(client, project, role, status):
    alert = firing(project)
    client.force_login(make_user("eve", role=role, project=project))
    assert client.get(f"/p/churn/alerts/{alert.pk}/").status_code == 200
    assert client.post(f"/p/churn/alerts/{alert.pk}/acknowledge/").status_code == status


def test_outsiders_see_nothing(client, project):
    alert = firing(project)
    client.force_login(make_user("eve"))
    for path in ("monitoring/", "monitoring/rules/", "alerts/", f"alerts/{alert.pk}/"):
        assert client.get(f"/p/churn/{path}").status_code == 404


def test_alert_of_another_project_is_absent(site, project):
    other = make_project("fraud")
    make_monitor(project)
    monitor = make_monitor(other)
    alerts.settle(
        watcher(other), rule=make_rule(other), window=make_window(monitor), outcome="breach", samples=[sample("warn")]
    )
    assert site.get(f"/p/churn/alerts/{Alert.objects.get().pk}/").status_code == 404


# --- rules ---------------------------------------------------------------------------------------------

RULE = {
    "name": "Age", "metric": "drift.psi", "endpoint": "", "column": "age", "group_by": "endpoint", "op": "above",
    "warn": "0.1", "critical": "0.25", "clear": "", "needed": "2", "of": "3", "keep_firing": "1", "min_samples": "0",
    "no_data_after": "3", "no_data_then": "keep", "severity": "high", "enabled": "on",
}  # fmt: skip


def test_rules_page_lists_rules_and_windows(site, project):
    make_monitor(project, pace={"bucket_seconds": 60, "step_seconds": 300, "window_seconds": 86_400})
    text = site.get("/p/churn/monitoring/rules/").content.decode()
    assert text.count("Feature drift (PSI)") == 1
    assert "Judged every" in text
    assert "<td>5 minutes</td><td>day</td>" in text
    assert 'Segments<span class="vh"> of churn-production' in text


def test_rule_is_created_and_changed(site, project):
    assert site.get("/p/churn/monitoring/rules/new/").status_code == 200
    assert site.post("/p/churn/monitoring/rules/new/", RULE).status_code == 303
    rule = AlertRule.objects.get()
    assert site.get(f"/p/churn/monitoring/rules/{rule.pk}/").status_code == 200
    answer = site.post(f"/p/churn/monitoring/rules/{rule.pk}/", RULE | {"warn": "0.2", "revision": "1"})
    assert answer.status_code == 303
    rule.refresh_from_db()
    assert (rule.warn, rule.enabled) == (0.2, True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"warn": "9"}, "critical limit"),
        ({"name": ""}, "required"),
        ({"needed": "9"}, "not possible"),
        ({"warn": "abc"}, "number"),
    ],
)
def test_wrong_rule_is_shown_again(site, project, change, word):
    answer = site.post("/p/churn/monitoring/rules/new/", RULE | change)
    assert answer.status_code == 422
    assert word in answer.content.decode()


def test_stale_rule_is_not_overwritten(site, project):
    rule = make_rule(project, revision=5)
    answer = site.post(f"/p/churn/monitoring/rules/{rule.pk}/", RULE | {"revision": "4"})
    assert answer.status_code == 422
    assert "Look at it again" in answer.content.decode()


def test_pace_is_changed(site, project):
    monitor = make_monitor(project)
    path = f"/p/churn/monitoring/monitors/{monitor.pk}/"
    assert site.get(path).status_code == 200
    values = {"step_seconds": "60", "window_seconds": "300", "bucket_seconds": "60", "min_samples": "50"}
    assert site.post(path, values).status_code == 303
    assert site.post(path, values | {"window_seconds": "60", "step_seconds": "3600"}).status_code == 422
    monitor.refresh_from_db()
    assert (monitor.window_seconds, monitor.min_samples) == (300, 50)


@pytest.mark.parametrize("role", ["viewer", "scientist"])
def test_rules_are_read_only_for_others(client, project, role):
    rule = make_rule(project)
    client.force_login(make_user("eve", role=role, project=project))
    assert client.get(f"/p/churn/monitoring/rules/{rule.pk}/").status_code == 200
    assert client.post(f"/p/churn/monitoring/rules/{rule.pk}/", RULE).status_code == 403
    assert client.get("/p/churn/monitoring/rules/new/").status_code == 403
