"""What type a text column has: a type holds only when every value of the column fits it.

Each test looks at single values, and a column keeps a candidate only while all values passed, so the
verdict cannot depend on how the file was cut into chunks.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

MISSING_WORDS = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "<NA>", "#N/A")
INFINITE_WORDS = ("inf", "-inf", "+inf", "Inf", "-Inf", "Infinity", "-Infinity", "infinity", "-infinity")
_MISSING = pa.array(["", *MISSING_WORDS])
_INFINITE = pa.array(list(INFINITE_WORDS))

_WHOLE = r"[+-]?(?:0|[1-9][0-9]*)"
_INTEGER = rf"^{_WHOLE}$"
_LONG_INTEGER = r"^[+-]?[0-9]{19,}$"
_FRACTION = r"(?:[+-]?(?:0|[1-9][0-9]*)\.[0-9]*|[+-]?\.[0-9]+)"
_NUMBER = rf"^(?:{_WHOLE}|{_FRACTION})(?:[eE][+-]?[0-9]+)?$"
_COMMA_NUMBER = r"^[+-]?(?:0|[1-9][0-9]*)(?:,[0-9]+)?$"
_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$"
_TIME = r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
_ZONE = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})"


@dataclass(frozen=True)
class Candidate:
    """A type that a column may turn out to have.

    Parameters
    ----------
    name : str
        Word for it in warnings.
    kind : str
        Kind in the schema.
    fits : callable
        From values without missing ones to a boolean array.
    read : callable
        From values that all fit to typed ones.
    """

    name: str
    kind: str
    fits: Callable[[pa.StringArray], pa.BooleanArray]
    read: Callable[[pa.StringArray], pa.Array]


def _matches(pattern: str) -> Callable[[pa.StringArray], pa.BooleanArray]:
    return lambda values: pc.match_substring_regex(values, pattern)


def _in_int64(values: pa.StringArray) -> pa.BooleanArray:
    """Mark values that are not integers outside the 64-bit range."""
    long = pc.match_substring_regex(values, _LONG_INTEGER)
    if not pc.any(long, min_count=0).as_py():
        return pc.invert(long)
    return pa.array([len(text) < 19 or _fits_int64(text) for text in values.to_pylist()])


def _fits_int64(text: str) -> bool:
    digits = text.lstrip("+-")
    if not (digits.isascii() and digits.isdigit()):
        return True
    return len(digits) == 19 and -(2**63) <= int(text) < 2**63


def _integer(values: pa.StringArray) -> pa.BooleanArray:
    return pc.and_(pc.match_substring_regex(values, _INTEGER), _in_int64(values))


def _read_integer(values: pa.StringArray) -> pa.Array:
    return pc.cast(pc.ascii_ltrim(values, "+"), pa.int64())


def _finite(values: pa.StringArray, pattern: str) -> pa.BooleanArray:
    shaped = pc.and_(pc.match_substring_regex(values, pattern), _in_int64(values))
    numbers = pc.cast(pc.if_else(shaped, values, "0"), pa.float64())
    return pc.and_(shaped, pc.is_finite(numbers))


def _number(values: pa.StringArray) -> pa.BooleanArray:
    return pc.or_(_finite(values, _NUMBER), pc.is_in(values, _INFINITE))


def _read_number(values: pa.StringArray) -> pa.Array:
    return pc.cast(pc.ascii_ltrim(values, "+"), pa.float64())


def _comma_to_point(values: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring(values, ",", ".")


def _moments(values: pa.StringArray, pattern: str, zone: str | None) -> pa.BooleanArray:
    shaped = pc.match_substring_regex(values, pattern)
    if not pc.any(shaped, min_count=0).as_py():
        return shaped
    fill = "2000-01-01T00:00:00Z" if zone else "2000-01-01"
    filled = pc.if_else(shaped, values, fill)
    target = pa.timestamp("us", zone)
    try:
        pc.cast(filled, target)
    except pa.ArrowInvalid:
        return pa.array([bool(ok) and _casts(text, target) for ok, text in _pairs(shaped, values)])
    return shaped


def _pairs(shaped: pa.BooleanArray, values: pa.StringArray) -> zip:
    return zip(shaped.to_pylist(), values.to_pylist(), strict=True)


def _casts(text: str, target: pa.DataType) -> bool:
    try:
        pc.cast(pa.scalar(text), target)
    except pa.ArrowInvalid:
        return False
    return True


def _moment(name: str, date: str, order: str = "", *, zone: str | None = None) -> Candidate:
    """Build a candidate for one way to write a date, with or without a time."""
    clock = f"{_TIME}{_ZONE}" if zone else f"{_TIME}?"
    groups = rf"^{date}"

    def iso(values: pa.StringArray) -> pa.StringArray:
        return pc.replace_substring_regex(values, groups, order) if order else values

    def fits(values: pa.StringArray) -> pa.BooleanArray:
        rough = pc.match_substring_regex(values, rf"^{date}{clock}$")
        if not pc.any(rough, min_count=0).as_py():
            return rough
        proper = rf"^(?:[1-9][0-9]{{3}}|0[0-9]{{2}}[1-9]|0[0-9][1-9]0|0[1-9]00)-[0-9]{{2}}-[0-9]{{2}}{clock}$"
        return pc.and_(rough, _moments(iso(values), proper, zone))

    def read(values: pa.StringArray) -> pa.Array:
        return pc.cast(iso(values), pa.timestamp("us", zone))

    return Candidate(name, "datetime", fits, read)


_DAY = r"([0-9]{2})[./-]"
_LIST = (
    Candidate(
        "true or false",
        "boolean",
        lambda values: pc.is_in(pc.ascii_lower(values), pa.array(["true", "false"])),
        lambda values: pc.equal(pc.ascii_lower(values), "true"),
    ),
    Candidate("whole numbers", "integer", _integer, _read_integer),
    Candidate("numbers", "numeric", _number, _read_number),
    Candidate(
        "numbers with a decimal comma",
        "numeric",
        lambda values: _finite(_comma_to_point(pc.if_else(_matches(_COMMA_NUMBER)(values), values, "x")), _NUMBER),
        lambda values: _read_number(_comma_to_point(values)),
    ),
    _moment("dates (year-month-day)", r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    _moment("times with a time zone", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", zone="UTC"),
    _moment("dates (year/month/day)", r"([0-9]{4})/([0-9]{2})/([0-9]{2})", r"\1-\2-\3"),
    _moment("dates (day, month, year)", _DAY + _DAY + r"([0-9]{4})", r"\3-\2-\1"),
    _moment("dates (month, day, year)", _DAY + _DAY + r"([0-9]{4})", r"\3-\1-\2"),
)
CANDIDATES = {candidate.name: candidate for candidate in _LIST}
WHOLE, NUMBERS, COMMA, DAY_FIRST, MONTH_FIRST = (
    "whole numbers",
    "numbers",
    "numbers with a decimal comma",
    "dates (day, month, year)",
    "dates (month, day, year)",
)


@dataclass(frozen=True)
class Failure:
    """First value that does not fit a candidate: its row from 1, and how many values fitted before."""

    row: int
    value: str
    fitted: int


@dataclass
class ColumnGuess:
    """Fold the values of one text column into its type.

    Attributes
    ----------
    rows, present : int
        Cells seen, and those that are not missing.
    missing_words : Counter
        How often each non-empty way of writing "missing" was read as missing.
    failures : dict
        For each candidate that fell, the first value that does not fit.
    """

    rows: int = 0
    present: int = 0
    missing_words: Counter[str] = field(default_factory=Counter)
    failures: dict[str, "Failure"] = field(default_factory=dict)
    all_thousands: bool = True
    commas: int = 0
    infinite: int = 0
    _open: list[str] = field(default_factory=lambda: list(CANDIDATES))

    def see(self, column: pa.Array) -> None:
        """Look at the next cells."""
        trimmed = pc.utf8_trim_whitespace(column)
        missing = pc.is_in(trimmed, _MISSING)
        self._count_words(column, trimmed, missing)
        values = trimmed.filter(pc.invert(missing))
        if len(values) and self._open:
            self._test(values, missing)
        self.rows += len(column)
        self.present += len(values)

    def _count_words(self, column: pa.Array, trimmed: pa.Array, missing: pa.Array) -> None:
        if not pc.any(missing, min_count=0).as_py():
            return
        for entry in pc.value_counts(column.filter(missing)).to_pylist():
            if entry["values"]:
                self.missing_words[entry["values"].strip() or "blank"] += entry["counts"]

    def _test(self, values: pa.StringArray, missing: pa.BooleanArray) -> None:
        for name in list(self._open):
            if name in (NUMBERS, COMMA) and WHOLE in self._open:
                continue  # whole numbers fit both, and were tested first
            fits = CANDIDATES[name].fits(values)
            at = pc.index(fits, value=False).as_py()
            if at >= 0:
                self._open.remove(name)
                row = self._row_of(missing, at)
                self.failures[name] = Failure(row, values[at].as_py(), self.present + at)
        if WHOLE in self._open:
            return
        if NUMBERS in self._open:
            self.infinite += pc.sum(pc.is_in(values, _INFINITE), min_count=0).as_py()
        if COMMA in self._open:
            commas = pc.match_substring(values, ",")
            self.commas += pc.sum(commas, min_count=0).as_py()
            thousands = pc.match_substring_regex(values.filter(commas), _THOUSANDS)
            self.all_thousands &= bool(pc.all(thousands, min_count=0).as_py())

    def _row_of(self, missing: pa.BooleanArray, at: int) -> int:
        present = pc.indices_nonzero(pc.invert(missing))
        return self.rows + int(present[at].as_py()) + 1

    def verdict(self) -> "Verdict":
        """Type of the column, after the last value."""
        if not self.present:
            return Verdict("text", None)
        left = list(self._open)
        if left == [DAY_FIRST, MONTH_FIRST]:
            return Verdict("text", None, "ambiguous_dates")
        if left == [COMMA]:
            if self.all_thousands:
                return Verdict("text", None, "ambiguous_commas")
            return Verdict("numeric", CANDIDATES[COMMA], "decimal_comma")
        if left:
            return Verdict(CANDIDATES[left[0]].kind, CANDIDATES[left[0]])
        return Verdict("text", None)


@dataclass(frozen=True)
class Verdict:
    """Type of a text column.

    Parameters
    ----------
    kind : str
        Kind in the schema; ``text`` may become ``categorical`` or ``id`` once values are counted.
    candidate : Candidate or None
        How to read the values; ``None`` keeps the text.
    remark : str
        Code of a warning about how the type was chosen.
    """

    kind: str
    candidate: Candidate | None
    remark: str = ""

    def read(self, column: pa.Array) -> pa.Array:
        """Typed values; missing ones and infinite numbers are null, text keeps its spaces."""
        trimmed = pc.utf8_trim_whitespace(column)
        missing = pc.is_in(trimmed, _MISSING)
        if self.candidate is None:
            return pc.if_else(missing, pa.scalar(None, pa.string()), column)
        typed = self.candidate.read(pc.if_else(missing, pa.scalar(None, pa.string()), trimmed))
        if self.kind == "numeric":
            typed = without_infinite(typed)
        return typed

    def arrow_type(self) -> pa.DataType:
        """Type of the stored column."""
        return self.read(pa.array([], pa.string())).type


def without_infinite(numbers: pa.Array) -> pa.Array:
    """Floating numbers with null in place of infinite and not-a-number."""
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))
