"""Append to the audit log in the caller's transaction, and hand events to their consumers."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from mlportal.lib import queue
from mlportal.lib.lease import scrub
from mlportal.lib.sql import Statement, insert
from projects.actor import Actor
from projects.models import ChainHead, Event, EventDelivery, Project

SCHEMA = "mlportal-event-1"
MAX_TRIES = 20
# Every acknowledged change runs these.
_HEAD = Statement("SELECT seq, hash FROM projects_chainhead WHERE id = 1", lock="FOR UPDATE")
_MOVE_HEAD = Statement("UPDATE projects_chainhead SET seq = %s, hash = %s WHERE id = 1")


def record(
    by: Actor,
    verb: str,
    *,
    project: Project | None,
    target: models.Model | None = None,
    data: dict[str, Any] | None = None,
) -> Event:
    """Append one event; call it last in the transaction that makes the change.

    The chain head is locked from here to the commit, so the rest of the transaction should be short.

    Parameters
    ----------
    verb : str
        ``noun.verb``, past tense: ``"dataset.created"``.
    data : dict
        JSON-able facts of the change; no secrets. Floats are kept as text, so that the hash is exact.

    Raises
    ------
    RuntimeError
        Outside a transaction: an event without its change, or the reverse, must not exist.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("events.record needs the transaction of the change it records")
    last, last_hash = _HEAD.row([]) or _first_head()
    event = Event(
        seq=last + 1,
        at=timezone.now(),
        verb=verb,
        project=project,
        actor_kind=by.kind,
        actor_id=by.user.pk if by.user else None,
        actor_name=by.name,
        token_id=by.token.pk if by.token else None,
        address=by.address,
        request_id=by.request_id,
        target_type=target._meta.model_name or "" if target is not None else "",
        target_id=target.pk if target is not None else None,
        target_label=str(target)[:200] if target is not None else "",
        data=_exact(data or {}),
        prev_hash=last_hash,
    )
    event.hash = digest(event)
    insert(event)
    _MOVE_HEAD.count([event.seq, event.hash])
    _owe(event)
    return event


def _first_head() -> tuple[int, str]:
    head, _created = ChainHead.objects.select_for_update().get_or_create(pk=1)
    return head.seq, head.hash


def digest(event: Event) -> str:
    """sha256 over the canonical JSON of an event and the hash before it.

    Source: reliability paper, section 5.1; canonical form = sorted keys, UTF-8, no spaces, no floats.
    """
    body = {
        "schema": SCHEMA,
        "seq": event.seq,
        "at": event.at.isoformat(timespec="microseconds"),
        "verb": event.verb,
        "project": event.project_id,
        "actor": [event.actor_kind, event.actor_id, event.actor_name, event.token_id],
        "address": event.address,
        "request": event.request_id,
        "target": [event.target_type, event.target_id, event.target_label],
        "data": event.data,
        "prev": event.prev_hash,
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def consume(delivery_id: int) -> Iterator[Event | None]:
    """Take one delivery: gives its event once, ``None`` when it is already done.

    The body runs in one transaction with the mark "done"; when it raises, nothing of it stays and the
    delivery is tried again later.
    """
    try:
        with transaction.atomic():
            open_rows = EventDelivery.objects.select_for_update(of=("self",)).select_related("event__project")
            delivery = open_rows.filter(pk=delivery_id, done_at=None).first()
            yield delivery.event if delivery else None
            if delivery:
                EventDelivery.objects.filter(pk=delivery_id).update(done_at=timezone.now(), failure="")
    except Exception as error:
        _postpone(delivery_id, error)
        raise


def republish(*, limit: int = 500) -> int:
    """Send again every delivery that is due and not done. Returns how many were sent."""
    due = EventDelivery.objects.filter(done_at=None, next_at__lte=timezone.now(), attempts__lt=MAX_TRIES)
    sent = 0
    for pk, task in list(due.order_by("next_at").values_list("pk", "task")[:limit]):
        if not queue.publish(task, pk):
            break
        later = timezone.now() + timedelta(seconds=settings.REPUBLISH_SECONDS)
        EventDelivery.objects.filter(pk=pk, done_at=None).update(next_at=later)
        sent += 1
    return sent


def _owe(event: Event) -> None:
    later = timezone.now() + timedelta(seconds=settings.REPUBLISH_SECONDS)
    for verb, task in settings.EVENT_CONSUMERS:
        if verb == event.verb or (verb.endswith("*") and event.verb.startswith(verb[:-1])):
            delivery = EventDelivery.objects.create(event=event, task=task, next_at=later)
            queue.enqueue(task, delivery.pk)


def _postpone(delivery_id: int, error: Exception) -> None:
    delivery = EventDelivery.objects.filter(pk=delivery_id, done_at=None).first()
    if delivery is None:
        return
    delay = timedelta(seconds=min(3600, 2 ** min(delivery.attempts + 1, 12)))
    EventDelivery.objects.filter(pk=delivery_id).update(
        attempts=models.F("attempts") + 1,
        next_at=timezone.now() + delay,
        failure=scrub(f"{type(error).__name__}: {error}"),
    )


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): _exact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
