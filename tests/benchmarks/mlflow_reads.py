"""What reading costs: the portal and a real MLflow server, in pairs on the same kind of database.

``MLFLOW_PYTHON=… python -m tests.benchmarks.mlflow_reads [--sqlite | --postgres] [--runs=1000,10000,100000]
[--points=100000,1000000]``. Authentication and access checks are on in the portal; both databases are filled with
the same rows beside the APIs. The growth from one size to the next is stated as an exponent.

The search that has a goal is timed in two ways. Asked in turn, each server finds the processor's caches filled by the
other, whom no installation runs beside it. Asked in blocks of ten calls each, every server has its own steady state.
"""

import json
import math
import sys
import time
import urllib.parse
from collections.abc import Callable

from tests.benchmarks.mlflow_writes import batch, create_run
from tests.benchmarks.rival import API, Pair, Server, Timing, each_pair, heading, verdict
from tests.benchmarks.seeding import METRICS, fill, log_history, store

ORDER = {"order_by": ["metrics.metric_1 DESC"]}
SEARCHES = {
    "filter on metric and param, by metric, page 100": (
        {"filter": "metrics.metric_0 > 0.5 AND params.param_0 = '1'", **ORDER, "max_results": 100}, 25,
    ),
    "... a param of 20 values, page 100": (
        {"filter": "metrics.metric_0 > 0.5 AND params.param_1 = '7'", **ORDER, "max_results": 100}, 1,
    ),
    "... page 1,000": ({"filter": "metrics.metric_0 > 0.5 AND params.param_0 = '1'", **ORDER, "max_results": 1000}, 1),
    "... filter that keeps 0.3 %": ({"filter": "metrics.metric_0 > 0.997", **ORDER, "max_results": 100}, 1),
    "... no filter, newest first": ({"max_results": 100}, 1),
}  # fmt: skip
GROWTH_LIMIT = 0.2


def measure(pair: Pair) -> None:
    """Print the table of one database."""
    print(heading(pair), flush=True)
    searches(pair, _sizes("--runs=", "1000,10000,100000"))
    after_logging(pair)
    for points in _sizes("--points=", "100000,1000000"):
        histories(pair, points)


def searches(pair: Pair, sizes: list[int]) -> None:
    """Print every search at every size, and how it grows; those that have a goal in blocks too."""
    before: dict[str, Timing] = {}
    for at, size in enumerate(sizes):
        ids = {server.name: fill(server, size) for server in pair.both}
        for name, (body, goal) in SEARCHES.items():
            rounds = 5 if size > 10_000 or body["max_results"] > 100 else 15
            prepare, text = _searching(ids, body), f"{size:,} runs: {name}"
            timings = {name: pair.interleaved(text, prepare, rounds, warm=1)}
            if goal > 1:
                timings |= {f"{name} in blocks": pair.in_blocks("... in blocks of 10 calls to each", prepare)}
            for way, timing in timings.items():
                print(timing.line(goal), _growth(timing, before.get(way), size, sizes[at - 1]), flush=True)
            before |= timings


def _growth(timing: Timing, earlier: Timing | None, size: int, smaller: int) -> str:
    if earlier is None:
        return ""
    grew = [
        math.log(min(timing.taken[name]) / min(earlier.taken[name]), size / smaller) for name in ("mlflow", "portal")
    ]
    mark = "" if grew[1] <= GROWTH_LIMIT else "  MISSED"
    return f"  exponent {grew[0]:+.2f} / {grew[1]:+.2f} (limit {GROWTH_LIMIT}){mark}"


def _searching(ids: dict[str, str], body: dict) -> Callable[[Server], Callable[[], object]]:
    def prepare(server: Server) -> Callable[[], object]:
        wire = server.connect()
        raw = json.dumps({"experiment_ids": [ids[server.name]], **body}).encode()
        found = json.loads(wire.send("POST", f"{API}runs/search", raw)).get("runs", [])
        assert found, "a search that finds nothing measures nothing"
        return lambda: wire.send("POST", f"{API}runs/search", raw)

    return prepare


def after_logging(pair: Pair) -> None:
    """Print what the first search takes after 200 log calls to 8 runs."""
    taken: dict[str, list[float]] = {server.name: [] for server in pair.both}
    for turn in range(6):
        for server in pair.both:
            wire = server.connect()
            experiment = wire.post("experiments/create", {"name": f"logged-{turn}"})["experiment_id"]
            runs = [create_run(wire, experiment) for _ in range(8)]
            for call in range(200):
                wire.post("runs/log-batch", batch(runs[call % 8], call, 10, 1))
            body = {"experiment_ids": [experiment], "filter": "metrics.metric_0 >= 0", "order_by": ["metrics.metric_1"]}
            found, seconds = _timed(lambda w=wire, b=body: w.post("runs/search", b))
            assert len(found["runs"]) == 8
            assert {len(run["data"]["metrics"]) for run in found["runs"]} == {len(METRICS)}
            if turn:
                taken[server.name].append(seconds)
    print(Timing("search right after 200 log calls to 8 runs", taken).line(1), flush=True)


def histories(pair: Pair, points: int) -> None:
    """Print what reading one metric's history takes, whole and thinned, and what it takes on disk."""
    before = {server.name: _bytes(server) for server in pair.both}
    runs = {server.name: log_history(server, points) for server in pair.both}
    grown = {server.name: (_bytes(server) - before[server.name]) / points for server in pair.both}
    whole = pair.interleaved(f"history of {points:,} points, whole", _reading(runs, _whole), 3, warm=1)
    print(whole.line(12), flush=True)
    thin = pair.interleaved(f"history of {points:,} points, 1,000 of them", _reading(runs, _thinned), 7, warm=1)
    print(thin.line(8), "" if thin.median("portal") <= 0.1 else "  MISSED 100 ms", flush=True)
    text = f"bytes of the database for each of {points:,} points"
    ratio = verdict(grown["mlflow"] / max(0.1, grown["portal"]), 3)
    print(f"{text:48}{grown['mlflow']:10.1f}{grown['portal']:10.1f}{ratio}", flush=True)


def _whole(run: str) -> str:
    return f"metrics/get-history?run_id={run}&metric_key=loss"


def _thinned(run: str) -> str:
    asked = urllib.parse.urlencode({"run_ids": run, "metric_key": "loss", "max_results": 1000})
    return f"metrics/get-history-bulk-interval?{asked}"


def _reading(runs: dict[str, str], path_of: Callable[[str], str]) -> Callable[[Server], Callable[[], object]]:
    def prepare(server: Server) -> Callable[[], object]:
        wire, path = server.connect(), API + path_of(runs[server.name])
        return lambda: wire.send("GET", path)

    return prepare


def _bytes(server: Server) -> int:
    with store(server) as opened:
        if opened.is_postgres:
            return int(opened.rows("SELECT pg_database_size(current_database())")[0][0])
        pages, free, size = (
            opened.rows(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")
        )
        return (int(pages) - int(free)) * int(size)


def _timed(action: Callable[[], dict]) -> tuple[dict, float]:
    start = time.perf_counter()
    found = action()
    return found, time.perf_counter() - start


def _sizes(option: str, default: str) -> list[int]:
    named = next((word.removeprefix(option) for word in sys.argv if word.startswith(option)), default)
    return [int(part) for part in named.split(",") if part]


if __name__ == "__main__":
    each_pair(measure)
