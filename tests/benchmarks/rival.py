"""A real MLflow server beside a real portal, on databases of the same kind, for measurements in pairs.

The rival's interpreter is named by ``MLFLOW_PYTHON``: a Python with ``mlflow`` (and ``psycopg2`` for the
PostgreSQL pair) installed. Ran alone, this module prints start-up time and memory of both:
``python -m tests.benchmarks.rival [--sqlite | --postgres]``.
"""

import http.client
import importlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.benchmarks.line import Line
from tests.portal.running import ROOT, Portal, free_port, wait_until

API = "/api/2.0/mlflow/"
DATABASES = ("sqlite", "postgres")
START_SECONDS = 300
BLOCKS, BLOCK = 6, 10
sys.path.insert(0, str(ROOT / "scripts"))
services = importlib.import_module("services")


class NoRival(Exception):
    """This machine cannot run the rival; the text says what is missing."""


@dataclass
class Server:
    """One of the two: how it is called and what it takes."""

    name: str
    port: int
    pids: Callable[[], list[int]]
    headers: dict[str, str] = field(default_factory=dict)
    start_seconds: float = 0.0
    # Its database, to be filled without its API: a file of SQLite, or the name of a database of PostgreSQL.
    store: str = ""

    def connect(self) -> "Connection":
        """Open a connection that is kept alive."""
        return Connection(self)

    def memory_mib(self) -> float:
        """Proportional set size of all its processes and of all that these started or forked."""
        return sum(_pss_kib(pid) for pid in _with_children(self.pids())) / 1024


class Connection(Line):
    """One line to a server, kept alive; every answer but 200 is an error."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.port, server.headers)

    def post(self, path: str, body: dict) -> dict:
        """Call an endpoint of the tracking API."""
        return json.loads(self.send("POST", API + path, json.dumps(body).encode()))

    def get(self, path: str, **query: object) -> dict:
        """Ask an endpoint of the tracking API."""
        return json.loads(self.send("GET", f"{API}{path}?{urllib.parse.urlencode(query, doseq=True)}"))


@dataclass
class Pair:
    """Both servers on one kind of database."""

    database: str
    mlflow: Server
    portal: Server

    @property
    def both(self) -> tuple[Server, Server]:
        return self.mlflow, self.portal

    def interleaved(
        self, name: str, prepare: Callable[[Server], Callable[[], object]], rounds: int, *, warm: int = 3
    ) -> "Timing":
        """Time one action on both in turn, so that whatever else the machine does slows both.

        ``prepare`` returns for a server the action that is timed; it runs ``warm`` times before the clock counts.
        """
        actions = [(server, prepare(server)) for server in self.both]
        taken: dict[str, list[float]] = {server.name: [] for server in self.both}
        for turn in range(-warm, rounds):
            for server, action in actions:
                start = time.perf_counter()
                action()
                if turn >= 0:
                    taken[server.name].append(time.perf_counter() - start)
        return Timing(name, taken)

    def in_blocks(self, name: str, prepare: Callable[[Server], Callable[[], object]]) -> "Timing":
        """Time one action in blocks of calls to one server, then to the other, the first call of each left out.

        Called in turn, each server finds the caches of the processor filled by its rival, whom no installation runs
        beside it. In blocks each has its own, and still both have whatever else the machine does.
        """
        actions = [(server, prepare(server)) for server in self.both]
        taken: dict[str, list[float]] = {server.name: [] for server in self.both}
        for _ in range(BLOCKS):
            for server, action in actions:
                action()
                for _ in range(BLOCK):
                    start = time.perf_counter()
                    action()
                    taken[server.name].append(time.perf_counter() - start)
        return Timing(name, taken)


@dataclass
class Timing:
    """Seconds of each round of both servers."""

    name: str
    taken: dict[str, list[float]]

    @property
    def ratio(self) -> float:
        """How many times the portal's median goes into MLflow's."""
        return self.median("mlflow") / self.median("portal")

    def median(self, server: str) -> float:
        """Return the middle round of one server, in seconds."""
        return statistics.median(self.taken[server])

    def line(self, goal: float = 0.0) -> str:
        """Return what the table shows: both medians, the ratio, and whether the goal is met."""
        left, right = (f"{self.median(name) * 1000:10.2f}" for name in ("mlflow", "portal"))
        return f"{self.name:48}{left}{right}{verdict(self.ratio, goal)}"


def heading(pair: Pair) -> str:
    """Return the head of the table."""
    load = os.getloadavg()[0]
    return (
        f"[{pair.database}, load {load:.1f}]".ljust(48) + f"{'MLflow ms':>10}{'portal ms':>10}{'ratio':>8}{'goal':>8}"
    )


def verdict(ratio: float, goal: float) -> str:
    """Return a ratio, its goal and a mark where it is missed."""
    aim = f"{goal:7.0f}x" if goal else " " * 8
    return f"{ratio:7.1f}x{aim}{'' if ratio >= goal else '  MISSED'}"


def percentile(taken: list[float], share: float) -> float:
    """Return the value below which the share of them lies."""
    return sorted(taken)[min(len(taken) - 1, int(share * len(taken)))]


@contextmanager
def pair(database: str) -> Iterator[Pair]:
    """Start both on fresh databases of one kind, ``"sqlite"`` or ``"postgres"``, and stop them at the end.

    Raises
    ------
    NoRival
        When ``MLFLOW_PYTHON`` names no interpreter with MLflow.
    """
    python = interpreter(database)
    folder = Path(tempfile.mkdtemp(prefix=f"rival-{database}-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if database == "postgres":
            stack.enter_context(_environment(stack.enter_context(services.postgres(folder / "p"))))
            wait_until(_database_answers, START_SECONDS, "PostgreSQL's first answer")
        portal = stack.enter_context(_portal(folder / "portal"))
        mlflow = stack.enter_context(_mlflow(python, database, folder / "mlflow"))
        yield Pair(database, mlflow, portal)


def interpreter(database: str) -> str:
    """Return the Python that has MLflow."""
    python = os.environ.get("MLFLOW_PYTHON", "")
    if not python:
        raise NoRival("not measured: set MLFLOW_PYTHON to a Python interpreter that has mlflow installed")
    needed = "import mlflow.server" + ("; import psycopg2" if database == "postgres" else "")
    done = subprocess.run([python, "-c", needed], capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise NoRival(f"not measured: {python} cannot run the rival on {database}: {' '.join(last)}")
    return python


@contextmanager
def _portal(folder: Path) -> Iterator[Server]:
    portal = Portal(folder)
    began = time.monotonic()
    portal.start()
    try:
        wait_until(lambda: portal.get("/health")[0] == 200, START_SECONDS, "the portal's first answer")
        seconds = time.monotonic() - began
        portal.wait_ready(START_SECONDS)
        token = _token(portal)
        headers = {"Authorization": f"Bearer {token}"}
        store = portal.database or str(next((folder / "data").glob("*.sqlite3")))
        yield Server("portal", portal.port, lambda: [portal.child.pid, *portal.processes()], headers, seconds, store)
    finally:
        portal.stop()


def _token(portal: Portal) -> str:
    scopes = "read write register"
    for command in (
        ["user", "add", "bench", "--email", "bench@example.org", "--generate-password"],
        ["project", "add", "Bench", "--slug", "bench", "--owner", "bench"],
        ["token", "add", "--user", "bench", "--project", "bench", "--scopes", scopes, "--print"],
    ):
        done = portal.command("admin", *command)
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


@contextmanager
def _mlflow(python: str, database: str, folder: Path) -> Iterator[Server]:
    folder.mkdir()
    port = free_port()
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", _store(database, folder), "--artifacts-destination", str(folder / "files")]
    dropped = ("DATABASE_URL", "EXPECT_DB", "PYTHONPATH", "DJANGO_SETTINGS_MODULE")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    kept["PATH"] = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn by name
    with (folder / "log").open("wb") as log:
        began = time.monotonic()
        child = subprocess.Popen(
            command, cwd=folder, env=kept, stdout=log, stderr=log, start_new_session=True
        )  # fmt: skip
        try:
            wait_until(lambda: _answers(child, port, folder / "log"), START_SECONDS, "MLflow's first answer")
            store = "mlflow" if database == "postgres" else str(folder / "mlflow.db")
            yield Server("mlflow", port, lambda: _session(child.pid), {}, time.monotonic() - began, store)
        finally:
            for pid in _session(child.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.wait()


def _store(database: str, folder: Path) -> str:
    if database == "sqlite":
        return f"sqlite:///{folder / 'mlflow.db'}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE mlflow")
    user, host = os.environ["PGUSER"], urllib.parse.quote(os.environ["PGHOST"], safe="")
    return f"postgresql+psycopg2://{user}@/mlflow?host={host}"


def _database_answers() -> bool:
    try:
        psycopg.connect(os.environ["DATABASE_URL"]).close()
    except psycopg.OperationalError:  # its socket is there before it takes anybody
        return False
    return True


def _answers(child: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert child.poll() is None, log.read_text(errors="replace")[-3000:]
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        wire.request("GET", "/health")
        return wire.getresponse().status == 200
    except OSError:
        return False
    finally:
        wire.close()


@contextmanager
def _environment(extra: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(extra)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _session(leader: int) -> list[int]:
    """Return the processes of a session: the server, its workers and its job runners."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, IndexError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


def _with_children(pids: Iterable[int]) -> set[int]:
    """Return these processes and all below them: a forked one may have overwritten what tells whose it is."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, IndexError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [*pids]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


def _pss_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def each_pair(measure: Callable[[Pair], None]) -> None:
    """Run a measurement on both databases, or on the one named on the command line."""
    named = [name for name in DATABASES if f"--{name}" in sys.argv]
    for database in named or DATABASES:
        try:
            with pair(database) as both:
                measure(both)
        except NoRival as reason:
            print(reason, flush=True)


def _idle(both: Pair) -> None:
    print(f"[{both.database}]".ljust(48) + f"{'MLflow':>10}{'portal':>10}{'ratio':>8}", flush=True)
    for text, values in (
        ("seconds to the first answer, empty database", [server.start_seconds for server in both.both]),
        ("memory of all processes, PSS in MiB", [server.memory_mib() for server in both.both]),
    ):
        print(f"{text:48}{values[0]:10.1f}{values[1]:10.1f}{values[0] / values[1]:7.1f}x", flush=True)


if __name__ == "__main__":
    each_pair(_idle)
