# ruff: noqa: S608 - the SQL is made of our own words and column positions; no name or value of a file reaches it
"""Distinct values, top values, quantiles and repeated rows of a Parquet file, by DuckDB.

The connection can read nothing itself, neither files nor the network, and load no extension; it is fed by
us, and its configuration is locked before the first query.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from .limits import DEFAULT, Limits
from .moments import parts
from .words import clip

SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
TOP = 10
BATCH_CELLS = 1_000_000


@contextmanager
def opened(file: pq.ParquetFile, work: Path, *, limits: Limits = DEFAULT) -> Iterator["Table"]:
    """Open a canonical copy for counting; ``work`` is a private folder for spilling."""
    config = {
        "memory_limit": f"'{limits.memory_bytes // 2**20}MB'",
        "threads": str(limits.threads),
        "temp_directory": "'" + str(work / "spill").replace("'", "''") + "'",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "preserve_insertion_order": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
    }
    connection = duckdb.connect(":memory:")
    try:
        for name, value in config.items():
            connection.execute(f"SET {name} = {value}")
        yield Table(connection, file, file.schema_arrow)
    finally:
        connection.close()


@dataclass(frozen=True)
class Table:
    """The file as a relation; each query is fed the columns it needs, batch by batch.

    Columns are called ``c`` or ``c0`` ... ``cn`` by position, so no name of a file reaches the SQL. Opening
    the file once and feeding single columns keeps a table of thousands of columns linear: a query over the
    file itself would bind all of them each time.
    """

    connection: duckdb.DuckDBPyConnection
    file: pq.ParquetFile
    schema: pa.Schema

    def _rows(self, at: int, select: str) -> list[tuple[Any, ...]]:
        field = self.schema.field(at)
        schema = pa.schema([pa.field("c", field.type)])
        batches = (pa.record_batch([part], schema=schema) for part in parts(self.file, field.name))
        return self._run(pa.RecordBatchReader.from_batches(schema, batches), select)

    def _run(self, reader: pa.RecordBatchReader, select: str) -> list[tuple[Any, ...]]:
        self.connection.register("t", reader)
        try:
            return self.connection.execute(select).fetchall()
        finally:
            self.connection.unregister("t")

    def distinct(self, at: int, *, exact: bool) -> int:
        """Different present values of a column."""
        if exact:
            query = "SELECT count(*) FROM (SELECT c FROM t WHERE c IS NOT NULL GROUP BY 1)"
        else:
            query = "SELECT approx_count_distinct(c) FROM t"
        return int(self._rows(at, query)[0][0])

    def top(self, at: int) -> list[dict[str, Any]]:
        """Most frequent present values with their counts; ties by value."""
        query = (
            "SELECT CAST(c AS VARCHAR) AS v, count(*) AS n FROM t WHERE c IS NOT NULL "
            f"GROUP BY 1 ORDER BY n DESC, v LIMIT {TOP}"
        )
        return [{"value": clip(value), "count": int(count)} for value, count in self._rows(at, query)]

    def quantiles(self, at: int, *, moment: bool, exact: bool) -> list[float] | None:
        """Values at ``SHARES``, by linear interpolation; times as microseconds since 1970."""
        value = "epoch_us(c)" if moment else "c"
        how = "quantile_cont" if exact else "approx_quantile"
        query = f"SELECT {how}(CAST({value} AS DOUBLE), {list(SHARES)}) FROM t"
        found = self._rows(at, query)[0][0]
        return None if found is None else [float(value) for value in found]

    def text(self, at: int) -> dict[str, Any]:
        """Lengths of a text column, share of values with a space, share that are numbers."""
        query = (
            "SELECT min(length(c)), max(length(c)), avg(length(c)), "
            "avg(CAST(contains(c, ' ') AS INTEGER)), "
            "avg(CAST(regexp_full_match(trim(c), '[+-]?[0-9]+([.,][0-9]+)?') AS INTEGER)) FROM t"
        )
        shortest, longest, mean, spaced, numbers = self._rows(at, query)[0]
        return {
            "min_length": shortest,
            "max_length": longest,
            "mean_length": mean,
            "space_share": spaced or 0.0,
            "number_share": numbers or 0.0,
        }

    def repeated_rows(self) -> int:
        """Rows equal to an earlier row, compared by a 64-bit hash of all their values."""
        width = len(self.schema)
        names = [f"c{at}" for at in range(width)]
        schema = pa.schema(list(zip(names, self.schema.types, strict=True)))
        batches = (
            pa.RecordBatch.from_arrays(batch.columns, schema=schema)
            for batch in self.file.iter_batches(batch_size=max(100, BATCH_CELLS // width))
        )
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        query = f"SELECT sum(n - 1) FROM (SELECT count(*) AS n FROM t GROUP BY hash({', '.join(names)}))"
        return int(self._run(reader, query)[0][0] or 0)
