# ruff: noqa: S608 - the SQL is made of our own words and column positions; no name or value of a file reaches it
"""Distinct values, top values, quantiles and repeated rows of a Parquet file, by DuckDB.

The connection can read that one file and nothing else: no network, no other path, no extension, and
the configuration is locked before the first query.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from .limits import DEFAULT, Limits
from .words import clip

SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
TOP = 10


@contextmanager
def opened(path: Path, work: Path, *, columns: int, limits: Limits = DEFAULT) -> Iterator["Table"]:
    """Open the canonical copy for counting; ``work`` is a private folder for spilling."""
    config: dict[str, Any] = {
        "memory_limit": f"{limits.memory_bytes // 2**20}MB",
        "threads": limits.threads,
        "temp_directory": str(work / "spill"),
        "allowed_paths": [str(path)],
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    connection = duckdb.connect(":memory:")
    try:
        for name, value in config.items():
            connection.execute(f"SET {name} = {_literal(value)}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield Table(connection, str(path), columns, limits)
    finally:
        connection.close()


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


@dataclass(frozen=True)
class Table:
    """The file as a relation whose columns are called ``c0`` ... ``cn``, by position.

    DuckDB folds the case of names; positions keep ``a`` and ``A`` apart and no name reaches the SQL.
    """

    connection: duckdb.DuckDBPyConnection
    path: str
    columns: int
    limits: Limits

    def _rows(self, select: str) -> list[tuple[Any, ...]]:
        names = ", ".join(f"c{at}" for at in range(self.columns))
        source = f"read_parquet({_literal(self.path)}) AS t({names})"
        return self.connection.execute(select.replace("$source", source)).fetchall()

    def distinct(self, at: int, *, exact: bool) -> int:
        """Different present values of a column."""
        if exact:
            query = f"SELECT count(*) FROM (SELECT c{at} FROM $source WHERE c{at} IS NOT NULL GROUP BY 1)"
        else:
            query = f"SELECT approx_count_distinct(c{at}) FROM $source"
        return int(self._rows(query)[0][0])

    def top(self, at: int) -> list[dict[str, Any]]:
        """Most frequent present values with their counts; ties by value."""
        query = (
            f"SELECT CAST(c{at} AS VARCHAR) AS v, count(*) AS n FROM $source WHERE c{at} IS NOT NULL "
            f"GROUP BY 1 ORDER BY n DESC, v LIMIT {TOP}"
        )
        return [{"value": clip(value), "count": int(count)} for value, count in self._rows(query)]

    def quantiles(self, at: int, *, moment: bool, exact: bool) -> list[float] | None:
        """Values at ``SHARES``, by linear interpolation; times as microseconds since 1970."""
        value = f"epoch_us(c{at})" if moment else f"c{at}"
        how = "quantile_cont" if exact else "approx_quantile"
        query = f"SELECT {how}(CAST({value} AS DOUBLE), {list(SHARES)}) FROM $source"
        found = self._rows(query)[0][0]
        return None if found is None else [float(value) for value in found]

    def text(self, at: int) -> dict[str, Any]:
        """Lengths of a text column, share of values with a space, share that are numbers."""
        query = (
            f"SELECT min(length(c{at})), max(length(c{at})), avg(length(c{at})), "
            f"avg(CAST(contains(c{at}, ' ') AS INTEGER)), "
            f"avg(CAST(regexp_full_match(trim(c{at}), '[+-]?[0-9]+([.,][0-9]+)?') AS INTEGER)) FROM $source"
        )
        shortest, longest, mean, spaced, numbers = self._rows(query)[0]
        return {
            "min_length": shortest,
            "max_length": longest,
            "mean_length": mean,
            "space_share": spaced or 0.0,
            "number_share": numbers or 0.0,
        }

    def repeated_rows(self) -> int:
        """Rows equal to an earlier row, compared by a 64-bit hash of all their values."""
        names = ", ".join(f"c{at}" for at in range(self.columns))
        query = f"SELECT sum(n - 1) FROM (SELECT count(*) AS n FROM $source GROUP BY hash({names}))"
        return int(self._rows(query)[0][0] or 0)
