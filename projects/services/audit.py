"""Read the audit log back: filter and export. The proof is in ``verification``, the anchors in ``anchors``."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from mlportal.lib import chain, signing
from projects.actor import Actor
from projects.models import Event, Project
from projects.permissions import Permission, require
from projects.services import anchors, events

DOMAIN = b"mlportal audit export v1\n"
FORMAT = "mlportal-audit-export-1"


@dataclass(frozen=True)
class Filter:
    """What part of the log is asked for; empty means all. Times are UTC, ``until`` is not in it."""

    actor: str = ""
    verb: str = ""
    target: str = ""
    project: str = ""
    text: str = ""
    result: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def apply(self, rows: QuerySet[Event]) -> QuerySet[Event]:
        """Narrow the rows. A target is a kind (``run``), a kind and number (``run 12``) or part of its name."""
        if self.actor:
            rows = rows.filter(who__name__icontains=self.actor[:100])
        if self.verb:
            rows = rows.filter(verb__startswith=self.verb[:60])
        if self.target:
            rows = rows.filter(_target(self.target[:200]))
        if self.project:
            rows = rows.filter(project__slug=self.project[:50])
        if self.text:
            rows = _holding(rows, self.text[:200])
        if self.result:
            rows = rows.filter(result=self.result)
        if self.since:
            rows = rows.filter(at__gte=self.since)
        return rows.filter(at__lt=self.until) if self.until else rows

    def words(self) -> dict[str, str]:
        """What is set, as text."""
        return {name: str(value) for name, value in vars(self).items() if value}

    @property
    def is_period(self) -> bool:
        """Whether it names a span of time and nothing else, so that what it keeps has no gaps."""
        return not set(self.words()) - {"since", "until"}


def _target(text: str) -> Q:
    kind, _, number = text.strip().partition(" ")
    if number.isascii() and number.isdigit() and len(number) < 18:
        return Q(target_type=kind.lower(), target_id=int(number))
    held = Q(label__icontains=text.strip()) | Q(target_type="user", whom__name__icontains=text.strip())
    return Q(target_type=text.strip().lower()) | held


def _holding(rows: QuerySet[Event], text: str) -> QuerySet[Event]:
    facts = rows.alias(facts=Cast("data", TextField()), moved=Cast("changes", TextField()))
    return facts.filter(
        Q(label__icontains=text) | Q(reason__icontains=text) | Q(verb__icontains=text) | Q(who__name__icontains=text)
        | Q(whom__name__icontains=text) | Q(facts__icontains=text) | Q(moved__icontains=text) | Q(request_id=text)
    )  # fmt: skip


def find(by: Actor, *, project: Project | None, chosen: Filter) -> QuerySet[Event]:
    """Entries that match, of one project or (for a site administrator) of the site; not ordered."""
    require(by, Permission.AUDIT_VIEW, project)
    rows = cast("QuerySet[Event]", Event.objects.all().visible_to(by)).select_related("project")
    return chosen.apply(rows.filter(project=project) if project else rows)


# ---------------------------------------------------------------- export


def export(by: Actor, *, project: Project | None, chosen: Filter) -> Iterator[bytes]:
    """The chosen entries as a zip: JSON Lines, oldest first, a manifest, and its signature. An entry itself.

    Streamed, so its memory does not grow with the log. ``docs/reference/audit_verify.py`` checks it without the portal.
    """
    require(by, Permission.AUDIT_VIEW, project)
    rows = find(by, project=project, chosen=chosen)
    with transaction.atomic():
        last = events.record(by, "audit.exported", project=project, target=project, data={"filter": chosen.words()})
    about = {
        "format": FORMAT, "scope": project.slug if project else "site", "filter": chosen.words(),
        "whole": project is None and chosen.is_period, "made_at": timezone.now().isoformat(timespec="microseconds"),
        "requested_in": last.seq,
    }  # fmt: skip
    return _archive(rows.filter(seq__lt=last.seq).order_by("seq"), about)


def _archive(rows: QuerySet[Event], about: dict[str, Any]) -> Iterator[bytes]:
    sink, ring = _Sink(), anchors.keyring()
    content, first, newest, count = hashlib.sha256(), None, None, 0
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("entries.jsonl", "w", force_zip64=True) as file:
            for event in rows.iterator(chunk_size=1000):
                text = line(event)
                file.write(text)
                content.update(text)
                first, newest, count = first or event, event, count + 1
                if sink.size > 1 << 16:
                    yield sink.take()
        manifest = about | {
            "count": count, "first": first.seq if first else 1, "last": newest.seq if newest else 0,
            "prev": first.prev_hash if first else chain.GENESIS, "head": newest.hash if newest else "",
            "sha256": content.hexdigest(), "key": ring.key_id,
        }  # fmt: skip
        archive.writestr("manifest.json", json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False))
        archive.writestr("manifest.sig", signing.sign(ring, DOMAIN, chain.canonical(manifest)))
        archive.writestr("public-key.pem", signing.public_pem(ring, ring.key_id))
    yield sink.take()


class _Sink(io.RawIOBase):
    """Takes what the archive writes and gives it on in pieces; cannot go back, so the archive streams."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self.size += len(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        held = b"".join(self._parts)
        self._parts, self.size = [], 0
        return held


def line(event: Event) -> bytes:
    """One entry as a line of JSON: what its hash covers, the hash, and the people it names, apart."""
    people = {
        role: [one.salt, one.name, one.address] for role, one in (("who", event.who), ("whom", event.whom)) if one
    }
    body = {"entry": event.entry(), "hash": event.hash, "people": people}
    return json.dumps(body, ensure_ascii=False, sort_keys=True).encode() + b"\n"
