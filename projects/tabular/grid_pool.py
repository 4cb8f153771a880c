"""Reader processes: a few that live and answer pages, one more for each export or build, all within limits."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mlportal.lib.errors import Invalid, TooMany, Unavailable

KEPT_VARIABLES = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH")
PART_BYTES = 256 * 1024
ANSWER_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Settings:
    """Bounds of the readers.

    Parameters
    ----------
    code : Path
        Folder that the code is imported from.
    folder : Path
        Where the files that pages are read from are kept.
    memory_bytes : int
        What DuckDB may use in each process; the kernel's limit is three times it and 768 MB.
    page_seconds, export_seconds : float
        Longest time of a page, and of processor time of an export or build.
    readers, exports : int
        Processes that answer pages, and that export or build, at once.
    cache_bytes : int
        Most bytes in ``folder``; what was not used for longest goes first.
    """

    code: Path
    folder: Path
    memory_bytes: int = 256 * 2**20
    page_seconds: float = 10.0
    export_seconds: float = 600.0
    readers: int = 2
    exports: int = 2
    cache_bytes: int = 8 * 2**30

    def limits(self) -> str:
        """The limits as the child reads them."""
        return json.dumps(
            {
                "memory_bytes": self.memory_bytes,
                "data_bytes": 3 * self.memory_bytes + 768 * 2**20,
                "cpu_seconds": int(self.export_seconds),
            }
        )


@dataclass
class Pool:
    """Readers of one web process; they end with it, since their input does."""

    settings: Settings
    owner: int = field(default_factory=os.getpid)
    _idle: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _builds: dict[str, threading.Thread] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = threading.BoundedSemaphore(self.settings.readers)
        self._exports = threading.BoundedSemaphore(self.settings.exports)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer of a reader to one request.

        Raises
        ------
        Invalid
            When the filter does not fit the column, or the page took too long.
        Unavailable
            When all readers stay busy, or the reader died.
        """
        if not self._places.acquire(timeout=self.settings.page_seconds):
            raise Unavailable("All readers of rows are busy. Try again in a moment.", retry_after=2)
        try:
            answer = self._exchange(request | {"seconds": self.settings.page_seconds})
        finally:
            self._places.release()
        if "refused" not in answer:
            return answer
        if answer["code"] == "failed":
            raise Unavailable(f"The rows could not be read: {answer['refused']}")
        slow = answer["code"] == "too_slow"
        words = " Narrow the filter, or sort by a number." if slow else ""
        raise Invalid(answer["refused"] + words, code=answer["code"], field="q")

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        # Idle readers may all have ended themselves or been killed, and a killed one lives on for a moment: so whoever
        # got no answer asks a new one, never a second idle one.
        for take in (self._take, self._fresh):
            child = take()
            try:
                found: dict[str, Any] = _talk(child, request, self.settings.page_seconds + ANSWER_GRACE_SECONDS)
            except (OSError, ValueError):
                _end(child)
                continue
            with self._lock:
                self._idle.append(child)
            return found
        raise Unavailable("The reader of rows stopped. Try again in a moment.", retry_after=2)

    def _take(self) -> "subprocess.Popen[bytes]":
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.poll() is None:
                    return child
                _end(child)  # closes its pipes
        return self._fresh()

    def _fresh(self) -> "subprocess.Popen[bytes]":
        return self._start("serve")

    def _start(self, part: str) -> "subprocess.Popen[bytes]":
        self.settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
        own = {"PYTHONPATH": str(self.settings.code), "HOME": str(self.settings.folder), "MALLOC_ARENA_MAX": "2"}
        own["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # gives memory back, and does not reserve what the limit forbids
        return subprocess.Popen(
            [sys.executable, "-m", "projects.tabular.grid_child", part, self.settings.limits()],
            cwd=self.settings.folder,
            env=kept | own,  # nothing of the portal's environment: no secret, no database address
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def file(self, key: str) -> Path:
        """Where the rows of that key are read from; see ``ready``."""
        return self.settings.folder / f"{key}.arrow"

    def ready(self, key: str, paths: list[Path], *, wait_seconds: float) -> bool:
        """Whether the file of rows is there; else a process makes it, which is waited for so long."""
        if self.file(key).exists():
            return True
        with self._lock:
            running = self._builds.get(key)
            if running is None or not running.is_alive():
                running = threading.Thread(target=self._build, args=(key, paths), daemon=True)
                self._builds[key] = running
                running.start()
        running.join(wait_seconds)
        return self.file(key).exists()

    def _build(self, key: str, paths: list[Path]) -> None:
        with self._exports:
            child = self._start("build")
            request = {"paths": [str(path) for path in paths], "file": str(self.file(key))}
            with suppress(subprocess.TimeoutExpired, OSError):
                child.communicate(json.dumps(request).encode() + b"\n", timeout=self.settings.export_seconds)
            _end(child)
        self._trim()

    def _trim(self) -> None:
        files = sorted(self.settings.folder.glob("*.arrow"), key=lambda path: path.stat().st_mtime)
        size = sum(path.stat().st_size for path in files)
        for path in files[:-1]:
            if size <= self.settings.cache_bytes:
                return
            size -= path.stat().st_size
            path.unlink(missing_ok=True)

    @contextmanager
    def exporting(self, request: dict[str, Any]) -> Iterator[Iterator[bytes]]:
        """Bytes of an export as they are made.

        Raises
        ------
        TooMany
            When as many exports as are allowed run already.
        """
        if not self._exports.acquire(blocking=False):
            raise TooMany(
                f"{self.settings.exports} exports run already. Try again when one has ended.",
                limit=self.settings.exports, retry_after=10,
            )  # fmt: skip
        child = self._start("export")
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.close()
            yield _parts(child, child.stdout)
        finally:
            _end(child)
            self._exports.release()

    def close(self) -> None:
        """End the readers that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            _end(child)


def _parts(child: "subprocess.Popen[bytes]", stream: IO[bytes]) -> Iterator[bytes]:
    while part := stream.read1(PART_BYTES) if hasattr(stream, "read1") else stream.read(PART_BYTES):
        yield part
    if child.wait():
        raise OSError("the export stopped before its end")  # the connection breaks, so nobody takes it for whole


def _talk(child: "subprocess.Popen[bytes]", request: dict[str, Any], seconds: float) -> Any:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(request).encode() + b"\n")
    child.stdin.flush()
    until = time.monotonic() + seconds
    if not select.select([child.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
        raise TimeoutError
    return json.loads(child.stdout.readline())


def _end(child: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        child.kill()
    for stream in (child.stdin, child.stdout):
        with suppress(OSError):
            if stream is not None:
                stream.close()
    child.wait()
