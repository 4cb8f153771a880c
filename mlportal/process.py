"""A child process of the supervisor: started, watched, started again, stopped with all it started."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlportal.nursery import Fork, Nursery

PR_SET_PDEATHSIG = 1
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
STEADY_SECONDS = 30.0
MAX_LOG_BYTES = 20 * 2**20
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends."""
    # Runs between fork and exec: one system call, nothing that could need a lock.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Process:
    """One part of the portal.

    Parameters
    ----------
    name
        What the terminal and the log file call it.
    command
        Program and arguments.
    environment
        Its whole environment.
    log
        File that gets its output.
    nursery
        What forks it, when it is a Python module that shares what others import too.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    nursery: "Nursery | None" = None
    starts: int = 0
    _pause: float = FIRST_PAUSE
    _started_at: float = 0.0
    _due_at: float | None = None
    _child: "subprocess.Popen[bytes] | Fork | None" = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def start(self) -> None:
        """Start it in a session of its own, bound to the life of this process."""
        self._turn_log()
        self.starts += 1
        self._started_at = time.monotonic()
        self._due_at = None
        try:
            self._child = self.nursery.fork(self.command[2:], self.log) if self.nursery else self._execute()
        except OSError as error:
            with self.log.open("a") as output:
                print(f"{self.name} could not be started: {error}", file=output)
            self._child, self._due_at = None, self._started_at + LONGEST_PAUSE

    def _execute(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 one prctl call, see above
            )

    def _turn_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def watch(self) -> str:
        """Start it again when it ended and its pause is over; return a sentence when it just ended."""
        code = self._child.poll() if self._child else None
        if self.starts == 0 or (self._child and code is None):
            return ""
        now = time.monotonic()
        if code is not None and self._due_at is None:
            return self._ended(code, now)
        if self._due_at is not None and now >= self._due_at:
            self.start()
        return ""

    def _ended(self, code: int, now: float) -> str:
        # What it had started may live on and hold its port: end the whole group first.
        self.kill()
        steady = now - self._started_at >= STEADY_SECONDS
        self._pause = FIRST_PAUSE if steady else min(self._pause * 2, LONGEST_PAUSE)
        self._due_at = now + self._pause
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"{self.name} ended {how}; starting it again in {self._pause:g} s (log: {self.log})"

    def signal(self, number: int) -> None:
        """Send a signal to the main process if it lives."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait for the end; return whether it came in time."""
        if self._child is None:
            return True
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the whole process group by force and collect the main process."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
