"""Drift of 30 features over 1,000,000 rows from the log, against Evidently's preset and exact scores.

``python -m tests.benchmarks.drift [rows]``. Ours reads the files of the log as the shipper writes them, one of 10,000
rows after the other, counts them on the grids of the reference and compares. The rival, when its environment is named
by ``EVIDENTLY_PYTHON`` (``drift_rivals.sh`` makes one), runs its preset on the same rows in two Parquet
files. Both are processes of their own; CPU and peak memory are the kernel's figures of each, start-up included.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from mlportal.lib import rowfile
from monitoring import drift

ROWS, REFERENCE, NUMBERS, WORDS, CHUNK = 1_000_000, 1_000_000, 24, 6, 10_000
OWN = """
import json, sys
from pathlib import Path
import pyarrow as pa
from pyarrow import parquet
from monitoring import drift
from monitoring.drift import score, shape
pa.set_cpu_count(1)
grids = json.loads(Path(sys.argv[1]).read_text())
parts = {name: [] for name in grids}
for path in sorted(Path(sys.argv[2]).iterdir()):
    table = parquet.ParquetFile(path, pre_buffer=False).read(use_threads=False)
    for name, grid in grids.items():
        parts[name].append(drift.fill(grid, table.column(name)))
found = score.columns(grids, {name: shape.merge(held) for name, held in parts.items()})
print(json.dumps({one.column: [one.psi, one.ks, one.wasserstein, one.js] for one in found}))
print(Path("/proc/self/status").read_text())
"""
RIVAL = """
import json, sys, pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
report = Report([DataDriftPreset()]).run(pd.read_parquet(sys.argv[2]), pd.read_parquet(sys.argv[1]))
values = {}
for metric in report.dict()["metrics"]:
    column = metric.get("config", {}).get("column")
    if column:
        values[column] = float(metric["value"])
print(json.dumps(values))
print(open("/proc/self/status").read())
"""


def table(rows: int, seed: int, shift: float) -> pd.DataFrame:
    """24 numbers of several shapes and 6 words with 2,000 values."""
    chance = np.random.default_rng(seed)
    draws = [chance.normal, chance.lognormal, lambda mean, sd, size: mean + sd * chance.standard_t(3, size)]
    numbers = {f"x{place}": draws[place % 3](shift * (place % 2), 1.0, rows) for place in range(NUMBERS)}
    words = {f"w{place}": np.char.add("v", chance.zipf(1.6, rows).clip(1, 2000).astype(str)) for place in range(WORDS)}
    return pd.DataFrame(numbers | words)


class Used:
    """What a program took, and what it said."""

    def __init__(self, command: list[str]) -> None:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout
        said = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        assert status == 0, command[:2]
        self.said = json.loads(next(text for text in said.splitlines() if text.startswith("{")))
        self.seconds = usage.ru_utime + usage.ru_stime
        # of the program itself: ru_maxrss begins with what this process had when it forked
        self.mib = int(re.findall(r"VmHWM:\s+(\d+)", said)[0]) / 1024


def write_log(current: pd.DataFrame, folder: Path) -> None:
    """Write the rows as the shipper does, a file a segment."""
    folder.mkdir()
    for start in range(0, len(current), CHUNK):
        rows = pa.Table.from_pandas(current.iloc[start : start + CHUNK], preserve_index=False)
        rows = pa.table(
            {name: rows.column(name).cast(pa.string() if name[0] == "w" else pa.float64()) for name in current}
        )
        (folder / f"{start:09}.parquet").write_bytes(rowfile.packed(rows))


def exact(reference: pd.DataFrame, current: pd.DataFrame, name: str) -> tuple[float, float]:
    """KS and Wasserstein in standard deviations of the reference, of scipy over all values."""
    a, b = reference[name].to_numpy(), current[name].to_numpy()
    ks = stats.ks_2samp(a, b, method="asymp").statistic
    return float(ks), float(stats.wasserstein_distance(a, b) / a.std())


def measure(rows: int) -> None:
    """Compare both, and both with scipy."""
    reference, current = table(REFERENCE, 1, 0.0), table(rows, 2, 0.1)
    kinds = {name: "numeric" if name[0] == "x" else "categorical" for name in reference}
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held)
        (folder / "grids.json").write_text(json.dumps(drift.reference(reference, kinds)))
        write_log(current, folder / "log")
        own = Used([sys.executable, "-c", OWN, str(folder / "grids.json"), str(folder / "log")])
        print(f"own                     {own.seconds:8.2f} s CPU, {own.mib:7,.0f} MiB", flush=True)
        sure = {name: exact(reference, current, name) for name in kinds if name[0] == "x"}
        for place, measured in ((1, "KS"), (2, "Wasserstein/sd")):
            worst = max(abs(own.said[name][place] - values[place - 1]) for name, values in sure.items())
            print(f"largest error           {worst:8.5f} of {measured}, against scipy (bar 0.005)", flush=True)
        if python := os.environ.get("EVIDENTLY_PYTHON"):
            reference.to_parquet(folder / "reference.parquet")
            current.to_parquet(folder / "current.parquet")
            del reference, current
            theirs = Used([python, "-c", RIVAL, str(folder / "reference.parquet"), str(folder / "current.parquet")])
            print(f"Evidently               {theirs.seconds:8.2f} s CPU, {theirs.mib:7,.0f} MiB")
            print(f"ratio                   {theirs.seconds / own.seconds:8.0f} x CPU (bar 100), "
                  f"{theirs.mib / own.mib:.0f} x memory (bar 20)")  # fmt: skip
            compare(own.said, theirs.said)


def compare(own: dict[str, list[float]], theirs: dict[str, float]) -> None:
    """Print how far the scores lie from the rival's: Wasserstein/sd of numbers, Jensen-Shannon of words."""
    for letter, place, factor in (("x", 2, 1.0), ("w", 3, np.sqrt(np.log(2)))):  # it takes natural logarithms
        pairs = [(own[name][place] * factor, value) for name, value in theirs.items() if name[0] == letter]
        if pairs:
            worst = max(abs(a - b) for a, b in pairs)
            kind = "numbers" if letter == "x" else "words"
            print(f"largest difference      {worst:8.5f} to Evidently's scores of {len(pairs)} {kind}")


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
