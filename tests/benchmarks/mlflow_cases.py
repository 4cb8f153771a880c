"""How long every case of ``tests/mlflow/cases`` takes by the newest client, with a bearer token and with basic sign-in.

``python -m tests.benchmarks.mlflow_cases [--sqlite | --postgres]``: one portal for each kind of database, each case
by each way to sign in. The suite itself plays most of them once only. The exit code says whether all passed.
"""

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from tests.benchmarks.rival import DATABASES, services
from tests.mlflow.harness import Door, play, serving

WAYS = ("bearer", "basic")
GOAL_SECONDS = 240
SLOWEST = 5


def measure(database: str, folder: Path) -> bool:
    """Print what both passes take on one kind of database; return whether every case passed."""
    with ExitStack() as stack:
        if database == "postgres":
            stack.enter_context(patch.dict(os.environ, stack.enter_context(services.postgres(folder / "p"))))
        door = stack.enter_context(serving(folder / "portal", Door))
        print(f"[{database}, load {os.getloadavg()[0]:.1f}]", flush=True)
        passes = [_pass(door, way, folder) for way in WAYS]
    seconds = sum(taken for taken, _ in passes)
    print(f"both {seconds:.0f} s, goal {GOAL_SECONDS} s{'' if seconds < GOAL_SECONDS else '  MISSED'}", flush=True)
    return all(is_well for _, is_well in passes)


def _pass(door: Door, way: str, folder: Path) -> tuple[float, bool]:
    began = time.monotonic()
    outcomes = [one for file in play(door, "mlflow3", way, folder, "-m", "not autologging").values() for one in file]
    seconds = time.monotonic() - began
    inside, failed = sum(one.seconds for one in outcomes), [one for one in outcomes if one.trouble]
    print(f"{way}: {len(outcomes)} cases, {len(failed)} failed, {seconds:.0f} s, of which {inside:.0f} s in cases")
    for one in sorted(outcomes, key=lambda one: -one.seconds)[:SLOWEST]:
        print(f"    {one.seconds:5.1f} s  {one.module} {one.name}")
    for one in failed:
        print(f"    FAILED {one.module} {one.name}: {one.trouble[:500]}")
    return seconds, not failed


if __name__ == "__main__":
    named = [name for name in DATABASES if f"--{name}" in sys.argv]
    results = []
    for kind in named or DATABASES:
        with tempfile.TemporaryDirectory(prefix=f"cases-{kind}-") as made:
            Path(made).chmod(0o755)
            results.append(measure(kind, Path(made)))
    sys.exit(not all(results))
