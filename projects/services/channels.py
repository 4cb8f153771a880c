"""Make, change, test and remove channels; decide which of them an event goes to."""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone

from mlportal.lib import http, names, sealed
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Channel, Delivery, Project
from projects.permissions import Permission, require
from projects.services import apprise, client_messages, deliveries, events

# What a channel can be told, and the words the page shows for it.
VERBS = {
    "alert.firing": "Alert fires",
    "alert.raised": "Alert gets worse",
    "alert.resolved": "Alert is resolved",
    "alert.acknowledged": "Alert is acknowledged",
    "promotion.requested": "Promotion is requested",
    "promotion.approved": "Promotion is approved",
    "promotion.approval_added": "Promotion gets one of its approvals",
    "promotion.rejected": "Promotion is rejected",
    "promotion.changes_requested": "Changes are asked for",
    "promotion.withdrawn": "Request is withdrawn",
    "promotion.reminder": "Promotion still waits",
    "promotion.escalated": "Promotion waits too long",
    "promotion.expired": "Promotion expires",
    "promotion.stale": "Promotion becomes stale",
    "promotion.lapsed": "Approval lapses unused",
    "promotion.suspended": "Approval is suspended",
    "version.reproduction_certified": "Version was trained again and compared",
    "delegation.given": "Right to decide is handed over",
    "delegation.revoked": "Right to decide is taken back",
    "gate.overridden": "Gate is overridden",
    "policy.proposed": "New rules wait for a second admin",
    "policy.changed": "New rules are in force",
    "endpoint.frozen": "Endpoint is frozen",
    "endpoint.break_glass": "Version goes live by break-glass",
    "break_glass.reviewed": "Break-glass is looked at",
    "endpoint.switched": "Endpoint changes its version",
    "endpoint.rolled_back": "Endpoint is rolled back",
    "endpoint.rollback_held": "Rule could not roll back",
    "rollout.moved": "Rollout enters a step",
    "rollout.paused": "Rollout is held",
    "rollout.aborted": "Rollout is aborted",
    "rollout.promoted": "Rollout puts its version live",
    "trial.stopped": "Trial is decided",
    "trial.judged": "Trial is judged at its horizon",
    "trial.mismatch": "Split of a trial is not the planned one",
    "predictions.unlogged": "Predictions could not be logged",
    "job.failed": "Training job fails",
    "job.succeeded": "Training job ends",
    "comment.added": "Comment is written",
    "checks.failed": "Dataset checks fail",
    "checks.passed": "Dataset checks pass",
}
# Their address holds the secret, so it is sealed and only its beginning is shown.
SEALED_ADDRESS = (Channel.Kind.SLACK, Channel.Kind.APPRISE)
OWN_SECRET = (Channel.Kind.MLFLOW, Channel.Kind.PAGERDUTY, Channel.Kind.ALERTMANAGER)
ALERTS_ONLY = (Channel.Kind.ALERTMANAGER, Channel.Kind.PAGERDUTY)
ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
DEFAULT_VERBS = ("alert.firing", "alert.raised", "alert.resolved", "predictions.unlogged")
ALERT_VERBS = ("alert.firing", "alert.raised", "alert.resolved", "alert.acknowledged")
SEVERITIES = ("critical", "high", "medium", "low")
MOST_RECIPIENTS = 50
MOST_CHANNELS = 50
ROTATION = timedelta(hours=24)
SECRET_PREFIX = "whsec_"
MOST_SECRET = 1000
MOST_ADDRESS = 2000
FIELDS = ("name", "url", "recipients", "verbs", "min_severity", "enabled", "description")


@dataclass(frozen=True)
class Created:
    """A channel and, for a webhook, the secret that is shown this once."""

    channel: Channel
    secret: str = ""


def create(
    by: Actor,
    *,
    project: Project,
    name: str,
    kind: str,
    url: str = "",
    recipients: Sequence[str] = (),
    verbs: Sequence[str] | None = None,
    min_severity: str = "",
    secret: str | None = None,
    description: str = "",
    enabled: bool = True,
) -> Created:
    """Add a channel. A webhook gets a new secret unless one is given (``whsec_`` and 24 to 64 bytes in base64).

    A webhook of an MLflow client has the secret that the client chose, or none.

    Raises
    ------
    Invalid
        Naming the field: address, recipients, events, severity, secret.
    Conflict
        When the name is taken or the project has 50 channels.
    """
    require(by, Permission.CHANNEL_EDIT, project)
    if kind not in Channel.Kind.values:
        raise Invalid(f"kind must be one of: {', '.join(Channel.Kind.values)}.", field="kind", got=str(kind)[:20])
    given = {
        "name": name, "url": url, "recipients": recipients, "verbs": verbs, "min_severity": min_severity,
        "description": description, "enabled": enabled,
    }  # fmt: skip
    if verbs is None:
        given["verbs"] = ALERT_VERBS if kind in ALERTS_ONLY else DEFAULT_VERBS
    fields = _checked(kind, given)
    if kind in SEALED_ADDRESS:
        secret, fields["url"] = fields["url"], _shown(kind, fields["url"])
    plain = _secret_of(kind, secret)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if Channel.objects.in_project(project).filter(removed_at=None).count() >= MOST_CHANNELS:
            raise Conflict(f"A project has at most {MOST_CHANNELS} channels.", limit=MOST_CHANNELS)
        channel = Channel(project=project, kind=kind, created_by=by.user, **fields)
        channel.sealed_secret = sealed.seal(plain) if plain else ""
        _save(channel)
        events.record(by, "channel.created", project=project, target=channel, data=_facts(channel))
    return Created(channel, plain if kind == Channel.Kind.WEBHOOK else "")


def update(by: Actor, *, channel: Channel, **fields: Any) -> Channel:
    """Change a channel; switching it on again clears the reason why it was off.

    Raises
    ------
    Invalid, Conflict
        As `create`.
    """
    require(by, Permission.CHANNEL_EDIT, channel.project)
    with transaction.atomic():
        held = _locked(channel)
        given = _checked(held.kind, fields, shown=held.url)
        if held.kind in SEALED_ADDRESS and given.get("url", held.url) != held.url:
            held.sealed_secret = sealed.seal(given["url"])
            given["url"] = _shown(held.kind, given["url"])
        for field, value in given.items():
            setattr(held, field, value)
        if held.enabled:
            held.disabled_reason = ""
        _check_target(held.kind, held.url, held.recipients)
        _save(held)
        events.record(by, "channel.updated", project=held.project, target=held, data=_facts(held))
    return held


def rotate_secret(by: Actor, *, channel: Channel) -> Created:
    """Give a webhook a new secret; for 24 hours messages carry a signature of the old one as well."""
    require(by, Permission.CHANNEL_EDIT, channel.project)
    with transaction.atomic():
        held = _locked(channel)
        if held.kind != Channel.Kind.WEBHOOK:
            raise Conflict("Only a webhook has a secret.")
        plain = _secret(None)
        held.sealed_previous, held.previous_until = held.sealed_secret, timezone.now() + ROTATION
        held.sealed_secret = sealed.seal(plain)
        held.save(update_fields=["sealed_secret", "sealed_previous", "previous_until"])
        events.record(by, "channel.secret_rotated", project=held.project, target=held)
    return Created(held, plain)


def replace_secret(by: Actor, *, channel: Channel, secret: str) -> Channel:
    """Take the secret that an MLflow client chose for its webhook; an empty one ends the signing."""
    require(by, Permission.CHANNEL_EDIT, channel.project)
    with transaction.atomic():
        held = _locked(channel)
        if held.kind not in OWN_SECRET:
            raise Conflict("The portal makes the secret of this channel.")
        plain = _secret_of(held.kind, secret)
        held.sealed_secret = sealed.seal(plain) if plain else ""
        held.save(update_fields=["sealed_secret", "updated_at"])
        events.record(by, "channel.secret_rotated", project=held.project, target=held)
    return held


def remove(by: Actor, *, channel: Channel) -> Channel:
    """Take a channel away; its log stays, and what it is still owed is given up."""
    require(by, Permission.CHANNEL_EDIT, channel.project)
    with transaction.atomic():
        held = _locked(channel)
        held.removed_at, held.enabled = timezone.now(), False
        held.sealed_secret = held.sealed_previous = ""
        held.save()
        Delivery.objects.filter(channel=held, state=Delivery.State.PENDING).update(state=Delivery.State.DEAD)
        events.record(by, "channel.removed", project=held.project, target=held)
    return held


def send_test(by: Actor, *, channel: Channel, as_verb: str = "") -> Delivery:
    """Send a test message now; its outcome shows in the delivery log.

    Receivers of MLflow's messages know no word for a test: they get an example of an event, by default the first
    they asked for.
    """
    require(by, Permission.CHANNEL_EDIT, channel.project)
    with transaction.atomic():
        held = _locked(channel)
        verb, text = "channel.test", "If you can read this, the channel works."
        data = {"channel": held.name, "by": by.name, "text": text}
        if held.kind == Channel.Kind.MLFLOW:
            verb = as_verb or held.verbs[0]
            data = client_messages.example(verb)
        elif held.kind in ALERTS_ONLY:
            verb, data = "alert.firing", data | {"title": text, "fingerprint": f"test-{held.pk}", "severity": "low"}
        made = deliveries.owe(held, verb=verb, subject=f"Test message of mlportal for “{held.name}”", data=data)
        events.record(by, "channel.tested", project=held.project, target=held, data={"message": made.message_id})
    return made


def verbs_of(kind: str) -> dict[str, str]:
    """Events that a channel of this kind has words for: receivers of alerts know nothing else."""
    if kind not in ALERTS_ONLY:
        return VERBS
    return {verb: words for verb, words in VERBS.items() if verb.startswith("alert.")}


# --- checks ----------------------------------------------------------------------------------------


def _checked(kind: str, fields: dict[str, Any], *, shown: str = "") -> dict[str, Any]:
    unknown = set(fields) - set(FIELDS)
    if unknown:
        raise Invalid(f"A channel has no setting {min(unknown)!r}.", field=min(unknown), limit=list(FIELDS))
    checks = {
        "name": lambda value: names.clean_text(value, field="name", limit=100, required=True),
        "url": lambda value: value if value == shown and kind in SEALED_ADDRESS else _url(value, kind),
        "recipients": _recipients,
        "verbs": lambda value: _verbs(value, kind),
        "description": lambda value: names.clean_text(value, field="description", limit=1000),
        "min_severity": _min_severity,
        "enabled": _enabled,
    }
    clean: dict[str, Any] = {field: checks[field](value) for field, value in fields.items()}
    if "url" in clean and "recipients" in clean:
        _check_target(kind, clean["url"], clean["recipients"])
    return clean


def _check_target(kind: str, url: str, recipients: list[str]) -> None:
    if kind not in (Channel.Kind.EMAIL, Channel.Kind.PAGERDUTY) and not url:
        raise Invalid("A webhook needs the address to call.", field="url")
    if kind != Channel.Kind.EMAIL and recipients:
        raise Invalid("A webhook has no recipients.", field="recipients")
    if kind == Channel.Kind.EMAIL and not recipients:
        raise Invalid("Give at least one e-mail address.", field="recipients")
    if kind == Channel.Kind.EMAIL and url:
        raise Invalid("An e-mail channel has no address to call.", field="url")


def _url(value: object, kind: str) -> str:
    if value == "":
        return ""
    if kind == Channel.Kind.APPRISE:
        apprise.check(str(value))
    else:
        http.check_url(value, allow=settings.OUTBOUND_ALLOW)
    return str(value)


def _shown(kind: str, url: str) -> str:
    """What may be seen of an address that holds a secret: the service, or scheme and host."""
    if kind == Channel.Kind.APPRISE:
        return apprise.check(url)
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


def _recipients(value: object) -> list[str]:
    if not isinstance(value, (list, tuple)) or len(value) > MOST_RECIPIENTS:
        raise Invalid(f"recipients is a list of at most {MOST_RECIPIENTS} e-mail addresses.", field="recipients")
    for address in value:
        try:
            validate_email(address)
        except (ValidationError, TypeError) as error:
            raise Invalid(f"{str(address)[:100]!r} is not an e-mail address.", field="recipients") from error
    return list(dict.fromkeys(value))


def _verbs(value: object, kind: str) -> list[str]:
    known = client_messages.VERBS if kind == Channel.Kind.MLFLOW else verbs_of(kind)
    if not isinstance(value, (list, tuple)) or not value:
        raise Invalid("Choose at least one event.", field="verbs", limit=list(known))
    unknown = [str(verb)[:60] for verb in value if not isinstance(verb, str) or verb not in known]
    if unknown:
        raise Invalid(f"There is no event {unknown[0]!r}.", field="verbs", limit=list(known), got=unknown[0])
    return list(dict.fromkeys(value))


def _min_severity(value: object) -> str:
    if value != "" and value not in SEVERITIES:
        raise Invalid(f"min_severity must be empty or one of: {', '.join(SEVERITIES)}.", field="min_severity")
    return str(value)


def _enabled(value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid("enabled is true or false.", field="enabled")
    return value


def _secret_of(kind: str, given: str | None) -> str:
    if kind == Channel.Kind.EMAIL:
        return ""
    if kind == Channel.Kind.WEBHOOK:
        return _secret(given)
    if kind == Channel.Kind.PAGERDUTY and not (isinstance(given, str) and ROUTING_KEY.fullmatch(given)):
        raise Invalid("secret must be the integration key of the PagerDuty service: 32 letters and digits.",
                      field="secret")  # fmt: skip
    field, most = ("url", MOST_ADDRESS) if kind in SEALED_ADDRESS else ("secret", MOST_SECRET)
    if given is not None and (not isinstance(given, str) or len(given) > most):
        raise Invalid(f"{field} must be a text of at most {most:,} characters.", field=field, limit=most)
    return given or ""


def _secret(given: str | None) -> str:
    if given is None:
        return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    message = "secret must be whsec_ and 24 to 64 bytes in base64; leave it out to get a new one."
    if not isinstance(given, str) or not given.startswith(SECRET_PREFIX):
        raise Invalid(message, field="secret")
    try:
        size = len(base64.b64decode(given.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError) as error:
        raise Invalid(message, field="secret") from error
    if not 24 <= size <= 64:
        raise Invalid(message, field="secret", got=size)
    return given


def _facts(channel: Channel) -> dict[str, Any]:
    """What the audit log keeps: no secret, and of the address the host only, because paths carry tokens."""
    is_masked = channel.kind in SEALED_ADDRESS or not channel.url
    host = channel.url if is_masked else http.check_url(channel.url, allow=settings.OUTBOUND_ALLOW).host
    return {
        "kind": channel.kind, "host": host, "recipients": channel.recipients, "verbs": channel.verbs,
        "min_severity": channel.min_severity, "enabled": channel.enabled,
    }  # fmt: skip


def _save(channel: Channel) -> None:
    channel.name_key = names.key(channel.name)
    try:
        with transaction.atomic():
            channel.save()
    except IntegrityError as error:
        raise Conflict(f"This project has a channel named {channel.name!r}.", field="name") from error


def _locked(channel: Channel) -> Channel:
    rows = Channel.objects.select_for_update(of=("self",), no_key=True).select_related("project")
    held = rows.get(pk=channel.pk)
    if held.removed_at is not None:
        raise Conflict("This channel was removed.")
    return held
