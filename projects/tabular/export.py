"""A typed copy as CSV for people: streamed, and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

# A spreadsheet runs a cell that begins with one of these (OWASP, "CSV Injection").
GROUP_ROWS = 65_536
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_parts(path: Path) -> Iterator[bytes]:
    """UTF-8 parts of the CSV text; text that a spreadsheet would run gets a leading apostrophe."""
    with pq.ParquetFile(path) as file:
        yield _text([[safe(name) for name in file.schema_arrow.names]])
        for batch in file.iter_batches(batch_size=2048):
            columns = [[_cell(value) for value in column.to_pylist()] for column in batch.columns]
            yield _text(list(zip(*columns, strict=True)))


def write_csv(rows: pa.RecordBatchReader, names: list[str], target: IO[bytes]) -> None:
    """Write batches as CSV that is safe in a spreadsheet, as they come."""
    target.write(_text([[safe(name) for name in names]]))
    for batch in rows:
        columns = [[_cell(value) for value in column.to_pylist()] for column in batch.columns]
        target.write(_text(list(zip(*columns, strict=True))))


def write_parquet(rows: pa.RecordBatchReader, names: list[str], target: IO[bytes]) -> None:
    """Write batches as Parquet, row group by row group."""
    schema = pa.schema([pa.field(name, kind) for name, kind in zip(names, rows.schema.types, strict=True)])
    with pq.ParquetWriter(pa.PythonFile(target, mode="w"), schema, compression="zstd") as writer:
        held: list[pa.RecordBatch] = []
        for batch in rows:
            held.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
            if sum(part.num_rows for part in held) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held))


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
