# ruff: noqa: S608 - the SQL is made of our own words and column positions; names and values enter as parameters
"""Pages of rows of a large table, sorted and filtered: runs in a reader process only, which loads DuckDB.

A typed copy in Parquet must be unpacked as a whole to give a hundred scattered rows. So the first reader of a
version writes its columns plainly (Arrow IPC) into a file that is mapped into memory: DuckDB finds the numbers of
the rows over the few columns that a filter and an order name, and the rows are then looked up one by one.
"""

import math
import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from .words import clip

BATCH_ROWS, FILE_ROWS = 8_192, 65_536
_TESTS = {">", ">=", "<", "<=", "=", "!="}


def build(paths: list[Path], target: Path) -> None:
    """Write the file that pages are read from; it appears whole or not at all.

    Parameters
    ----------
    paths : list of Path
        Parquet files of one schema, whose rows follow each other.
    target : Path
        File to write.
    """
    with pq.ParquetFile(paths[0]) as first:
        types = list(first.schema_arrow.types)
    # ``c0`` ... ``cn`` by position, so that no name of a file reaches the SQL; ``r`` is the number of the row
    schema = pa.schema([pa.field("r", pa.int64()), *(pa.field(f"c{at}", kind) for at, kind in enumerate(types))])
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in _numbered(paths, schema):
                writer.write_batch(batch)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _numbered(paths: list[Path], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    done = 0
    size = max(100, min(FILE_ROWS, 2_000_000 // len(schema)))
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=size):
                numbers = pa.array(range(done, done + batch.num_rows), pa.int64())
                yield pa.RecordBatch.from_arrays([numbers, *batch.columns], schema=schema)
                done += batch.num_rows


def _connect(spill: Path, *, memory_bytes: int, threads: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    for name, value in {
        "memory_limit": f"'{memory_bytes // 2**20}MB'",
        "threads": str(threads),
        "temp_directory": "'" + str(spill).replace("'", "''") + "'",
        "max_temp_directory_size": "'4GB'",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
    }.items():
        connection.execute(f"SET {name} = {value}")
    return connection


class Grid:
    """An open file of rows.

    Parameters
    ----------
    path : Path
        What ``build`` wrote; mapped, not read, so that its size is not memory of this process.
    memory_bytes, threads : int
        What DuckDB may use.
    """

    def __init__(self, path: Path, *, memory_bytes: int, threads: int = 2) -> None:
        self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        self._batches = self._table.to_batches()
        self._starts = [0, *accumulate(batch.num_rows for batch in self._batches)]
        self.connection = _connect(path.parent / "spill", memory_bytes=memory_bytes, threads=threads)
        self.connection.register("t", self._table)
        with suppress(OSError):
            os.utime(path)  # tells which files were not used for long

    def close(self) -> None:
        """Let the file go."""
        self.connection.close()
        self._batches, self._table = [], None

    def _cell(self, row: int, name: str) -> Any:
        at = bisect_right(self._starts, row) - 1
        return self._batches[at].column(name)[row - self._starts[at]].as_py()

    def count(self, where: list[dict[str, Any]]) -> int:
        """How many rows pass."""
        text, values = _where(where)
        return int(self.connection.execute(f"SELECT count(*) FROM t{text}", values).fetchall()[0][0])

    def page(
        self,
        columns: list[int],
        where: list[dict[str, Any]],
        *,
        sort: int | None,
        descending: bool,
        limit: int,
        start: int = 0,
        after: int | None = None,
        before: int | None = None,
    ) -> list[list[Any]]:
        """Some rows, each with its number first, in order.

        Parameters
        ----------
        columns : list of int
            Positions of the columns to read.
        where : list of dict
            Conditions; see ``rowfilter.Condition``, with positions for names.
        sort : int or None
            Position of the column to sort by; rows without a value come last, equal ones in their own order.
        descending : bool
            Greatest first.
        limit : int
            Most rows.
        start : int
            Number of the first row, when nothing is sorted.
        after, before : int or None
            Number of the row that the page follows, or comes before.
        """
        text, values = _where(where)
        edge, more = self._edge(sort, start, after, before, descending=descending)
        joined = " AND ".join(part for part in (text.removeprefix(" WHERE "), edge) if part)
        order = _order(sort, descending=descending, backwards=before is not None)
        query = f"SELECT r FROM t{' WHERE ' + joined if joined else ''} ORDER BY {order} LIMIT {int(limit)}"
        found = [row[0] for row in self.connection.execute(query, [*values, *more]).fetchall()]
        numbers = found[::-1] if before is not None else found
        return [[row, *(plain(self._cell(row, f"c{at}")) for at in columns)] for row in numbers]

    def _edge(
        self,
        sort: int | None,
        start: int,
        after: int | None,
        before: int | None,
        *,
        descending: bool,
    ) -> tuple[str, list[Any]]:
        row = after if after is not None else before
        if row is None:
            return ("r >= ?", [start]) if start and sort is None else ("", [])
        forward = after is not None
        step = ">" if forward else "<"
        if sort is None:
            return f"r {step} ?", [row]
        value = self._cell(row, f"c{sort}") if 0 <= row < len(self._table) else None
        if value is None:
            nulls = f"(c{sort} IS NULL AND r {step} ?)"
            return (nulls if forward else f"({nulls} OR c{sort} IS NOT NULL)"), [row]
        beyond = "<" if forward == descending else ">"
        edge = f"c{sort} {beyond} ? OR (c{sort} = ? AND r {step} ?)"
        return f"({edge}{f' OR c{sort} IS NULL' if forward else ''})", [value, value, row]

    def batches(
        self, columns: list[int | str], where: list[dict[str, Any]], *, sort: int | None, descending: bool
    ) -> pa.RecordBatchReader:
        """All rows that pass, in order; a text in ``columns`` stands for itself in every row."""
        text, values = _where(where)
        shown = ", ".join(f"c{at}" if isinstance(at, int) else "?" for at in columns)
        words = [at for at in columns if isinstance(at, str)]
        query = f"SELECT {shown} FROM t{text} ORDER BY {_order(sort, descending=descending, backwards=False)}"
        return self.connection.execute(query, [*words, *values]).to_arrow_reader(BATCH_ROWS)


def _order(sort: int | None, *, descending: bool, backwards: bool) -> str:
    rows = "r DESC" if backwards else "r"
    if sort is None:
        return rows
    way = "DESC" if descending != backwards else "ASC"
    return f"c{sort} {way} NULLS {'FIRST' if backwards else 'LAST'}, {rows}"


def _where(conditions: list[dict[str, Any]]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for condition in conditions:
        either: list[str] = []
        for at in condition["columns"]:
            text, more = _test(int(at), condition["test"], condition["values"])
            either.append(text)
            values += more
        joined = " OR ".join(either)
        parts.append(f"NOT coalesce({joined}, false)" if condition["negate"] else f"({joined})")
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


def _test(at: int, test: str, values: list[Any]) -> tuple[str, list[Any]]:
    if test == "null":
        return f"c{at} IS NULL", []
    if test == "~":
        found = " OR ".join([f"contains(lower(CAST(c{at} AS VARCHAR)), ?)"] * len(values))
        return f"({found})", [str(value).lower() for value in values]
    if test not in _TESTS:
        raise ValueError(test)
    if test == "!=":
        return "(" + " AND ".join([f"c{at} != ?"] * len(values)) + ")", list(values)
    return "(" + " OR ".join([f"c{at} {test} ?"] * len(values)) + ")", list(values)


def plain(value: Any) -> Any:
    """A JSON-able cell; long text is cut."""
    if isinstance(value, str):
        return clip(value)
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return clip(str(value))
