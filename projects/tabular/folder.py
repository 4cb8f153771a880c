"""Parquet files of a folder that is used where it lies: found below a root, listed with digests, checked at use."""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mlportal.lib.errors import Conflict, Invalid, Missing, TooLarge

MOST_FILES = 10_000
CHUNK_BYTES = 2**20


def roots(configured: Sequence[str]) -> dict[str, Path]:
    """Roots by the name that is shown for them: ``name=/path``, or the path's last part."""
    found: dict[str, Path] = {}
    for each in configured:
        name, equals, path = each.partition("=")
        place = Path(path if equals else each)
        found[name if equals else place.name] = place
    return found


def locate(configured: Sequence[str], root: str, relative: str) -> Path:
    """The folder of that name below a root that the operator named.

    Raises
    ------
    Missing
        When there is no such root or folder.
    Invalid
        When the name leaves the root, or leads over a symbolic link.
    """
    known = roots(configured)
    if root not in known:
        offered = ", ".join(known) or "none; a site administrator sets MLPORTAL_DATA_ROOTS"
        raise Missing(f"There is no data root {root[:60]!r}. Roots: {offered}.", field="root")
    steps = PurePosixPath(relative).parts
    if not relative or "\\" in relative or "\x00" in relative or relative.startswith("/") or ".." in steps:
        raise Invalid("folder is a name below the root, such as sales/2026.", field="folder", got=relative[:200])
    at = known[root]
    for step in steps:
        at = at / step
        if at.is_symlink():
            raise Invalid(f"{step[:60]!r} is a symbolic link; links are not followed.", field="folder")
    if not at.is_dir():
        raise Missing(f"There is no folder {relative[:200]!r} below {root}.", field="folder")
    return at


def listing(place: Path) -> list[str]:
    """Names of the Parquet files in a folder and below, in order.

    Raises
    ------
    Invalid
        When a symbolic link lies there, or no Parquet file.
    TooLarge
        For more than 10,000 files.
    """
    found: list[str] = []
    for where, folders, files in os.walk(place, followlinks=False):
        for name in (*folders, *files):
            if (Path(where) / name).is_symlink():
                raise Invalid(f"The folder holds a symbolic link, {name[:60]!r}; links are refused.", field="folder")
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        found += [
            str((Path(where) / name).relative_to(place))
            for name in sorted(files)
            if name.endswith(".parquet") and not name.startswith((".", "_"))
        ]
        if len(found) > MOST_FILES:
            raise TooLarge(
                f"The folder holds more than {MOST_FILES:,} Parquet files.", field="folder", limit=MOST_FILES
            )
    if not found:
        raise Invalid("The folder holds no file that ends in .parquet.", field="folder")
    return sorted(found)


def describe(place: Path, name: str, *, on_bytes: Callable[[int], None] = lambda _size: None) -> dict[str, Any]:
    """Name, size, time of change and digest of a file; reads it once, without following a link.

    Parameters
    ----------
    on_bytes : callable
        Gets the count of bytes after each part; may raise to stop.
    """
    descriptor = os.open(place / name, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise Invalid(f"{name[:100]!r} is not a plain file.", field="folder")
        digest, size = hashlib.sha256(), 0
        while part := stream.read(CHUNK_BYTES):
            digest.update(part)
            size += len(part)
            on_bytes(len(part))
    return {"name": name, "size_bytes": size, "sha256": digest.hexdigest(), "changed_ns": facts.st_mtime_ns}


def verify(place: Path, manifest: Sequence[Mapping[str, Any]], *, whole: bool) -> None:
    """Compare the files with what was recorded of them.

    Raises
    ------
    Conflict
        Naming the first file that is gone or has changed.
    """
    for file in manifest:
        path = place / file["name"]
        facts = path.lstat() if path.exists() or path.is_symlink() else None
        if facts is None or not stat.S_ISREG(facts.st_mode):
            raise _changed(file["name"], "is gone")
        if facts.st_size != file["size_bytes"]:
            raise _changed(file["name"], f"has {facts.st_size:,} bytes now")
        if (whole or facts.st_mtime_ns != file["changed_ns"]) and describe(place, file["name"])["sha256"] != file[
            "sha256"
        ]:
            raise _changed(file["name"], "has other content now")


def _changed(name: str, how: str) -> Conflict:
    return Conflict(
        f"The file {name[:200]!r} of the folder {how}; a version never changes. "
        "Refresh the dataset to make the next one.",
        code="source_changed",
        field="folder",
        got=name[:200],
    )
