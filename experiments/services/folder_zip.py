"""A folder of files as one zip, written while it is sent: never more than a part of one file in memory."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import IO, Protocol

from mlportal.lib import blobs
from mlportal.lib.errors import Missing, TooMany

PART_BYTES = 1 << 20
# Each holds a thread of the pages for as long as its reader takes.
AT_ONCE = 4
MISSING_LIST = "_missing.txt"
_free = threading.BoundedSemaphore(AT_ONCE)


class Listed(Protocol):
    """A stored file with the path it is listed under."""

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def created_at(self) -> datetime: ...


class _Sink:
    """What the zip is written to: keeps the bytes until they are taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._told = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._told += len(data)
        return len(data)

    def tell(self) -> int:
        return self._told

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is held."""

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def stream(files: Iterable[Listed], *, below: str = "", heads: Sequence[tuple[str, bytes]] = ()) -> Iterator[bytes]:
    """Yield the zip of these files, with their paths from ``below`` on; files are stored, not pressed.

    Parameters
    ----------
    heads
        Small entries that come first: name and content.

    Raises
    ------
    TooMany
        Before the first byte, when as many zips are on their way already as a process bears.
    """
    if not _free.acquire(blocking=False):
        raise TooMany(f"{AT_ONCE} folders are being sent already. Try again in a minute.", limit=AT_ONCE)
    return _Parts(_written(files, f"{below}/" if below else "", heads))


class _Parts:
    """The parts, and the place they hold until the last was taken or the reader went away."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._holds = parts, True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._parts)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._holds:
            self._holds = False
            _free.release()

    def __del__(self) -> None:
        self.close()


def _written(files: Iterable[Listed], prefix: str, heads: Sequence[tuple[str, bytes]]) -> Iterator[bytes]:
    sink, missing = _Sink(), list[str]()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, content in heads:
            entry = zipfile.ZipInfo(name)  # without a time of its own, so that the same content gives the same zip
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
        for file in files:
            name = file.path.removeprefix(prefix)
            try:
                with blobs.open_blob(file.sha256) as stored:
                    yield from _one(archive, sink, stored, _info(file, name))
            except Missing:
                missing.append(name)
        if missing:
            archive.writestr(MISSING_LIST, "These files are listed, but their content is not stored:\n"
                             + "\n".join(missing) + "\n")  # fmt: skip
    yield sink.take()


def _info(file: Listed, name: str) -> zipfile.ZipInfo:
    """Return the entry of a file: its path is a label somebody chose, so no step up in it may leave the folder."""
    safe = "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))
    info = zipfile.ZipInfo(safe or "file", file.created_at.astimezone(UTC).timetuple()[:6])
    info.file_size = file.size_bytes
    info.external_attr = 0o644 << 16
    return info


def _one(archive: zipfile.ZipFile, sink: _Sink, stored: IO[bytes], info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info, "w", force_zip64=info.file_size > zipfile.ZIP64_LIMIT // 2) as entry:
        while part := stored.read(PART_BYTES):
            entry.write(part)
            yield sink.take()
