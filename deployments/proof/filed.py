"""Check an issued technical file without the portal: the signature over its manifest, and each file in it."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Final

from deployments.proof.package import ALTERED, INTACT, MISMATCH, UNREADABLE, Verdict
from mlportal.lib import chain, signing
from mlportal.lib.signing import Keyring

DOMAIN: Final = b"mlportal technical file v1\n"
MANIFEST, SIGNATURE, KEY = "manifest.json", "manifest.sig", "public-key.pem"
MAX_BYTES: Final = 256 * 2**20  # of one entry; what is larger was not issued here


def verify(path: Path, *, ring: Keyring | None = None) -> Verdict:
    """Check a zip that was issued, and name what is not as it was.

    Parameters
    ----------
    ring
        Keys that may have signed; by default the one in the zip, which shows damage but not who signed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _check(archive, ring)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile) as error:
        return Verdict(UNREADABLE, f"Cannot read: {type(error).__name__}: {error}")


def _check(archive: zipfile.ZipFile, given: Keyring | None) -> Verdict:
    large = next((row.filename for row in archive.infolist() if row.file_size > MAX_BYTES), "")
    if large:
        return Verdict(UNREADABLE, f"{large} is over {MAX_BYTES:,} bytes. Nothing was unpacked.", large)
    about = json.loads(archive.read(MANIFEST))
    ring, key = given or signing.public_ring(archive.read(KEY)), str(about["key"])
    if key not in ring.publics:
        return Verdict(MISMATCH, f"It is signed by key {key}, not by {', '.join(ring.publics)}.", KEY)
    signature = archive.read(SIGNATURE).decode().strip()
    if not signing.verify(ring, DOMAIN, chain.canonical(about), signature=signature, signed_by=key):
        return Verdict(
            MISMATCH, f"The signature does not fit {MANIFEST}: it was edited, or signed elsewhere.", MANIFEST
        )
    if fault := _odd(archive, about["files"]):
        return fault
    known = "the key that was given" if given else "the key in the file; compare it with the portal's"
    name = f"Technical file {about['issue']} of {about['model']} v{about['version']}"
    return Verdict(INTACT, f"{name} is intact, signed by {key}, {known}.", files=len(about["files"]), key=key)


def _odd(archive: zipfile.ZipFile, files: dict[str, str]) -> Verdict | None:
    """Return what is missing, extra, twice or another than its hash says."""
    names = archive.namelist()
    wanted = {MANIFEST, SIGNATURE, KEY, *files}
    for name in sorted(set(names) ^ wanted) or [name for name in names if names.count(name) > 1]:
        return Verdict(ALTERED, f"{name} is missing, does not belong there, or is there twice.", name)
    for name, sha256 in files.items():
        try:
            found = hashlib.sha256(archive.read(name)).hexdigest()
        except zipfile.BadZipFile:
            found = ""
        if found != sha256:
            return Verdict(ALTERED, f"{name} was altered: its sha256 is not the signed one.", name)
    return None
