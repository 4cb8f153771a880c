"""A typed copy as CSV for people: streamed, and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

# A spreadsheet runs a cell that begins with one of these (OWASP, "CSV Injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_parts(path: Path) -> Iterator[bytes]:
    """UTF-8 parts of the CSV text; text that a spreadsheet would run gets a leading apostrophe."""
    with pq.ParquetFile(path) as file:
        yield _text([[safe(name) for name in file.schema_arrow.names]])
        for batch in file.iter_batches(batch_size=2048):
            columns = [[_cell(value) for value in column.to_pylist()] for column in batch.columns]
            yield _text(list(zip(*columns, strict=True)))


def _text(rows: list[Any]) -> bytes:
    target = io.StringIO(newline="")
    csv.writer(target, lineterminator="\n").writerows(rows)
    return target.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return safe(value) if isinstance(value, str) else value


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
