"""Start the whole portal the way ``make up`` does, on a free port and an empty folder."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
READY_SECONDS = 90


def free_ports() -> tuple[int, int]:
    """Two neighbouring free ports: pages and predictions."""
    for _attempt in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                return port, port + 1
    raise RuntimeError("no two neighbouring ports are free")


class Portal:
    """A running portal and the command that administers it."""

    def __init__(self, folder: Path, extra: dict[str, str] | None = None) -> None:
        self.folder = folder
        port, _serve = free_ports()
        self.url = f"http://127.0.0.1:{port}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MLPORTAL_")}
        for key in ("DATABASE_URL", "REDIS_URL", "DJANGO_ALLOW_ASYNC_UNSAFE", "EXPECT_DB"):
            kept.pop(key, None)
        self.environment = {
            **kept,
            "MLPORTAL_DATA_DIR": str(folder),
            "MLPORTAL_PORT": str(port),
            "MLPORTAL_TESTING": "1",
            "OMP_NUM_THREADS": "1",
            **(extra or {}),
        }
        self.log = folder.parent / "portal.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until every part is up."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlportal.cli", "up"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(f"{self.url}/readyz", timeout=2).status == 200:
                    return
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"the portal is not ready:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        """Ctrl-C, as a person would."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def command(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``mlportal <arguments>`` against this portal."""
        done = subprocess.run(
            [sys.executable, "-m", "mlportal.cli", *arguments],
            cwd=ROOT, env={**self.environment, **environment}, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"mlportal {' '.join(arguments)} ended {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def call(self, method: str, path: str, body: object = None, *, token: str = "", **headers: str) -> tuple[int, dict]:
        """One REST call; returns the status and the parsed answer."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=headers)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if data is not None and not any(name.lower() == "content-type" for name in headers):
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")


@contextlib.contextmanager
def running(folder: Path, extra: dict[str, str] | None = None) -> Iterator[Portal]:
    """A started portal that is stopped at the end."""
    portal = Portal(folder, extra)
    try:
        portal.start()
        yield portal
    finally:
        portal.stop()


def wait_for(what, *, seconds: float = 60, every: float = 0.25):
    """First true answer of ``what()``; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(every)
    raise AssertionError(f"not true after {seconds} s: {what}")
