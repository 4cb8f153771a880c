"""Messages in the words of MLflow's webhooks, for receivers that were written for them."""

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Any

# MLflow's event, and the verbs of ours that are it.
EVENTS = {
    ("registered_model", "created"): ("model.created",),
    ("model_version", "created"): ("version.created", "version.registered"),
    ("model_version_tag", "set"): ("version.tag_set",),
    ("model_version_tag", "deleted"): ("version.tag_removed",),
    ("model_version_alias", "created"): ("alias.set",),
    ("model_version_alias", "deleted"): ("alias.removed",),
}
VERBS = {verb: event for event, verbs in EVENTS.items() for verb in verbs}


def payload(verb: str, data: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Write one event; a test has no event of ours and takes the words of its data."""
    entity, action = VERBS[verb]
    return {"entity": entity, "action": action, "timestamp": at.isoformat(), "data": _data(entity, action, data)}


def headers(secret: str, message_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return MLflow's headers; the signature is HMAC-SHA256 over id, time and body, in base64."""
    stamp = str(int(at.timestamp()))
    made = {
        "Content-Type": "application/json",
        "User-Agent": "mlportal-webhook/1",
        "X-MLflow-Delivery-Id": message_id,
        "X-MLflow-Timestamp": stamp,
    }
    if secret:
        text = f"{message_id}.{stamp}.".encode() + body
        digest = hmac.new(secret.encode(), text, hashlib.sha256).digest()
        made["X-MLflow-Signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return made


def example(verb: str) -> dict[str, Any]:
    """Return what a test message says."""
    return {
        "model": "example_model", "number": 1, "to": 1, "source": "models:/123", "run": "abcd1234abcd5678",
        "tags": {"example_key": "example_value"}, "description": f"An example of {verb}", "key": "example_key",
        "value": "example_value", "alias": "example_alias",
    }  # fmt: skip


def _data(entity: str, action: str, data: dict[str, Any]) -> dict[str, Any]:
    name, number = data.get("model", ""), str(data.get("number", data.get("to", "")))
    if entity == "registered_model":
        return {"name": name, "tags": data.get("tags", {}), "description": data.get("description") or None}
    if entity == "model_version":
        run = data.get("run")
        return {
            "name": name, "version": number, "source": data.get("source", ""),
            "run_id": run if isinstance(run, str) else None, "tags": data.get("tags", {}),
            "description": data.get("description") or None,
        }  # fmt: skip
    about = {"name": name, "key": data.get("key", "")} if entity == "model_version_tag" else {"name": name}
    if entity == "model_version_tag":
        about["version"] = number
    else:
        about["alias"] = data.get("alias", "")
    if action == "set":
        about["value"] = data.get("value", "")
    if action == "created":
        about["version"] = number
    return about
