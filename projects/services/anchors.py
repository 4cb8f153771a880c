"""Anchors: where the log stood at a moment, signed, and kept in a second place that the database cannot reach.

A chain alone shows what was altered in the middle, but neither a cut tail nor a chain that was hashed anew from end
to end. An anchor outside shows both.
"""

import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from mlportal.lib import chain, http, signing
from mlportal.lib.lease import scrub
from mlportal.lib.sql import insert
from projects.actor import Actor
from projects.models import Anchor, AnchorCopy, ChainHead
from projects.permissions import Permission, require
from projects.services import events

DOMAIN = b"mlportal audit anchor v1\n"
BATCH = 50


class Unanchored(Exception):
    """An anchor that does not belong to this log; the text says which and why."""


@functools.cache
def keyring() -> signing.Keyring:
    """Return the keys of this installation, read once a process."""
    return signing.keyring(settings.SIGNING_KEY_SEED, Path(settings.DATA_DIR) / "secrets" / "signing-keys")


def make(by: Actor) -> Anchor | None:
    """Anchor the log now; ``None`` when nothing was added since the last one. Who asked is an entry itself."""
    require(by, Permission.SITE_ADMIN, None)
    with transaction.atomic():
        made = _drop(Anchor.Cause.REQUEST)
        if made is not None:
            events.record(by, "audit.anchored", project=None, data={"anchor": made.number, "entry": made.seq})
    send()
    return made


def drop(*, cause: str) -> Anchor | None:
    """Sign number and hash of the newest entry, keep it, and send a copy to every second place."""
    with transaction.atomic():
        made = _drop(cause)
    send()
    return made


def _drop(cause: str) -> Anchor | None:
    head = ChainHead.objects.select_for_update(no_key=True).filter(pk=1).first()
    last = Anchor.objects.order_by("-number").first()
    if head is None or head.seq == 0 or (last is not None and last.seq == head.seq):
        return None
    ring = keyring()
    made = Anchor(
        number=last.number + 1 if last else 1, seq=head.seq, head_hash=head.hash, count=head.seq,
        at=timezone.now(), cause=cause, previous=chain.sha256(last.line()) if last else chain.GENESIS,
        key_id=ring.key_id,
    )  # fmt: skip
    made.signature = signing.sign(ring, DOMAIN, chain.canonical(made.line()))
    insert(made)
    for place, target in places().items():
        AnchorCopy.objects.create(anchor=made, place=place, target=target[:300])
    return made


def places() -> dict[str, str]:
    """Where copies go: a file by default, a webhook and an address of mail when they are set."""
    found = {
        "file": str(file()), "webhook": settings.AUDIT_ANCHOR_WEBHOOK, "mail": ", ".join(settings.AUDIT_ANCHOR_MAIL),
    }  # fmt: skip
    return {place: target for place, target in found.items() if target}


def file() -> Path:
    """The file of anchors: beside the data directory, so that a restored directory does not bring its own."""
    if settings.AUDIT_ANCHOR_FILE:
        return Path(settings.AUDIT_ANCHOR_FILE)
    data = Path(settings.DATA_DIR)
    return data.with_name(f"{data.name}-anchors") / "audit.jsonl"


def send() -> int:
    """Send every copy that is owed, oldest first, so that a file is in order. Returns how many went."""
    sent = 0
    for place in places():
        owed = AnchorCopy.objects.filter(place=place, sent_at=None).select_related("anchor").order_by("anchor__number")
        for copy in list(owed[:BATCH]):
            if not _send(copy):
                break
            sent += 1
    return sent


def _send(copy: AnchorCopy) -> bool:
    copy.attempts += 1
    try:
        _SENDERS[copy.place](copy.anchor)
    except Exception as error:  # noqa: BLE001 - a second place that is away must not stop the portal; it is shown
        copy.failure = scrub(f"{type(error).__name__}: {error}")[:300]
    else:
        copy.sent_at, copy.failure = timezone.now(), ""
    copy.save(update_fields=["attempts", "failure", "sent_at"])
    return copy.sent_at is not None


def line(anchor: Anchor) -> bytes:
    """One anchor as a line of JSON with its signature."""
    return json.dumps(anchor.line() | {"signature": anchor.signature}, sort_keys=True).encode() + b"\n"


def _to_file(anchor: Anchor) -> None:
    path = file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as stream:
        stream.write(line(anchor))
        stream.flush()
        os.fsync(stream.fileno())


def _to_webhook(anchor: Anchor) -> None:
    headers = {"Content-Type": "application/json"}
    url, allow = settings.AUDIT_ANCHOR_WEBHOOK, settings.OUTBOUND_ALLOW
    answer = http.post(url, body=line(anchor), headers=headers, allow=allow)
    if not 200 <= answer.status < 300:
        raise http.Failed(f"the receiver answered {answer.status}")


def _to_mail(anchor: Anchor) -> None:
    subject = f"mlportal audit anchor {anchor.number} at entry {anchor.seq}"
    send_mail(subject, line(anchor).decode(), settings.DEFAULT_FROM_EMAIL, settings.AUDIT_ANCHOR_MAIL)


_SENDERS = {"file": _to_file, "webhook": _to_webhook, "mail": _to_mail}


# ---------------------------------------------------------------- reading them back


def read(path: Path, ring: signing.Keyring | None = None) -> list[dict[str, Any]]:
    """Return the anchors of a file, checked: each signed by this portal, each naming the one before.

    Raises
    ------
    Unanchored
        Naming the line that is forged, missing or of another portal.
    OSError, ValueError, KeyError
        When the file cannot be read.
    """
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]
    return check(lines, ring or keyring(), path.name)


def check(lines: Iterable[dict[str, Any]], ring: signing.Keyring, name: str) -> list[dict[str, Any]]:
    """Check signatures and order of anchors that were read; see :func:`read`."""
    found: list[dict[str, Any]] = []
    for number, given in enumerate(lines, 1):
        body = dict(given)
        signature = str(body.pop("signature"))
        if not signing.verify(ring, DOMAIN, chain.canonical(body), signature=signature, signed_by=str(body["key"])):
            raise Unanchored(f"{name}, line {number}: anchor {body['anchor']} is not signed by this portal.")
        before = found[-1] if found else None
        if body == before:
            continue  # two workers sent it at once
        if before and (body["anchor"] != before["anchor"] + 1 or body["previous"] != chain.sha256(before)):
            raise Unanchored(f"{name}, line {number}: anchor {body['anchor']} does not follow {before['anchor']}.")
        found.append(body)
    return found


def kept(ring: signing.Keyring | None = None) -> list[dict[str, Any]]:
    """Return the anchors of the database itself, checked: whoever rewrites it cannot sign."""
    rows = (row.line() | {"signature": row.signature} for row in Anchor.objects.order_by("number").iterator())
    return check(rows, ring or keyring(), "the anchors of the database")
