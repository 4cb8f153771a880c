"""Some rows of a typed copy, read without loading the file: only the row groups they lie in."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .words import clip


@dataclass(frozen=True)
class Page:
    """Rows of a table.

    Parameters
    ----------
    names : list of str
        Columns shown.
    rows : list of list
        JSON-able values; times as ISO text, long text cut.
    offset, total : int
        Number of rows before these, and in all.
    """

    names: list[str]
    rows: list[list[Any]]
    offset: int
    total: int


def page(path: Path, *, offset: int, limit: int, columns: list[str] | None = None) -> Page:
    """Read ``limit`` rows from ``offset`` on; fewer at the end.

    Parameters
    ----------
    path : Path
        A canonical Parquet copy.
    offset, limit : int
        Not negative.
    columns : list of str
        Columns in the order wanted, all by default.
    """
    with pq.ParquetFile(path) as file:
        names = columns if columns is not None else file.schema_arrow.names
        total = file.metadata.num_rows
        tables = list(_slices(file, offset, limit, names))
        found = pa.concat_tables(tables).select(names) if tables else None
    rows = [] if found is None else [[plain(cell) for cell in row.values()] for row in found.to_pylist()]
    return Page(list(names), rows, offset, total)


def _slices(file: pq.ParquetFile, offset: int, limit: int, names: list[str]) -> Iterator[pa.Table]:
    start = 0
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        first, last = max(offset, start), min(offset + limit, start + rows)
        if first < last:
            yield from _part(file, group, first - start, last - first, names)
        start += rows


def _part(file: pq.ParquetFile, group: int, skip: int, take: int, names: list[str]) -> Iterator[pa.Table]:
    for batch in file.iter_batches(batch_size=4096, row_groups=[group], columns=names):
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        part = batch.slice(skip, take)
        skip, take = 0, take - part.num_rows
        yield pa.Table.from_batches([part])
        if not take:
            return


def plain(value: Any) -> Any:
    """A JSON-able cell."""
    if isinstance(value, str):
        return clip(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value
