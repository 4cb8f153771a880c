"""Channels of other services: the exact bodies, sealed secrets, and no way into internal networks."""

import json
import socket

import pytest

from mlportal.lib import sealed
from mlportal.lib.apprise_child import LOCAL
from mlportal.lib.errors import Invalid
from projects.models import Channel, Delivery, Event
from projects.permissions import Permission
from projects.services import alert_messages, apprise, channels, deliveries
from tests.factories.projects import make_project, system
from tests.projects.test_deliveries import Receiver

AT = "2026-11-22T08:00:00+00:00"
ALERT = {
    "rule": "Data drift", "severity": "critical", "title": "age drifted, PSI 0.38", "detail": "Its mean <moved>.",
    "endpoint": "churn-production", "version": "churn v1", "kind": "drift", "value": 0.38, "limit": 0.25,
    "fingerprint": "ab" * 32,
    "labels": {"alertname": "Data drift", "severity": "critical", "endpoint": "churn-production"},
    "starts_at": AT, "ends_at": None, "status": "firing", "link": "https://portal/p/churn/alerts/1/",
}  # fmt: skip
OVER = {**ALERT, "status": "resolved", "ends_at": "2026-11-22T09:00:00+00:00", "fingerprint": "cd" * 32}
KEY = "k" * 32


def test_alertmanager_body_has_every_field_of_version_4():
    data = {
        "group_key": "1:x",
        "group_labels": {"endpoint": "churn-production"},
        "receiver": "ops",
        "alerts": [ALERT, OVER],
    }
    body = alert_messages.alertmanager("alert.firing", data, base="https://portal", at=AT)
    assert body == {
        "version": "4", "groupKey": "1:x", "truncatedAlerts": 0, "status": "firing", "receiver": "ops",
        "groupLabels": {"endpoint": "churn-production"},
        "commonLabels": ALERT["labels"],
        "commonAnnotations": {"summary": "age drifted, PSI 0.38", "description": "Its mean <moved>."},
        "externalURL": "https://portal",
        "alerts": [
            {
                "status": "firing", "labels": ALERT["labels"],
                "annotations": {"summary": "age drifted, PSI 0.38", "description": "Its mean <moved>."},
                "startsAt": AT, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "https://portal/p/churn/alerts/1/",
                "fingerprint": "abababababababab",
            },
            {
                "status": "resolved", "labels": ALERT["labels"],
                "annotations": {"summary": "age drifted, PSI 0.38", "description": "Its mean <moved>."},
                "startsAt": AT, "endsAt": "2026-11-22T09:00:00+00:00",
                "generatorURL": "https://portal/p/churn/alerts/1/", "fingerprint": "cdcdcdcdcdcdcdcd",
            },
        ],
    }  # fmt: skip
    assert alert_messages.alertmanager("alert.resolved", {"alerts": [OVER]}, base="", at=AT)["status"] == "resolved"


@pytest.mark.parametrize(
    ("verb", "one", "action"),
    [
        ("alert.firing", ALERT, "trigger"), ("alert.resolved", OVER, "resolve"),
        ("alert.acknowledged", ALERT, "acknowledge")
    ],
)  # fmt: skip
def test_pagerduty_event(verb, one, action):
    event = alert_messages.pagerduty(verb, one, at=AT)
    assert (event["event_action"], event["dedup_key"]) == (action, one["fingerprint"])
    assert ("payload" in event) == (action == "trigger")
    if action == "trigger":
        assert {key: event["payload"][key] for key in ("summary", "source", "severity", "timestamp")} == {
            "summary": "age drifted, PSI 0.38", "source": "churn-production", "severity": "critical", "timestamp": AT,
        }  # fmt: skip


def test_slack_body_cannot_call_people():
    body = alert_messages.slack("<!channel> down", "alert.firing", {"alerts": [ALERT, OVER]})
    assert body["text"] == "&lt;!channel&gt; down"
    assert [one["color"] for one in body["attachments"]] == ["#b42318", "#1a7f4b"]
    assert body["attachments"][0]["text"] == "Its mean &lt;moved&gt;."


@pytest.fixture
def project(db):
    return make_project()


def add(project, kind, **fields):
    by = system(project, Permission.CHANNEL_EDIT)
    return channels.create(by, project=project, name=kind, kind=kind, **fields).channel


@pytest.mark.parametrize(
    ("kind", "fields", "shown", "secret"),
    [
        ("slack", {"url": "https://hooks.slack.com/services/T0/B0/secret"}, "https://hooks.slack.com/…",
         "https://hooks.slack.com/services/T0/B0/secret"),
        ("apprise", {"url": "tgram://bot-secret/chat"}, "tgram://…", "tgram://bot-secret/chat"),
        ("pagerduty", {"secret": KEY}, "", KEY),
        ("alertmanager", {"url": "https://example.org/am", "secret": "bearer-secret"}, "https://example.org/am",
         "bearer-secret"),
    ],
)  # fmt: skip
def test_secret_is_sealed_and_in_no_event(project, kind, fields, shown, secret):
    channel = add(project, kind, **fields)
    assert (channel.url, sealed.unseal(channel.sealed_secret)) == (shown, secret)
    channels.update(system(project, Permission.CHANNEL_EDIT), channel=channel, name="new name", url=channel.url)
    channel.refresh_from_db()
    assert sealed.unseal(channel.sealed_secret) == secret
    stored = json.dumps([list(Channel.objects.values_list("url")), [event.data for event in Event.objects.all()]])
    assert secret not in stored.replace("https://example.org/am", "")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("slack", {"url": "http://127.0.0.1/x"}), ("slack", {"url": "http://169.254.169.254/"}), ("slack", {}),
        ("pagerduty", {}), ("pagerduty", {"secret": "short"}), ("pagerduty", {"secret": KEY, "url": "http://10.0.0.1/"}),
        ("alertmanager", {"url": "http://localhost:9093/"}), ("apprise", {"url": "file:///etc/passwd"}),
        ("apprise", {"url": "syslog://"}), ("apprise", {"url": "no address"}), ("apprise", {}),
        ("alertmanager", {"url": "https://example.org/", "verbs": ["job.failed"]}),
    ],
)  # fmt: skip
def test_wrong_or_internal_address_is_refused(project, kind, fields):
    with pytest.raises(Invalid):
        add(project, kind, **fields)


def test_group_goes_out_in_one_message_but_one_alert_at_a_time_to_pagerduty(project):
    data = {"title": "age drifted", "alerts": [ALERT, OVER], "alert": 1, "severity": "critical"}
    slack = add(project, "slack", url="https://hooks.slack.com/services/x")
    assert deliveries.owe_group(slack, verb="alert.firing", data=data) == 1
    pager = add(project, "pagerduty", secret=KEY)
    assert deliveries.owe_group(pager, verb="alert.firing", data=data) == 2
    actions = [one.payload["event_action"] for one in Delivery.objects.filter(channel=pager).order_by("pk")]
    assert actions == ["trigger", "resolve"]
    assert KEY not in json.dumps([one.payload for one in Delivery.objects.all()])


def test_keys_are_added_when_the_message_is_sent(project, settings):
    receiver = Receiver(202)
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{receiver.port}"]
    url = f"http://127.0.0.1:{receiver.port}/v2/enqueue"
    try:
        for kind, secret in (("pagerduty", KEY), ("alertmanager", "token")):
            channel = add(project, kind, url=url, secret=secret)
            message = channels.send_test(system(project, Permission.CHANNEL_EDIT), channel=channel)
            assert deliveries.send(message.pk) == "delivered"
    finally:
        receiver.stop()
    (_, first), (headers, second) = receiver.requests
    assert json.loads(first)["routing_key"] == KEY
    assert headers["authorization"] == "Bearer token"
    assert json.loads(second)["version"] == "4"


def test_apprise_delivers_to_an_allowed_host():
    receiver = Receiver(200)
    try:
        allow = [f"127.0.0.1:{receiver.port}"]
        assert apprise.send(f"json://127.0.0.1:{receiver.port}/hook", title="T", body="B", allow=allow) == {}
    finally:
        receiver.stop()
    body = json.loads(receiver.requests[0][1])
    assert (body["title"], body["message"]) == ("T", "B")


def test_apprise_reaches_no_internal_host_also_not_by_a_redirect():
    inner = socket.create_server(("127.0.0.1", 0))
    inner.settimeout(0.1)
    port = inner.getsockname()[1]
    outer = Receiver(lambda connection: connection.sendall(
        f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n".encode()))  # fmt: skip
    try:
        assert "fault" in apprise.send(f"json://127.0.0.1:{port}/", title="T", body="B")
        allow = [f"127.0.0.1:{outer.port}"]
        assert "fault" in apprise.send(f"json://127.0.0.1:{outer.port}/", title="T", body="B", allow=allow)
        with pytest.raises(TimeoutError):
            inner.accept()
    finally:
        inner.close()
        outer.stop()


@pytest.mark.parametrize("scheme", sorted(LOCAL))
def test_scheme_of_this_machine_is_refused_by_name(scheme):
    with pytest.raises(Invalid):
        apprise.check(f"{scheme}://x")
