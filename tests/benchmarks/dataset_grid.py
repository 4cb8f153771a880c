"""Pages of rows over 1,000,000 rows: sorted, filtered and both, by the readers that pages use."""

import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from projects.tabular.grid_pool import Pool, Settings
from projects.tabular.rowfilter import parse
from tests.benchmarks.budgets import settle, verdict

ROWS, BUDGET_MS = 1_000_000, 300
SHOWN = list(range(18))


def write_table(path: Path) -> list[dict[str, str]]:
    """Eighteen columns: a number, twelve decimals, three integers, a category, a text of its own in each row."""
    chance = np.random.default_rng(1)
    columns: dict[str, np.ndarray] = {"id": np.arange(ROWS)}
    columns |= {f"x{at}": chance.normal(size=ROWS) for at in range(12)}
    columns |= {f"k{at}": chance.integers(0, 1000, ROWS) for at in range(3)}
    columns["city"] = np.array(["Berlin", "Paris", "Rome", "Oslo", "Lima"])[chance.integers(0, 5, ROWS)]
    columns["name"] = np.char.add("customer ", chance.integers(0, 10**7, ROWS).astype(str))
    pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=65_536)
    kinds = {"f": "numeric", "i": "integer", "U": "text"}
    dtypes = {"f": "double", "i": "int64", "U": "string"}
    return [
        {"name": name, "kind": kinds[values.dtype.kind], "dtype": dtypes[values.dtype.kind]}
        for name, values in columns.items()
    ]


def main() -> None:
    """Print the time of each page, and p95."""
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))
    settle()


def measure(tmp_path: Path) -> None:
    """Write the table, open it, ask for pages."""
    schema = write_table(tmp_path / "rows.parquet")
    at = {field["name"]: index for index, field in enumerate(schema)}
    pool = Pool(Settings(code=Path(__file__).resolve().parents[2], folder=tmp_path / "grid"))
    began = time.perf_counter()
    assert pool.ready("rows", [tmp_path / "rows.parquet"], wait_seconds=300)
    print(f"\nfile made in {time.perf_counter() - began:.1f} s, {pool.file('rows').stat().st_size / 1e6:.0f} MB")
    plans = [
        ("", None, {}), ("", None, {"start": 900_000}), ("", "x3", {}), ("", "name", {}), ("x3>1 city~er", None, {}),
        ("name~777", None, {}), ("x3>1 name~77", "x5", {}), ("k0:5|7|9", "city", {}), ("x1<-2", "k1", {}),
    ]  # fmt: skip
    took, before = [], _busy()
    try:
        for q, sort, more in plans:
            where = [each.as_dict() | {"columns": [at[name] for name in each.columns]} for each in parse(q, schema)]
            page = {"columns": SHOWN, "sort": at[sort] if sort else None, "descending": False, "limit": 100} | more
            for _page in range(5):
                began = time.perf_counter()
                found = pool.ask({"file": str(pool.file("rows")), "where": where, "page": page})
                took.append(1000 * (time.perf_counter() - began))
                assert len(found["rows"]) == 100
                if sort or q:
                    page |= {"after": found["rows"][-1][0]}
            shown = f"{q or 'all':<16} by {sort or 'row':<5} total {found['total']:>9,}"
            print(f"{shown}: {' '.join(f'{ms:4.0f}' for ms in took[-5:])} ms")
    finally:
        pool.close()
    first, later = took[0], sorted(took[1:])  # the first one starts the reader
    p95 = later[int(0.95 * len(later))]
    print(f"load {os.getloadavg()[0]:.1f}; processor time a page {1000 * (_busy() - before) / len(took):.0f} ms")
    said = f"first {first:.0f} ms, median {statistics.median(later):.0f} ms, p95 {p95:.0f} ms; budget {BUDGET_MS} ms"
    print(f"{said}{verdict('p95 of a page of rows, ms', p95, BUDGET_MS)}")


def _busy() -> float:
    """Processor seconds of the readers that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
