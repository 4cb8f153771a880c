"""Single values of a request: what a model gets of each, and checks of many at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

Check = Callable[[Sequence[Any]], bool]

MAX_TEXT_LENGTH = 10_000
LARGEST = sys.float_info.max
_NUMBERS = frozenset({int, float})
_INTEGERS = frozenset({int})
_BOOLEANS = frozenset({bool})


def _read_number(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"expected a number, got {named(value)}")
    if not -LARGEST <= value <= LARGEST:
        raise ValueError("expected a finite number, got NaN or infinity")
    return value


def _read_integer(value: Any) -> int:
    number = _read_number(value)
    if type(number) is float and not number.is_integer():
        raise ValueError(f"expected a whole number, got {number!r}")
    return int(number)


def _read_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"expected true or false, got {named(value)}")
    return value


def _read_text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"expected text, got {named(value)}")
    if len(value) > MAX_TEXT_LENGTH:
        raise ValueError(f"text of {len(value)} characters, at most {MAX_TEXT_LENGTH} are allowed")
    if "\0" in value:
        raise ValueError("text must not contain NUL characters")
    return value


def read_scalar(value: Any) -> Any:
    """Read a category, which may be a text, a boolean or a number."""
    if type(value) is str:
        return _read_text(value)
    if type(value) is bool:
        return value
    return _read_number(value)


def _read_datetime(value: Any) -> str:
    text = _read_text(value)
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("expected an ISO 8601 date or time such as 2026-05-31T08:00:00Z") from None
    return text


def _are_numbers(values: Sequence[Any]) -> bool:
    # One sum instead of a look at each: it is finite only if all are, and what overflows it is looked at singly.
    try:
        return _NUMBERS.issuperset(map(type, values)) and abs(sum(values)) <= LARGEST
    except OverflowError:
        return False


def _are_integers(values: Sequence[Any]) -> bool:
    return _INTEGERS.issuperset(map(type, values)) and _are_numbers(values)


def _are_booleans(values: Sequence[Any]) -> bool:
    return _BOOLEANS.issuperset(map(type, values))


def _are_texts(values: Sequence[Any]) -> bool:
    try:
        joined = "".join(values)  # refuses all but text
    except TypeError:
        return False
    return "\0" not in joined and (len(joined) <= MAX_TEXT_LENGTH or max(map(len, values)) <= MAX_TEXT_LENGTH)


def _never(_values: Sequence[Any]) -> bool:
    return False


READERS: dict[str, tuple[Callable[[Any], Any], Check]] = {
    "numeric": (_read_number, _are_numbers),
    "integer": (_read_integer, _are_integers),
    "boolean": (_read_boolean, _are_booleans),
    "categorical": (_read_text, _are_texts),
    "text": (_read_text, _are_texts),
    "id": (_read_text, _are_texts),
    "datetime": (_read_datetime, _never),
}


def named(value: Any) -> str:
    """Name the JSON type of a value; the value itself is not echoed."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
