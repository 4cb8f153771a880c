"""The supervisor's side of ``mlportal.preload``: asks for forks and hears of their ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from mlportal.process import die_with_parent

LOAD_SECONDS = 120.0
LOST = -signal.SIGKILL  # the code of a part whose end nobody could tell


class Nursery:
    """A process that has imported the portal and forks its parts; started when it is needed.

    Parameters
    ----------
    environment : dict
        Its whole environment, which the parts inherit.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._living: dict[int, Fork] = {}
        self._started: list[int] = []

    def start(self) -> None:
        """Begin to import, without waiting for the end of it."""
        if self._process is not None and self._process.poll() is None:
            return
        self._forget()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlportal.preload", "--serve", str(theirs.fileno())],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 one prctl call
            )
        self._line = ours

    def fork(self, command: list[str], log: Path) -> "Fork":
        """Start a part; waits while the nursery still imports.

        Raises
        ------
        OSError
            When the nursery ended instead.
        """
        self.start()
        assert self._line is not None
        self._line.settimeout(LOAD_SECONDS)
        self._line.send(json.dumps({"command": command, "log": str(log)}).encode())
        while not self._started:
            self._take(self._line.recv(4096))
        fork = Fork(self, self._started.pop())
        self._living[fork.pid] = fork
        return fork

    def listen(self) -> None:
        """Take the news that came; a nursery that is gone has taken its forks along."""
        if self._line is None:
            return
        self._line.settimeout(0)
        try:
            while True:
                self._take(self._line.recv(4096))
        except BlockingIOError:
            return
        except OSError:
            self._forget()

    def stop(self) -> None:
        """End the nursery, after its forks."""
        if self._process is not None:
            self._forget()
            self._process.terminate()
            self._process.wait()

    def _take(self, message: bytes) -> None:
        if not message:
            raise ConnectionError("the process that forks the parts ended; its lines above say why")
        news = json.loads(message)
        if "started" in news:
            self._started.append(news["started"])
        elif fork := self._living.pop(news["ended"], None):
            fork.returncode = news["code"]

    def _forget(self) -> None:
        for fork in self._living.values():
            fork.returncode = LOST
        self._living.clear()
        if self._line is not None:
            self._line.close()
            self._line = None


class Fork:
    """A part that the nursery forked, with as much of ``subprocess.Popen`` as the supervisor uses."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid = nursery, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Exit code, negative for a signal, None while it runs."""
        if self.returncode is None:
            self._nursery.listen()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(0.02)
        return code
