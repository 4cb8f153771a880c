"""The prediction log on disk between the serving process and the database.

A segment is an append-only file of lines ``<crc32, 8 hex digits> <JSON>``. Only one process writes a segment and
holds a lock on it while it lives; a closed segment, or one whose writer is gone, belongs to the shipper. A line is
written by write(2) before the caller gets the answer, so a killed process loses nothing it acknowledged (a power
cut can: there is no sync per line).

Names: ``<owner>-<number>.open`` while written, ``.jsonl`` when closed. Names never repeat, so a shipper can count
each segment once.

The first line about a source in a segment is its header, so a segment can be read without any table.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mlportal.lib.drawn import Drawn
from mlportal.lib.errors import Unavailable

OPEN, CLOSED, FRESH = ".open", ".jsonl", ".new"
MAX_SEGMENT_BYTES = 8 << 20
MAX_SEGMENT_SECONDS = 5.0
QUOTA_BYTES = 2 << 30
LARGEST_LINE = 64 << 20


class SpoolFailed(Unavailable):
    """The log cannot be written: no room, no right, or the quota is used up."""

    kind = "log_unavailable"
    title = "The prediction log cannot be written"


# Two bits of a UUID are fixed; they replace those of one random digit.
VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_chance = Drawn(10)


def new_id() -> str:
    """Make a UUIDv7: sorts by time of creation. Source: RFC 9562, section 5.7."""
    moment, chance = f"{time.time_ns() // 1_000_000:012x}", _chance().hex()
    return f"{moment[:8]}-{moment[8:]}-7{chance[:3]}-{VARIANT[chance[3]]}{chance[4:7]}-{chance[7:19]}"


def encode(record: Any) -> bytes:
    """Return one line: crc32 of the JSON, the JSON, a line end."""
    body = orjson.dumps(record)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> dict[str, Any] | None:
    """Read a line without its line end; None when it is torn or damaged."""
    body = line[9:]
    try:
        if line[8:9] != b" " or int(line[:8], 16) != zlib.crc32(body):
            return None
        record = orjson.loads(body)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


class Writer:
    """Appends to segments in one folder; one per process.

    Parameters
    ----------
    folder : Path
        Created when missing; may be unusable for a while, each append tries again.
    max_bytes, max_seconds
        A segment is closed at this size, or this long after its first line.
    quota_bytes : int
        All segments of the folder together; beyond it nothing is written.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_SEGMENT_BYTES,
        max_seconds: float = MAX_SEGMENT_SECONDS,
        quota_bytes: int = QUOTA_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.used_bytes = 0
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self.quota_bytes = quota_bytes
        self._clock = clock
        self._owner = f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(4)}"
        self._number = 0
        self._file = -1
        self._name = ""
        self._size = 0
        self._started = 0.0
        self._declared: dict[Any, dict[str, Any]] = {}
        self._durable = False

    def append(self, record: dict[str, Any], *, header: dict[str, Any], durable: bool = False) -> None:
        """Write one record, and first the header of its source when this segment lacks it.

        Parameters
        ----------
        record : dict
            JSON values; its ``"source"`` is the header's.
        header : dict
            What the record's source is; ``header["source"]`` tells sources apart. Another object with the same
            source is written again.
        durable : bool
            Whether the segment must be synced before it is closed.

        Raises
        ------
        SpoolFailed
            When nothing of it was kept.
        """
        line = encode(record)
        try:
            if self._file < 0 or self._size >= self._max_bytes:
                self.close()
                self._open()
            if self._declared.get(header["source"]) is not header:
                line = encode(header) + line
            if self.used_bytes + len(line) > self.quota_bytes:
                self.close()  # the next append measures the folder again
                raise SpoolFailed("The quota of the prediction log is used up.", limit=self.quota_bytes)
            self._write(line)
        except OSError as error:
            self.close()
            raise SpoolFailed(f"The prediction log cannot be written: {error.strerror}.") from error
        self._declared[header["source"]] = header
        self._durable = self._durable or durable

    def tick(self) -> None:
        """Close a segment that is old enough; call it about every second."""
        if self._file >= 0 and self._size and self._clock() - self._started >= self._max_seconds:
            self.close()

    def close(self) -> None:
        """Give the segment to the shipper; the next append opens another."""
        if self._file < 0:
            return
        opened = self.folder / (self._name + OPEN)
        try:
            if self._durable:
                os.fdatasync(self._file)
            if self._size:
                opened.rename(opened.with_suffix(CLOSED))
            else:
                opened.unlink(missing_ok=True)
        except OSError:
            pass  # stays .open; the shipper takes it as soon as our lock is gone
        finally:
            os.close(self._file)
            self._file = -1

    def handle(self) -> int:
        """Another descriptor of the open segment for `sync`, -1 without one: a closed segment was synced."""
        return os.dup(self._file) if self._file >= 0 else -1

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.used_bytes = used_bytes(self.folder)
        self._number += 1
        self._name = f"{self._owner}-{self._number:08d}"
        fresh = self.folder / (self._name + FRESH)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # Locked before it gets the name a shipper looks for: else it could be taken for a dead writer's.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(fresh.with_suffix(OPEN))
        self._file, self._size, self._started = descriptor, 0, self._clock()
        self._declared, self._durable = {}, False

    def _write(self, line: bytes) -> None:
        written = 0
        try:
            written = os.write(self._file, line)
            if written != len(line):
                raise SpoolFailed("The prediction log is full.")
        except (OSError, SpoolFailed):
            if written:
                os.ftruncate(self._file, self._size)
            raise
        self._size += written
        self.used_bytes += written


def sync(handle: int) -> None:
    """Force what was written to the device, and give the descriptor back; runs beside the writer."""
    if handle < 0:
        return
    try:
        os.fdatasync(handle)
    finally:
        os.close(handle)


def waiting_bytes(folder: Path) -> int:
    """Size of all segments in a folder that may not be there."""
    return used_bytes(folder) if folder.is_dir() else 0


def used_bytes(folder: Path) -> int:
    """Size of all segments in the folder."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue  # shipped in between
    return total


def closed_segments(folder: Path) -> list[Path]:
    """Segments that nobody writes, oldest first; takes over those of dead writers."""
    if not folder.is_dir():
        return []
    for left in sorted(folder.glob("*" + OPEN)):
        _take_over(left)
    return sorted(folder.glob("*" + CLOSED))


def _take_over(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rename(path.with_suffix(CLOSED))
    except (BlockingIOError, FileNotFoundError):
        return  # its writer lives, or has just closed it


@dataclass(slots=True)
class Reading:
    """What a segment held.

    Parameters
    ----------
    headers : dict
        Header of each source.
    records : list of dict
        In the order written.
    damaged : int
        Lines dropped because they were torn or their checksum is wrong.
    """

    headers: dict[Any, dict[str, Any]] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    damaged: int = 0


def read(path: Path) -> Reading:
    """Read a closed segment; whatever is whole is returned, the rest is counted."""
    reading = Reading()
    for line in _lines(path):
        record = decode(line)
        if record is None:
            reading.damaged += 1
        elif record.get("kind") == "header":
            reading.headers[record["source"]] = record
        elif record.get("source") in reading.headers:
            reading.records.append(record)
        else:
            reading.damaged += 1
    return reading


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while line := stream.readline(LARGEST_LINE):
            yield line[:-1] if line.endswith(b"\n") else line + b"torn"
