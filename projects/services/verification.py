"""Prove that nothing in the audit log was changed: walk the chain, compare it with the anchors."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.db import DatabaseError

from mlportal.lib import chain, signing, zips
from projects.models import AnchorCopy, ChainHead, Event
from projects.services import anchors
from projects.services.audit import DOMAIN

INTACT, ALTERED, TAIL_MISSING, ANCHOR_MISMATCH, UNREADABLE = range(5)
LONGEST_LINE = 4 * 2**20


@dataclass(frozen=True)
class Verdict:
    """Outcome of a check; ``code`` is the exit status of ``mlportal audit verify``."""

    code: int
    message: str
    checked: int = 0
    seq: int | None = None


class _Found(Exception):
    def __init__(self, code: int, message: str, seq: int) -> None:
        super().__init__(message)
        self.code, self.seq = code, seq


@dataclass
class _Walk:
    """State of one walk along the chain; ``linked`` is false for an export with gaps."""

    seq: int
    before: str
    pinned: dict[int, str] = field(default_factory=dict)
    linked: bool = True
    checked: int = 0
    known: dict[tuple[str, ...], str] = field(default_factory=dict)

    def step(self, entry: dict[str, Any], digest: str, people: Iterable[tuple[str | None, list[str]]]) -> None:
        """Check one entry."""
        seq = int(entry["seq"])
        if self.linked and seq != self.seq + 1 and seq > self.seq:
            raise _Found(ALTERED, f"Entry {self.seq + 1} is missing.", self.seq + 1)
        if (self.linked and entry["prev"] != self.before) or seq <= self.seq or chain.sha256(entry) != digest:
            raise _Found(ALTERED, f"Entry {seq} was altered.", seq)
        for held, particulars in people:
            # Who was erased has neither salt nor words: words without a salt are somebody's forgery.
            if self._person(particulars) != held if particulars[0] else any(particulars):
                raise _Found(ALTERED, f"The name or address in entry {seq} was altered.", seq)
        if self.pinned.get(seq, digest) != digest:
            raise _Found(ANCHOR_MISMATCH, f"Entry {seq} differs from its anchor.", seq)
        self.seq, self.before, self.checked = seq, digest, self.checked + 1

    def _person(self, particulars: list[str]) -> str:
        key = tuple(particulars)
        if key not in self.known:
            if len(self.known) > 10_000:
                self.known.clear()
            self.known[key] = chain.person(*particulars)
        return self.known[key]


# ---------------------------------------------------------------- the database


def verify(*, first: int = 1, last: int | None = None, anchors_file: Path | None = None) -> Verdict:
    """Walk the chain and check each hash, the link to the one before, people, the end, and the anchors.

    Source: reliability paper, section 5.1. Memory is bounded: entries are streamed.

    Returns
    -------
    Verdict
        0 intact, 1 altered (with the first bad number), 2 entries missing at the end, 3 an anchor does not
        match, 4 the log or the anchors cannot be read.
    """
    walk = None
    try:
        pinned = _pinned(anchors_file)
        before = Event.objects.filter(seq=first - 1).values_list("hash", flat=True).first() or chain.GENESIS
        walk = _Walk(first - 1, before, pinned)
        _walk_database(walk, last)
    except _Found as found:
        return Verdict(found.code, str(found), walk.checked if walk else 0, found.seq)
    except anchors.Unanchored as found:
        return Verdict(ANCHOR_MISMATCH, str(found))
    except (DatabaseError, OSError, ValueError, KeyError, TypeError) as error:
        return Verdict(UNREADABLE, f"Cannot read: {error}")
    return Verdict(INTACT, f"{walk.checked:,} entries are intact{_held(walk)}.", walk.checked)


def _held(walk: _Walk) -> str:
    count = len(walk.pinned)
    return f" and match {count:,} anchor{'s' if count > 1 else ''}" if count else ""


def _pinned(path: Path | None) -> dict[int, str]:
    """Hashes that anchors promise: those of the database and those of the file."""
    found = {each["seq"]: each["hash"] for each in anchors.kept()}
    if path is None:
        return found
    given = anchors.read(path)
    copies = AnchorCopy.objects.filter(place="file").exclude(sent_at=None).order_by("-anchor__number")
    newest = copies.values_list("anchor__number", flat=True).first() or 0
    if newest > (given[-1]["anchor"] if given else 0):
        raise anchors.Unanchored(f"{path.name} ends before anchor {newest}, which was written to it.")
    for each in given:
        if found.setdefault(each["seq"], each["hash"]) != each["hash"]:
            raise anchors.Unanchored(f"Anchor {each['anchor']} of {path.name} differs from that of the database.")
    return found


def _walk_database(walk: _Walk, last: int | None) -> None:
    head = ChainHead.objects.filter(pk=1).first()
    rows = Event.objects.filter(seq__gt=walk.seq).order_by("seq")
    end = head.seq if head else 0
    if last is not None:
        rows, end = rows.filter(seq__lte=last), last
    for event in rows.iterator(chunk_size=1000):
        walk.step(event.entry(), event.hash, _people(event))
    promised = max([end, *(number for number in walk.pinned if last is None or number <= last)])
    if walk.seq < promised:
        text = f"Entries {walk.seq + 1} to {promised} are missing at the end."
        raise _Found(TAIL_MISSING, text, walk.seq + 1)
    if last is None and head and head.hash != walk.before and walk.seq == head.seq:
        raise _Found(ALTERED, "The head of the chain does not match its last entry.", walk.seq)


def _people(event: Event) -> Iterator[tuple[str, list[str]]]:
    for one in (event.who, event.whom):
        if one is not None:
            yield one.digest, [one.salt, one.name, one.address]


# ---------------------------------------------------------------- an export, without the database


def verify_export(path: Path, *, anchors_file: Path | None = None, ring: signing.Keyring | None = None) -> Verdict:
    """Check an export: each line, the links, the end, and the signature over its manifest.

    Parameters
    ----------
    ring : Keyring
        Keys that may have signed; by default the one in the export, which shows damage but not who signed.
    """
    walk = None
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            walk = _Walk(int(manifest["first"]) - 1, manifest["prev"], linked=bool(manifest["whole"]))
            if not walk.linked:
                walk.seq = 0
            if anchors_file is not None:
                walk.pinned = {each["seq"]: each["hash"] for each in anchors.read(anchors_file, ring)}
            with archive.open("entries.jsonl") as lines:
                content = _walk_lines(walk, lines)
            _check_manifest(manifest, walk, content)
            _check_signature(archive, manifest, walk, ring)
    except _Found as found:
        return Verdict(found.code, str(found), walk.checked if walk else 0, found.seq)
    except anchors.Unanchored as found:
        return Verdict(ANCHOR_MISMATCH, str(found))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, *zips.DAMAGED) as error:
        return Verdict(UNREADABLE, f"Cannot read: {error}")
    known = "the key that was given" if ring else "the key in the export; compare it with the portal's"
    text = f"{walk.checked:,} entries are intact, signed by key {manifest['key']}, {known}."
    return Verdict(INTACT, text, walk.checked)


def _walk_lines(walk: _Walk, lines: IO[bytes]) -> str:
    """Check every line; return the hash of all, which alone binds the entries of an export with gaps."""
    content = hashlib.sha256()
    while text := lines.readline(LONGEST_LINE):
        content.update(text)
        given = json.loads(text)
        entry, people = given["entry"], given["people"]
        if set(people) != {role for role in ("who", "whom") if entry[role]}:
            raise _Found(ALTERED, f"Who entry {entry['seq']} names was altered.", int(entry["seq"]))
        pairs = [(entry[role], held) for role, held in people.items()]
        walk.step(entry, given["hash"], pairs)
    return content.hexdigest()


def _check_manifest(manifest: dict[str, Any], walk: _Walk, content: str) -> None:
    if walk.checked < manifest["count"]:
        text = f"{manifest['count'] - walk.checked:,} of {manifest['count']:,} entries are missing."
        raise _Found(TAIL_MISSING, text, walk.seq + 1)
    found = (walk.checked, walk.before if walk.checked else "", content)
    if found != (manifest["count"], manifest["head"], manifest["sha256"]):
        raise _Found(ALTERED, "The manifest does not describe these entries.", walk.seq)


def _check_signature(
    archive: zipfile.ZipFile, manifest: dict[str, Any], walk: _Walk, ring: signing.Keyring | None
) -> None:
    own = signing.public_ring(archive.read("public-key.pem"))
    signature = archive.read("manifest.sig").decode().strip()
    message = chain.canonical(manifest)
    if not signing.verify(ring or own, DOMAIN, message, signature=signature, signed_by=manifest["key"]):
        raise _Found(ANCHOR_MISMATCH, "The signature over the manifest does not match.", walk.seq)
