"""Webhooks of MLflow clients: channels of the project that speak MLflow's words."""

from __future__ import annotations

import re
from typing import Any

from experiments.mlflow import wire
from experiments.mlflow.door import Answer, Call, endpoint
from experiments.mlflow.fields import Fields, required, wrong
from experiments.mlflow.search import tokens
from mlportal.lib.errors import Invalid, Missing
from projects.models import Channel, Delivery
from projects.permissions import Permission
from projects.services import channels, client_messages, deliveries

P = Permission
PAGE_BY_DEFAULT, PAGE_AT_MOST = 100, 1000
STATES = {"ACTIVE": True, "DISABLED": False, "1": True, "2": False}
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@endpoint(Channel, P.CHANNEL_EDIT)
def create(call: Call) -> Answer:
    """Make a webhook."""
    fields = call.fields
    name, url = _name(fields.needed("name")), fields.needed("url")
    made = channels.create(
        call.actor, project=call.project, kind=Channel.Kind.MLFLOW, name=name, url=url, verbs=_verbs(fields),
        secret=fields.text("secret"), description=fields.text("description"),
        enabled=fields.choice("status", STATES, True),
    )  # fmt: skip
    return {"webhook": _shape(made.channel)}


@endpoint(Channel, P.CHANNEL_VIEW)
def listing(call: Call) -> Answer:
    """List webhooks, oldest first."""
    size = call.fields.whole("max_results", PAGE_BY_DEFAULT)
    if size is None or not 1 <= size <= PAGE_AT_MOST:
        raise wrong("max_results", size, f"it must be from 1 to {PAGE_AT_MOST}")
    rows = _rows(call).order_by("pk")
    found, token = tokens.page(rows, size, call.fields.text("page_token"), "webhooks")
    body: dict[str, Any] = {"webhooks": [_shape(row) for row in found]} if found else {}
    return {**body, "next_page_token": token} if token else body


@endpoint(Channel, P.CHANNEL_VIEW)
def get(call: Call) -> Answer:
    """Show a webhook; its secret is never shown."""
    return {"webhook": _shape(_find(call))}


@endpoint(Channel, P.CHANNEL_EDIT)
def update(call: Call) -> Answer:
    """Change what is given of a webhook."""
    found, fields = _find(call), call.fields
    changes: dict[str, Any] = {}
    if fields.text("name"):
        changes["name"] = _name(fields.text("name"))
    if fields.text("url"):
        changes["url"] = fields.text("url")
    if fields.values.get("description") is not None:
        changes["description"] = fields.text("description")
    if fields.items("events"):
        changes["verbs"] = _verbs(fields)
    enabled = fields.choice("status", STATES)
    if enabled is not None:
        changes["enabled"] = enabled
    if fields.values.get("secret") is not None:
        found = channels.replace_secret(call.actor, channel=found, secret=fields.text("secret"))
    if changes:
        found = channels.update(call.actor, channel=found, **changes)
    return {"webhook": _shape(found)}


@endpoint(Channel, P.CHANNEL_EDIT, raw=True)
def delete(call: Call) -> Answer:
    """Take a webhook away; the client sends no body."""
    channels.remove(call.actor, channel=_find(call))
    return {}


@endpoint(Channel, P.CHANNEL_EDIT)
def test(call: Call) -> Answer:
    """Send an example at once and say what came back."""
    found = _find(call)
    verb = _verb(call.fields.inner("event")) if call.fields.values.get("event") is not None else ""
    made = channels.send_test(call.actor, channel=found, as_verb=verb)
    deliveries.send(made.pk)
    last = Delivery.objects.get(pk=made.pk).last_try
    fault = str(last.get("fault", ""))
    return {
        "result": wire.filled(
            {"success": not fault, "response_status": last.get("status"), "error_message": fault or None}
        )
    }


def _rows(call: Call) -> Any:
    return Channel.objects.in_project(call.project).filter(kind=Channel.Kind.MLFLOW, removed_at=None)


def _find(call: Call) -> Channel:
    text = str(call.words["webhook"])
    known = text.isascii() and text.isdigit() and len(text) < 19
    found: Channel | None = _rows(call).select_related("project").filter(pk=int(text)).first() if known else None
    if found is None:
        raise Missing(f"Webhook with ID {text[:40]} not found.", field="webhook_id")
    return found


def _name(given: str) -> str:
    if not _NAME.fullmatch(given):
        raise Invalid(
            f"Webhook name {given[:100]!r} is invalid. It must start and end with a letter or digit, be at most 63 "
            "characters long, and contain only letters, digits, dots, underscores and hyphens.",
            field="name",
        )
    return given


def _verbs(fields: Fields) -> list[str]:
    asked = fields.items("events", limit=100)
    if not asked:
        raise required("events")
    return list(dict.fromkeys(verb for item in asked for verb in _known(item)))


def _verb(event: Fields) -> str:
    return _known(event)[0]


def _known(event: Fields) -> tuple[str, ...]:
    asked = (event.needed("entity").lower(), event.needed("action").lower())
    if asked not in client_messages.EVENTS:
        known = ", ".join(".".join(each) for each in client_messages.EVENTS)
        raise Invalid(f"There is no webhook event {'.'.join(asked)[:100]!r}; known are {known}.", field="events")
    return client_messages.EVENTS[asked]


def _shape(row: Channel) -> dict[str, Any]:
    told = dict.fromkeys(client_messages.VERBS[verb] for verb in row.verbs)
    return wire.filled(
        {
            "webhook_id": str(row.pk),
            "name": row.name,
            "description": row.description or None,
            "url": row.url,
            "events": [{"entity": entity.upper(), "action": action.upper()} for entity, action in told],
            "status": "ACTIVE" if row.enabled else "DISABLED",
            "creation_timestamp": wire.millis(row.created_at),
            "last_updated_timestamp": wire.millis(row.updated_at),
        }
    )
