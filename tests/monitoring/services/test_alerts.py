"""Alerts in the database: settle once, one open a fingerprint, and what people do."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from mlportal.lib.errors import Conflict, Forbidden, Invalid
from monitoring.models import Alert, AlertRule, AlertTransition, Silence
from monitoring.services import alert_facts, alerts, rules, timeline
from projects.models import Event
from tests.factories.monitoring import LABELS, make_monitor, make_rule, make_window, sample, watcher
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


class Line:
    """A rule on a monitor, and windows that follow each other."""

    def __init__(self, **rule):
        self.project = make_project()
        self.monitor = make_monitor(self.project)
        AlertRule.objects.all().delete()
        self.rule = make_rule(self.project, **rule)
        self.number = 0

    def window(self, signal="", value=0.3, *, outcome="", reason=""):
        self.number += 1
        window = make_window(self.monitor, self.number)
        given = outcome or ("breach" if signal in ("warn", "critical") else "ok")
        samples = [sample(signal, value)] if signal else []
        return alerts.settle(
            watcher(self.project), rule=self.rule, window=window, outcome=given, samples=samples, reason=reason
        )

    def alert(self):
        return Alert.objects.latest("pk")


def verbs():
    return list(Event.objects.filter(verb__startswith="alert.").order_by("seq").values_list("verb", flat=True))


def test_breach_fires_recovers_and_resolves_with_two_notices():
    line = Line()
    for signal in ("critical", "critical", "clear", "clear"):
        line.window(signal)
    alert = line.alert()
    assert (alert.state, alert.severity, alert.seen, alert.title) == (
        "resolved",
        "critical",
        2,
        "age drifted, PSI 0.30",
    )
    assert verbs() == ["alert.firing", "alert.resolved"]
    moves = alert.transitions.order_by("seq").values_list("seq", "before", "after")
    assert list(moves) == [
        (1, "inactive", "pending"), (2, "pending", "firing"), (3, "firing", "recovering"),
        (4, "recovering", "resolved"),
    ]  # fmt: skip


def test_firing_event_carries_what_automations_and_hooks_need():
    line = Line()
    line.window("critical", 0.38)
    data = Event.objects.get(verb="alert.firing").data
    wanted = ("alert", "rule", "severity", "endpoint", "version", "kind", "title", "value", "silenced")
    assert {name: data[name] for name in wanted} == {
        "alert": line.alert().pk, "rule": "Test rule", "severity": "critical", "endpoint": "churn-production",
        "version": "churn v1", "kind": "drift", "title": "age drifted, PSI 0.38", "value": "0.38", "silenced": False,
    }  # fmt: skip


def test_settling_a_window_again_changes_nothing():
    line = Line()
    line.window("critical")
    before = list(Alert.objects.values())
    line.number = 0
    window = line.monitor.windows.get()
    assert (
        alerts.settle(watcher(line.project), rule=line.rule, window=window, outcome="breach", samples=[sample("warn")])
        == []
    )
    assert list(Alert.objects.values()) == before
    assert verbs() == ["alert.firing"]


def test_pending_is_stored_and_not_announced():
    line = Line(needed=2, of=3)
    line.window("warn")
    assert (line.alert().state, verbs()) == ("pending", [])
    line.window("warn")
    assert (line.alert().state, verbs()) == ("firing", ["alert.firing"])


def test_quiet_windows_store_no_alert():
    line = Line()
    line.window("clear")
    line.window("between")
    assert not Alert.objects.exists()


def test_severity_follows_the_level_and_only_a_rise_is_told():
    line = Line()
    for signal, severity in [("warn", "high"), ("critical", "critical"), ("warn", "high")]:
        line.window(signal)
        assert line.alert().severity == severity
    assert verbs() == ["alert.firing", "alert.raised"]


def test_rising_drops_the_acknowledgement():
    line = Line()
    line.window("warn")
    alerts.acknowledge(watcher(line.project), alert=line.alert())
    ana = make_user("ana", role="ops", project=line.project)
    alerts.unacknowledge(actor(ana), alert=_acknowledged(line, ana))
    _acknowledged(line, ana)
    line.window("critical")
    assert line.alert().acknowledged_by is None
    assert line.alert().transitions.filter(kind="unacknowledged").count() == 2


def _acknowledged(line, user):
    return alerts.acknowledge(actor(user), alert=line.alert())


def test_breach_soon_after_resolving_reopens_the_same_alert():
    line = Line()
    for signal in ("warn", "clear", "clear", "warn"):
        line.window(signal)
    assert (Alert.objects.count(), line.alert().reopened, line.alert().state) == (1, 1, "firing")
    assert verbs() == ["alert.firing", "alert.resolved", "alert.firing"]


def test_breach_long_after_resolving_is_another_alert():
    line = Line()
    for signal in ("warn", "clear", "clear", "clear", "clear", "warn"):
        line.window(signal)
    assert list(Alert.objects.order_by("pk").values_list("state", flat=True)) == ["resolved", "firing"]


def test_resolved_by_hand_stays_quiet_until_cleared_once():
    line = Line()
    line.window("warn")
    alerts.resolve(watcher(line.project), alert=line.alert(), reason="Known campaign")
    line.window("critical")
    assert (line.alert().state, Alert.objects.count()) == ("resolved", 1)
    line.window("clear")
    line.window("critical")
    assert Alert.objects.filter(state="firing").count() == 1
    assert verbs() == ["alert.firing", "alert.resolved", "alert.firing"]


def test_no_data_is_an_alert_of_its_own_and_freezes_the_other():
    line = Line(no_data_then="alert", no_data_after=2)
    line.window("critical")
    line.window(outcome="no_data", reason="There were no requests in this window.")
    assert Alert.objects.count() == 1
    line.window(outcome="no_data", reason="There were no requests in this window.")
    line.window(outcome="no_data", reason="There were no requests in this window.")
    assert list(Alert.objects.order_by("pk").values_list("state", "nature", "seen")) == [
        ("firing", "value", 1), ("no_data", "no_data", 2),
    ]  # fmt: skip
    line.window("critical")
    assert list(Alert.objects.order_by("pk").values_list("state", flat=True)) == ["firing", "resolved"]
    assert verbs() == ["alert.firing", "alert.firing", "alert.resolved"]


def test_endpoint_that_never_had_traffic_raises_no_data_never():
    line = Line(no_data_then="alert", no_data_after=1)
    window = make_window(line.monitor, 1, rows=0)
    alerts.settle(watcher(line.project), rule=line.rule, window=window, outcome="no_data", reason="nothing")
    assert not Alert.objects.exists()


@pytest.mark.parametrize(("then", "states"), [("keep", ["firing"]), ("ok", ["recovering"])])
def test_no_data_as_the_rule_says(then, states):
    line = Line(no_data_then=then, no_data_after=1)
    line.window("critical")
    line.window(outcome="no_data")
    assert list(Alert.objects.values_list("state", flat=True)) == states


def test_too_few_is_neither_clear_nor_breach():
    line = Line()
    line.window("critical")
    line.window(outcome="too_few", reason="12 values")
    assert line.alert().state == "firing"


def test_three_failed_evaluations_open_one_alert_a_rule():
    line = Line()
    for _ in range(4):
        line.window(outcome="error", reason="ValueError: boom")
    assert list(Alert.objects.values_list("state", "title")) == [("error", "Rule “Test rule” cannot be evaluated")]
    line.window("clear")
    assert line.alert().state == "resolved"


def test_another_version_resolves_what_was_open():
    line = Line()
    line.window("critical")
    make_monitor(line.project, version="churn v2")
    assert (line.alert().state, line.alert().transitions.latest("seq").text) == (
        "resolved", "another version went live",
    )  # fmt: skip


def test_switching_a_rule_off_resolves_what_it_opened():
    line = Line()
    line.window("critical")
    rules.disable(watcher(line.project), rule=line.rule)
    assert (line.alert().state, line.alert().resolved_at is not None) == ("resolved", True)


def test_database_refuses_a_second_open_alert_of_a_fingerprint():
    line = Line()
    line.window("critical")
    twin = line.alert()
    twin.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        twin.save(force_insert=True)
    twin.state = "resolved"
    twin.save(force_insert=True)


def test_fingerprint_ignores_the_order_of_labels():
    assert timeline.fingerprint(1, {"a": "1", "b": "2"}) == timeline.fingerprint(1, {"b": "2", "a": "1"})
    assert timeline.fingerprint(1, LABELS) != timeline.fingerprint(2, LABELS)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_windows_settled_at_the_same_time_open_one_alert():
    line = Line()
    windows = [make_window(line.monitor, number) for number in range(1, 7)]
    start = threading.Barrier(3)

    def settle(mine):
        start.wait()
        try:
            for window in mine:
                alerts.settle(
                    watcher(line.project), rule=line.rule, window=window, outcome="breach", samples=[sample("critical")]
                )
        finally:
            connection.close()

    # the third thread settles windows of the first two again
    threads = [threading.Thread(target=settle, args=(part,)) for part in (windows[:3], windows[3:], windows[1:5])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(Alert.objects.values_list("state", "seen")) == [("firing", 6)]
    assert verbs() == ["alert.firing"]
    sequence = list(AlertTransition.objects.order_by("seq").values_list("seq", flat=True))
    assert sequence == list(range(1, len(sequence) + 1))


# --- people ------------------------------------------------------------------------------------------


@pytest.fixture
def firing():
    line = Line()
    line.window("critical")
    line.ops = make_user("olga", role="ops", project=line.project)
    line.by = actor(line.ops)
    return line


def test_acknowledge_once(firing):
    alert = alerts.acknowledge(firing.by, alert=firing.alert(), note="Looking")
    assert (alert.acknowledged_by, alert.state) == (firing.ops, "firing")
    with pytest.raises(Conflict):
        alerts.acknowledge(firing.by, alert=alert)
    assert alerts.unacknowledge(firing.by, alert=alert).acknowledged_by is None
    with pytest.raises(Conflict):
        alerts.unacknowledge(firing.by, alert=alert)
    assert verbs()[1:] == ["alert.acknowledged", "alert.unacknowledged"]


def test_silence_is_computed_and_bounded(firing):
    now = timezone.now()
    for until in (now - timedelta(seconds=1), now + timedelta(days=30, minutes=1)):
        with pytest.raises(Invalid):
            alerts.silence(firing.by, alert=firing.alert(), until=until)
    alerts.silence(firing.by, alert=firing.alert(), until=now + timedelta(hours=1), reason="Deploying")
    assert alert_facts.is_silenced(firing.alert(), timezone.now())
    assert not alert_facts.is_silenced(firing.alert(), now + timedelta(hours=2))
    alerts.unsilence(firing.by, alert=firing.alert())
    assert not alert_facts.is_silenced(firing.alert(), timezone.now())
    with pytest.raises(Conflict):
        alerts.unsilence(firing.by, alert=firing.alert())


def test_silenced_alert_goes_on_and_says_so(firing):
    alerts.silence(firing.by, alert=firing.alert(), until=timezone.now() + timedelta(hours=1))
    firing.window("clear")
    firing.window("clear")
    assert Event.objects.get(verb="alert.resolved").data["silenced"] is True


def test_silence_by_endpoint_or_rule_covers_the_alert(firing):
    now = timezone.now()
    span = {"project": firing.project, "starts_at": now, "ends_at": now + timedelta(hours=1), "author": firing.ops}
    Silence.objects.create(endpoint="another", **span)
    assert not alert_facts.is_silenced(firing.alert(), timezone.now())
    Silence.objects.create(rule=firing.rule, **span)
    assert alert_facts.is_silenced(firing.alert(), timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        Silence.objects.create(**span)


def test_assign_to_members_only(firing):
    assert alerts.assign(firing.by, alert=firing.alert(), user=firing.ops).assigned_to == firing.ops
    with pytest.raises(Invalid):
        alerts.assign(firing.by, alert=firing.alert(), user=make_user("stranger"))
    assert alerts.assign(firing.by, alert=firing.alert(), user=None).assigned_to is None


def test_comment_is_kept_as_text(firing):
    said = alerts.comment(firing.by, alert=firing.alert(), text="<b>It is real</b>")
    assert (said.text, said.author, said.target_type) == ("<b>It is real</b>", firing.ops, "alert")
    with pytest.raises(Invalid):
        alerts.comment(firing.by, alert=firing.alert(), text="  ")


def test_a_comment_calls_members(firing):
    eve = make_user("eve", role="viewer", project=firing.project)
    said = alerts.comment(firing.by, alert=firing.alert(), text="@eve, is this yours?")
    assert list(eve.mentions.values_list("comment", flat=True)) == [said.pk]


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_what_is_over_cannot_be_handled(firing, action):
    alerts.resolve(firing.by, alert=firing.alert())
    with pytest.raises(Conflict):
        getattr(alerts, action)(firing.by, alert=firing.alert())


@pytest.mark.parametrize("role", ["viewer", "scientist", "manager"])
def test_handling_needs_the_right(firing, role):
    by = actor(make_user("eve", role=role, project=firing.project))
    alert = firing.alert()
    for action in (
        lambda: alerts.acknowledge(by, alert=alert),
        lambda: alerts.unacknowledge(by, alert=alert),
        lambda: alerts.silence(by, alert=alert, until=timezone.now() + timedelta(hours=1)),
        lambda: alerts.unsilence(by, alert=alert),
        lambda: alerts.resolve(by, alert=alert),
        lambda: alerts.assign(by, alert=alert, user=None),
    ):
        with pytest.raises(Forbidden):
            action()


def test_viewer_may_not_comment(firing):
    by = actor(make_user("eve", role="viewer", project=firing.project))
    with pytest.raises(Forbidden):
        alerts.comment(by, alert=firing.alert(), text="hello")
