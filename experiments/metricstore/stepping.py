"""Runs of a filter by the value that a metric had at a step (``docs/adr/0080-the-value-at-a-step.md``).

No index can hold the value at every step. Where few runs pass it is read for each of them, from the one segment that
holds it, and the runs are put in order here. Where many do, it is kept (`kept`). Nothing is sampled.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from django.db import connection

from . import kept, keys, placing
from .asking import FEW_TO_COUNT, Question, matching
from .orders import Order, step_of
from .predicates import Params
from .starting import rows

MOST = 2_000  # read for each page: a tenth of a second, of the fifth that a page of 10,000 runs may take
# What stands in a cursor for each stretch of the order: a number, NaN, no value, and failed and queued runs behind.
KINDS = (float, float, int, int)
_BEHIND = ("failed", "queued")

_Row = tuple[int, object, int]  # stretch, sort value, run id


Passing = list[tuple[int, str, int]]  # run id, state, start


def few(question: Question, name: str, step: int, field: str) -> Passing | None:
    """Return the runs that pass, in no order, where their values are to be read; None where the values are kept.

    Raises
    ------
    Reading
        If more pass than are read each time, and the values are not yet kept of all; ``field`` asked for them.
    """
    column, scope = column_of(name, step), question.context.scope
    if kept.is_ready(scope, column):
        return None
    source, before, where, behind = matching(question, FEW_TO_COUNT)
    sql = f"SELECT r.id, r.state, r.started_ms FROM {source} WHERE {where} LIMIT %s"
    found = rows(sql, [*before, *behind, MOST + 1])
    if len(found) <= MOST:
        return found
    kept.read_on(scope, column, field)
    return None


def column_of(name: str, step: int) -> kept.Column:
    """The column of a metric at a step; of a metric that no run has it is always complete."""
    return kept.Column(keys.find([name]).get(name, -1), step)


def collect(found: Passing, order: Order, place: _Row | None, want: int, *, backward: bool) -> list[_Row]:
    """Return the next so many of few runs behind a place, or in front of it, nearest first."""
    known = values([run_id for run_id, _, _ in found], order.key, step_of(order.agg) or 0)
    placed = sorted((_rank(row, order), row) for row in (_placed(run, known.get(run[0]), order) for run in found))
    if backward:
        stop = bisect_left(placed, _rank(place, order), key=lambda pair: pair[0]) if place else len(placed)
        return [row for _, row in placed[max(0, stop - want) : stop]][::-1]
    start = bisect_right(placed, _rank(place, order), key=lambda pair: pair[0]) if place else 0
    return [row for _, row in placed[start : start + want]]


def values(run_ids: Sequence[int], name: str, step: int) -> dict[int, float]:
    """Return the value of a metric at a step of those of these folded runs that came so far."""
    key_id = keys.find([name]).get(name)
    return {} if key_id is None else placing.values(run_ids, key_id, step)


def best(run_ids: Sequence[int], name: str, step: int, end: str) -> float | None:
    """Return the ``"max"`` or ``"min"`` of a metric at a step over these folded runs, None where none came so far."""
    known = [value for value in values(run_ids, name, step).values() if not math.isnan(value)]
    return None if not known else max(known) if end == "max" else min(known)


def table(known: dict[int, float]) -> tuple[str, Params]:
    """SQL that reads values back as rows of (run, value, whether it is NaN: never), and its own values."""
    if connection.vendor == "postgresql":
        return "SELECT *, FALSE FROM unnest(%s::bigint[], %s::float8[])", [[*known], [*known.values()]]
    pairs = ",".join(f"[{run_id},{value!r}]" for run_id, value in known.items())
    # The cast lets SQLite join by an index that it makes on the way; else it would read all values for each run.
    run = "CAST(json_extract(value, '$[0]') AS INTEGER)"
    return f"SELECT {run}, json_extract(value, '$[1]'), FALSE FROM json_each(%s)", [f"[{pairs}]"]


def _placed(run: tuple[int, str, int], value: float | None, order: Order) -> _Row:
    run_id, state, started = run
    if order.settled_first and state in _BEHIND:
        return 3, started, run_id
    if value is None:
        return 2, started, run_id
    return (1, 0.0, run_id) if math.isnan(value) else (0, value, run_id)


def _rank(row: _Row, order: Order) -> tuple[int, float, int]:
    """What puts a run in its place: of equal values, and of runs without one, the newer comes first."""
    stretch, value, run_id = row
    number: float = value  # type: ignore[assignment] # a cursor is checked against `KINDS`
    is_rising = stretch == 0 and not order.descending
    return stretch, number if is_rising else -number, -run_id
