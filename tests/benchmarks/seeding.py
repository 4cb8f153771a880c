"""Fill both servers with the same runs, beside their APIs: through them 100,000 runs take an hour.

A first run is made through the API; its rows are the pattern of all others, so this follows the schema of
whichever version is measured.
"""

import json
import math
import random
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tests.benchmarks.rival import Server

STAMP = 1_760_000_000_000
METRICS = [f"metric_{i}" for i in range(10)]
PARAMS = [f"param_{i}" for i in range(10)]
Row = tuple[Any, ...]


@dataclass
class Store:
    """A database of either kind."""

    wire: Any
    is_postgres: bool

    def rows(self, query: str, *params: object) -> list[Row]:
        """Ask with ``%s`` for values."""
        return self.wire.execute(query if self.is_postgres else query.replace("%s", "?"), params).fetchall()

    def pattern(self, table: str, where: str, *params: object) -> dict[str, Any]:
        """Return the first row of a query by column names."""
        found = self.wire.execute(
            f"SELECT * FROM {table} WHERE {where}".replace("%s", "%s" if self.is_postgres else "?"), params
        )
        return dict(zip([column[0] for column in found.description], found.fetchone(), strict=True))

    def insert(self, table: str, columns: Iterable[str], rows: Iterable[Row]) -> None:
        """Insert many rows."""
        names = list(columns)
        if not self.is_postgres:
            marks = ", ".join("?" * len(names))
            self.wire.executemany(f"INSERT INTO {table} ({_quoted(names)}) VALUES ({marks})", rows)
            return
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
        )
        with self.wire.cursor().copy(query) as copy:
            for row in rows:
                copy.write_row(row)


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@contextmanager
def store(server: Server) -> Iterator[Store]:
    """Open a server's own database in one transaction; statistics are made anew at the end.

    PostgreSQL also learns which pages everybody sees whole, as its own vacuum tells it a minute after many insertions.
    """
    is_postgres = not server.store.startswith("/")
    wire = psycopg.connect(dbname=server.store) if is_postgres else sqlite3.connect(server.store, timeout=120)
    opened = Store(wire, is_postgres)
    try:
        yield opened
        wire.commit()
        if is_postgres:
            wire.autocommit = True
        wire.execute("VACUUM ANALYZE" if is_postgres else "ANALYZE")
        wire.commit()
    finally:
        wire.close()


@dataclass
class Made:
    """One run to be: the same on both sides."""

    uuid: str
    started_ms: int
    params: dict[str, str]
    metrics: dict[str, float]


def some_runs(count: int, seed: int = 1) -> Iterator[Made]:
    """Draw runs of 10 metrics and 10 parameters: the first has two values, the others twenty."""
    mixed = random.Random(seed)
    for at in range(count):
        params = {p: str(mixed.randrange(20 if nth else 2)) for nth, p in enumerate(PARAMS)}
        metrics = {m: mixed.random() for m in METRICS}
        yield Made(uuid.UUID(int=mixed.getrandbits(128)).hex, STAMP + 1000 * at, params, metrics)


def fill(server: Server, count: int) -> str:
    """Make an experiment of so many runs; return its id."""
    wire = server.connect()
    experiment = wire.post("experiments/create", {"name": f"runs-{count}"})["experiment_id"]
    first = wire.post("runs/create", {"experiment_id": experiment, "start_time": STAMP - 1})["run"]["info"]["run_id"]
    pairs = [{"key": key, "value": "1"} for key in PARAMS]
    points = [{"key": key, "value": 0.5, "timestamp": 1, "step": 1} for key in METRICS]
    wire.post("runs/log-batch", {"run_id": first, "params": pairs, "metrics": points})
    wire.post("runs/search", {"experiment_ids": [experiment], "max_results": 1})
    with store(server) as opened:
        {"mlflow": _fill_mlflow, "portal": _fill_portal}[server.name](opened, first, list(some_runs(count - 1, count)))
    return str(experiment)


def _fill_mlflow(opened: Store, first: str, runs: list[Made]) -> None:
    pattern = opened.pattern("runs", "run_uuid = %s", first)
    changed = [
        {**pattern, "run_uuid": r.uuid, "start_time": r.started_ms, "end_time": r.started_ms + 500,
         "status": "FINISHED", "artifact_uri": pattern["artifact_uri"].replace(first, r.uuid)} for r in runs
    ]  # fmt: skip
    opened.insert("runs", pattern, (tuple(row.values()) for row in changed))
    opened.insert(
        "params", ("key", "value", "run_uuid"), ((k, v, r.uuid) for r in runs for k, v in r.params.items())
    )  # fmt: skip
    opened.insert("tags", ("key", "value", "run_uuid"), (("mlflow.runName", pattern["name"], r.uuid) for r in runs))
    for table in ("metrics", "latest_metrics"):
        points = ((k, v, 9, 9, False, r.uuid) for r in runs for k, v in r.metrics.items())
        opened.insert(table, ("key", "value", "timestamp", "step", "is_nan", "run_uuid"), points)


def _fill_portal(opened: Store, first: str, runs: list[Made]) -> None:
    pattern = opened.pattern("experiments_run", "uuid = %s", first)
    last = opened.rows("SELECT max(id) FROM experiments_run")[0][0]
    keys = dict(opened.rows("SELECT name, id FROM experiments_key"))
    place, ids = pattern["experiment_id"], {r.uuid: last + at for at, r in enumerate(runs, 1)}
    changed = [
        {**pattern, "id": ids[r.uuid], "uuid": r.uuid, "started_ms": r.started_ms, "ended_ms": r.started_ms + 500,
         "state": "finished", "params": json.dumps(r.params), "latest": _latest(r)} for r in runs
    ]  # fmt: skip
    opened.insert("experiments_run", pattern, (tuple(row.values()) for row in changed))
    if opened.is_postgres:
        opened.rows("SELECT setval(pg_get_serial_sequence('experiments_run', 'id'), %s)", last + len(runs))
    params = ((ids[r.uuid], keys[k], place, v, float(v)) for r in runs for k, v in r.params.items())
    opened.insert("experiments_runparam", ("run_id", "key_id", "experiment_id", "value", "number"), params)
    tag = (keys["mlflow.runName"], place, pattern["name"])
    opened.insert(
        "experiments_runtag", ("run_id", "key_id", "experiment_id", "value"), ((ids[r.uuid], *tag) for r in runs)
    )  # fmt: skip
    points = ((ids[r.uuid], keys[k], place, v, False, 9, 9, v, v) for r in runs for k, v in r.metrics.items())
    columns = ("run_id", "key_id", "experiment_id", "value", "is_nan", "step", "stamp_ms", "low", "high")
    opened.insert("experiments_runmetric", columns, points)


def _latest(run: Made) -> str:
    """Write a run's latest points as the portal's folding does."""
    points = [{"key": k, "value": v, "timestamp": 9, "step": 9} for k, v in run.metrics.items()]
    return json.dumps(points, separators=(",", ":"))


def log_history(server: Server, points: int, key: str = "loss") -> str:
    """Make a run whose one metric has so many points; return its id."""
    wire = server.connect()
    run = wire.post("runs/create", {"experiment_id": "0", "start_time": STAMP})["run"]["info"]["run_id"]
    drawn = random.Random(points)
    values = [math.exp(-at / points) + drawn.gauss(0, 0.01) for at in range(points)]
    if server.name == "mlflow":
        with store(server) as opened:
            rows = ((key, value, STAMP + 40 * at, at, False, run) for at, value in enumerate(values))
            opened.insert("metrics", ("key", "value", "timestamp", "step", "is_nan", "run_uuid"), rows)
        return str(run)
    for start in range(0, points, 1000):
        batch = [
            {"key": key, "value": values[at], "timestamp": STAMP + 40 * at, "step": at}
            for at in range(start, min(points, start + 1000))
        ]
        wire.post("runs/log-batch", {"run_id": run, "metrics": batch})
    return str(run)
