"""What a filter clause means: fields, operators and typed values, checked against allow-lists."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

STATES = ("queued", "running", "finished", "failed", "cancelled")
_STATE_ALIASES = {"stopped": "cancelled", "killed": "cancelled", "canceled": "cancelled", "scheduled": "queued"}
ATTRIBUTES = {
    **dict.fromkeys(("state", "status"), "state"),
    **dict.fromkeys(("user", "by", "user_id"), "user"),
    **dict.fromkeys(("name", "run_name", "run name"), "name"),
    **dict.fromkeys(("run", "id"), "number"),
    "run_id": "uuid",
    **dict.fromkeys(("data", "dataset"), "data"),
    "experiment": "experiment",
    "source": "source",
    **dict.fromkeys(("started", "start_time", "created"), "started"),
    **dict.fromkeys(("ended", "end_time"), "ended"),
    **dict.fromkeys(("took", "duration"), "took"),
}
FIELDS = tuple(sorted({*ATTRIBUTES.values(), "tag"}))
_NULL_OPS = {"IS NULL": "null", "IS NOT NULL": "known"}
_NUMBER_OPS = {":": "=", "=": "=", "!=": "!=", ">": ">", "<": "<", ">=": ">=", "<=": "<=", "IN": "=", "NOT IN": "!="}
_TEXT_OPS = {":": "=", "=": "=", "!=": "!=", "LIKE": "like", "ILIKE": "ilike", "~": "contains",
             "IN": "=", "NOT IN": "!="}  # fmt: skip
# What a run may lack, so that asking for its absence means something.
_OPTIONAL = ("data", "user", "ended", "took")
_ORDERED = {">", "<", ">=", "<="}
_FLIP = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)(s|m|min|h|d|w)", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
INT64_MAX = 2**63 - 1
DAY_MS = 86_400_000
Span = tuple[int, int]


class FilterError(ValueError):
    """A filter that cannot be read; ``start`` and ``stop`` mark the wrong token."""

    def __init__(self, message: str, start: int, stop: int) -> None:
        super().__init__(message)
        self.message, self.start, self.stop = message, start, stop


@dataclass(frozen=True, slots=True)
class Age:
    """A moment told as time before now."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold of a run.

    ``kind`` is metric, param, tag, bare (a metric or a parameter), tagged, text or an attribute;
    ``op`` is =, !=, <, <=, >, >=, like, ilike, contains, null, known, range or day; several ``values`` mean any of them
    (for !=: none of them). A range holds both of its ends, and None stands for an open one; a day is
    a stretch of time without its last moment. ``name`` is where the name stands.
    """

    kind: str
    key: str
    op: str
    values: tuple[str | float | Age | None, ...]
    negated: bool
    span: Span
    name: Span | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions and groups of which all ("and") or any ("or") must hold."""

    op: str
    parts: tuple[Node, ...]
    negated: bool
    span: Span


Node = Condition | Group


@dataclass(frozen=True, slots=True)
class Word:
    """A value as written, and where; between quotes it is nothing but text."""

    text: str
    span: Span
    quoted: bool = False

    def fail(self, message: str) -> FilterError:
        """Make the error that points at this value."""
        return FilterError(message, *self.span)


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause as written: entity, key, operator, values, a minus in front, and where each stands."""

    entity: str
    key: str
    operator: str
    values: tuple[Word, ...]
    negated: bool
    span: Span
    name: Span
    operator_span: Span

    def means(self, kind: str, op: str, values: tuple[str | float | Age | None, ...], *, key: str = "") -> Condition:
        """Say the meaning of this clause."""
        return Condition(kind, key, op, values, self.negated, self.span, self.name)

    def texts(self, kind: str, op: str, *, key: str = "") -> Condition:
        """Say the meaning where the values are plain text."""
        return self.means(kind, op, tuple(word.text for word in self.values), key=key)

    @property
    def one(self) -> Word:
        """The only value there may be."""
        if len(self.values) > 1:
            raise self.values[1].fail(f"{plain(self.operator)} takes one value.")
        return self.values[0]


def number(text: str) -> float | None:
    """Return the finite or infinite number that `text` spells, else None; NaN is no number."""
    if len(text) > 64 or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def condition(clause: Clause) -> Node:
    """Give a parsed clause its typed meaning; ranges among its values make it a group.

    Raises
    ------
    FilterError
        If the field does not know the operator or the value.
    """
    ranged = [word for word in clause.values if _is_range(word, clause)]
    if not ranged:
        return _simple(clause)
    if clause.operator not in (":", "="):
        raise ranged[0].fail(f"A range goes with : only; write -{clause.key}:{ranged[0].text} for what lies outside.")
    single = replace(clause, negated=False)
    parts: list[Node] = [_range(replace(single, values=(word,))) for word in ranged]
    rest = tuple(word for word in clause.values if word not in ranged)
    if rest:
        parts.append(_simple(replace(single, values=rest)))
    if len(parts) > 1:
        return Group("or", tuple(parts), clause.negated, clause.span)
    return replace(parts[0], negated=clause.negated)


def plain(operator: str) -> str:
    """The operator without the colon that may stand before it, as in ``started:>7d``."""
    return operator.lstrip(":") or ":"


def _kind(clause: Clause) -> str:
    """What the clause speaks of: an attribute's name, or its entity."""
    known = clause.entity in ("bare", "attribute") and clause.key.lower() in ATTRIBUTES
    return ATTRIBUTES[clause.key.lower()] if known else clause.entity


def _is_range(word: Word, clause: Clause) -> bool:
    """Whether a value is two ends; a text such as ``../data`` is none."""
    low, dots, high = word.text.partition("..")
    if word.quoted or not dots or not (low or high):
        return False
    kind = _kind(clause)
    if kind in ("metric", "started", "ended", "took", "number"):
        return True
    return kind in ("bare", "param") and all(not end or number(end) is not None for end in (low, high))


def _range(clause: Clause) -> Condition:
    kind, word = _kind(clause), clause.values[0]
    low, _, high = word.text.partition("..")
    start, stop = word.span
    first = Word(low, (start, start + len(low))) if low else None
    last = Word(high, (stop - len(high), stop)) if high else None
    if kind in ("started", "ended"):
        return _stretch(kind, clause, first, last)
    read = {"took": _seconds, "number": _whole}.get(kind, _float)
    lowest, highest = (None if end is None else read(end) for end in (first, last))
    if lowest is not None and highest is not None and lowest > highest:
        raise word.fail(f"The range {word.text} is empty: {low} is above {high}.")
    return clause.means(kind, "range", (lowest, highest), key=clause.key if kind == clause.entity else "")


def _stretch(kind: str, clause: Clause, low: Word | None, high: Word | None) -> Condition:
    """From one moment or day to another; a day at the end is held whole, ``14d..7d`` are ages."""
    begin = None if low is None else _end(low)[0]
    end, is_day = (None, False) if high is None else _end(high)
    if isinstance(end, float) and is_day:
        end += DAY_MS - 1
    if isinstance(begin, Age) and isinstance(end, Age):
        wrong = begin.seconds < end.seconds
    else:
        wrong = isinstance(begin, float) and isinstance(end, float) and begin > end
    if wrong:
        raise clause.values[0].fail("The range is empty: the earlier end comes first, as in 14d..7d.")
    return clause.means(kind, "range", (begin, end))


def _end(word: Word) -> tuple[float | Age, bool]:
    age = _AGE.fullmatch(word.text)
    return (Age(_age_seconds(age)), False) if age else _instant(word)


def _simple(clause: Clause) -> Condition:
    entity, key = clause.entity, clause.key
    if not key:
        raise FilterError("A name is missing.", *clause.name)
    if entity == "text":
        return clause.texts("text", "ilike")
    if entity == "bare" and key == "tag":
        return clause.texts("tagged", _allowed(_TEXT_OPS, clause, "tag"))
    kind = _kind(clause)
    if kind == "attribute":
        raise FilterError(f"A run has no attribute {key!r}. Known: {', '.join(FIELDS)}.", *clause.name)
    if kind != entity:
        return _attribute(kind, clause)
    if clause.operator in _NULL_OPS:
        return clause.means(kind, _NULL_OPS[clause.operator], (), key=key)
    if kind == "metric":
        return _numeric(kind, clause, _float, f"metric {key}", key=key)
    if plain(clause.operator) in _ORDERED and kind != "tag":
        return _numeric(kind, clause, _float, key, key=key)
    return clause.texts(kind, _allowed(_TEXT_OPS, clause, key), key=key)


def _numeric(kind: str, clause: Clause, read: Callable[[Word], float], what: str, *, key: str = "") -> Condition:
    op = _allowed(_NUMBER_OPS, clause, what)
    if op in _ORDERED:
        return clause.means(kind, op, (read(clause.one),), key=key)
    return clause.means(kind, op, tuple(read(word) for word in clause.values), key=key)


def _attribute(kind: str, clause: Clause) -> Condition:
    if clause.operator in _NULL_OPS:
        if kind not in _OPTIONAL:
            raise FilterError(f"Every run has {kind}.", *clause.operator_span)
        return clause.means(kind, _NULL_OPS[clause.operator], ())
    if kind in ("started", "ended"):
        return _moment(kind, clause)
    if kind in ("took", "number"):
        return _numeric(kind, clause, _seconds if kind == "took" else _whole, kind)
    op = _allowed(_TEXT_OPS, clause, kind)
    if kind == "state" and op in ("=", "!="):
        return clause.means(kind, op, tuple(_state(word) for word in clause.values))
    if kind == "name" and clause.operator == ":":
        op = "ilike"
    if kind == "experiment" and op in ("=", "!="):  # digits are its number, unless quotes say that they are its name
        return clause.means(kind, op, tuple(_name_or_number(word) for word in clause.values))
    return clause.texts(kind, op)


def _moment(kind: str, clause: Clause) -> Condition:
    """Compare a time: ``started:<7d`` is an age, ``started>=2026-10-01`` a date, a bare number milliseconds."""
    op, word = _allowed(_NUMBER_OPS, clause, kind), clause.one
    age = _AGE.fullmatch(word.text)
    if age:
        if op not in _FLIP:
            raise word.fail(f"Write {kind}:<{word.text} for the last {word.text}, or {kind}:>{word.text} for before.")
        return clause.means(kind, _FLIP[op], (Age(_age_seconds(age)),))
    start, day = _instant(word)
    if not day:
        return clause.means(kind, op, (start,))
    if op in ("=", "!="):  # a date stands for its whole day
        return replace(clause, negated=clause.negated ^ (op == "!=")).means(kind, "day", (start, start + DAY_MS))
    if op in (">", "<="):
        return clause.means(kind, {">": ">=", "<=": "<"}[op], (start + DAY_MS,))
    return clause.means(kind, op, (start,))


def _instant(word: Word) -> tuple[float, bool]:
    text = word.text
    if text.isascii() and text.isdigit() and len(text) > 8:
        return float(_whole(word)), False
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        stamp = (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise word.fail(f"{text!r} is no time. Write 7d, 2026-10-01, 2026-10-01T14:30 or milliseconds.") from None
    return stamp, _DAY.fullmatch(text) is not None


def _age_seconds(age: re.Match[str]) -> float:
    return float(age.group(1)) * _SECONDS[age.group(2).lower()]


def _seconds(word: Word) -> float:
    found = _AGE.fullmatch(word.text)
    value = number(word.text)
    if not found and value is None:
        raise word.fail(f"{word.text!r} is no duration. Write 90s, 15m, 2h or 1d.")
    return _age_seconds(found) if found else float(value or 0)


def _float(word: Word) -> float:
    value = number(word.text)
    if value is None:
        raise word.fail(f"{word.text!r} is no number.")
    return value


def _whole(word: Word) -> int:
    text = word.text
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > INT64_MAX:
        raise word.fail(f"{text!r} is no whole number.")
    return int(text)


def _name_or_number(word: Word) -> str | int:
    is_number = word.text.isascii() and word.text.isdigit() and not word.quoted
    return _whole(word) if is_number else word.text


def _state(word: Word) -> str:
    state = _STATE_ALIASES.get(word.text.lower(), word.text.lower())
    if state not in STATES:
        raise word.fail(f"There is no state {word.text!r}. Known: {', '.join(STATES)}.")
    return state


def _allowed(table: dict[str, str], clause: Clause, what: str) -> str:
    operator = plain(clause.operator)
    if operator not in table:
        message = f"{what} does not know {operator}. Allowed: {', '.join(table)}."
        raise FilterError(message, *clause.operator_span)
    return table[operator]
