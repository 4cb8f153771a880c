"""Profile generated tables and compare with pandas in the same run.

``python -m tests.benchmarks.datasets [rows]`` writes a table of 30 mixed columns (default 1,000,000 rows),
profiles it in the child process that a worker uses, lets pandas read and describe it in another, and prints
seconds, peak memory and the ratio of both. Bars: under 60 s for 1,000,000 rows; under 1.5 GB for 1 GB.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

PANDAS = "import pandas, sys; frame = pandas.read_csv(sys.argv[1]); frame.describe(include='all'); frame.nunique()"
BLOCK_ROWS = 100_000


def block(chance: np.random.Generator, start: int, rows: int) -> pa.Table:
    columns: dict[str, object] = {"row_id": np.arange(start, start + rows)}
    columns |= {f"float_{at}": chance.normal(size=rows).round(4) for at in range(11)}
    columns |= {f"whole_{at}": chance.integers(0, 10 ** (1 + at % 6), rows) for at in range(8)}
    words = np.array(["alpha", "beta", "gamma delta", "epsilon", "zeta", "eta, comma"])
    columns |= {f"word_{at}": words[chance.integers(0, 6, rows)] for at in range(6)}
    seconds = chance.integers(0, 10**8, rows).astype("timedelta64[s]")
    columns["moment"] = np.datetime64("2020-01-01T00:00:00", "s") + seconds
    columns["flag"] = chance.integers(0, 2, rows).astype(bool)
    columns["text"] = [f"note {left} about {right}" for left, right in chance.integers(0, 10**6, (rows, 2))]
    columns["gaps"] = pa.array(chance.exponential(10, rows).round(3), mask=chance.random(rows) < 0.05)
    return pa.table(columns)


def write(path: Path, rows: int) -> None:
    chance, writer = np.random.default_rng(1), None
    for start in range(0, rows, BLOCK_ROWS):
        table = block(chance, start, min(BLOCK_ROWS, rows - start))
        writer = writer or pa_csv.CSVWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of processor time, and peak megabytes of a process."""
    start = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command[:3]} ended {status}"
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def request(path: Path, folder: Path) -> None:
    from dataclasses import asdict

    from projects.tabular.limits import Limits

    kernel = {"memory_bytes": 1536 * 2**20, "file_bytes": 2**40, "cpu_seconds": 36_000, "core_bytes": 0}
    content = {"path": str(path), "sample": "", "encoding": "", "delimiter": "", "limits": asdict(Limits())}
    (folder / "request.json").write_text(json.dumps(content | {"kernel_limits": kernel}))


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, path = Path(place), Path(place) / "table.csv"
        write(path, rows)
        request(path, folder)
        thrift = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "2"}
        environment = os.environ | thrift
        ours = measured([sys.executable, "-m", "projects.tabular.child", place], environment)
        theirs = measured([sys.executable, "-c", PANDAS, str(path)], dict(os.environ))
        size = path.stat().st_size / 1e6
    load = os.getloadavg()[0]
    print(f"{rows:,} rows x 30 columns, {size:,.0f} MB, {os.cpu_count()} cores, load {load:.1f}")
    for name, (clock, processor, memory) in (("mlportal profile", ours), ("pandas describe", theirs)):
        print(f"{name:<17} {clock:7.1f} s {processor:7.1f} s CPU {memory:7.0f} MB")
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    print("ratio             " + "  ".join(f"{ratio:.2f}" for ratio in ratios))
    print(f"this process peaked at {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000_000)
