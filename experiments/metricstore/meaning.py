"""What a filter clause means: fields, operators and typed values, checked against allow-lists."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

STATES = ("queued", "running", "finished", "failed", "cancelled")
_STATE_ALIASES = {"stopped": "cancelled", "killed": "cancelled", "canceled": "cancelled", "scheduled": "queued"}
_ATTRIBUTES = {
    **dict.fromkeys(("state", "status"), "state"),
    **dict.fromkeys(("user", "by", "user_id"), "user"),
    **dict.fromkeys(("name", "run_name", "run name"), "name"),
    **dict.fromkeys(("run", "id"), "number"),
    "run_id": "uuid",
    **dict.fromkeys(("data", "dataset"), "data"),
    "source": "source",
    **dict.fromkeys(("started", "start_time", "created"), "started"),
    **dict.fromkeys(("ended", "end_time"), "ended"),
    **dict.fromkeys(("took", "duration"), "took"),
}
FIELDS = tuple(sorted({*_ATTRIBUTES.values(), "tag"}))
_NUMBER_OPS = {":": "=", "=": "=", "!=": "!=", ">": ">", "<": "<", ">=": ">=", "<=": "<="}
_TEXT_OPS = {":": "=", "=": "=", "!=": "!=", "LIKE": "like", "ILIKE": "ilike", "IN": "=", "NOT IN": "!="}
_ORDERED = {">", "<", ">=", "<="}
_FLIP = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)(s|m|min|h|d|w)", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
INT64_MAX = 2**63 - 1
DAY_MS = 86_400_000


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
    ``op`` is =, !=, <, <=, >, >=, like, ilike, null or known; several ``values`` mean any of them
    (for !=: none of them).
    """

    kind: str
    key: str
    op: str
    values: tuple[str | float | Age, ...]
    negated: bool
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause as written: entity, key, operator, value texts, a minus in front, its place."""

    entity: str
    key: str
    operator: str
    values: tuple[str, ...]
    negated: bool
    span: tuple[int, int]

    def means(self, kind: str, op: str, values: tuple[str | float | Age, ...], *, key: str = "") -> Condition:
        """Say the meaning of this clause."""
        return Condition(kind, key, op, values, self.negated, self.span)

    def fail(self, message: str) -> FilterError:
        """Make the error that points at this clause."""
        return FilterError(message, *self.span)


def number(text: str) -> float | None:
    """Return the finite or infinite number that `text` spells, else None; NaN is no number."""
    if len(text) > 64 or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def condition(clause: Clause) -> Condition:
    """Give a parsed clause its typed meaning.

    Raises
    ------
    FilterError
        If the field does not know the operator or the value.
    """
    entity, key = clause.entity, clause.key
    if not key:
        raise clause.fail("A name is missing.")
    if entity == "text":
        return clause.means("text", "ilike", clause.values)
    if entity == "tag":
        return _text_condition("tag", clause)
    if entity == "bare" and key == "tag":
        return clause.means("tagged", _allowed(_TEXT_OPS, clause, "tag"), clause.values)
    if entity in ("bare", "attribute") and key.lower() in _ATTRIBUTES:
        return _attribute(_ATTRIBUTES[key.lower()], clause)
    if entity == "attribute":
        raise clause.fail(f"A run has no attribute {key!r}. Known: {', '.join(FIELDS)}.")
    if entity == "metric":
        op = _allowed(_NUMBER_OPS, clause, f"metric {key}")
        return clause.means("metric", op, _numbers(clause), key=key)
    if _plain(clause.operator) in _ORDERED:
        return clause.means(entity, _plain(clause.operator), _numbers(clause), key=key)
    return _text_condition(entity, clause)


def _text_condition(kind: str, clause: Clause) -> Condition:
    if clause.operator in ("IS NULL", "IS NOT NULL"):
        return clause.means(kind, "null" if clause.operator == "IS NULL" else "known", (), key=clause.key)
    return clause.means(kind, _allowed(_TEXT_OPS, clause, clause.key), clause.values, key=clause.key)


def _attribute(kind: str, clause: Clause) -> Condition:
    if kind in ("started", "ended"):
        return _moment(kind, clause)
    if kind == "took":
        return clause.means(
            kind, _allowed(_NUMBER_OPS, clause, kind), tuple(_seconds(v, clause) for v in clause.values)
        )
    if kind == "number":
        return clause.means(kind, _allowed(_NUMBER_OPS, clause, kind), tuple(_whole(v, clause) for v in clause.values))
    op, values = _allowed(_TEXT_OPS, clause, kind), clause.values
    if kind == "state":
        values = tuple(_state(v, clause) for v in values)
    if kind == "name" and clause.operator == ":":
        op = "ilike"
    return clause.means(kind, op, values)


def _moment(kind: str, clause: Clause) -> Condition:
    """Compare a time: ``started:<7d`` is an age, ``started>=2026-10-01`` a date, a bare number milliseconds."""
    op, text = _allowed(_NUMBER_OPS, clause, kind), clause.values[0]
    if len(clause.values) > 1:
        raise clause.fail(f"{kind} takes one value.")
    age = _AGE.fullmatch(text)
    if age:
        if op not in _FLIP:
            raise clause.fail(f"Write {kind}:<{text} for the last {text}, or {kind}:>{text} for before.")
        return clause.means(kind, _FLIP[op], (Age(float(age.group(1)) * _SECONDS[age.group(2).lower()]),))
    start, day = _instant(text, clause)
    if not day:
        return clause.means(kind, op, (start,))
    if op in ("=", "!="):  # a date stands for its whole day
        return replace(clause, negated=clause.negated ^ (op == "!=")).means(kind, "day", (start, start + DAY_MS))
    if op in (">", "<="):
        return clause.means(kind, {">": ">=", "<=": "<"}[op], (start + DAY_MS,))
    return clause.means(kind, op, (start,))


def _instant(text: str, clause: Clause) -> tuple[float, bool]:
    if text.isascii() and text.isdigit() and len(text) > 8:
        return float(_whole(text, clause)), False
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        stamp = (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        message = f"{text!r} is no time. Write 7d, 2026-10-01, 2026-10-01T14:30 or milliseconds."
        raise clause.fail(message) from None
    return stamp, len(text) == len("2026-10-01")


def _seconds(text: str, clause: Clause) -> float:
    found = _AGE.fullmatch(text)
    plain = number(text)
    if not found and plain is None:
        raise clause.fail(f"{text!r} is no duration. Write 90s, 15m, 2h or 1d.")
    return float(found.group(1)) * _SECONDS[found.group(2).lower()] if found else float(plain or 0)


def _numbers(clause: Clause) -> tuple[float, ...]:
    found = []
    for text in clause.values:
        value = number(text)
        if value is None:
            raise clause.fail(f"{text!r} is no number.")
        found.append(value)
    return tuple(found)


def _whole(text: str, clause: Clause) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > INT64_MAX:
        raise clause.fail(f"{text!r} is no whole number.")
    return int(text)


def _state(text: str, clause: Clause) -> str:
    state = _STATE_ALIASES.get(text.lower(), text.lower())
    if state not in STATES:
        raise clause.fail(f"There is no state {text!r}. Known: {', '.join(STATES)}.")
    return state


def _plain(operator: str) -> str:
    return operator.lstrip(":") or ":"  # ":>" is ">", as in started:>7d


def _allowed(table: dict[str, str], clause: Clause, what: str) -> str:
    operator = _plain(clause.operator)
    if operator not in table:
        raise clause.fail(f"{what} does not know {operator}. Allowed: {', '.join(table)}.")
    return table[operator]
