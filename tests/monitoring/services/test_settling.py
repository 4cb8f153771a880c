"""Settling windows in the database: once each, whatever is run again or dies, and what hides or quiets an alert."""

import random
from datetime import timedelta

import pytest
from django.utils import timezone

from mlportal.lib.errors import Conflict, Invalid
from monitoring import pipeline
from monitoring.drift.lifecycle import Life, Policy, step
from monitoring.models import Alert, AlertTransition, Incident, RuleEvaluation, Silence
from monitoring.services import alerts, inhibition, rules
from projects.models import Event
from tests.factories.monitoring import NOON, make_monitor, make_rule, make_window, requests, sample, watcher
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """As a kill -9: nothing catches it."""


@pytest.fixture
def project():
    return make_project()


def settle(project, rule, window, signal, **more):
    outcome = {"none": "too_few"}.get(signal, "breach" if signal in ("warn", "critical") else "ok")
    return alerts.settle(watcher(project), rule=rule, window=window, outcome=outcome, samples=[sample(signal, **more)])


def picture():
    return (
        list(Alert.objects.order_by("pk").values()), list(AlertTransition.objects.order_by("pk").values()),
        Event.objects.count(), list(Incident.objects.values()),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_course_of_windows_is_settled_once_through_kills_and_repeats(project, monkeypatch, seed):
    """Every window is tried until it is in; a kill at any write leaves nothing of it, a repeat changes nothing."""
    draw = random.Random(seed)
    monitor, rule, policy = make_monitor(project), make_rule(project, needed=2, of=3), Policy(2, 3, 1)
    life, notices = Life(), 0
    save = Alert.save

    def dying(self, *args, **kwargs):
        if draw.random() < 0.3:
            raise Killed
        save(self, *args, **kwargs)

    for number in range(14):
        signal = draw.choice(["critical", "warn", "clear", "clear", "between"])
        window = make_window(monitor, number)
        before = picture()
        monkeypatch.setattr(Alert, "save", dying)
        for _try in range(200):
            try:
                settle(project, rule, window, signal)
                break
            except Killed:
                assert picture() == before
        monkeypatch.setattr(Alert, "save", save)
        after = picture()
        settle(project, rule, window, draw.choice(["critical", "clear"]))
        assert picture() == after
        life, moves = step(life, signal, policy)
        notices += sum(bool(move.notice) for move in moves)
    newest = Alert.objects.order_by("-pk").first()
    assert RuleEvaluation.objects.count() == 14
    assert newest is None or life.state in ("inactive", newest.state)
    assert Event.objects.filter(verb__in=["alert.firing", "alert.raised", "alert.resolved"]).count() == notices


def test_flapping_is_held_and_survives_the_database(project):
    monitor, rule = make_monitor(project), make_rule(project, keep_firing=0)
    for number, signal in enumerate(["critical", "clear", "critical", "clear", "critical", "clear"]):
        settle(project, rule, make_window(monitor, number), signal)
    alert = Alert.objects.get()
    assert (alert.state, alert.flapping, alert.incident.quiet_at) == ("firing", True, None)
    for number in range(6, 12):
        settle(project, rule, make_window(monitor, number), "clear")
    alert.refresh_from_db()
    assert (alert.state, alert.flapping) == ("resolved", False)


def test_rule_with_a_delay_is_applied_late_and_once(project):
    monitor, now = make_monitor(project), NOON + timedelta(minutes=1, seconds=15)
    late = make_rule(project, "late", evaluation_delay=3600)
    type(late).objects.filter(pk=late.pk).update(created_at=NOON)
    with pipeline.transaction.atomic():
        pipeline.Monitor.objects.filter(pk=monitor.pk).update(valid_from=NOON)
    from monitoring.services import monitors

    with pipeline.transaction.atomic():
        monitors.add_counts(monitor, NOON, requests())
    pipeline.roll_window(monitor.pk, now)
    assert not RuleEvaluation.objects.filter(rule=late).exists()
    for _twice in range(2):
        pipeline._settle_left(
            pipeline.Monitor.objects.select_related("project").get(), NOON + timedelta(hours=1, minutes=1)
        )
    assert RuleEvaluation.objects.filter(rule=late).count() == 1


def test_no_requests_hide_the_drift_of_their_endpoint_only(project):
    monitor = make_monitor(project)
    down = make_rule(project, "down", metric="traffic.requests", op="below", warn=None, critical=1)
    drift, other = make_rule(project, "drift"), make_rule(project, "errors", metric="error.rate")
    for number, rule in enumerate([down, drift, other]):
        settle(project, rule, make_window(monitor, number), "critical")
    found = {alert.rule.name: inhibition.inhibitor(alert) for alert in Alert.objects.select_related("rule")}
    assert found == {"down": None, "drift": Alert.objects.get(rule=down).pk, "errors": None}
    events = Event.objects.filter(verb="alert.firing").order_by("pk")
    assert [bool(event.data["inhibited_by"]) for event in events] == [False, True, False]


def test_rule_says_what_hides_it(project):
    monitor = make_monitor(project)
    settle(project, make_rule(project, "cause", labels={"team": "feed"}), make_window(monitor, 1), "critical")
    settle(project, make_rule(project, "effect", inhibited_by=["team=feed"]), make_window(monitor, 2), "critical")
    settle(project, make_rule(project, "free", inhibited_by=[]), make_window(monitor, 3), "critical")
    hidden = [alert.rule.name for alert in Alert.objects.select_related("rule") if inhibition.inhibitor(alert)]
    assert hidden == ["effect"]


def test_silence_by_matchers_covers_what_matches_until_it_is_ended(project):
    monitor = make_monitor(project)
    by = actor(make_user("ops", role="admin", project=project))
    for number, name in enumerate(["one", "two"]):
        settle(project, make_rule(project, name), make_window(monitor, number), "critical")
    made = alerts.silence_matching(
        by, project=project, text="alertname=one", until=timezone.now() + timedelta(hours=1), reason="known"
    )

    def silenced():
        rows = Alert.objects.with_silence(timezone.now()).filter(silenced=True)
        return list(rows.values_list("rule__name", flat=True))

    assert silenced() == ["one"]
    alerts.end_silence(by, silence=made)
    assert silenced() == []
    with pytest.raises(Conflict):
        alerts.end_silence(by, silence=made)
    for text, until in [("", timedelta(hours=1)), ("alertname", timedelta(hours=1)), ("a=b", timedelta(days=31))]:
        with pytest.raises(Invalid):
            alerts.silence_matching(by, project=project, text=text, until=timezone.now() + until)
    assert Silence.objects.count() == 1


def test_acknowledgement_with_an_end_is_dropped_then(project):
    monitor, by = make_monitor(project), actor(make_user("ops", role="admin", project=project))
    settle(project, make_rule(project), make_window(monitor, 1), "critical")
    alert = Alert.objects.get()
    alerts.acknowledge(by, alert=alert, until=timezone.now() + timedelta(hours=1))
    assert alerts.end_acknowledgements() == 0
    assert alerts.end_acknowledgements(timezone.now() + timedelta(hours=2)) == 1
    alert.refresh_from_db()
    assert (alert.acknowledged_at, alert.transitions.order_by("-seq")[0].kind) == (None, "unacknowledged")


def test_judgement_of_an_alert_is_kept_with_who_said_so(project):
    monitor, by = make_monitor(project), actor(make_user("ops", role="admin", project=project))
    settle(project, make_rule(project), make_window(monitor, 1), "critical")
    alert = alerts.judge(by, alert=Alert.objects.get(), judgement="false")
    assert (alert.judgement, alert.judged_by.username) == ("false", "ops")
    with pytest.raises(Invalid):
        alerts.judge(by, alert=alert, judgement="maybe")


def test_old_resolved_alerts_cost_no_write(project, django_assert_max_num_queries):
    monitor, rule = make_monitor(project), make_rule(project, group_by="column")
    settle(project, rule, make_window(monitor, 0), "critical")
    for number in range(1, 32):
        settle(project, rule, make_window(monitor, number), "clear")
    before = Alert.objects.values().get()
    settle(project, rule, make_window(monitor, 40), "clear")
    assert Alert.objects.values().get() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"compare": "other"}, "compare"), ({"over": 0}, "over"), ({"evaluation_delay": -1}, "evaluation_delay"),
        ({"labels": {"severity": "x"}}, "labels"), ({"labels": {"a b": "x"}}, "labels"), ({"labels": ["a"]}, "labels"),
        ({"inhibited_by": ["nonsense"]}, "inhibited_by"), ({"inhibited_by": "a=b"}, "inhibited_by"),
        ({"metric": "external"}, "metric"), ({"cooldown": 99_999_999}, "cooldown"),
    ],
)  # fmt: skip
def test_wrong_setting_is_refused_by_name(project, change, field):
    with pytest.raises(Invalid) as caught:
        rules.create(watcher(project), project=project, **{"name": "R", "metric": "drift.psi", "warn": 0.1} | change)
    assert caught.value.field == field
