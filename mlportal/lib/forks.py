"""Children with limits, forked from a process that has imported the numeric libraries already.

A child that trains or reads a stranger's file imports for one to two seconds before it does anything. So one process
without a secret imports that once (`mlportal.lib.forkserver`) and forks the children
(``docs/adr/0089-children-are-forks.md``).
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from mlportal.lib import forkserver

KEPT_VARIABLES = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH")
ROOT = Path(__file__).resolve().parent.parent.parent
MAX_NEWS = 4096
READ_BYTES = 1 << 20
LOST = -signal.SIGKILL  # the code of a child whose end nobody could tell


class NotStarted(OSError):
    """No child could be forked."""


class Fork:
    """A child, with as much of `subprocess.Popen` as those who wait for one use.

    It ends with whoever holds this object: the server kills what nobody waits for any more.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.pid: int | None = None  # until the server, which may import first, has forked
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Exit code, negative for a signal, None while it runs."""
        while self.returncode is None and _readable(self._line, 0):
            self._hear()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises
        ------
        subprocess.TimeoutExpired
            When it still runs after `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            if not _readable(self._line, None if until is None else max(0.0, until - time.monotonic())):
                raise subprocess.TimeoutExpired(f"child {self.pid}", timeout or 0)
            self._hear()
        return self.returncode

    def end(self) -> int:
        """Kill it with its whole group, unless it ended, and return the exit code."""
        with suppress(OSError):
            # The server does it: only who reaps a process knows that its number is not another's by now.
            self._line.shutdown(socket.SHUT_WR)
        return self.wait()

    def _hear(self) -> None:
        try:
            news = json.loads(self._line.recv(MAX_NEWS) or b"{}")
        except OSError:
            news = {}
        self.pid = news.get("pid", self.pid)
        if "pid" not in news:
            self.returncode = news.get("code", LOST)
            self._line.close()


class Server:
    """The process that forks, started before it is needed and again when it is gone.

    Processes forked from the one that started it share it.

    Parameters
    ----------
    rest : float
        Seconds without a child after which it begins anew.
    most : int
        Children after which it begins anew, once none is left.
    """

    def __init__(self, *, rest: float = 600.0, most: int = 500) -> None:
        self._limits = [str(rest), str(most)]
        self._line: socket.socket | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it, if there is none; it imports nothing until somebody asks."""
        with self._lock:
            if self._line is None:
                self._line, self._pid = _served(self._limits)
                atexit.register(self._line.close)

    def ask(self, request: bytes, descriptors: Sequence[int]) -> Fork:
        """Have a child forked; `descriptors` become its standard streams and 3, 4 and so on."""
        for _ in range(2):  # the server may have died since the last child
            self.start()
            line = self._line
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                with theirs:
                    assert line is not None
                    socket.send_fds(line, [request], [theirs.fileno(), *descriptors])
            except OSError:
                ours.close()
                self._drop(line)
            else:
                return Fork(ours)
        raise NotStarted("The process that forks the children does not answer.")

    def _drop(self, line: socket.socket | None) -> None:
        with self._lock:
            if line is not None and self._line is line:
                line.close()
                self._line = None
                # Another process may be its parent and have reaped it: then its number may be somebody else's by now.
                with suppress(ChildProcessError):
                    if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                        os.kill(self._pid, signal.SIGKILL)
                        os.waitpid(self._pid, 0)


_server = Server()
prepare = _server.start


def start(
    module: str,
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str],
    preload: Sequence[str] = (),
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    also: Sequence[int] = (),
) -> Fork:
    """Run ``python -m module arguments`` in a session of its own.

    Parameters
    ----------
    module : str
        What runs.
    arguments : str
        What ``sys.argv`` holds behind its name.
    folder : pathlib.Path
        Its working folder.
    environment : Mapping[str, str]
        Its whole environment. ``OMP_NUM_THREADS`` also bounds the threads of libraries that were loaded before.
    preload : Sequence[str]
        Modules that the server imports the first time and keeps.
    stdin, stdout, stderr : int
        Descriptors; nothing unless given.
    also : Sequence[int]
        More descriptors, which the child finds as 3, 4 and so on.

    Raises
    ------
    NotStarted
        When the server cannot be started.
    """
    request = {
        "module": module,
        "arguments": arguments,
        "folder": str(folder),
        "environment": dict(environment),
        "preload": list(preload),
    }
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        streams = [nothing if given == subprocess.DEVNULL else given for given in (stdin, stdout, stderr)]
        return _server.ask(json.dumps(request).encode(), [*streams, *also])
    finally:
        os.close(nothing)


def run(
    module: str,
    words: bytes,
    *,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    preload: Sequence[str],
    arguments: Sequence[str] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Give a child `words` on its standard input and return what it wrote, as `subprocess.run` does.

    Raises
    ------
    subprocess.TimeoutExpired
        When it took more than `seconds`; it is killed.
    """
    with ExitStack() as files:
        given, out, err = (files.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(3))
        given.write(words)
        given.seek(0)
        child = start(
            module, *arguments, folder=folder, environment=environment, preload=preload,
            stdin=given.fileno(), stdout=out.fileno(), stderr=err.fileno(),
        )  # fmt: skip
        try:
            code = child.wait(seconds)
        finally:
            child.end()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(module, code, out.read(), err.read())


def lines(
    module: str,
    words: bytes,
    *,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    preload: Sequence[str],
    arguments: Sequence[str] = (),
    stderr: int = subprocess.DEVNULL,
) -> Generator[bytes, None, None]:
    """Give a child `words` on its standard input and yield each line it writes, for `seconds` at most.

    The child is killed when the iterator is closed.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as out, tempfile.TemporaryFile(dir=folder) as given:
        given.write(words)
        given.seek(0)
        try:
            child = start(
                module, *arguments, folder=folder, environment=environment, preload=preload,
                stdin=given.fileno(), stdout=writing, stderr=stderr,
            )  # fmt: skip
        finally:
            os.close(writing)
        try:
            yield from _read_lines(out, time.monotonic() + seconds)
        finally:
            child.end()


def _read_lines(out: IO[bytes], until: float) -> Iterator[bytes]:
    rest = b""
    while _readable(out, max(0.0, until - time.monotonic())) and (part := out.read(READ_BYTES)):
        *whole, rest = (rest + part).split(b"\n")
        yield from whole


def _readable(source: IO[bytes] | socket.socket, seconds: float | None) -> bool:
    asked = select.poll()
    asked.register(source, select.POLLIN)
    return bool(asked.poll(None if seconds is None else seconds * 1000))


def bare_environment(folder: Path, *, threads: int = 1) -> dict[str, str]:
    """Nothing of the portal's environment: no secret, no database address."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **kept,
        **dict.fromkeys(pools, str(threads)),
        # Threads that wait for one another sleep instead of spinning: on busy cores spinning costs minutes.
        "OMP_WAIT_POLICY": "PASSIVE",
        # One memory arena and the system's allocator give memory back between blocks.
        "MALLOC_ARENA_MAX": "2",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }


def _served(limits: list[str]) -> tuple[socket.socket, int]:
    """Start the server; its environment is all that its children could find in its memory."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "mlportal.lib.forkserver", *limits],
            bare_environment(Path("/")),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), forkserver.LINE),
            ],
            setsid=True,
        )
    return ours, pid
