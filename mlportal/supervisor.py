"""Runs a whole portal on one machine: broker, workers, scheduler, serving and web under one roof.

A part that dies is started again after a pause; a signal stops all of them in order; nothing
outlives the supervisor, however it ends.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import IO

from django.conf import settings

from mlportal import broker, checkpoint, parts
from mlportal.nursery import Nursery
from mlportal.process import Process

STOP_SECONDS = 10.0
LOOK_SECONDS = 0.2
SLOW_WEB_SECONDS = 15.0


class CannotStart(Exception):
    """The portal cannot start here; the text says why and what to do."""


class Supervisor:
    """Everything ``mlportal up`` does. All paths and ports come from the settings."""

    def __init__(self) -> None:
        self.run_dir = settings.DATA_DIR / "run"
        self.log_dir = settings.DATA_DIR / "logs"
        self.socket = Path(settings.BROKER_SOCKET)
        self.environment = parts.environment() | {"PROMETHEUS_MULTIPROC_DIR": str(self.run_dir / "metrics")}
        self.nursery = Nursery(self.environment)
        self.stages: list[list[Process]] = []
        self._checkpointer: checkpoint.Checkpointer | None = None
        self._lock: IO[str] | None = None
        self._stopping = False
        self._began = time.monotonic()
        self._web_up = self._all_up = False
        self._set_up_link = ""

    def run(self) -> int:
        """Start everything, watch it until a signal comes, stop everything; return an exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._prepare()
            self._start()
            while not self._stopping:
                self._look()
                time.sleep(LOOK_SECONDS)
        except (CannotStart, broker.NoBroker) as problem:
            print(f"mlportal: {problem}", file=sys.stderr)
            return 3
        finally:
            self._stop()
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    # --- before the parts

    def _prepare(self) -> None:
        for folder in (self.run_dir, self.log_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_lock()
        for name, port in (("MLPORTAL_PORT", settings.PORT), ("MLPORTAL_SERVE_PORT", settings.SERVE_PORT)):
            require_free_port(settings.BIND, port, name)
        # Counts of processes that are gone would be added to every scrape for ever.
        metrics = self.run_dir / "metrics"
        shutil.rmtree(metrics, ignore_errors=True)
        metrics.mkdir(mode=0o700)

    def _take_lock(self) -> None:
        self._lock = (self.run_dir / "portal.lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock = None
            raise CannotStart(f"a portal already runs on {settings.DATA_DIR}") from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    # --- start

    def _start(self) -> None:
        print(f"mlportal: data in {settings.DATA_DIR}, logs in {self.log_dir}", flush=True)
        if not settings.REDIS_URL:
            self._start_broker()
        self._set_up_link = self._migrate()
        if self._stopping:
            return
        self._start_checkpointer()
        self._plan()
        # What forks it starts now and not before: it reads the names of the static files that were just collected.
        # The web server first and alone: on two cores a page then answers in half the time.
        self._start_all("web")

    def _plan(self) -> None:
        workers = {
            "worker-jobs": parts.worker(queues="jobs", concurrency=parts.cores(), name="jobs"),
            "worker-default": parts.worker(queues="default", concurrency=2, name="default"),
        }
        fronts = {
            "web": parts.web(bind=settings.BIND, port=settings.PORT, workers=2),
            "serve": parts.serve(),
            "beat": parts.beat(),
        }
        for stage in (workers, fronts):
            self.stages.append([self._part(name, command) for name, command in stage.items()])
        for process in self._processes():
            # The broker is no Python; the serving process imports neither pages nor workers.
            process.nursery = None if process.name in ("broker", "serve") else self.nursery

    def _start_all(self, *names: str) -> None:
        for process in self._processes():
            if process.starts == 0 and (not names or process.name in names):
                process.start()

    def _processes(self) -> list[Process]:
        return [process for stage in self.stages for process in stage]

    def _part(self, name: str, command: list[str]) -> Process:
        return Process(name=name, command=command, environment=self.environment, log=self.log_dir / f"{name}.log")

    def _start_broker(self) -> None:
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        process = self._part("broker", broker.command(self.socket, settings.DATA_DIR / "broker"))
        self.stages.append([process])
        process.start()
        deadline = time.monotonic() + 30
        while not broker.answers(self.socket):
            if process.pid is None or time.monotonic() > deadline:
                raise CannotStart(f"the broker did not start; see {process.log}")
            time.sleep(0.02)

    def _migrate(self) -> str:
        """Bring database and static files up to date in a process of its own; return the set-up link."""
        command = [sys.executable, "-m", "mlportal.cli", "prepare"]
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, check=False)
        if done.returncode and not self._stopping:
            raise CannotStart("the database could not be brought up to date; the lines above say why")
        return str(json.loads(done.stdout)["set_up_link"]) if done.stdout else ""

    def _start_checkpointer(self) -> None:
        database = settings.DATABASES["default"]
        if database["ENGINE"].endswith("sqlite3"):
            path = Path(database["NAME"])
            if not checkpoint.is_sound(path):
                raise CannotStart(f"{path} is damaged: restore a backup (mlportal restore)")
            self._checkpointer = checkpoint.Checkpointer(path)
            self._checkpointer.start()

    # --- watch

    def _look(self) -> None:
        for process in self._processes():
            news = process.watch()
            if news:
                print(f"mlportal: {news}", flush=True)
        if not self._all_up:
            self._announce()
        if self._web_up or time.monotonic() - self._began > SLOW_WEB_SECONDS:
            self._start_all()

    def _announce(self) -> None:
        passed = time.monotonic() - self._began
        if not self._web_up and status(f"{local_url()}/livez") == 200:
            self._web_up = True
            print(f"mlportal: open {settings.BASE_URL}/  (after {passed:.1f} s; stop with Ctrl-C)", flush=True)
            if self._set_up_link:
                print(f"mlportal: make the first administrator, once: {self._set_up_link}", flush=True)
        if self._web_up and status(f"{local_url()}/readyz") == 200:
            self._all_up = True
            print(f"mlportal: all parts are up after {passed:.1f} s", flush=True)

    # --- stop

    def _stop(self) -> None:
        """Stop the parts: those that take requests first, then the workers, the broker last."""
        for stage in reversed(self.stages):
            for process in stage:
                process.signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for process in stage:
                process.wait(max(0.0, deadline - time.monotonic()))
                process.kill()
        self.nursery.stop()
        if self._checkpointer is not None:
            self._checkpointer.stop()
        if self._lock is not None:
            self._lock.close()
            print("mlportal: stopped", flush=True)


def is_running() -> bool:
    """Tell whether a supervisor holds this data folder, be it still starting."""
    path = settings.DATA_DIR / "run" / "portal.lock"
    if not path.exists():
        return False
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def local_url() -> str:
    """Return the address of the web process from this machine."""
    host = "127.0.0.1" if settings.BIND == "0.0.0.0" else settings.BIND  # noqa: S104 compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"


def status(url: str) -> int:
    """Return the HTTP status of an address of ours, 0 when nothing answers."""
    request = urllib.request.Request(url, headers={"Host": "localhost"})  # noqa: S310 made from settings
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 made from settings
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def require_free_port(host: str, port: int, name: str) -> None:
    """Refuse a port that something else listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(f"cannot listen on {host}:{port} ({error.strerror}); set {name}") from None
