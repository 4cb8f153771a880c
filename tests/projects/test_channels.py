"""Channels: what is refused, which events go where, and that secrets stay secret."""

import base64

import pytest
from django.core.serializers import serialize

from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Channel, Delivery, Event, EventDelivery
from projects.permissions import Permission
from projects.services import channels, deliveries, events
from tests.factories.projects import actor, make_project, make_user, system

pytestmark = pytest.mark.django_db
HOOK = {"name": "On call", "kind": "webhook", "url": "https://hooks.example.org/T123/secret-path"}
MAIL = {"name": "Team", "kind": "email", "recipients": ["team@example.org"]}


def editor(project):
    return system(project, Permission.CHANNEL_EDIT)


def make(project, **fields):
    return channels.create(editor(project), project=project, **(HOOK | fields))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "nonsense"}, "url"),
        ({"url": "https://example.org/" + "a" * 5000}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": 5}, "url"),
        ({"secret": ""}, "secret"),
        ({"secret": "whsec_"}, "secret"),
        ({"secret": "whsec_!!"}, "secret"),
        ({"secret": "plain"}, "secret"),
        ({"secret": 7}, "secret"),
        ({"verbs": ["alert.firing", "no.such"]}, "verbs"),
        ({"verbs": []}, "verbs"),
        ({"verbs": "alert.firing"}, "verbs"),
        ({"verbs": [["alert.firing"]]}, "verbs"),
        ({"min_severity": "awful"}, "min_severity"),
        ({"kind": "pigeon"}, "kind"),
        ({"name": ""}, "name"),
        ({"name": "x\x00"}, "name"),
        ({"recipients": ["a@example.org"]}, "recipients"),
        ({"kind": "email"}, "recipients"),
        ({"kind": "email", "url": "", "recipients": []}, "recipients"),
        ({"kind": "email", "url": "", "recipients": ["nobody"]}, "recipients"),
        ({"kind": "email", "url": "", "recipients": ["a@example.org\nBcc: b@example.org"]}, "recipients"),
        ({"kind": "email", "url": "", "recipients": ["a@example.org"] * 51}, "recipients"),
        ({"kind": "email", "url": "", "recipients": "a@example.org"}, "recipients"),
    ],
)  # fmt: skip
def test_create_refuses(change, field):
    with pytest.raises(Invalid) as raised:
        make(make_project(), **change)
    assert raised.value.field == field
    assert not Channel.objects.exists()


def test_webhook_secret_is_shown_once_and_sealed():
    made = make(make_project())
    assert made.secret.startswith("whsec_")
    assert len(base64.b64decode(made.secret.removeprefix("whsec_"))) == 32
    everything = serialize("json", [*Channel.objects.all(), *Event.objects.all()])
    assert made.secret not in everything
    assert "secret-path" not in serialize("json", Event.objects.all())


def test_given_secret_is_taken():
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    assert make(make_project(), secret=secret).secret == secret


def test_names_are_unique_among_channels_that_exist():
    project = make_project()
    first = make(project).channel
    with pytest.raises(Conflict):
        make(project, name="ON CALL")
    channels.remove(editor(project), channel=first)
    assert make(project).channel.pk != first.pk
    with pytest.raises(Conflict):
        channels.update(editor(project), channel=first, name="Other")


def test_update_checks_like_create():
    project = make_project()
    channel = make(project).channel
    with pytest.raises(Invalid):
        channels.update(editor(project), channel=channel, url="")
    with pytest.raises(Invalid):
        channels.update(editor(project), channel=channel, kind="email")
    with pytest.raises(Invalid):
        channels.update(editor(project), channel=channel, enabled="yes")
    changed = channels.update(editor(project), channel=channel, enabled=False, min_severity="high")
    assert (changed.enabled, changed.min_severity) == (False, "high")


def test_rotation_keeps_the_old_secret_for_a_day():
    project = make_project()
    made = make(project)
    again = channels.rotate_secret(editor(project), channel=made.channel)
    assert again.secret != made.secret
    assert again.channel.sealed_previous
    mail = channels.create(editor(project), project=project, **MAIL).channel
    with pytest.raises(Conflict):
        channels.rotate_secret(editor(project), channel=mail)


def test_number_of_channels_is_limited(monkeypatch):
    monkeypatch.setattr(channels, "MOST_CHANNELS", 1)
    project = make_project()
    make(project)
    with pytest.raises(Conflict):
        make(project, name="Another")


@pytest.mark.parametrize("role", ["viewer", "scientist", "manager"])
def test_channels_need_the_right(role):
    project = make_project()
    channel = make(project).channel
    by = actor(make_user("eve", role=role, project=project))
    for action in (
        lambda: channels.create(by, project=project, **HOOK),
        lambda: channels.update(by, channel=channel, enabled=False),
        lambda: channels.rotate_secret(by, channel=channel),
        lambda: channels.remove(by, channel=channel),
        lambda: channels.send_test(by, channel=channel),
    ):
        with pytest.raises(Forbidden):
            action()


# --- which events go where ---------------------------------------------------------------------------


def happen(project, verb="alert.firing", **data):
    facts = {"title": "age drifted", "severity": "high", "silenced": False} | data
    events.record(system(project), verb, project=project, data=facts)
    for owed in EventDelivery.objects.filter(task="projects.notify", done_at=None):
        deliveries.fan_out(owed.pk)


def sent_to():
    return sorted(Delivery.objects.values_list("channel__name", "verb"))


def test_event_becomes_a_message_for_each_channel_that_wants_it():
    project = make_project()
    make(project)
    channels.create(editor(project), project=project, **MAIL, verbs=["alert.resolved"])
    happen(project)
    happen(project, "alert.resolved")
    assert sent_to() == [("On call", "alert.firing"), ("On call", "alert.resolved"), ("Team", "alert.resolved")]
    payload = Delivery.objects.get(channel__name="Team").payload
    assert (payload["type"], payload["data"]["project"], payload["data"]["title"]) == (
        "alert.resolved", "churn", "age drifted",
    )  # fmt: skip


def test_fanning_out_again_adds_nothing():
    project = make_project()
    make(project)
    happen(project)
    deliveries.fan_out(EventDelivery.objects.get(task="projects.notify").pk)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(("least", "count"), [("", 1), ("low", 1), ("high", 1), ("critical", 0)])
def test_severity_filter(least, count):
    project = make_project()
    make(project, min_severity=least)
    happen(project, severity="high")
    assert Delivery.objects.count() == count


@pytest.mark.parametrize("change", [{"enabled": False}, {"removed_at": "2026-01-01T00:00Z"}])
def test_channel_that_is_off_or_gone_gets_nothing(change):
    project = make_project()
    make(project)
    Channel.objects.update(**change)
    happen(project)
    assert not Delivery.objects.exists()


def test_silenced_alert_and_other_projects_are_not_told():
    project, other = make_project(), make_project("fraud")
    make(project)
    happen(project, silenced=True)
    happen(other)
    assert not Delivery.objects.exists()


def test_removing_a_channel_gives_up_what_it_is_owed():
    project = make_project()
    channel = make(project).channel
    happen(project)
    channels.remove(editor(project), channel=channel)
    assert Delivery.objects.get().state == "dead"


def test_whatever_a_channel_can_be_told_is_told(settings):
    told = {verb for verb, task in settings.EVENT_CONSUMERS if task == "projects.notify"}
    assert set(channels.VERBS) - told == set()
