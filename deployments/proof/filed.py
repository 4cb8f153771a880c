"""Check what the portal signed and gave away, without the portal: technical files, evidence, records of projects."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from deployments.proof.package import ALTERED, INTACT, MISMATCH, UNREADABLE, Verdict
from mlportal.lib import chain, signing, zips
from mlportal.lib.signing import Keyring

DOMAIN: Final = b"mlportal technical file v1\n"
EVIDENCE: Final = b"mlportal audit evidence v1\n"
RECORD: Final = b"mlportal project record v1\n"
MANIFEST, SIGNATURE, KEY = "manifest.json", "manifest.sig", "public-key.pem"
HEADS: Final = frozenset({MANIFEST, SIGNATURE, KEY})
MAX_BYTES: Final = 2 * 2**30  # of one entry; what is larger was not issued here
MAX_HEAD_BYTES: Final = 16 * 2**20
PART: Final = 2**20
# What each signature is for, and how the file is called then.
FILES: Final[Mapping[bytes, Callable[[Any], str]]] = {
    DOMAIN: lambda about: f"Technical file {about['issue']} of {about['model']} v{about['version']}",
}
PACKS: Final[Mapping[bytes, Callable[[Any], str]]] = {
    EVIDENCE: lambda about: f"Evidence on {about['project']}, {about['rows']} rows of what answered,",
    RECORD: lambda about: f"The record of the removed project {about['project']}",
}


def verify(path: Path, *, ring: Keyring | None = None) -> Verdict:
    """Check a zip of a technical file that was issued, and name what is not as it was.

    Parameters
    ----------
    ring
        Keys that may have signed; by default the one in the zip, which shows damage but not who signed.
    """
    return _read(path, ring, FILES)


def verify_pack(path: Path, *, ring: Keyring | None = None) -> Verdict:
    """Check evidence of what was in production, or the record of a removed project; as :func:`verify`."""
    return _read(path, ring, PACKS)


def _read(path: Path, ring: Keyring | None, kinds: Mapping[bytes, Callable[[Any], str]]) -> Verdict:
    try:
        with zipfile.ZipFile(path) as archive:
            return _check(archive, ring, kinds)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, *zips.DAMAGED) as error:
        return Verdict(UNREADABLE, f"Cannot read: {type(error).__name__}: {error}")


def _check(archive: zipfile.ZipFile, given: Keyring | None, kinds: Mapping[bytes, Callable[[Any], str]]) -> Verdict:
    for row in archive.infolist():
        most = MAX_HEAD_BYTES if row.filename in HEADS else MAX_BYTES
        if row.file_size > most:
            return Verdict(UNREADABLE, f"{row.filename} is over {most:,} bytes. Nothing was unpacked.", row.filename)
    about = json.loads(archive.read(MANIFEST))
    ring, key = given or signing.public_ring(archive.read(KEY)), str(about["key"])
    if key not in ring.publics:
        return Verdict(MISMATCH, f"It is signed by key {key}, not by {', '.join(ring.publics)}.", KEY)
    message, signature = chain.canonical(about), archive.read(SIGNATURE).decode().strip()
    signed = (
        words for domain, words in kinds.items()
        if signing.verify(ring, domain, message, signature=signature, signed_by=key)
    )  # fmt: skip
    named = next(signed, None)
    if named is None:
        return Verdict(
            MISMATCH, f"The signature does not fit {MANIFEST}: it was edited, or signed elsewhere.", MANIFEST
        )
    if fault := _odd(archive, about["files"]):
        return fault
    known = "the key that was given" if given else "the key in the file; compare it with the portal's"
    return Verdict(INTACT, f"{named(about)} is intact, signed by {key}, {known}.", files=len(about["files"]), key=key)


def _odd(archive: zipfile.ZipFile, files: dict[str, str]) -> Verdict | None:
    """Return what is missing, extra, twice or another than its hash says."""
    names = archive.namelist()
    wanted = {*HEADS, *files}
    for name in sorted(set(names) ^ wanted) or [name for name in names if names.count(name) > 1]:
        return Verdict(ALTERED, f"{name} is missing, does not belong there, or is there twice.", name)
    for name, sha256 in files.items():
        if _digest(archive, name) != sha256:
            return Verdict(ALTERED, f"{name} was altered: its sha256 is not the signed one.", name)
    return None


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    found = hashlib.sha256()
    try:
        with archive.open(name) as stream:
            while part := stream.read(PART):
                found.update(part)
    except (OSError, *zips.DAMAGED):
        return ""
    return found.hexdigest()
