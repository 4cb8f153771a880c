"""What a batch may hold. A batch is checked whole before anything is written."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from mlportal.lib.errors import Invalid

from . import keys
from .codec import Points

Metric = tuple[str, float, int, int]
"""(key, value, timestamp in ms, step)"""


class Batch(Sequence[Metric]):
    """Metrics as four columns of one length: a thousand points are checked and packed without a tuple for each."""

    __slots__ = ("names", "stamps", "steps", "values")

    def __init__(
        self, names: Sequence[str], values: Sequence[float], stamps: Sequence[int], steps: Sequence[int]
    ) -> None:
        self.names, self.values, self.stamps, self.steps = names, values, stamps, steps

    @classmethod
    def of(cls, metrics: Sequence[Metric]) -> Batch:
        """Return metrics as columns, as they are if they are already."""
        if isinstance(metrics, Batch):
            return metrics
        return cls(*zip(*metrics, strict=True)) if metrics else cls((), (), (), ())

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, at: int) -> Metric: ...
    @overload
    def __getitem__(self, at: slice) -> Batch: ...
    def __getitem__(self, at: int | slice) -> Metric | Batch:
        found = self.names[at], self.values[at], self.stamps[at], self.steps[at]
        return Batch(*found) if isinstance(at, slice) else found  # type: ignore[arg-type,return-value]


BATCH_METRICS = 1000
BATCH_PARAMS = 100
BATCH_TAGS = 100
BATCH_ITEMS = 1000
KEY_CHARS = 250
PARAM_CHARS = 6000
TAG_CHARS = 8000
INT64 = np.iinfo(np.int64)
_KEY = re.compile(r"[/\w.\- :]+")
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL text takes neither NUL nor half of a pair


def check_batch(metrics: Sequence[Metric], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Refuse a batch that is too large or holds a wrong key or text.

    Raises
    ------
    Invalid
        Names the field (such as ``params.depth``), the limit and what came.
    """
    _check_count("metrics", len(metrics), BATCH_METRICS)
    _check_count("params", len(params), BATCH_PARAMS)
    _check_count("tags", len(tags), BATCH_TAGS)
    _check_count("batch", len(metrics) + len(params) + len(tags), BATCH_ITEMS)
    check_keys(metrics, params, tags)
    check_texts("params", params, PARAM_CHARS)
    check_texts("tags", tags, TAG_CHARS)


def check_new(params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Refuse what a new run cannot begin with: as a batch, but it may have as many tags as a batch has items.

    Raises
    ------
    Invalid
        As of `check_batch`.
    """
    _check_count("params", len(params), BATCH_PARAMS)
    _check_count("tags", len(tags), BATCH_ITEMS)
    check_keys((), params, tags)
    check_texts("params", params, PARAM_CHARS)
    check_texts("tags", tags, TAG_CHARS)


def check_keys(metrics: Sequence[Metric], params: Iterable[str], tags: Iterable[str]) -> None:
    """Refuse keys that are empty, too long, or could not be a path."""
    if not _are_keys(Batch.of(metrics).names):
        at = next(i for i, m in enumerate(metrics) if key_fault(m[0]))
        raise _key_error(f"metrics[{at}].key", metrics[at][0])
    for name, given in (("params", params), ("tags", tags)):
        for key in given:
            if key_fault(key):
                raise _key_error(name, key)


def _are_keys(names: Sequence[str]) -> bool:
    if set(map(type, names)) - {str}:
        return False
    return not any(key_fault(name) for name in keys.new(set(names)))


def key_fault(key: object) -> str:
    """Say what is wrong with a key, or return an empty text."""
    if not isinstance(key, str):
        return "must be a text"
    if not key or len(key) > KEY_CHARS:
        return f"must have 1 to {KEY_CHARS} characters"
    if not _KEY.fullmatch(key):
        return "may hold letters, digits, _ - . : / and spaces"
    if key.startswith(("/", "..")) or key == "." or posixpath.normpath(key) != key:
        return "must be a clean relative path"
    return ""


def check_texts(field: str, values: Mapping[str, str], limit: int) -> None:
    """Refuse values that are no text, too long, or hold characters no database stores."""
    for key, value in values.items():
        where = f"{field}.{key}"
        if not isinstance(value, str):
            raise Invalid(f"{where} must be a text.", code="wrong_type", field=where, got=type(value).__name__)
        if len(value) > limit:
            raise Invalid(
                f"{where} has {len(value)} characters; at most {limit} are allowed.",
                code="too_long",
                field=where,
                limit=limit,
                got=len(value),
            )
        if UNSTORABLE.search(value):
            raise Invalid(f"{where} holds a NUL or a lone surrogate character.", code="bad_character", field=where)


def columns(metrics: Sequence[Metric], ids: Mapping[str, int]) -> Points:
    """Turn checked metrics into columns.

    Parameters
    ----------
    metrics : sequence of Metric
    ids : mapping of key name to key id

    Raises
    ------
    Invalid
        If a value is no number, or a step or timestamp does not fit.
    """
    batch = Batch.of(metrics)
    names, values, stamps, steps = batch.names, batch.values, batch.stamps, batch.steps
    if not set(map(type, values)) <= {float, int}:
        raise _first_wrong(metrics, 1, "value", "must be a number", lambda v: type(v) in (float, int))
    for at, name, column in ((2, "timestamp", stamps), (3, "step", steps)):
        if set(map(type, column)) != {int}:
            raise _first_wrong(metrics, at, name, "must be a whole number", lambda v: type(v) is int)
    try:
        times, counts = np.array(stamps, np.int64), np.array(steps, np.int64)
    except OverflowError:
        times = None
    if times is None or times.min() < 0:
        if not all(0 <= v <= INT64.max for v in stamps):
            raise _first_wrong(metrics, 2, "timestamp", "must be from 0 to 2^63-1", lambda v: 0 <= v <= INT64.max)
        raise _first_wrong(metrics, 3, "step", "must fit 64 bits", lambda v: INT64.min <= v <= INT64.max)
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:
        raise _first_wrong(metrics, 1, "value", "is too large for a double", _fits) from None
    return Points(np.array(list(map(ids.__getitem__, names)), np.int32), counts, times, numbers)


def _fits(value: float) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _first_wrong(
    metrics: Sequence[Sequence[Any]], column: int, name: str, message: str, right: Callable[[Any], bool]
) -> Invalid:
    at = next(i for i, m in enumerate(metrics) if not right(m[column]))
    field = f"metrics[{at}].{name}"
    return Invalid(f"{field} {message}.", code="wrong_value", field=field, got=str(metrics[at][column])[:40])


def _key_error(field: str, key: object) -> Invalid:
    shown = str(key)[:60]
    return Invalid(
        f"{field}: the key {shown!r} {key_fault(key)}.",
        code="bad_key",
        field=field,
        limit=KEY_CHARS,
        got=len(key) if isinstance(key, str) else type(key).__name__,
    )


def _check_count(field: str, got: int, limit: int) -> None:
    if got > limit:
        raise Invalid(
            f"{field} holds {got} items; at most {limit} are allowed in one batch.",
            code="batch_too_large",
            field=field,
            limit=limit,
            got=got,
        )
