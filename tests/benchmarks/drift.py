"""Drift of 30 features over 1,000,000 rows from grids, and a real stream replayed by time.

``python -m tests.benchmarks.drift [rows] [electricity.csv]``. The rival, when its environment is named by
``EVIDENTLY_PYTHON``, runs its preset over the same Parquet files in a process of its own.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from monitoring import drift
from monitoring.drift import score, shape, verdict

ROWS, NUMBERS, WORDS, CHUNK = 1_000_000, 24, 6, 10_000
WINDOW, FEATURES = 336, ["nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]
RIVAL = """
import sys, pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
Report([DataDriftPreset()]).run(pd.read_parquet(sys.argv[2]), pd.read_parquet(sys.argv[1]))
"""


def table(rows: int, seed: int, shift: float) -> pd.DataFrame:
    """24 numbers of several shapes and 6 words with 2,000 values."""
    chance = np.random.default_rng(seed)
    draws = [chance.normal, chance.lognormal, lambda mean, sd, size: mean + sd * chance.standard_t(3, size)]
    numbers = {f"x{place}": draws[place % 3](shift * (place % 2), 1.0, rows) for place in range(NUMBERS)}
    words = {f"w{place}": np.char.add("v", chance.zipf(1.6, rows).clip(1, 2000).astype(str)) for place in range(WORDS)}
    return pd.DataFrame(numbers | words)


def own(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[float, float, list[score.Score]]:
    """CPU seconds to fill the counts in chunks as the shipper does, and to compare them with the reference."""
    grids = drift.reference(reference, {name: "numeric" if name[0] == "x" else "categorical" for name in reference})
    began = time.process_time()
    counts = {
        name: shape.merge([drift.fill(grid, current[name].iloc[start : start + CHUNK].to_numpy())
                           for start in range(0, len(current), CHUNK)])
        for name, grid in grids.items()
    }  # fmt: skip
    filled = time.process_time()
    found = score.columns(grids, counts)
    return filled - began, time.process_time() - filled, found


def errors(reference: pd.DataFrame, current: pd.DataFrame, found: list[score.Score]) -> tuple[float, float]:
    """Largest error of KS and of Wasserstein in standard deviations against scipy on all values."""
    held = {one.column: one for one in found}
    ks, far = 0.0, 0.0
    for name in [name for name in reference if name[0] == "x"]:
        a, b = reference[name].to_numpy(), current[name].to_numpy()
        ks = max(ks, abs((held[name].ks or 0) - stats.ks_2samp(a, b, method="asymp").statistic))
        far = max(far, abs((held[name].wasserstein or 0) - stats.wasserstein_distance(a, b) / a.std()))
    return ks, far


def rival(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[float, float] | None:
    """CPU seconds and peak memory in MB of the rival's preset; None without its environment."""
    python = os.environ.get("EVIDENTLY_PYTHON")
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("reference.parquet", "current.parquet")]
        for frame, path in zip((reference, current), paths, strict=True):
            frame.to_parquet(path)
        subprocess.run([python, "-c", RIVAL, *map(str, paths)], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def replay(path: Path) -> tuple[int | None, float]:
    """Windows until the first drift after row 17,424, where three constant columns begin to move, and the share of
    windows drawn from the quiet time before it that raise an alarm.
    """
    stream = pd.read_csv(path)
    moved = int((stream["vicprice"] != stream["vicprice"].iloc[0]).idxmax())
    chance = np.random.default_rng(1)
    order = chance.permutation(moved)
    quiet, held = stream.iloc[order[: moved // 2]], stream.iloc[order[moved // 2 :]]
    grids = drift.reference(quiet[FEATURES], dict.fromkeys(FEATURES, "numeric"))

    def alarmed(rows: pd.DataFrame) -> bool:
        counts = {name: drift.fill(grid, rows[name].to_numpy()) for name, grid in grids.items()}
        return verdict.judge(score.columns(grids, counts)).state == "alert"

    later = range(moved, len(stream) - WINDOW, WINDOW)
    first = next((number for number, at in enumerate(later, 1) if alarmed(stream.iloc[at : at + WINDOW])), None)
    false = [alarmed(held.iloc[chance.integers(0, len(held), WINDOW)]) for _ in range(500)]
    return first, sum(false) / len(false)


def main() -> None:
    """Print each figure beside its bar."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    reference, current = table(rows, 1, 0.0), table(rows, 2, 0.1)
    filling, comparing, found = own(reference, current)
    ks, far = errors(reference, current, found)
    print(f"fill {rows:,} rows     {filling:8.2f} s CPU, {1e6 * filling / rows:.2f} us a row")
    print(f"compare 30 columns      {comparing:8.4f} s CPU")
    print(f"largest error           KS {ks:.5f}, Wasserstein/sd {far:.5f} (bar 0.005)")
    theirs = rival(reference, current)
    if theirs:
        print(f"rival                   {theirs[0]:8.1f} s CPU, {theirs[1]:,.0f} MB; ratio {theirs[0] / filling:.0f}")
    if len(sys.argv) > 2:
        first, false = replay(Path(sys.argv[2]))
        print(f"electricity             first drift in window {first} (bar 3), false alarms {false:.1%} (bar 1 %)")


if __name__ == "__main__":
    main()
