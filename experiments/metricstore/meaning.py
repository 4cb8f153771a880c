"""What a filter clause means: fields, operators and typed values, checked against allow-lists."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
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


def number(text: str) -> float | None:
    """Return the finite or infinite number that `text` spells, else None; NaN is no number."""
    if len(text) > 64 or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def condition(
    entity: str, key: str, operator: str, values: tuple[str, ...], negated: bool, span: tuple[int, int]
) -> Condition:
    """Give a parsed clause its typed meaning.

    Raises
    ------
    FilterError
        If the field does not know the operator or the value.
    """
    if operator.startswith(":") and len(operator) > 1 and entity != "bare":
        raise FilterError(f"Write {operator[1:]} without the colon.", *span)
    if not key:
        raise FilterError("A name is missing.", *span)
    if entity == "text":
        return Condition("text", "", "ilike", values, negated, span)
    if entity == "tag":
        return _text_condition("tag", key, operator, values, negated, span)
    if entity == "bare" and key == "tag":
        return Condition("tagged", "", _allowed(_TEXT_OPS, operator, "tag", span), values, negated, span)
    if entity in ("bare", "attribute") and key.lower() in _ATTRIBUTES:
        return _attribute(_ATTRIBUTES[key.lower()], operator, values, negated, span)
    if entity == "attribute":
        raise FilterError(f"A run has no attribute {key!r}. Known: {', '.join(FIELDS)}.", *span)
    if entity == "metric":
        return _metric_condition(key, operator, values, negated, span)
    return _param_condition(entity, key, operator.lstrip(":") or operator, values, negated, span)


def _metric_condition(
    key: str, operator: str, values: tuple[str, ...], negated: bool, span: tuple[int, int]
) -> Condition:
    op = _allowed(_NUMBER_OPS, operator, f"metric {key}", span)
    return Condition("metric", key, op, _numbers(values, span), negated, span)


def _param_condition(
    kind: str, key: str, operator: str, values: tuple[str, ...], negated: bool, span: tuple[int, int]
) -> Condition:
    if operator in _ORDERED:
        return Condition(kind, key, operator, _numbers(values, span), negated, span)
    return _text_condition(kind, key, operator, values, negated, span)


def _text_condition(
    kind: str, key: str, operator: str, values: tuple[str, ...], negated: bool, span: tuple[int, int]
) -> Condition:
    if operator in ("IS NULL", "IS NOT NULL"):
        return Condition(kind, key, "null" if operator == "IS NULL" else "known", (), negated, span)
    op = _allowed(_TEXT_OPS, operator, key, span)
    return Condition(kind, key, op, values, negated, span)


def _attribute(kind: str, operator: str, values: tuple[str, ...], negated: bool, span: tuple[int, int]) -> Condition:
    if kind in ("started", "ended"):
        return _moment(kind, operator, values, negated, span)
    if kind == "took":
        op = _allowed(_NUMBER_OPS, operator.lstrip(":") or ":", kind, span)
        return Condition(kind, "", op, tuple(_span_seconds(v, span) for v in values), negated, span)
    if kind == "number":
        op = _allowed(_NUMBER_OPS, operator.lstrip(":") or ":", kind, span)
        return Condition(kind, "", op, tuple(_whole(v, span) for v in values), negated, span)
    op = _allowed(_TEXT_OPS, operator, kind, span)
    if kind == "state":
        values = tuple(_state(v, span) for v in values)
    if kind == "name" and operator == ":":
        op = "ilike"
    return Condition(kind, "", op, values, negated, span)


def _moment(kind: str, operator: str, values: tuple[str, ...], negated: bool, span: tuple[int, int]) -> Condition:
    """Compare a time: ``started:<7d`` is an age, ``started>=2026-10-01`` a date, a bare number milliseconds."""
    op = _allowed(_NUMBER_OPS, operator.lstrip(":") or ":", kind, span)
    if len(values) > 1:
        raise FilterError(f"{kind} takes one value.", *span)
    age = _AGE.fullmatch(values[0])
    if age:
        if op not in _FLIP:
            raise FilterError(f"Write {kind}:<{values[0]} for the last {values[0]}, or {kind}:> for before.", *span)
        seconds = float(age.group(1)) * _SECONDS[age.group(2).lower()]
        return Condition(kind, "", _FLIP[op], (Age(seconds),), negated, span)
    start, day = _instant(values[0], span)
    if day and op in ("=", "!="):
        # A date stands for its whole day.
        return Condition(kind, "", "day", (start, start + 86_400_000), negated ^ (op == "!="), span)
    if day and op in (">", "<="):
        start += 86_400_000
        op = {">": ">=", "<=": "<"}[op]
    return Condition(kind, "", op, (start,), negated, span)


def _instant(text: str, span: tuple[int, int]) -> tuple[float, bool]:
    if text.isascii() and text.isdigit() and len(text) > 8:
        return float(_whole(text, span)), False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time. Write 7d, 2026-10-01, 2026-10-01T14:30 or milliseconds."
        raise FilterError(message, *span) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1), len(text) == len("2026-10-01")


def _span_seconds(text: str, span: tuple[int, int]) -> float:
    found = _AGE.fullmatch(text)
    plain = number(text)
    if not found and plain is None:
        raise FilterError(f"{text!r} is no duration. Write 90s, 15m, 2h or 1d.", *span)
    return float(found.group(1)) * _SECONDS[found.group(2).lower()] if found else float(plain or 0)


def _numbers(values: tuple[str, ...], span: tuple[int, int]) -> tuple[float, ...]:
    out = [number(v) for v in values]
    for text, value in zip(values, out, strict=True):
        if value is None:
            raise FilterError(f"{text!r} is no number.", *span)
    return tuple(v for v in out if v is not None)


def _whole(text: str, span: tuple[int, int]) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > INT64_MAX:
        raise FilterError(f"{text!r} is no whole number.", *span)
    return int(text)


def _state(text: str, span: tuple[int, int]) -> str:
    state = _STATE_ALIASES.get(text.lower(), text.lower())
    if state not in STATES:
        raise FilterError(f"There is no state {text!r}. Known: {', '.join(STATES)}.", *span)
    return state


def _allowed(table: dict[str, str], operator: str, what: str, span: tuple[int, int]) -> str:
    if operator not in table:
        raise FilterError(f"{what} does not know {operator}. Allowed: {', '.join(table)}.", *span)
    return table[operator]
