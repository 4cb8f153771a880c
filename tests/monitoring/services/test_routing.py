"""Who is told when: groups wait, repeat, are hushed and passed on. Time is an argument."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mlportal.lib.errors import Invalid
from monitoring.models import Alert, AlertGroup
from monitoring.services import alerts, routes, routing
from projects.models import Delivery
from projects.permissions import Permission
from projects.services import channels
from tests.factories.monitoring import make_monitor, make_rule, make_window, sample, watcher
from tests.factories.projects import actor, make_project, make_user, system

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def windows(project):
    monitor = make_monitor(project)
    return (make_window(monitor, number) for number in range(1, 1000))


def mail(project, name):
    by = system(project, Permission.CHANNEL_EDIT)
    return channels.create(by, project=project, name=name, kind="email", recipients=[f"{name}@example.org"]).channel


def route(project, name, **fields):
    return routes.create(watcher(project), project=project, name=name, channel=mail(project, name).pk, **fields)


def settle(project, rule, windows, signal):
    outcome = "breach" if signal in ("warn", "critical") else "ok"
    alerts.settle(watcher(project), rule=rule, window=next(windows), outcome=outcome, samples=[sample(signal)])


def sent():
    return list(Delivery.objects.order_by("pk").values_list("channel__name", "verb"))


def test_group_waits_then_tells_once_then_repeats(project, windows):
    route(project, "ops")
    settle(project, make_rule(project, "one"), windows, "critical")
    settle(project, make_rule(project, "two"), windows, "critical")
    now = timezone.now()
    assert (routing.flush_due(now + 20 * SECOND), sent()) == (0, [])
    assert routing.flush_due(now + 40 * SECOND) == 1
    told = Delivery.objects.get().payload["data"]["alerts"]
    assert {one["rule"] for one in told} == {"one", "two"}
    assert routing.flush_due(now + 45 * SECOND) == routing.flush_due(now + 3000 * SECOND) == 0
    assert routing.flush_due(now + 3700 * SECOND) == 1
    assert sent() == [("ops", "alert.firing")] * 2


def test_less_than_critical_repeats_after_four_hours(project, windows):
    route(project, "ops")
    settle(project, make_rule(project, severity="high"), windows, "critical")
    now = timezone.now()
    assert [routing.flush_due(now + after * SECOND) for after in (40, 3700, 4 * 3600 + 60)] == [1, 0, 1]


def test_new_alert_of_a_known_group_waits_for_the_interval(project, windows):
    route(project, "ops", group_interval=300)
    settle(project, make_rule(project, "one"), windows, "critical")
    now = timezone.now()
    routing.flush_due(now + 31 * SECOND)
    settle(project, make_rule(project, "two"), windows, "critical")
    assert routing.flush_due(now + 200 * SECOND) == 0
    assert routing.flush_due(now + 340 * SECOND) == 1


def test_end_is_told_to_whom_the_beginning_was_told(project, windows):
    route(project, "ops")
    rule = make_rule(project, keep_firing=0)
    settle(project, rule, windows, "critical")
    now = timezone.now()
    routing.flush_due(now + 31 * SECOND)
    settle(project, rule, windows, "clear")
    routing.flush_due(now + 400 * SECOND)
    assert sent() == [("ops", "alert.firing"), ("ops", "alert.resolved")]
    assert AlertGroup.objects.get().told == {}
    assert routing.flush_due(now + timedelta(days=2)) == 0


def test_what_came_and_went_within_the_wait_is_not_told(project, windows):
    route(project, "ops")
    rule = make_rule(project, keep_firing=0)
    settle(project, rule, windows, "critical")
    settle(project, rule, windows, "clear")
    assert routing.flush_due(timezone.now() + timedelta(hours=1)) == 0


def test_first_route_that_matches_takes_it(project, windows):
    route(project, "db", matchers="team=db")
    route(project, "drift", matchers="kind=drift, endpoint=~churn-.*")
    route(project, "rest")
    settle(project, make_rule(project), windows, "critical")
    routing.flush_due(timezone.now() + 31 * SECOND)
    assert sent() == [("drift", "alert.firing")]


def test_unacknowledged_critical_is_passed_on_every_half_hour_until_somebody_acknowledges(project, windows):
    for name in ("first", "second", "third"):
        route(project, name)
    settle(project, make_rule(project), windows, "critical")
    now = timezone.now()
    for minutes in (1, 29, 31, 32):
        routing.flush_due(now + timedelta(minutes=minutes))
    assert [name for name, _verb in sent()] == ["first", "second"]
    by = actor(make_user("eva", role="admin", project=project))
    alerts.acknowledge(by, alert=Alert.objects.get())
    for hours in (1, 2, 5):
        routing.flush_due(now + timedelta(hours=hours))
    assert [name for name, _verb in sent()] == ["first", "second"]


def test_silenced_alert_is_told_when_the_silence_ends(project, windows):
    route(project, "ops")
    settle(project, make_rule(project), windows, "critical")
    now = timezone.now()
    by = actor(make_user("eva", role="admin", project=project))
    alerts.silence_matching(by, project=project, text="kind=drift", until=now + timedelta(hours=1))
    assert routing.flush_due(now + timedelta(minutes=30)) == 0
    assert routing.flush_due(now + timedelta(minutes=66)) == 1


def test_drift_of_an_endpoint_without_requests_is_told_when_they_are_back(project, windows):
    route(project, "ops")
    down = make_rule(project, "down", metric="traffic.requests", op="below", warn=None, critical=1, keep_firing=0)
    settle(project, down, windows, "critical")
    settle(project, make_rule(project, "drift"), windows, "critical")
    now = timezone.now()
    routing.flush_due(now + 31 * SECOND)
    assert [one["rule"] for one in Delivery.objects.get().payload["data"]["alerts"]] == ["down"]
    settle(project, down, windows, "clear")
    routing.flush_due(now + 700 * SECOND)
    assert {one["rule"] for one in Delivery.objects.latest("pk").payload["data"]["alerts"]} == {"down", "drift"}


def test_channels_are_not_told_twice_once_there_is_a_route(project, windows):
    other = mail(project, "direct")
    settle(project, make_rule(project, "before"), windows, "critical")
    route(project, "ops")
    settle(project, make_rule(project, "after"), windows, "critical")
    from projects.models import Event
    from projects.services.deliveries import _is_silent

    quiet = [_is_silent(event) for event in Event.objects.filter(verb="alert.firing").order_by("pk")]
    assert (quiet, other.kind) == ([False, True], "email")


def test_crash_between_looking_and_writing_tells_once(project, windows, monkeypatch):
    route(project, "ops")
    settle(project, make_rule(project), windows, "critical")
    now = timezone.now() + 31 * SECOND
    save = AlertGroup.save

    def dying(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(AlertGroup, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        routing.flush_due(now)
    assert sent() == []
    monkeypatch.setattr(AlertGroup, "save", save)
    assert (routing.flush_due(now), routing.flush_due(now)) == (1, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"), ({"channel": 0}, "channel"), ({"channel": "ops"}, "channel"),
        ({"matchers": "x"}, "matchers"), ({"group_wait": -1}, "group_wait"), ({"repeat": 1}, "repeat"),
        ({"group_by": "endpoint"}, "group_by"), ({"enabled": 1}, "enabled"), ({"colour": 1}, "colour"),
    ],
)  # fmt: skip
def test_wrong_route_is_refused_by_name(project, change, field):
    fields = {"name": "ops", "channel": mail(project, "ops").pk} | change
    with pytest.raises(Invalid) as caught:
        routes.create(watcher(project), project=project, **fields)
    assert caught.value.field == field
