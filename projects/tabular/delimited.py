"""Strict streaming reader of CSV text: every record has the header's fields, or the file is refused."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from mlportal.lib.errors import Invalid, TooLarge, Unprocessable

from . import guard, records, sniff
from .limits import DEFAULT, Limits
from .source import TextSource

SHOWN_LINES = 10
RESERVED = frozenset({"__target__", "__prediction__", "__score__"})


@dataclass(frozen=True)
class Rows:
    """Whole records as text columns.

    Parameters
    ----------
    table : pyarrow.Table
        Columns ``c0`` ... ``cn`` of type string, as written in the file.
    lines : array of int64
        Line on which each record starts, from 1.
    """

    table: pa.Table
    lines: records.Positions


class DelimitedReader:
    """Read a CSV file once, in bounded memory.

    Parameters
    ----------
    source : TextSource
        Where the text comes from.
    delimiter : str
        What the user chose, empty to detect.
    limits : Limits
        Bounds to hold.

    Attributes
    ----------
    delimiter : str
        The delimiter in use, known after ``header``.
    names : list of str
        Column names, surrounding spaces removed.
    blank_lines : int
        Lines without content that were left out so far.
    row_count : int
        Data rows so far.
    """

    def __init__(self, source: TextSource, *, delimiter: str = "", limits: Limits = DEFAULT) -> None:
        self.source, self._limits, self._chosen = source, limits, delimiter
        self.delimiter = ""
        self.names: list[str] = []
        self.trimmed_names: list[str] = []
        self.blank_lines = 0
        self.row_count = 0
        self._line = 1
        self._ragged: list[tuple[int, int]] = []
        self._ragged_count = 0

    def rows(self) -> Iterator[Rows]:
        """Data rows in file order; reads the header first.

        Raises
        ------
        Invalid, TooLarge, Unprocessable
            With the line, the field counts, and what is allowed. Ragged rows are counted to the end of
            the file before it is refused.
        """
        carry = b""
        for block, at_end in _ends(self.source.blocks()):
            buffer = carry + block
            if not self.delimiter:
                self._choose_delimiter(buffer)
            found = records.cut(buffer, self.delimiter.encode(), at_end=at_end, first_line=self._line)
            self._hold_limits(buffer, found, at_end=at_end)
            if batch := self._batch(buffer, found):
                yield batch
            carry = buffer[found.consumed :]
            self._line += found.line_ends
        self._settle()

    def _choose_delimiter(self, buffer: bytes) -> None:
        sample = buffer[: 256 * 1024].decode("utf-8", "ignore")
        self.delimiter = sniff.delimiter(sample, self._chosen)

    def _hold_limits(self, buffer: bytes, found: records.Cut, *, at_end: bool) -> None:
        if at_end and found.open_quote >= 0:
            raise _unclosed(self._line_of(buffer, found.open_quote))
        if not self.names:
            header = int(found.fields[found.fields > 0][0]) if (found.fields > 0).any() else found.pending_fields
            if header > self._limits.columns:
                raise Invalid(
                    guard.too_many_columns(self._limits),
                    code="too_many_columns",
                    field="file",
                    limit=self._limits.columns,
                )
        pending = len(buffer) - found.consumed
        longest = int((found.ends - found.starts).max(initial=0))
        if max(pending, longest) > self._limits.line_bytes:
            self._refuse_length(buffer, found, pending)

    def _refuse_length(self, buffer: bytes, found: records.Cut, pending: int) -> None:
        limit = self._limits.line_bytes
        if pending > limit and found.open_quote >= 0:
            raise _unclosed(self._line_of(buffer, found.open_quote), limit=limit)
        over = np.flatnonzero(found.ends - found.starts > limit)
        line = self._line + int(found.lines[over[0]] if len(over) else found.line_ends)
        raise TooLarge(
            guard.line_too_long(self._limits, line),
            code="line_too_long",
            field="file",
            limit=limit,
            got={"line": line},
        )

    def _line_of(self, buffer: bytes, at: int) -> int:
        before = buffer[:at]
        return self._line + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")

    def _batch(self, buffer: bytes, found: records.Cut) -> Rows | None:
        filled = np.flatnonzero(found.fields)
        self.blank_lines += len(found.fields) - len(filled)
        if len(filled) and not self.names:
            self._read_header(buffer[found.starts[filled[0]] : found.ends[filled[0]]])
            filled = filled[1:]
        if not len(filled):
            return None
        fields, lines = found.fields[filled], found.lines[filled] + self._line
        self._note_ragged(fields, lines)
        self.row_count += len(filled)
        if self.row_count > self._limits.rows:
            raise TooLarge(
                f"The file has more than {self._limits.rows:,} rows, which is the limit.",
                code="too_many_rows",
                field="file",
                limit=self._limits.rows,
            )
        if self._ragged_count:
            return None
        return Rows(self._parse(buffer[found.starts[filled[0]] : found.consumed], len(filled)), lines)

    def _note_ragged(self, fields: records.Positions, lines: records.Positions) -> None:
        wrong = np.flatnonzero(fields != len(self.names))
        self._ragged_count += len(wrong)
        room = SHOWN_LINES - len(self._ragged)
        self._ragged += [(int(lines[at]), int(fields[at])) for at in wrong[:room]]

    def _read_header(self, record: bytes) -> None:
        text = record.decode("utf-8")
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True))
        check_names(names, self._limits)
        self.names = [name.strip() for name in names]
        self.trimmed_names = [name for name, raw in zip(self.names, names, strict=True) if name != raw]
        columns = {f"c{at}": pa.string() for at in range(len(names))}
        self._convert = pa_csv.ConvertOptions(column_types=columns, check_utf8=False, strings_can_be_null=False)
        self._positions = list(columns)

    def _parse(self, data: bytes, expected: int) -> pa.Table:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=self._positions, block_size=len(data) + 1, use_threads=True),
            parse_options=pa_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=b'"' in data),
            convert_options=self._convert,
        )
        if table.num_rows != expected:
            raise RuntimeError(f"parsed {table.num_rows} rows where {expected} were counted")
        return table

    def _settle(self) -> None:
        if self._ragged_count:
            raise self._ragged_error()
        if not self.row_count:
            what = "only a header" if self.names else "only blank lines"
            raise Invalid(f"The file has {what}: it has no data rows.", code="no_data_rows", field="file")

    def _ragged_error(self) -> Unprocessable:
        shown = ", ".join(f"{line:,} ({fields:,})" for line, fields in self._ragged)
        more = self._ragged_count - len(self._ragged)
        rest = f" and {more:,} more" if more else ""
        count = self._ragged_count
        rows = "1 row does" if count == 1 else f"{count:,} rows do"
        return Unprocessable(
            f"{rows} not have the {len(self.names):,} fields of the header. Lines (fields found): {shown}{rest}.",
            code="ragged_rows",
            field="file",
            limit=len(self.names),
            got={"lines": [line for line, _ in self._ragged], "count": count},
        )


def check_names(names: list[str], limits: Limits = DEFAULT) -> None:
    """Refuse names that would be lost or changed later.

    Raises
    ------
    Invalid
        Naming the columns by position, from 1.
    """
    clean = [name.strip() for name in names]
    problems = [_name_problem(name, limits) for name in clean]
    faulty = [(at + 1, problem) for at, problem in enumerate(problems) if problem]
    if faulty:
        listed = "; ".join(f"column {at:,} {problem}" for at, problem in faulty[:SHOWN_LINES])
        rest = f" and {len(faulty) - SHOWN_LINES:,} more" if len(faulty) > SHOWN_LINES else ""
        raise Invalid(f"Column names are not usable: {listed}{rest}.", code="column_name", field="file")
    places: dict[str, list[int]] = {}
    for at, name in enumerate(clean):
        places.setdefault(name, []).append(at + 1)
    twice = [(name, found) for name, found in places.items() if len(found) > 1]
    if twice:
        listed = "; ".join(
            f"'{name}' in columns {', '.join(map(str, found[:SHOWN_LINES]))}" for name, found in twice[:SHOWN_LINES]
        )
        raise Invalid(f"Column names must differ: {listed}.", code="duplicate_columns", field="file")


def _name_problem(name: str, limits: Limits) -> str:
    if not name:
        return "has no name"
    if len(name) > limits.name_characters:
        return f"has a name of {len(name):,} characters; at most {limits.name_characters} are allowed"
    if not name.isprintable():
        return "has a control character in its name"
    if name in RESERVED:
        return f"is called {name}, which is reserved"
    return ""


def _unclosed(line: int, limit: int = 0) -> Unprocessable:
    where = f"within {limit // 2**20} MB" if limit else "to the end of the file"
    return Unprocessable(
        f"The quote that opens on line {line:,} is not closed {where}.",
        code="unclosed_quote",
        field="file",
        got={"line": line},
    )


def _ends(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Pair each block with whether it is the last."""
    previous: bytes | None = None
    for block in blocks:
        if previous is not None:
            yield previous, False
        previous = block
    yield previous or b"", True
