"""Where the records of a CSV text begin and end, and how many fields each has.

RFC 4180 with LF, CRLF or CR line ends, also mixed. Two scanners give the same answer: a vectorised one
that needs every quote to stand at the edge of a field, and an exact one for texts such as ``5" disk``,
where a quote inside an unquoted field is data.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlportal.lib.errors import Unprocessable

Positions = NDArray[np.int64]
_QUOTE, _LF, _CR = 34, 10, 13
_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_NONE: Positions = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Cut:
    """Whole records found in a buffer.

    Parameters
    ----------
    consumed : int
        Bytes up to the end of the last whole record.
    starts, ends : array of int64
        First byte of each record, and the byte after its content (before its line end).
    fields : array of int64
        Fields of each record; 0 for a blank line.
    lines : array of int64
        Line ends before each record's first byte.
    line_ends : int
        Line ends in the consumed bytes.
    pending_fields : int
        Delimiters seen after the last whole record, outside quotes.
    open_quote : int
        Byte of a quote that is still open at the end, or -1.
    """

    consumed: int
    starts: Positions
    ends: Positions
    fields: Positions
    lines: Positions
    line_ends: int
    pending_fields: int
    open_quote: int


@dataclass(frozen=True)
class _Marks:
    delimiters: Positions  # outside quotes
    terminators: Positions  # first byte of each line end outside quotes
    all_terminators: Positions  # also inside quotes
    open_quote: int


def cut(buffer: bytes, delimiter: bytes, *, at_end: bool, first_line: int = 1) -> Cut:
    """Find the whole records of a buffer that begins at the start of a record.

    Parameters
    ----------
    buffer : bytes
        UTF-8 text.
    delimiter : bytes
        One byte.
    at_end : bool
        Whether the text ends with this buffer; then the last record needs no line end.
    first_line : int
        Line number of the buffer's first byte, for messages.

    Raises
    ------
    Unprocessable
        For text after a closing quote, with its line.
    """
    data = np.frombuffer(buffer, dtype=np.uint8)
    terminators = _terminators(buffer, data, at_end=at_end)
    quotes = np.flatnonzero(data == _QUOTE) if b'"' in buffer else _NONE
    mark = delimiter[0]
    if _at_edges(data, quotes, mark):
        marks = _fast_marks(data, quotes, terminators, mark)
    else:
        marks = _exact_marks(buffer, terminators, mark, first_line)
    return _assemble(buffer, data, marks, at_end=at_end)


def _terminators(buffer: bytes, data: NDArray[np.uint8], *, at_end: bool) -> Positions:
    feeds = np.flatnonzero(data == _LF)
    if b"\r" not in buffer:
        return feeds
    returns = np.flatnonzero(data == _CR)
    if not at_end and returns[-1] == len(data) - 1:
        returns = returns[:-1]  # its line feed may come with the next bytes
    after = np.minimum(returns + 1, len(data) - 1)
    follows = (data[after] == _LF) & (after != returns)
    if follows.any():
        feeds = np.setdiff1d(feeds, after[follows], assume_unique=True)
    return np.union1d(feeds, returns)


def _at_edges(data: NDArray[np.uint8], quotes: Positions, mark: int) -> bool:
    if not len(quotes):
        return True
    edges = np.zeros(256, dtype=bool)
    edges[[mark, _LF, _CR, _QUOTE]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = data[opening[opening > 0] - 1]
    after = data[closing[closing < len(data) - 1] + 1]
    return bool(edges[before].all() and edges[after].all())


def _fast_marks(data: NDArray[np.uint8], quotes: Positions, terminators: Positions, mark: int) -> _Marks:
    delimiters = np.flatnonzero(data == mark)
    if not len(quotes):
        return _Marks(delimiters, terminators, terminators, -1)
    inside = np.cumsum(data == _QUOTE, dtype=np.uint8) & 1
    return _Marks(
        delimiters=delimiters[inside[delimiters] == 0],
        terminators=terminators[inside[terminators] == 0],
        all_terminators=terminators,
        open_quote=_opening(quotes) if len(quotes) % 2 else -1,
    )


def _opening(quotes: Positions) -> int:
    """Quote that opened the field which the last quote leaves open; pairs of quotes inside it are data."""
    at = len(quotes) - 1
    while at >= 2 and quotes[at] == quotes[at - 1] + 1:
        at -= 2
    return int(quotes[at])


def _exact_marks(buffer: bytes, terminators: Positions, mark: int, first_line: int) -> _Marks:
    unquoted = re.compile(rb"[^" + re.escape(bytes([mark])) + rb"\r\n]*+")
    delimiters: list[int] = []
    ends: list[int] = []
    at, size, opened = 0, len(buffer), -1
    while at < size:
        found = (_QUOTED if buffer[at] == _QUOTE else unquoted).match(buffer, at)
        if found is None:
            opened = at
            break
        stop = found.end()
        if stop < size and buffer[stop] == mark:
            delimiters.append(stop)
        elif stop < size and buffer[stop] in (_LF, _CR):
            ends.append(stop)
            stop += buffer[stop : stop + 2] == b"\r\n"
        elif stop < size:
            line = first_line + int(np.searchsorted(terminators, stop))
            raise _after_quote(line)
        at = stop + 1
    outside = np.intersect1d(np.array(ends, dtype=np.int64), terminators, assume_unique=True)
    return _Marks(np.array(delimiters, dtype=np.int64), outside, terminators, opened)


def _after_quote(line: int) -> Unprocessable:
    return Unprocessable(
        f'Line {line:,} has text after a closing quote. Write a quote inside a quoted field as "".',
        code="bad_quote",
        field="file",
        got={"line": line},
    )


def _assemble(buffer: bytes, data: NDArray[np.uint8], marks: _Marks, *, at_end: bool) -> Cut:
    ends = marks.terminators
    after = ends + 1
    if b"\r" in buffer and len(ends):
        following = np.minimum(after, len(data) - 1)
        paired = (data[ends] == _CR) & (data[following] == _LF) & (after < len(data))
        after = after + paired
    consumed = int(after[-1]) if len(after) else 0
    if at_end and consumed < len(buffer) and marks.open_quote < 0:
        ends = np.append(ends, len(buffer))
        after = np.append(after, len(buffer))
        consumed = len(buffer)
    starts = np.concatenate((np.zeros(min(1, len(ends)), dtype=np.int64), after[:-1]))
    before = np.searchsorted(marks.delimiters, ends)
    fields = np.diff(before, prepend=0) + 1
    fields[starts == ends] = 0
    return Cut(
        consumed=consumed,
        starts=starts,
        ends=ends,
        fields=fields,
        lines=np.searchsorted(marks.all_terminators, starts),
        line_ends=int(np.searchsorted(marks.all_terminators, consumed)),
        pending_fields=len(marks.delimiters) - (int(before[-1]) if len(before) else 0),
        open_quote=marks.open_quote,
    )
