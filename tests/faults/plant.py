"""Real workers, a real beat and a real broker of a test's own, to be killed."""

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from celery import Celery
from django.conf import settings
from django.db import connection

from mlportal import broker, parts
from mlportal.nursery import Fork, Nursery

LEASE_SECONDS = 5.0
QUICK = {
    "MLPORTAL_LEASE_SECONDS": str(LEASE_SECONDS),
    "MLPORTAL_HEARTBEAT_SECONDS": "0.5",
    "MLPORTAL_FLUSH_SECONDS": "0.3",
    "MLPORTAL_SWEEP_SECONDS": "1",
    "MLPORTAL_REPUBLISH_SECONDS": "1",
    "MLPORTAL_TRAINING_THREADS": "1",
    "MLPORTAL_TESTING": "1",
}


# A part of a portal: a program of its own, or forked as the supervisor forks it.
Part = subprocess.Popen[bytes] | Fork


@cache
def run_dir() -> Path:
    """A folder for the sockets of all tests of this process, one test after the other."""
    return Path(tempfile.mkdtemp(prefix="mlp-plant-"))


@lru_cache(maxsize=1)
def nursery(environment: frozenset[tuple[str, str]]) -> Nursery:
    """What forks the parts with this environment: to import the portal costs each of them seconds."""
    made = Nursery(dict(environment))
    atexit.register(made.stop)
    return made


class Plant:
    """The processes of one test. Messages are lost on purpose: only the sweeper publishes here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = run_dir() / "b.sock"
        self.parts: list[Part] = []
        self.broker: Part | None = None
        self.logs = 0

    def start_broker(self) -> None:
        """Start an empty broker."""
        data = self.folder / f"broker{self.logs}"
        self.socket.unlink(missing_ok=True)
        self.broker = self._execute(broker.command(self.socket, data), {})
        wait(self.socket.exists, 20, "the broker's socket")

    def kill_broker(self) -> None:
        """End it as a power cut would."""
        assert self.broker is not None
        kill_group(self.broker)

    def worker(self, name: str, *, concurrency: int = 1, **extra: str) -> Part:
        """Start a worker for training jobs."""
        return self._start(parts.worker(queues="jobs", concurrency=concurrency, name=name), **extra)

    def sweeper(self, *, scheduled: bool = False) -> Part:
        """Start the worker of the short tasks, as the supervisor does.

        When scheduled, the scheduler is a fork of it: a program of its own imports everything once more.
        """
        own = ["--beat", "--schedule", str(self.folder / "beat")] if scheduled else []
        return self._start([*parts.worker(queues="default", concurrency=1, name="short"), *own])

    def beat(self) -> Part:
        """Start the scheduler, which has the sweeper run each second."""
        schedule = str(self.folder / "beat")
        command = [sys.executable, "-m", "celery", "--app", "mlportal.celery", "--quiet", "beat"]
        return self._start([*command, "--schedule", schedule, "--pidfile="])

    def publish(self, job_id: int) -> None:
        """Send one more message for a job, as a duplicate."""
        with Celery("test", set_as_current=False, broker=f"redis+socket://{self.socket}?virtual_host=0") as app:
            app.send_task("experiments.execute_job", args=[job_id], queue="jobs")

    def _start(self, command: list[str], **extra: str) -> Part:
        """Fork a module of ours as the supervisor does; run it by itself when it is to see another environment."""
        if extra or command[1] != "-m":
            return self._execute(command, extra)
        self.logs += 1
        part = nursery(frozenset(self._environment().items())).fork(command[2:], self.folder / f"log{self.logs}")
        self.parts.append(part)
        return part

    def _execute(self, command: list[str], extra: dict[str, str]) -> Part:
        self.logs += 1
        with (self.folder / f"log{self.logs}").open("wb") as output:
            part = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=self._environment() | extra,
                start_new_session=True,
            )
        self.parts.append(part)
        return part

    def _environment(self) -> dict[str, str]:
        name = connection.settings_dict["NAME"]
        address = f"sqlite:///{name}" if connection.vendor == "sqlite" else f"postgresql:///{name}"
        kept = {key: value for key, value in parts.environment().items() if key != "PYTEST_CURRENT_TEST"}
        return (
            kept
            | QUICK
            | {
                "DATABASE_URL": address,
                "MLPORTAL_BROKER_SOCKET": str(self.socket),
                "MLPORTAL_CACHE_URL": f"unix://{self.socket}?db=2",
                "MLPORTAL_DATA_DIR": str(settings.DATA_DIR),
            }
        )

    def end(self) -> None:
        """Kill everything."""
        for part in reversed(self.parts):
            kill_group(part)

    def words(self) -> str:
        """What the parts printed last, for a failing test."""
        logs = sorted(self.folder.glob("log*"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


@contextmanager
def plant(folder: Path) -> Iterator[Plant]:
    """Run a broker and the worker of short tasks with the scheduler for a test."""
    made = Plant(folder)
    try:
        made.start_broker()
        made.sweeper(scheduled=True)
        yield made
    finally:
        made.end()
        print(made.words())  # shown when the test fails


def kill_group(part: Part, number: int = signal.SIGKILL) -> None:
    """Signal a part and all of its processes; reap it when it was killed."""
    try:
        os.killpg(part.pid, number)
    except ProcessLookupError:
        return
    if number == signal.SIGKILL:
        part.wait()


def wait(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return the first true answer, asking often; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


def alive(pid: int | None) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
