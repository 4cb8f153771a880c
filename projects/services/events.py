"""Append to the audit log in the caller's transaction, and hand events to their consumers."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from mlportal.lib import chain, queue
from mlportal.lib.lease import scrub
from mlportal.lib.sql import Statement, insert
from projects.actor import Actor
from projects.models import ChainHead, Event, EventDelivery, Particulars, Project, ServiceOwner, User
from projects.services import states

MAX_TRIES = 20
MAX_REASON = 4000
# Every acknowledged change runs these. The newest matching row of the person serves; a twin does no harm.
_HEAD = """
    SELECT h.seq, h.hash, {clock}, p.id, p.salt, p.digest
    FROM projects_chainhead h
    LEFT JOIN projects_particulars p ON p.owner_id = %s AND p.name = %s AND p.address = %s AND p.salt <> ''
    WHERE h.id = 1 ORDER BY p.id DESC LIMIT 1
"""
_HEADS = {
    "sqlite": Statement(_HEAD.format(clock="round((julianday('now') - 2440587.5) * 86400.0, 3)")),
    "postgresql": Statement(_HEAD.format(clock="clock_timestamp()"), lock="FOR UPDATE OF h"),
}
_MOVE_HEAD = Statement("UPDATE projects_chainhead SET seq = %s, hash = %s WHERE id = 1")
_KNOWN = Statement("""
    SELECT id, salt, digest FROM projects_particulars
    WHERE owner_id = %s AND name = %s AND address = '' AND salt <> '' ORDER BY id DESC LIMIT 1
""")


def record(
    by: Actor,
    verb: str,
    *,
    project: Project | None,
    target: models.Model | None = None,
    data: dict[str, Any] | None = None,
    reason: str = "",
    result: str = Event.Result.DONE,
    on_behalf_of: User | None = None,
    whom: tuple[int, str] | None = None,
) -> Event:
    """Append one event; call it last in the transaction that makes the change.

    The chain head is locked from here to the commit, so the rest of the transaction should be short. What the target
    looked like before and after is read from its row, secrets and people masked.

    Parameters
    ----------
    verb : str
        ``noun.verb``, past tense: ``"dataset.created"``.
    data : dict
        JSON-able facts of the change; no secrets and no names of people, whom a number names. Floats are kept as
        text, so that the hash is exact.
    reason : str
        Why, in the person's words; by default the ``reason`` or ``comment`` of the data.
    result : str
        ``done``, ``refused`` or ``failed``.
    on_behalf_of : User
        For whom it was done, when that is not the actor: a delegation, a part of the portal. What a service account
        did was done for who answers for it, without being said.
    whom : tuple of (int, str)
        Account (0: none) and name of a person concerned, when that is not the target. Kept where it can be erased.

    Raises
    ------
    RuntimeError
        Outside a transaction: an event without its change, or the reverse, must not exist.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("events.record needs the transaction of the change it records")
    facts = chain.exact(data or {})
    name, address = chain.exact(by.name[:220]), chain.exact(by.address)
    # A token and a person are somebody; what the portal does by itself is nobody's particular.
    person = by.user.pk if by.user is not None and by.kind != "system" else None
    owner = person or (whom[0] if whom and by.kind == "anonymous" else 0)
    last, last_hash, at, who = _head(owner, name, address)
    changed = states.difference(target)  # behind the lock of the head: what is known of a target is its last entry's
    behalf = on_behalf_of.pk if on_behalf_of else _answering(by)
    event = Event(
        seq=last + 1,
        at=at,
        schema=chain.SCHEMA,
        verb=verb,
        result=result,
        reason=_reason(reason, facts),
        project=project,
        actor_kind=by.kind,
        actor_id=person,
        on_behalf_of=behalf,
        token_id=by.token.pk if by.token else None,
        who=who,
        whom=_concerned(target, whom),
        request_id=chain.exact(by.request_id),
        target_type=target._meta.model_name or "" if target is not None else "",
        target_id=target.pk if target is not None else None,
        label=chain.exact(str(target)[:200]) if target is not None and not isinstance(target, User) else "",
        before_hash=changed.before,
        after_hash=changed.after,
        changes=changed.changes,
        data=facts,
        prev_hash=last_hash,
    )
    event.hash = digest(event)
    insert(event)
    _MOVE_HEAD.count([event.seq, event.hash])
    _owe(event)
    return event


def digest(event: Event) -> str:
    """sha256 over the canonical JSON of an event and the hash before it.

    Source: reliability paper, section 5.1; the canonical form is that of :mod:`mlportal.lib.chain`.
    """
    return chain.sha256(event.entry())


def _head(owner: int, name: str, address: str) -> tuple[int, str, datetime, Particulars]:
    """Lock the head; gives number and hash of the newest event, the time, and who acts."""
    found = _HEADS[connection.vendor].row([owner, name, address])
    if found is None:
        ChainHead.objects.select_for_update(no_key=True).get_or_create(pk=1)
        return _head(owner, name, address)
    seq, last_hash, at, known, salt, held = found
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    if known is None:
        return seq, last_hash, moment, _particulars(owner_id=owner, name=name, address=address)
    who = Particulars(pk=known, owner_id=owner, name=name, address=address, salt=salt, digest=held)
    return seq, last_hash, moment, who


def _particulars(*, owner_id: int, name: str, address: str) -> Particulars:
    salt = secrets.token_hex(16)
    made = Particulars(
        owner_id=owner_id, name=name, address=address, salt=salt, digest=chain.person(salt, name, address)
    )
    insert(made)
    return made


def _concerned(target: models.Model | None, whom: tuple[int, str] | None) -> Particulars | None:
    if isinstance(target, User):
        whom = (target.pk, str(target))
    if whom is None:
        return None
    owner, name = whom[0], chain.exact(whom[1][:220])
    known = _KNOWN.row([owner, name])
    if known is None:
        return _particulars(owner_id=owner, name=name, address="")
    return Particulars(pk=known[0], owner_id=owner, name=name, salt=known[1], digest=known[2])


def _answering(by: Actor) -> int | None:
    """For whom the actor works: a part of the portal for a person, a service account for who answers for it."""
    if by.kind == "system":
        return by.user.pk if by.user is not None else None
    if by.token is None or by.user is None or not by.user.is_service:
        return None
    return ServiceOwner.objects.filter(account=by.user, valid_to=None).values_list("person", flat=True).first()


def _reason(given: str, facts: dict[str, Any]) -> str:
    found = given or facts.get("reason") or facts.get("comment") or ""
    return found[:MAX_REASON] if isinstance(found, str) else ""


@contextmanager
def consume(delivery_id: int) -> Iterator[Event | None]:
    """Take one delivery: gives its event once, ``None`` when it is already done.

    The body runs in one transaction with the mark "done"; when it raises, nothing of it stays and the
    delivery is tried again later.
    """
    try:
        with transaction.atomic():
            open_rows = EventDelivery.objects.select_for_update(of=("self",), no_key=True).select_related(
                "event__project"
            )
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
    tasks = [
        task
        for verb, task in settings.EVENT_CONSUMERS
        if verb == event.verb or (verb.endswith("*") and event.verb.startswith(verb[:-1]))
    ]
    owed = EventDelivery.objects.bulk_create(EventDelivery(event=event, task=task, next_at=later) for task in tasks)
    for delivery in owed:
        queue.enqueue(delivery.task, delivery.pk)


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
