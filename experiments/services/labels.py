"""What a file may be called: a path is a label that is shown and compared, never one of our file system."""

from __future__ import annotations

import re
from pathlib import PureWindowsPath
from urllib.parse import unquote

from mlportal.lib.errors import Invalid, UnsupportedType

PATH_CHARS = 1000
PATH_BYTES = 2000  # an index row of PostgreSQL holds 2,700
UNQUOTE_ROUNDS = 10
# Suffix to type. What is not listed is bytes to download; nothing is ever guessed from content.
MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "log": "text/plain",
    "md": "text/markdown",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "html": "text/html",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "parquet": "application/vnd.apache.parquet",
    "skops": "application/zip",
    "zip": "application/zip",
    "onnx": "application/octet-stream",
}
BYTES = "application/octet-stream"
ALLOWED_TYPES = frozenset(MEDIA_TYPES.values()) | {BYTES}
INLINE_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# Clients of MLflow 2 name images `dog%step%17%timestamp%...`: what looks like an escape may be a number.
_CONTROL = re.compile("[\x00-\x1f\x7f]")
# Further control characters, halves of pairs, and the direction marks that make one name look like another
# (Trojan Source, CVE-2021-42574). Joiners stay: they are part of scripts and of emoji.
_UNSHOWABLE = re.compile("[\x80-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_FILE_ADDRESS = re.compile(r"file:/", re.IGNORECASE)


def clean_path(path: str, *, limit: bool = True) -> str:
    """Return the label a path stands for: percent escapes resolved but those of control characters, no empty segments.

    Escapes are resolved until none is left, as MLflow does on both sides, so that what a client lists is what it
    can ask for, and no layer in front or behind can turn a label into another one.

    Parameters
    ----------
    limit : bool
        False for a path that still has the address of its owner in front.

    Raises
    ------
    Invalid
        If it is empty, absolute, too long, or holds ``..``, ``#``, direction marks or half of a character.
    """
    text = _CONTROL.sub(lambda found: f"%{ord(found[0]):02x}", _resolved(path))
    if text.startswith("/") or PureWindowsPath(text).is_absolute() or _FILE_ADDRESS.match(text):
        raise _refused("it must be relative")
    segments = [segment for segment in text.split("/") if segment not in ("", ".")]
    if ".." in segments or ".." in PureWindowsPath(text).parts:
        raise _refused("it may hold no '..' segment")
    if "#" in text or _CONTROL.search(path) or _UNSHOWABLE.search(text):
        raise _refused("it may hold neither '#' nor characters that cannot be shown")
    label = "/".join(segments)
    if not label or (limit and (len(label) > PATH_CHARS or len(label.encode()) > PATH_BYTES)):
        raise Invalid(
            f"Invalid path: it must have 1 to {PATH_CHARS} characters and at most {PATH_BYTES} bytes.",
            field="path", limit=PATH_CHARS, got=len(label),
        )  # fmt: skip
    return label


def media_type_of(path: str, given: str = "") -> str:
    """Return the type an artifact is stored with.

    Raises
    ------
    UnsupportedType
        If a type was given that is not on the list.
    """
    base = given.partition(";")[0].strip().lower()
    if base and base not in ALLOWED_TYPES:
        allowed = ", ".join(sorted(ALLOWED_TYPES))
        raise UnsupportedType(f"The media type {base[:60]} is not allowed. Allowed: {allowed}.", field="media_type")
    if base and base != BYTES:
        return base
    return MEDIA_TYPES.get(path.rpartition(".")[2].lower(), BYTES)


def _resolved(text: str) -> str:
    for _ in range(UNQUOTE_ROUNDS):
        found = unquote(text)
        if found == text:
            return text
        text = found
    raise _refused("its percent escapes are nested too deeply")


def _refused(why: str) -> Invalid:
    return Invalid(f"Invalid path: {why}.", code="bad_path", field="path")
