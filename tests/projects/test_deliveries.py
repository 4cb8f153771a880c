"""Sending to a real little server that follows a script: down, slow, 500, 410, lost answer, redirect."""

import contextlib
import json
import socket
import threading
import time
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from kombu import pools
from standardwebhooks.webhooks import Webhook

from mlportal.celery import app
from mlportal.lib import http, queue
from mlportal.lib.errors import Conflict, Forbidden
from projects.models import Channel, Delivery, Event
from projects.permissions import Permission
from projects.services import channels, deliveries
from tests.factories.projects import make_project, system

pytestmark = pytest.mark.django_db


class Receiver:
    """Answers requests by a script of statuses; ``None`` hangs up without an answer."""

    def __init__(self, *script):
        self.script, self.requests = list(script), []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = self.socket.accept()
                with connection, contextlib.suppress(OSError):
                    self.serve(connection)

    def serve(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        while len(body) < int(headers["Content-Length"]):
            body += connection.recv(65536)
        self.requests.append(({name.lower(): value for name, value in headers.items()}, body))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if callable(step):
            step(connection)
        elif step is not None:
            connection.sendall(
                f"HTTP/1.1 {step} Word\r\nContent-Length: 0\r\nLocation: http://10.0.0.1/\r\n\r\n".encode()
            )

    def stop(self):
        """Closing alone would let the waiting thread take one more connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    @property
    def ids(self):
        return [headers["webhook-id"] for headers, _body in self.requests]


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def line(project, settings):
    """A function: a script in, a channel to a receiver that follows it and a message owed out."""
    receivers = []

    def start(*script):
        receiver = Receiver(*script)
        receivers.append(receiver)
        settings.OUTBOUND_ALLOW = [f"127.0.0.1:{each.port}" for each in receivers]
        made = channels.create(
            system(project, Permission.CHANNEL_EDIT), project=project, name=f"hook {len(receivers)}", kind="webhook",
            url=f"http://127.0.0.1:{receiver.port}/hook",
        )  # fmt: skip
        message = channels.send_test(system(project, Permission.CHANNEL_EDIT), channel=made.channel)
        return receiver, made, message

    yield start
    for receiver in receivers:
        receiver.stop()


def again(message):
    """Make the next try due and take it."""
    Delivery.objects.filter(pk=message.pk).update(next_at=timezone.now())
    return deliveries.send(message.pk)


def test_message_is_signed_and_verified_by_the_reference_library(line):
    receiver, made, message = line(200)
    assert deliveries.send(message.pk) == "delivered"
    headers, body = receiver.requests[0]
    assert Webhook(made.secret).verify(body.decode(), headers)["type"] == "channel.test"
    assert (headers["webhook-id"], headers["content-type"]) == (message.message_id, "application/json")
    message.refresh_from_db()
    assert (message.state, message.last_try["status"], message.attempts) == ("delivered", 200, 1)


def test_changed_body_or_other_secret_does_not_verify(line):
    receiver, made, message = line(200)
    deliveries.send(message.pk)
    headers, body = receiver.requests[0]
    for secret, text in [(made.secret, body.decode() + " "), ("whsec_" + "QUFB" * 8, body.decode())]:
        with pytest.raises(Exception, match="signature"):
            Webhook(secret).verify(text, headers)


def test_both_secrets_verify_while_rotating(line, project):
    receiver, made, message = line(200)
    new = channels.rotate_secret(system(project, Permission.CHANNEL_EDIT), channel=made.channel)
    deliveries.send(message.pk)
    headers, body = receiver.requests[0]
    for secret in (made.secret, new.secret):
        assert Webhook(secret).verify(body.decode(), headers)["type"] == "channel.test"
    Channel.objects.update(previous_until=timezone.now())
    again_made = channels.send_test(system(project, Permission.CHANNEL_EDIT), channel=Channel.objects.get())
    deliveries.send(again_made.pk)
    assert len(receiver.requests[1][0]["webhook-signature"].split()) == 1


def test_failures_are_tried_again_under_the_same_id(line):
    receiver, _made, message = line(500, None, 302, 200)
    assert [deliveries.send(message.pk), again(message), again(message), again(message)] == [
        "pending", "pending", "pending", "delivered",
    ]  # fmt: skip
    assert set(receiver.ids) == {message.message_id}
    message.refresh_from_db()
    assert [line.get("status") for line in message.tries] == [500, None, 302, 200]
    assert message.tries[2]["fault"] == "The receiver answered 302. Redirects are not followed."


def test_receiver_that_took_it_and_lost_its_answer_gets_it_twice_with_one_id(line):
    receiver, _made, message = line(None, 200)
    deliveries.send(message.pk)
    again(message)
    assert receiver.ids == [message.message_id] * 2


def test_receiver_down_is_tried_for_a_day_then_given_up(line):
    receiver, _made, message = line(200)
    receiver.stop()
    assert deliveries.send(message.pk) == "pending"
    message.refresh_from_db()
    assert message.next_at > timezone.now() + timedelta(seconds=3)
    Delivery.objects.filter(pk=message.pk).update(give_up_at=timezone.now())
    assert again(message) == "dead"
    message.refresh_from_db()
    assert "Connect" in message.last_try["fault"]


def test_a_message_that_waited_for_the_broker_has_its_whole_time_from_its_first_try(line):
    _receiver, _made, message = line(500, 200)
    long_ago = timezone.now() - timedelta(hours=30)
    Delivery.objects.filter(pk=message.pk).update(next_at=long_ago, give_up_at=long_ago + deliveries.GIVE_UP)
    assert deliveries.send(message.pk) == "pending"
    message.refresh_from_db()
    assert message.give_up_at > timezone.now() + timedelta(hours=23)
    assert again(message) == "delivered"


def test_given_up_message_can_be_resent_by_hand(line, project):
    receiver, _made, message = line(500, 200)
    Delivery.objects.filter(pk=message.pk).update(give_up_at=timezone.now(), attempts=1)
    assert deliveries.send(message.pk) == "dead"
    by = system(project, Permission.CHANNEL_EDIT)
    resent = deliveries.resend(by, delivery=message)
    assert (resent.state, resent.give_up_at > timezone.now() + timedelta(hours=23)) == ("pending", True)
    assert deliveries.send(message.pk) == "delivered"
    assert receiver.ids == [message.message_id] * 2
    assert Event.objects.filter(verb="delivery.resent").count() == 1
    with pytest.raises(Forbidden):
        deliveries.resend(system(project), delivery=message)


def test_message_before_its_first_try_is_not_resent(line, project):
    _receiver, _made, message = line(200)
    with pytest.raises(Conflict):
        deliveries.resend(system(project, Permission.CHANNEL_EDIT), delivery=message)


def test_gone_switches_the_channel_off_with_the_reason(line, project):
    _receiver, made, message = line(410)
    assert deliveries.send(message.pk) == "dead"
    made.channel.refresh_from_db()
    assert (made.channel.enabled, made.channel.disabled_reason) == (False, "The receiver answered 410 (gone).")
    with pytest.raises(Conflict):
        deliveries.resend(system(project, Permission.CHANNEL_EDIT), delivery=message)


@pytest.mark.slow
def test_slow_receiver_is_cut_and_the_others_are_unhurt(line, monkeypatch):
    monkeypatch.setattr(http, "CONNECT_SECONDS", 0.3)
    slow, _made, first = line(lambda connection: time.sleep(1))
    quick, _made, second = line(200)
    assert (deliveries.send(first.pk), deliveries.send(second.pk)) == ("pending", "delivered")
    assert (len(slow.requests), len(quick.requests)) == (1, 1)


def test_only_one_sender_takes_a_message(line):
    receiver, _made, message = line(200)
    mine = Delivery.objects.filter(pk=message.pk)
    mine.update(next_at=timezone.now() + timedelta(seconds=5))
    assert deliveries.send(message.pk) == "held"
    mine.update(next_at=timezone.now())
    assert deliveries.send(message.pk) == "delivered"
    assert deliveries.send(message.pk) == "held"
    assert len(receiver.requests) == 1


def test_message_of_a_channel_that_was_switched_off_is_given_up(line):
    receiver, _made, message = line(200)
    Channel.objects.update(enabled=False)
    assert deliveries.send(message.pk) == "dead"
    assert receiver.requests == []


def test_address_that_became_internal_is_not_called(line):
    receiver, _made, message = line(200)
    Channel.objects.update(url="http://169.254.169.254/latest/")
    assert deliveries.send(message.pk) == "pending"
    message.refresh_from_db()
    assert "internal" in message.last_try["fault"]
    assert receiver.requests == []


def test_due_messages_wake_senders(line):
    _receiver, _made, message = line(200)
    assert deliveries.wake_due() == 1
    Delivery.objects.filter(pk=message.pk).update(next_at=timezone.now() + timedelta(hours=1))
    assert deliveries.wake_due() == 0


def test_messages_wait_while_the_broker_is_away_and_go_when_it_is_back(line, tmp_path, monkeypatch):
    waiting = [line(200)[2] for _ in range(3)]
    away = app.connection_for_write(f"redis+socket://{tmp_path / 'nobody.sock'}?virtual_host=0")
    with monkeypatch.context() as patched:
        patched.setattr(app.amqp, "_producer_pool", pools.ProducerPool(connections=pools.connections[away], limit=1))
        assert deliveries.wake_due() == 0
    queue.forget()
    assert deliveries.wake_due() == 3
    assert [deliveries.send(message.pk) for message in waiting] == ["delivered"] * 3


@pytest.mark.parametrize(("attempts", "low", "high"), [(1, 4, 6), (2, 24, 36), (3, 96, 144), (50, 11520, 17280)])
def test_waits_grow_with_jitter(attempts, low, high):
    waits = {deliveries.wait_seconds(attempts, "") for _ in range(20)}
    assert low <= min(waits) < max(waits) <= high


@pytest.mark.parametrize(("asked", "seconds"), [("60", 60), ("999999", 14400), ("soon", 6), ("-5", 6)])
def test_retry_after_is_honoured_within_bounds(asked, seconds):
    wait = deliveries.wait_seconds(1, asked)
    assert wait == seconds if seconds > 6 else wait <= 6


def test_mail_is_sent_with_a_stable_id_and_plain_text(project):
    by = system(project, Permission.CHANNEL_EDIT)
    made = channels.create(
        by, project=project, name="Team", kind="email", recipients=["a@example.org", "b@example.org"]
    )
    message = channels.send_test(by, channel=made.channel)
    assert deliveries.send(message.pk) == "delivered"
    sent = mail.outbox[0]
    assert (sent.to, sent.subject) == (["a@example.org", "b@example.org"], "Test message of mlportal for “Team”")
    assert sent.extra_headers["Message-ID"] == f"<{message.message_id}@mlportal>"
    assert "If you can read this, the channel works." in sent.body


def test_mail_title_with_line_breaks_cannot_add_headers(project):
    by = system(project, Permission.CHANNEL_EDIT)
    made = channels.create(by, project=project, name="Team", kind="email", recipients=["a@example.org"])
    message = deliveries.owe(made.channel, verb="x", subject="Hello\r\nBcc: evil@example.org", data={})
    assert deliveries.send(message.pk) == "delivered"
    assert mail.outbox[0].subject == "Hello Bcc: evil@example.org"


def test_mail_server_that_is_away_is_tried_again(project, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 1
    by = system(project, Permission.CHANNEL_EDIT)
    made = channels.create(by, project=project, name="Team", kind="email", recipients=["a@example.org"])
    message = channels.send_test(by, channel=made.channel)
    assert deliveries.send(message.pk) == "pending"
    message.refresh_from_db()
    assert "Refused" in message.last_try["fault"]


def test_body_is_plain_json_with_a_link(line, project, settings):
    receiver, _made, message = line(200)
    deliveries.send(message.pk)
    data = json.loads(receiver.requests[0][1])["data"]
    assert data["link"] == f"{settings.BASE_URL}/p/churn/"
