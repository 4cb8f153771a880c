"""What a training loop pays to log: the portal and a real MLflow server, in pairs on the same kind of database.

``MLFLOW_PYTHON=… python -m tests.benchmarks.mlflow_writes [--sqlite | --postgres]``. Authentication and access checks
are on in the portal, SQLite waits for the disk at every commit; MLflow runs as it comes, without authentication.
"""

import itertools
import json
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from statistics import median

from tests.benchmarks.line import Line
from tests.benchmarks.rival import API, Connection, Pair, Server, Timing, each_pair, heading, percentile, verdict

STAMP = 1_760_000_000_000
LOOPS = 8
LOOP_SECONDS = 4.0
LOOP_ROUNDS = 3
SETTLE_SECONDS = 0.5
Prepare = Callable[[Server], Callable[[], object]]


def create_run(wire: Connection, experiment: str = "0") -> str:
    """Create a run with the four tags a client sets and return its id."""
    tags = {
        "mlflow.user": "bench", "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL",
        "mlflow.runName": "bench-run",
    }  # fmt: skip
    body = {
        "experiment_id": experiment, "user_id": "bench", "run_name": "bench-run", "start_time": STAMP,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }  # fmt: skip
    return wire.post("runs/create", body)["run"]["info"]["run_id"]


def creating(server: Server) -> Callable[[], object]:
    """Time runs/create."""
    wire = server.connect()
    return lambda: create_run(wire)


def logging_to_a_run(path: str, body_of: Callable[[str, int], dict], rounds: int) -> Prepare:
    """Time one log call; the bodies are made before."""

    def prepare(server: Server) -> Callable[[], object]:
        wire = server.connect()
        run = create_run(wire)
        bodies = iter([json.dumps(body_of(run, call)).encode() for call in range(rounds + 10)])
        return lambda: wire.send("POST", API + path, next(bodies))

    return prepare


def one_metric(run: str, call: int) -> dict:
    """Return the body of log-metric."""
    return {"run_id": run, "run_uuid": run, "key": "loss", "value": 1 / (call + 1), "timestamp": STAMP, "step": call}


def batch(run: str, call: int, keys: int, steps: int) -> dict:
    """Return the body of log-batch with as many metrics as keys times steps, new ones at each call."""
    metrics = [
        {"key": f"metric_{key}", "value": key / 7 + call, "timestamp": STAMP + call, "step": call * steps + step}
        for step, key in itertools.product(range(steps), range(keys))
    ]
    return {"run_id": run, "metrics": metrics}


def everything(run: str, call: int) -> dict:
    """Return the body of log-batch with 100 new parameters, tags and metrics."""
    pairs = [{"key": f"{call}.{at}", "value": str(at)} for at in range(100)]
    return batch(run, call, 100, 1) | {"params": pairs, "tags": pairs}


def measure(pair: Pair) -> None:
    """Print the table of one database."""
    print(heading(pair), flush=True)
    for name, prepare, rounds, goal in (
        ("create run, 4 tags", creating, 60, 8),
        ("log-metric, one point", logging_to_a_run("runs/log-metric", one_metric, 120), 120, 8),
        ("log-batch, 10 metrics", _batches(10, 1, 120), 120, 8),
        ("log-batch, 1,000 metrics (10 keys x 100 steps)", _batches(10, 100, 15), 15, 40),
        ("log-batch, 1,000 metrics (1,000 keys)", _batches(1000, 1, 10), 10, 40),
        ("log-batch, 100 params + 100 tags + 100 metrics", logging_to_a_run("runs/log-batch", everything, 15), 15, 8),
    ):
        print(pair.interleaved(name, prepare, rounds).line(goal), flush=True)
    loops(pair)
    memory = [server.memory_mib() for server in pair.both]
    print(f"{'memory after it, PSS in MiB':48}{memory[0]:10.0f}{memory[1]:10.0f}{verdict(memory[0] / memory[1], 1)}")


def _batches(keys: int, steps: int, rounds: int) -> Prepare:
    return logging_to_a_run("runs/log-batch", lambda run, call: batch(run, call, keys, steps), rounds)


def loops(pair: Pair) -> None:
    """Print what 8 training loops get together that log 10 metrics a step, each to a run of its own."""
    steps: dict[str, list[float]] = {server.name: [] for server in pair.both}
    rates: dict[str, list[float]] = {server.name: [] for server in pair.both}
    with ProcessPoolExecutor(LOOPS, multiprocessing.get_context("fork")) as processes:
        for _, server in itertools.product(range(LOOP_ROUNDS), pair.both):
            taken = _loop_together(server, processes)
            steps[server.name] += taken
            rates[server.name].append(10 * len(taken) / LOOP_SECONDS)
    rate = {name: median(found) for name, found in rates.items()}
    text = f"{LOOPS} loops, 10 metrics a step: metrics/s"
    print(f"{text:48}{rate['mlflow']:10.0f}{rate['portal']:10.0f}{verdict(rate['portal'] / rate['mlflow'], 10)}")
    for share, goal in ((0.5, 0), (0.99, 10)):
        at = {name: [percentile(taken, share)] for name, taken in steps.items()}
        print(Timing(f"... p{share * 100:.0f} of a step", at).line(goal), flush=True)


def _loop_together(server: Server, processes: Executor) -> list[float]:
    """Return what each step took of all loops, each of which is a process as training is."""
    runs = [create_run(server.connect()) for _ in range(LOOPS)]
    begin = time.monotonic() + SETTLE_SECONDS
    loops = [processes.submit(_loop, server.port, server.headers, run, begin) for run in runs]
    return [seconds for loop in loops for seconds in loop.result()]


def _loop(port: int, headers: dict[str, str], run: str, begin: float) -> list[float]:
    line, taken = Line(port, headers), []
    time.sleep(max(0.0, begin - time.monotonic()))
    for call in itertools.count():
        body = json.dumps(batch(run, call, 10, 1)).encode()
        start = time.monotonic()
        if start > begin + LOOP_SECONDS:
            line.close()
            return taken
        line.send("POST", f"{API}runs/log-batch", body)
        taken.append(time.monotonic() - start)
    raise AssertionError("a count has no end")


if __name__ == "__main__":
    each_pair(measure)
