"""Owe, send, resend and give up messages. At least once, under a stable id; order is not promised."""

import json
import secrets
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone
from standardwebhooks.webhooks import Webhook

from mlportal.lib import http, queue, sealed
from mlportal.lib.errors import Conflict
from mlportal.lib.lease import scrub
from projects.actor import Actor
from projects.models import Channel, Delivery, Event
from projects.permissions import Permission, require
from projects.services import alert_messages, apprise, client_messages, events

log = structlog.get_logger(__name__)

SEND_TASK = "projects.send_delivery"
GIVE_UP = timedelta(hours=24)
HELD = timedelta(seconds=90)  # longer than one try can take; a sender that died is followed by another
WAITS = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
JITTER = 0.2
MOST_TRIES_KEPT = 20
SEVERITIES = ("critical", "high", "medium", "low")
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
ROUTED = ("alert.firing", "alert.raised", "alert.resolved")
PAGES = {"alert": "alerts", "promotionrequest": "promotions", "trainingjob": "jobs"}


def fan_out(event_delivery_id: int) -> int:
    """Turn one event into a message for each channel that wants it; once, whoever calls and however often."""
    with events.consume(event_delivery_id) as event:
        if event is None or event.project is None or _is_silent(event):
            return 0
        wanted = [channel for channel in _channels(event) if _wants(channel, event)]
        for channel in wanted:
            owe(channel, verb=event.verb, subject=_subject(event), data=event.data, event=event)
        return len(wanted)


def owe(channel: Channel, *, verb: str, subject: str, data: dict[str, Any], event: Event | None = None) -> Delivery:
    """Write a message down in the caller's transaction, and wake a sender after it."""
    now = timezone.now()
    at = event.at if event else now
    project = channel.project
    told = {**data, "project": project.slug, "link": data.get("link") or _link(event, project.slug)}
    is_client = channel.kind == Channel.Kind.MLFLOW
    payload = client_messages.payload(verb, data, at) if is_client else _payload(channel, verb, subject, told, at)
    delivery = Delivery.objects.create(
        channel=channel,
        event=event,
        message_id=f"msg_{secrets.token_hex(16)}",
        verb=verb,
        subject=subject[:300],
        payload=payload,
        next_at=now,
        give_up_at=now + GIVE_UP,
    )
    queue.enqueue(SEND_TASK, delivery.pk)
    return delivery


def owe_group(channel: Channel, *, verb: str, data: dict[str, Any]) -> int:
    """Write down what a route tells a channel about a group of alerts. Returns how many messages that makes.

    PagerDuty takes one alert at a time; every other channel gets one message for all.
    """
    project = channel.project
    subject = f"[{project.name}] {'resolved: ' if verb == 'alert.resolved' else ''}{data.get('title', '')}"
    link = f"{settings.BASE_URL}/p/{project.slug}/alerts/{data.get('alert', '')}/"
    if channel.kind != Channel.Kind.PAGERDUTY:
        owe(channel, verb=verb, subject=subject, data={**data, "link": link})
        return 1
    told = alert_messages.alerts_of(data)
    for one in told:
        about = "alert.resolved" if one.get("status") == "resolved" else "alert.firing"
        owe(channel, verb=about, subject=f"[{project.name}] {one.get('title', '')}", data=dict(one))
    return len(told)


def _payload(channel: Channel, verb: str, subject: str, told: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Say it in the words of the receiver."""
    kind, moment = channel.kind, at.isoformat()
    if kind == Channel.Kind.SLACK:
        return alert_messages.slack(subject, verb, told)
    if kind == Channel.Kind.ALERTMANAGER:
        return alert_messages.alertmanager(verb, told, base=settings.BASE_URL, at=moment)
    if kind == Channel.Kind.PAGERDUTY:
        return alert_messages.pagerduty(verb, told, at=moment)
    if kind == Channel.Kind.APPRISE:
        return {"title": subject, "body": alert_messages.plain(verb, told)}
    return {"type": verb, "timestamp": moment, "data": told}


def resend(by: Actor, *, delivery: Delivery) -> Delivery:
    """Send a message again under the same id, for another 24 hours if need be.

    Raises
    ------
    Conflict
        While it is waiting for its next try, or when its channel is off or gone.
    """
    require(by, Permission.CHANNEL_EDIT, delivery.channel.project)
    with transaction.atomic():
        held = (
            Delivery.objects.select_for_update(of=("self",), no_key=True)
            .select_related("channel__project")
            .get(pk=delivery.pk)
        )
        if not held.channel.enabled:
            raise Conflict("Its channel is off. Switch the channel on first.")
        if held.state == Delivery.State.PENDING and not held.tries:
            raise Conflict("This message is waiting for its first try.")
        now = timezone.now()
        held.state, held.attempts, held.next_at, held.give_up_at = Delivery.State.PENDING, 0, now, now + GIVE_UP
        held.save(update_fields=["state", "attempts", "next_at", "give_up_at"])
        project = held.channel.project
        events.record(by, "delivery.resent", project=project, target=held, data={"message": held.message_id})
        queue.enqueue(SEND_TASK, held.pk)
    return held


def wake_due(*, limit: int = 200) -> int:
    """Wake a sender for every message whose time has come. Returns how many."""
    due = Delivery.objects.filter(state=Delivery.State.PENDING, next_at__lte=timezone.now()).order_by("next_at")
    woken = 0
    for pk in list(due.values_list("pk", flat=True)[:limit]):
        if not queue.publish(SEND_TASK, pk):
            break  # the broker is away: the others wait as well
        woken += 1
    return woken


def send(delivery_id: int) -> str:
    """Try one message now. Returns the state it is in afterwards; ``held`` when another sender has it."""
    now = timezone.now()
    mine = Delivery.objects.filter(pk=delivery_id, state=Delivery.State.PENDING, next_at__lte=now)
    # the row count decides who sends; until ``HELD`` has passed nobody else tries
    if not mine.update(next_at=now + HELD, attempts=F("attempts") + 1):
        return "held"
    delivery = Delivery.objects.select_related("channel__project").get(pk=delivery_id)
    channel = delivery.channel
    if not channel.enabled:
        return _give_up(delivery, {"fault": "The channel is off."})
    sender = {Channel.Kind.EMAIL: _mail, Channel.Kind.APPRISE: _through_apprise}.get(Channel.Kind(channel.kind), _call)
    return _note(delivery, sender(delivery))


# --- sending ---------------------------------------------------------------------------------------


def _call(delivery: Delivery) -> dict[str, Any]:
    try:
        url, body, headers = _request(delivery)
        answer = http.post(url, body=body, headers=headers, allow=settings.OUTBOUND_ALLOW)
    except (http.Refused, sealed.Unreadable) as error:
        return {"fault": str(error)}
    except http.Failed as error:
        return {"fault": str(error)}
    told = {"status": answer.status, "seconds": round(answer.seconds, 3), "retry_after": answer.retry_after}
    if 200 <= answer.status < 300:
        return told
    redirect = " Redirects are not followed." if 300 <= answer.status < 400 else ""
    return told | {"fault": f"The receiver answered {answer.status}.{redirect}"}


def _request(delivery: Delivery) -> tuple[str, bytes, dict[str, str]]:
    """Address, body and headers of a call; secrets are opened here and are nowhere else."""
    channel, payload = delivery.channel, delivery.payload
    secret = sealed.unseal(channel.sealed_secret) if channel.sealed_secret else ""
    url, extra = channel.url, {"Content-Type": "application/json", "User-Agent": "mlportal-webhook/1"}
    if channel.kind == Channel.Kind.SLACK:
        url = secret
    elif channel.kind == Channel.Kind.PAGERDUTY:
        url, payload = url or PAGERDUTY_URL, {**payload, "routing_key": secret}
    elif channel.kind == Channel.Kind.ALERTMANAGER and secret:
        extra["Authorization"] = f"Bearer {secret}"
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    if channel.kind in (Channel.Kind.WEBHOOK, Channel.Kind.MLFLOW):
        extra = signed_headers(channel, delivery.message_id, body, timezone.now())
    return url, body, extra


def _through_apprise(delivery: Delivery) -> dict[str, Any]:
    try:
        url = sealed.unseal(delivery.channel.sealed_secret)
    except sealed.Unreadable as error:
        return {"fault": str(error)}
    told = delivery.payload
    return apprise.send(url, title=told["title"], body=told["body"], allow=settings.OUTBOUND_ALLOW)


def signed_headers(channel: Channel, message_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Headers of the Standard Webhooks specification, with two signatures while a secret is being rotated.

    A webhook of an MLflow client gets MLflow's own.
    """
    if channel.kind == Channel.Kind.MLFLOW:
        secret = sealed.unseal(channel.sealed_secret) if channel.sealed_secret else ""
        return client_messages.headers(secret, message_id, body, at)
    secrets_ = [sealed.unseal(channel.sealed_secret)]
    if channel.sealed_previous and channel.previous_until and channel.previous_until > at:
        secrets_.append(sealed.unseal(channel.sealed_previous))
    signatures = [Webhook(secret).sign(message_id, at, body.decode()) for secret in secrets_]
    return {
        "Content-Type": "application/json",
        "User-Agent": "mlportal-webhook/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _mail(delivery: Delivery) -> dict[str, Any]:
    text = render_to_string("emails/notification.txt", {"delivery": delivery, "data": delivery.payload["data"]})
    message = EmailMessage(
        subject=" ".join(delivery.subject.split()),
        body=text,
        to=delivery.channel.recipients,
        headers={"Message-ID": f"<{delivery.message_id}@mlportal>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except Exception as error:  # noqa: BLE001 - mail servers fail in many ways; each is noted and tried again
        return {"fault": scrub(f"{type(error).__name__}: {error}")[:300]}
    return {}


# --- what a try leads to ---------------------------------------------------------------------------


def _note(delivery: Delivery, outcome: dict[str, Any]) -> str:
    now = timezone.now()
    if "fault" not in outcome:
        tries = _tries(delivery, outcome, now)
        Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING).update(
            state=Delivery.State.DELIVERED, delivered_at=now, tries=tries
        )
        return Delivery.State.DELIVERED
    if outcome.get("status") == 410:
        _switch_off(delivery.channel)
        return _give_up(delivery, outcome)
    next_at = now + timedelta(seconds=wait_seconds(delivery.attempts, outcome.get("retry_after", "")))
    # a message that waited for a broker or a worker has its whole time from its first try on
    give_up_at = now + GIVE_UP if delivery.attempts == 1 else delivery.give_up_at
    if next_at >= give_up_at:
        return _give_up(delivery, outcome)
    Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING).update(
        next_at=next_at, give_up_at=give_up_at, tries=_tries(delivery, outcome, now)
    )
    return Delivery.State.PENDING


def wait_seconds(attempts: int, retry_after: str) -> float:
    """Seconds to the next try: growing, give or take 20 %, and at least what the receiver asked for."""
    base = WAITS[min(attempts, len(WAITS)) - 1]
    asked = min(int(retry_after), WAITS[-1]) if retry_after.isdecimal() else 0
    spread = secrets.SystemRandom().uniform(1 - JITTER, 1 + JITTER)
    return max(base * spread, asked)


def _give_up(delivery: Delivery, outcome: dict[str, Any]) -> str:
    tries = _tries(delivery, outcome, timezone.now())
    Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING).update(state=Delivery.State.DEAD, tries=tries)
    log.warning("message given up", delivery=delivery.pk, channel=delivery.channel_id)
    return Delivery.State.DEAD


def _switch_off(channel: Channel) -> None:
    """410 Gone: the receiver wants no more (Standard Webhooks). The page shows why the channel is off."""
    by = Actor.system("delivery", project=channel.project)
    with transaction.atomic():
        reason = "The receiver answered 410 (gone)."
        if Channel.objects.filter(pk=channel.pk, enabled=True).update(enabled=False, disabled_reason=reason):
            events.record(by, "channel.switched_off", project=channel.project, target=channel, data={"reason": reason})


def _tries(delivery: Delivery, outcome: dict[str, Any], at: datetime) -> list[dict[str, Any]]:
    line = {"at": at.isoformat(), **{key: value for key, value in outcome.items() if value != ""}}
    return [*delivery.tries, line][-MOST_TRIES_KEPT:]


# --- which channels --------------------------------------------------------------------------------


def _channels(event: Event) -> list[Channel]:
    rows = Channel.objects.filter(project=event.project, enabled=True, removed_at=None)
    return list(rows.select_related("project").order_by("pk"))


def _wants(channel: Channel, event: Event) -> bool:
    if event.verb not in channel.verbs:
        return False
    severity = event.data.get("severity")
    if not channel.min_severity or severity not in SEVERITIES:
        return True
    return SEVERITIES.index(severity) <= SEVERITIES.index(channel.min_severity)


def _is_silent(event: Event) -> bool:
    if not event.verb.startswith("alert."):
        return False
    hushed = any(event.data.get(reason) for reason in ("silenced", "inhibited_by", "muted"))
    return hushed or (bool(event.data.get("routed")) and event.verb in ROUTED)


def _subject(event: Event) -> str:
    words = {"alert.firing": "", "alert.raised": "worse: ", "alert.resolved": "resolved: "}
    name = event.project.name if event.project else ""
    if event.verb in words:
        severity = str(event.data.get("severity", "")).capitalize()
        return f"[{name}] {severity}: {words[event.verb]}{event.data.get('title', event.target_label)}"
    if event.verb == "predictions.unlogged":
        return f"[{name}] {event.data['rows']:,} predictions of {event.data['endpoint']} were answered but not logged"
    if event.verb == "comment.added":
        return f"[{name}] {event.actor_name} on {event.data.get('label', event.target_label)}"
    return f"[{name}] {event.verb.replace('.', ' ')}: {event.target_label}"


def _link(event: Event | None, slug: str) -> str:
    if event and event.verb in ("comment.added", "checks.failed", "checks.passed"):
        return f"{settings.BASE_URL}{event.data['page']}"
    if event and event.target_type == "endpoint":
        return f"{settings.BASE_URL}/p/{slug}/deployments/{event.target_label}/"
    if event and event.target_type == "policy":
        return f"{settings.BASE_URL}/p/{slug}/settings/policies/{quote(event.data['environment'])}/"
    page = PAGES.get(event.target_type) if event else None
    place = f"{page}/{event.target_id}/" if event and page else ""
    return f"{settings.BASE_URL}/p/{slug}/{place}"
