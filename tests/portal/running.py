"""A real portal in a process of its own, for tests of its parts and of the command line."""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psycopg

ROOT = Path(__file__).resolve().parent.parent.parent
# Several commands of ours in one process: starting Python and Django for each costs seconds.
COMMANDS = """
import contextlib, io, json, sys
from mlportal.cli import main
for words in json.load(sys.stdin):
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, said.getvalue(), told.getvalue()]))
"""
# One for all portals of this checkout: compressing the files costs seconds, and they are checked for changes.
STATIC = Path(tempfile.gettempdir()) / f"mlportal-static-{hashlib.sha256(bytes(ROOT)).hexdigest()[:12]}"


def free_port() -> int:
    """Return a port with a free one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return int(port)


def wait_until(test: Callable[[], object], seconds: float = 60, what: str = "") -> None:
    """Wait until ``test`` is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not test():
        if time.monotonic() > deadline:
            raise AssertionError(f"still not after {seconds} s: {what or test}")
        time.sleep(0.1)


class Login(NamedTuple):
    """What somebody signs in with."""

    password: str
    token: str


@dataclass
class Portal:
    """A portal started by ``mlportal up`` on a folder, two ports and a database.

    The database has its tables already, which saves half a minute; ``empty`` is for tests of a first start.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    extra: dict[str, str] = field(default_factory=dict)
    database: str = ""
    child: subprocess.Popen[bytes] | None = None
    empty: bool = False

    def __post_init__(self) -> None:
        # On the PostgreSQL run the portal gets a database of its own on the same server, else SQLite.
        migrated = "" if self.empty else os.environ.get("MIGRATED", "")
        if os.environ.get("EXPECT_DB") == "postgresql" and not self.database:
            self.database = f"portal_{uuid.uuid4().hex}"
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {self.database} TEMPLATE {migrated or 'template1'}")
        elif migrated and not (self.folder / "data").exists():
            (self.folder / "data").mkdir(parents=True)
            shutil.copy(migrated, self.folder / "data" / "db.sqlite3")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the portal and of commands beside it: nothing of the test run's own servers."""
        dropped = ("DATABASE_URL", "REDIS_URL", "EXPECT_DB")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MLPORTAL_") and k not in dropped}
        if self.database:
            kept["DATABASE_URL"] = f"postgresql:///{self.database}"
        return kept | {
            "MLPORTAL_DATA_DIR": str(self.folder / "data"),
            "MLPORTAL_PORT": str(self.port),
            "MLPORTAL_STATIC_ROOT": str(STATIC),
            "PYTHONPATH": str(ROOT),
            **self.extra,
        }

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "output").open("ab") as output:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "mlportal.cli", "up"],
                env=self.environment,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, seconds: float = 300) -> None:
        wait_until(self.is_ready, seconds, what=f"ready, parts {self.parts()}")

    def is_ready(self) -> bool:
        assert self.child is not None
        assert self.child.poll() is None, self.output
        return self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def parts(self) -> dict[str, str]:
        return dict(json.loads(self.get("/readyz")[1] or b'{"parts": {}}')["parts"])

    def command(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mlportal.cli", *arguments],
            env=self.environment | extra,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def commands(self, *lines: str) -> list[tuple[int, str, str]]:
        """Run ``mlportal`` with each line, one after the other in one process; returns code, output and errors."""
        words = json.dumps([shlex.split(line) for line in lines])
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS],
            env=self.environment, cwd=ROOT, input=words, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]

    def admin(self, *lines: str) -> list[str]:
        """Run ``mlportal admin`` with each line; all must work; returns what each printed."""
        done = self.commands(*(f"admin {line}" for line in lines))
        assert [(line, *end) for line, end in zip(lines, done, strict=True) if end[0]] == []
        return [said for _code, said, _told in done]

    def people(self, owner: str, **others: tuple[str, str]) -> dict[str, Login]:
        """Add a project Churn, its owner, a site administrator, and people with a role and the scopes of a token.

        The owner may be among the others, to have a token; without scopes there is none.
        """
        names = [owner, *(name for name in others if name != owner)]
        holders = [name for name in others if others[name][1]]
        flag = {owner: "--site-admin"}
        said = self.admin(
            *(f"user add {name} --email {name}@example.org --generate-password {flag.get(name, '')}" for name in names),
            f"project add Churn --owner {owner}",
            *(f"member add {name} --project churn --role {others[name][0]}" for name in names[1:]),
            *(f"token add --user {name} --project churn --scopes '{others[name][1]}' --print" for name in holders),
        )
        passwords = [re.search(r"password: (\S+)", text)[1] for text in said[: len(names)]]
        tokens = dict(zip(holders, map(str.strip, said[len(said) - len(holders) :]), strict=True))
        return {name: Login(word, tokens.get(name, "")) for name, word in zip(names, passwords, strict=True)}

    def processes(self) -> dict[int, str]:
        """Every process of this portal, by id, with its command line.

        They have its data folder in their environment; the broker wipes its own, but works in that folder.
        """
        marker = f"MLPORTAL_DATA_DIR={self.folder / 'data'}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                known = marker in (entry / "environ").read_bytes().split(b"\0")
                inside = (entry / "cwd").readlink().is_relative_to(self.folder)
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if (known or inside) and line:
                found[int(entry.name)] = line
        return found

    def pids(self, *words: str) -> list[int]:
        """Process ids, oldest first, whose command line holds all the words."""
        return sorted(pid for pid, line in self.processes().items() if all(word in line for word in words))

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        assert self.child is not None
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            return self.child.wait(seconds)
        finally:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)


@contextmanager
def running(folder: Path, *, empty: bool = False, **extra: str) -> Iterator[Portal]:
    """Start a portal, wait until it is ready, stop it at the end."""
    portal = Portal(folder, extra=extra, empty=empty)
    portal.start()
    try:
        portal.wait_ready()
        yield portal
    finally:
        portal.stop()
