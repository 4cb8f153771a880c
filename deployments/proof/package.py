"""A version of a model as one zip that proves itself: files, manifest, where it came from, signatures, public keys.

Files are stored and never compressed, so a package can be checked without unpacking anything and no entry can be larger
than the file it lies in. ``docs/reference/model_verify.py`` checks one without the portal.
"""

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.proof import canonical, manifest, signing
from mlportal.lib import signing as keys

FORMAT = "mlportal-model-1"
DOMAIN = b"mlportal model export v1\n"
MANIFEST, SIGNATURE, KEY, FOLDER = "manifest.json", "manifest.sig", "public-key.pem", "files/"
INTACT, ALTERED, MISMATCH, UNREADABLE = 0, 1, 3, 4
MAX_WORDS = 64 * 2**20  # bytes of the manifest, the signature and the key
PART = 1 << 20


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    code
        0 intact, 1 a file or the manifest is not what was exported, 3 a signature or key does not match, 4 unreadable.
    path
        The file in the package that is not as it should be, if there is one.
    """

    code: int
    message: str
    path: str = ""
    files: int = 0
    size_bytes: int = 0
    key: str = ""


class _Found(Exception):
    """Something is wrong; the check ends."""

    def __init__(self, code: int, message: str, path: str = "") -> None:
        super().__init__(message)
        self.code, self.path = code, path


def heads(about: Mapping[str, Any], ring: signing.Keyring) -> list[tuple[str, bytes]]:
    """Return the entries that come before the files: the manifest, its signature and the key that made it.

    Parameters
    ----------
    about
        ``project``, ``model``, ``number``, ``made_at``, ``files``, ``provenance``, ``manifest_sha256``,
        ``manifest_signature``, ``signed_by`` (key of the version) and ``keys`` (PEM by key id).
    """
    whole = {"format": FORMAT, **about, "key": ring.key_id}
    signature = keys.sign(ring, DOMAIN, canonical.encode(whole))
    return [
        (MANIFEST, json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False).encode()),
        (SIGNATURE, signature.encode()),
        (KEY, keys.public_pem(ring, ring.key_id).encode()),
    ]


def verify(path: Path, *, ring: signing.Keyring | None = None) -> Verdict:
    """Check a package: signature of the manifest, signature of the version, sha256 of every file, nothing else inside.

    Streams, so memory does not grow with the files, and writes nothing to the disk.

    Parameters
    ----------
    ring
        Keys that may have signed; by default the one in the package, which shows damage but not who signed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path.stat().st_size)
            about = _manifest(archive, entries)
            _check_signatures(archive, entries, about, ring)
            listed = _listed(about)
            _check_names(entries, listed)
            for name, row in listed.items():
                _check_file(archive, entries[name], row)
    except _Found as found:
        return Verdict(found.code, str(found), found.path)
    except zipfile.BadZipFile as error:
        return Verdict(UNREADABLE, f"Cannot read: {error}.")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, NotImplementedError) as error:
        return Verdict(UNREADABLE, f"Cannot read: {type(error).__name__}: {error}")
    size = sum(int(row["size_bytes"]) for row in about["files"])
    name = f"{about['model']} v{about['number']}"
    known = "the key that was given" if ring else "the key in the package; compare it with the portal's"
    return Verdict(
        INTACT, f"{name} is intact: {len(about['files'])} files, {size:,} bytes, signed by {about['key']}, {known}.",
        files=len(about["files"]), size_bytes=size, key=about["key"],
    )  # fmt: skip


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return what lies in the zip by name, refusing what no export of ours has."""
    rows = archive.infolist()
    twice = [name for name, count in Counter(row.filename for row in rows).items() if count > 1]
    if twice:
        raise _Found(ALTERED, f"{twice[0]} lies in the package twice.", twice[0])
    for row in rows:
        if _leaves(row.filename) or _leaves(row.orig_filename):
            raise _Found(ALTERED, f"The name {row.orig_filename!r} leaves its folder.", row.orig_filename)
        if row.compress_type != zipfile.ZIP_STORED or row.flag_bits & 1:
            raise _Found(
                ALTERED, f"{row.filename} is compressed or encrypted; an export stores its files. It was not unpacked.",
                row.filename,
            )  # fmt: skip
    if sum(row.file_size for row in rows) > size:
        raise _Found(ALTERED, "The entries say they are larger than the package. Nothing was unpacked.")
    return {row.filename: row for row in rows}


def _leaves(name: str) -> bool:
    """Whether a name points out of its folder on any system."""
    return name.startswith("/") or "\\" in name or "\x00" in name or ":" in name[:2] or ".." in name.split("/")


def _manifest(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> dict[str, Any]:
    if MANIFEST not in entries:
        raise _Found(UNREADABLE, f"There is no {MANIFEST}: this is no export of a model.", MANIFEST)
    about = json.loads(_words(archive, entries, MANIFEST))
    if about["format"] != FORMAT:
        raise _Found(UNREADABLE, f"The format {about['format']!r} is not {FORMAT}.", MANIFEST)
    return dict(about)


def _words(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str) -> bytes:
    """Read one of the small entries whole."""
    if name not in entries:
        raise _Found(MISMATCH, f"{name} is missing, so nothing says who made the package.", name)
    if entries[name].file_size > MAX_WORDS:
        raise _Found(UNREADABLE, f"{name} is over {MAX_WORDS:,} bytes.", name)
    try:
        return archive.read(entries[name])
    except zipfile.BadZipFile as error:
        raise _Found(ALTERED, f"{name} was altered.", name) from error


def _check_signatures(
    archive: zipfile.ZipFile,
    entries: Mapping[str, zipfile.ZipInfo],
    about: Mapping[str, Any],
    given: signing.Keyring | None,
) -> None:
    own = keys.public_ring(_words(archive, entries, KEY))
    ring, key = given or own, str(about["key"])
    if key not in ring.publics:
        raise _Found(MISMATCH, f"It is signed by key {key}, not by {', '.join(ring.publics)}.", KEY)
    signature = _words(archive, entries, SIGNATURE).decode().strip()
    if not keys.verify(ring, DOMAIN, canonical.encode(dict(about)), signature=signature, signed_by=key):
        raise _Found(MISMATCH, f"The signature does not fit {MANIFEST}: it was edited, or signed elsewhere.", MANIFEST)
    identity = str(about["manifest_sha256"])
    if manifest.digest(about["files"], about["provenance"]) != identity:
        raise _Found(ALTERED, "The files and provenance in the manifest are not those of the version.", MANIFEST)
    version_ring = keys.public_ring(*(text.encode() for text in about["keys"].values()))
    if not signing.verify(
        version_ring, manifest_sha256=identity, signature=about["manifest_signature"], signed_by=about["signed_by"]
    ):
        raise _Found(MISMATCH, "The signature of the version does not fit its files and provenance.", MANIFEST)


def _listed(about: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Rows of the manifest by their names in the zip: files of the version, and what an export to run adds."""
    return {FOLDER + str(row["path"]): row for row in about["files"]} | {
        str(row["path"]): row for row in about.get("added", [])
    }


def _check_names(entries: Mapping[str, zipfile.ZipInfo], listed: Mapping[str, Any]) -> None:
    wanted = {MANIFEST, SIGNATURE, KEY, *listed}
    if missing := sorted(wanted - set(entries)):
        raise _Found(ALTERED, f"{missing[0]} is missing.", missing[0])
    if extra := sorted(set(entries) - wanted):
        raise _Found(ALTERED, f"{extra[0]} does not belong to the version.", extra[0])


def _check_file(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, row: Mapping[str, Any]) -> None:
    name, digest = entry.filename, hashlib.sha256()
    if entry.file_size != row["size_bytes"]:
        text = f"{name} was altered: it has {entry.file_size:,} bytes, not {row['size_bytes']:,}."
        raise _Found(ALTERED, text, name)
    try:
        with archive.open(entry) as stream:
            while part := stream.read(PART):
                digest.update(part)
    except zipfile.BadZipFile as error:
        raise _Found(ALTERED, f"{name} was altered: {error}.", name) from error
    if digest.hexdigest() != row["sha256"]:
        raise _Found(ALTERED, f"{name} was altered: its sha256 is not the signed one.", name)
