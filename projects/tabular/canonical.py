"""Write the typed canonical Parquet copy of an upload: what training, preview and monitoring read."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from mlportal.lib.errors import Unprocessable

from . import findings, sniff
from .columnar import ColumnarReader
from .delimited import DelimitedReader
from .kinds import ColumnGuess, Verdict
from .limits import DEFAULT, Limits
from .source import BLOCK_BYTES, TextSource

GROUP_ROWS, GROUP_CELLS, GROUP_BYTES = 65_536, 2_000_000, 64 * 2**20
Step = Callable[[float, str], None]


@dataclass(frozen=True)
class Canonical:
    """What was written.

    Parameters
    ----------
    names, kinds : list of str
        Columns in file order, and their kinds before values are counted.
    types : list of str
        Stored type of each column.
    row_count : int
        Data rows.
    facts : dict
        How the text was read: encoding, delimiter.
    warnings : list of findings.Finding
        What was noticed while reading.
    """

    names: list[str]
    kinds: list[str]
    types: list[str]
    row_count: int
    facts: dict[str, str] = field(default_factory=dict)
    warnings: list[findings.Finding] = field(default_factory=list)


def write(
    path: Path,
    target: Path,
    *,
    encoding: str = "",
    delimiter: str = "",
    limits: Limits = DEFAULT,
    step: Step,
    block_bytes: int = BLOCK_BYTES,
) -> Canonical:
    """Check an upload and write its typed copy.

    Parameters
    ----------
    path : Path
        The upload: CSV, gzip-compressed CSV or Parquet, told by its content.
    target : Path
        Where the copy goes; a working file appears beside it and is removed.
    encoding, delimiter : str
        What the user chose, empty to detect.
    limits : Limits
        Bounds to hold.
    step : callable
        Gets the share done, 0 to 1, and the phase; may raise to stop.
    block_bytes : int
        Size of a read; the result does not depend on it.

    Raises
    ------
    DomainError
        With what is wrong, where, and what is allowed.
    """
    with path.open("rb") as stored:
        found = sniff.file_type(stored.read(sniff.HEAD_BYTES))
    if found == sniff.PARQUET:
        return _from_parquet(path, target, limits, step)
    source = TextSource(path, encoding=encoding, limits=limits, block_bytes=block_bytes)
    reader = DelimitedReader(source, delimiter=delimiter, limits=limits)
    staged = target.with_suffix(".stage")
    try:
        guesses = _stage(reader, staged, limits, step)
        return _from_stage(reader, guesses, staged, target, step)
    finally:
        staged.unlink(missing_ok=True)


def write_all(paths: list[Path], target: Path, *, limits: Limits = DEFAULT, step: Step) -> Canonical:
    """Check Parquet files of one schema, whose rows follow each other, and write one typed copy of them.

    Raises
    ------
    DomainError
        With what is wrong, in which file, and what is allowed.
    """
    first = ColumnarReader(paths[0], limits=limits)
    infinite = dict.fromkeys(range(len(first.names)), 0)
    rows = 0
    with GroupWriter(target, first.schema) as writer:
        for at, path in enumerate(paths):
            reader = ColumnarReader(path, limits=limits) if at else first
            if reader.schema != first.schema:
                raise Unprocessable(
                    f"{path.name} has other columns than {paths[0].name}; all files of a folder have the same.",
                    code="schemas_differ", field="folder", got=path.name,
                )  # fmt: skip
            for batch in reader.batches(group_rows(len(reader.names))):
                writer.add(pa.Table.from_batches([batch]))
            rows += reader.row_count
            infinite = {column: count + reader.infinite[column] for column, count in infinite.items()}
            step((at + 1) / len(paths), f"Reading file {at + 1:,} of {len(paths):,}")
    return Canonical(
        names=first.names,
        kinds=first.kinds,
        types=[str(column.type) for column in first.schema],
        row_count=rows,
        warnings=findings.of_infinite(first.names, list(infinite.values())),
    )


def _from_parquet(path: Path, target: Path, limits: Limits, step: Step) -> Canonical:
    reader = ColumnarReader(path, limits=limits)
    done = 0
    with GroupWriter(target, reader.schema) as writer:
        for batch in reader.batches(group_rows(len(reader.names))):
            writer.add(pa.Table.from_batches([batch]))
            done += batch.num_rows
            step(done / reader.row_count, "Reading the rows")
    return Canonical(
        names=reader.names,
        kinds=reader.kinds,
        types=[str(column.type) for column in reader.schema],
        row_count=reader.row_count,
        warnings=findings.of_infinite(reader.names, list(reader.infinite.values())),
    )


def _stage(reader: DelimitedReader, staged: Path, limits: Limits, step: Step) -> list[ColumnGuess]:
    """Read the text once: check every row, keep the cells as text, learn the types."""
    guesses: list[ColumnGuess] = []
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    writer: pa.ipc.RecordBatchStreamWriter | None = None
    with ThreadPoolExecutor(limits.threads) as pool, pa.OSFile(str(staged), "wb") as sink:
        for rows in reader.rows():
            if writer is None:
                writer = pa.ipc.new_stream(sink, rows.table.schema, options=options)
                guesses = [ColumnGuess() for _ in reader.names]
            table = rows.table.combine_chunks()
            columns = [column.chunk(0) for column in table.columns]
            list(pool.map(ColumnGuess.see, guesses, columns))
            writer.write_table(table)
            step(0.65 * reader.source.share_read, "Reading the rows")
        if writer is not None:
            writer.close()
    return guesses


def _from_stage(
    reader: DelimitedReader,
    guesses: list[ColumnGuess],
    staged: Path,
    target: Path,
    step: Step,
) -> Canonical:
    verdicts = [guess.verdict() for guess in guesses]
    types = [verdict.arrow_type() for verdict in verdicts]
    schema = pa.schema(list(zip(reader.names, types, strict=True)))
    done = 0
    with GroupWriter(target, schema) as writer:
        for batch in _staged_batches(staged):
            writer.add(_typed(batch, verdicts, schema))
            done += batch.num_rows
            step(0.65 + 0.35 * done / reader.row_count, "Writing the typed copy")
    return Canonical(
        names=reader.names,
        kinds=[verdict.kind for verdict in verdicts],
        types=[str(found) for found in types],
        row_count=reader.row_count,
        facts={"encoding": reader.source.codec, "delimiter": reader.delimiter},
        warnings=findings.of_reading(reader, guesses, verdicts),
    )


def _staged_batches(staged: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(staged), "rb") as stored, pa.ipc.open_stream(stored) as stream:
        yield from stream


def _typed(batch: pa.RecordBatch, verdicts: list[Verdict], schema: pa.Schema) -> pa.Table:
    columns = [verdict.read(column) for verdict, column in zip(verdicts, batch.columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def group_rows(columns: int) -> int:
    """Rows of a row group: few enough that a preview of one group stays small."""
    return max(200, min(GROUP_ROWS, GROUP_CELLS // columns))


class GroupWriter:
    """Write a Parquet file in row groups of an even size.

    Parameters
    ----------
    target : Path
        File to write.
    schema : pyarrow.Schema
        Columns; metadata is dropped.
    """

    def __init__(self, target: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(target, schema.remove_metadata(), compression="zstd", store_schema=True)
        self._limit = group_rows(len(schema))
        self._held: list[pa.Table] = []
        self._rows = self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._rows and kind is None:
                self._flush(self._rows)
        finally:
            self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Take rows; full row groups are written at once."""
        self._held.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        while self._rows >= self._limit or self._bytes >= GROUP_BYTES:
            self._flush(min(self._rows, self._limit))

    def _flush(self, rows: int) -> None:
        table = pa.concat_tables(self._held)
        self._writer.write_table(table.slice(0, rows), row_group_size=rows)
        rest = table.slice(rows)
        self._held = [rest] if rest.num_rows else []
        self._rows, self._bytes = rest.num_rows, rest.nbytes
