"""Read the audit log back: filter, export, anchor, and prove that nothing was changed."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from projects.actor import Actor
from projects.models import ChainHead, Event, Project
from projects.permissions import Permission, require
from projects.services import events

GENESIS = "0" * 64
INTACT, ALTERED, TAIL_MISSING, ANCHOR_MISMATCH, UNREADABLE = range(5)


@dataclass(frozen=True)
class Verdict:
    """Outcome of a check; ``code`` is the exit status of ``mlportal audit verify``."""

    code: int
    message: str
    checked: int = 0
    seq: int | None = None


@dataclass(frozen=True)
class Filter:
    """What part of the log is asked for; empty means all."""

    actor: str = ""
    verb: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def apply(self, rows: QuerySet[Event]) -> QuerySet[Event]:
        """Narrow the rows. A target is a kind (``run``), a kind and number (``run 12``) or part of its name."""
        if self.actor:
            rows = rows.filter(actor_name__icontains=self.actor[:100])
        if self.verb:
            rows = rows.filter(verb__startswith=self.verb[:60])
        if self.target:
            rows = rows.filter(_target(self.target[:200]))
        if self.since:
            rows = rows.filter(at__gte=self.since)
        return rows.filter(at__lt=self.until) if self.until else rows


def _target(text: str) -> Q:
    kind, _, number = text.strip().partition(" ")
    if number.isascii() and number.isdigit() and len(number) < 18:
        return Q(target_type=kind.lower(), target_id=int(number))
    return Q(target_type=text.strip().lower()) | Q(target_label__icontains=text.strip())


def export(by: Actor, *, project: Project | None, chosen: Filter) -> Iterator[bytes]:
    """The chosen entries as JSON Lines, oldest first; the export is an entry itself."""
    require(by, Permission.AUDIT_VIEW, project)
    rows = Event.objects.visible_to(by)
    rows = chosen.apply(rows.filter(project=project) if project else rows).order_by("seq")  # type: ignore[assignment]
    with transaction.atomic():
        last = events.record(by, "audit.exported", project=project, data={"filter": _words(chosen)})
    return (line(event) for event in rows.filter(seq__lt=last.seq).iterator(chunk_size=1000))


def _words(chosen: Filter) -> dict[str, str]:
    return {name: str(value) for name, value in vars(chosen).items() if value}


def line(event: Event) -> bytes:
    """One entry as a line of JSON with everything its hash covers."""
    body: dict[str, Any] = {
        "seq": event.seq, "at": event.at.isoformat(timespec="microseconds"), "verb": event.verb,
        "project": event.project_id, "actor_kind": event.actor_kind, "actor_id": event.actor_id,
        "actor_name": event.actor_name, "token_id": event.token_id, "address": event.address,
        "request_id": event.request_id, "target_type": event.target_type, "target_id": event.target_id,
        "target_label": event.target_label, "data": event.data, "prev_hash": event.prev_hash, "hash": event.hash,
    }  # fmt: skip
    return json.dumps(body, ensure_ascii=False, sort_keys=True).encode() + b"\n"


# ---------------------------------------------------------------- proof


def verify(*, first: int = 1, last: int | None = None, anchors: Path | None = None) -> Verdict:
    """Walk the chain and check each hash, the link to the one before, the end, and the anchors.

    Source: reliability paper, section 5.1.

    Returns
    -------
    Verdict
        0 intact, 1 altered (with the first bad number), 2 entries missing at the end, 3 an anchor does not
        match, 4 the log or the anchors cannot be read.
    """
    try:
        kept = _read_anchors(anchors) if anchors else {}
        return _walk(first, last, kept)
    except (DatabaseError, OSError, ValueError, KeyError) as error:
        return Verdict(UNREADABLE, f"Cannot read: {error}")


def _walk(first: int, last: int | None, kept: dict[int, str]) -> Verdict:
    rows = Event.objects.filter(seq__gte=first).order_by("seq")
    head = ChainHead.objects.filter(pk=1).first()
    end = head.seq if head else 0
    if last is not None:
        rows, end = rows.filter(seq__lte=last), last
    before = Event.objects.filter(seq=first - 1).values_list("hash", flat=True).first() or GENESIS
    seq, checked = first - 1, 0
    for event in rows.iterator(chunk_size=1000):
        if event.seq != seq + 1:
            return Verdict(ALTERED, f"Entry {seq + 1} is missing.", checked, seq + 1)
        if event.prev_hash != before or event.hash != events.digest(event):
            return Verdict(ALTERED, f"Entry {event.seq} was altered.", checked, event.seq)
        if kept.get(event.seq, event.hash) != event.hash:
            return Verdict(ANCHOR_MISMATCH, f"Entry {event.seq} differs from its anchor.", checked, event.seq)
        seq, before, checked = event.seq, event.hash, checked + 1
    missing = max([end, *(number for number in kept if last is None or number <= last)])
    if seq < missing:
        return Verdict(TAIL_MISSING, f"Entries {seq + 1} to {missing} are missing at the end.", checked, seq + 1)
    if last is None and head and head.hash != before and seq == head.seq:
        return Verdict(ALTERED, "The head of the chain does not match its last entry.", checked, seq)
    return Verdict(INTACT, f"{checked:,} entries are intact.", checked)


def anchor() -> dict[str, Any] | None:
    """Append number and hash of the newest entry, signed, to the anchor file; ``None`` on an empty log.

    A copy of that file on another machine shows a cut or rewritten log, which the chain alone cannot.
    """
    head = ChainHead.objects.filter(pk=1).first()
    if head is None or head.seq == 0:
        return None
    body = {"seq": head.seq, "hash": head.hash, "at": timezone.now().isoformat(timespec="seconds")}
    signed = {**body, "signature": _signature(body)}
    path = anchor_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(signed, sort_keys=True) + "\n")
    return signed


def anchor_file() -> Path:
    """Where the anchors are kept."""
    return Path(settings.DATA_DIR) / "anchors" / "audit.jsonl"


def _signature(body: dict[str, Any]) -> str:
    key = hashlib.sha256(b"audit anchor " + str(settings.SIGNING_KEY_SEED).encode()).digest()
    return hmac.new(key, json.dumps(body, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _read_anchors(path: Path) -> dict[int, str]:
    return dict(_anchors(path.read_text(encoding="utf-8").splitlines(), path))


def _anchors(lines: Iterable[str], path: Path) -> Iterator[tuple[int, str]]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        body = json.loads(text)
        signature = body.pop("signature")
        if not hmac.compare_digest(signature, _signature(body)):
            raise ValueError(f"{path.name}, line {number}: the signature does not match")
        yield int(body["seq"]), str(body["hash"])
