"""Runs of a filter by the value that a metric had at a step (``docs/adr/0080-the-value-at-a-step.md``).

No index can hold the value at every step. It is read for all runs that pass, from the one segment of each run that
holds it, and the runs are put in order here. So the runs are limited, and nothing is sampled.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from django.db import connection

from mlportal.lib.errors import Invalid
from mlportal.lib.sql import Among

from . import keys, reading
from .asking import FEW_TO_COUNT, Question, matching
from .orders import Order, step_of
from .predicates import Params
from .starting import rows

MOST = 10_000
AT_ONCE = 500
# What stands in a cursor for each stretch of the order: a number, NaN, no value, and failed and queued runs behind.
KINDS = (float, float, int, int)
_BEHIND = ("failed", "queued")
_REACHED = Among(
    "SELECT run_id, step, value, is_nan FROM experiments_runmetric WHERE key_id = %s AND step >= %s AND run_id IN (%s)"
)

_Row = tuple[int, object, int]  # stretch, sort value, run id


def collect(question: Question, place: _Row | None, want: int, *, backward: bool) -> list[_Row]:
    """Return the next so many runs behind a place, or in front of it, nearest first.

    Raises
    ------
    Invalid
        If more runs pass than values are read for.
    """
    order = question.order
    placed = sorted((_rank(row, order), row) for row in _ordered(question))
    if backward:
        stop = bisect_left(placed, _rank(place, order), key=lambda pair: pair[0]) if place else len(placed)
        return [row for _, row in placed[max(0, stop - want) : stop]][::-1]
    start = bisect_right(placed, _rank(place, order), key=lambda pair: pair[0]) if place else 0
    return [row for _, row in placed[start : start + want]]


def values(run_ids: Sequence[int], name: str, step: int) -> dict[int, float]:
    """Return the value of a metric at a step of those of these folded runs that came so far."""
    key_id = keys.find([name]).get(name)
    if key_id is None:
        return {}
    found: dict[int, float] = {}
    beyond = []
    for run_id, last, value, is_nan in _REACHED.of(run_ids, key_id, step):
        if last == step:  # its latest point is the one, and need not be unpacked
            found[run_id] = math.nan if is_nan else value
        else:
            beyond.append(run_id)
    for start in range(0, len(beyond), AT_ONCE):
        part = reading.values_at(beyond[start : start + AT_ONCE], [key_id], step)
        found |= {run_id: value for (run_id, _), value in part.items()}
    return found


def best(run_ids: Sequence[int], name: str, step: int, end: str) -> float | None:
    """Return the ``"max"`` or ``"min"`` of a metric at a step over these folded runs, None where none came so far."""
    known = [value for value in values(run_ids, name, step).values() if not math.isnan(value)]
    return None if not known else max(known) if end == "max" else min(known)


def table(known: dict[int, float]) -> tuple[str, Params]:
    """SQL that reads values back as rows of (run, value), and its own values."""
    if connection.vendor == "postgresql":
        return "SELECT * FROM unnest(%s::bigint[], %s::float8[])", [[*known], [*known.values()]]
    pairs = ",".join(f"[{run_id},{value!r}]" for run_id, value in known.items())
    # The cast lets SQLite join by an index that it makes on the way; else it would read all values for each run.
    run = "CAST(json_extract(value, '$[0]') AS INTEGER)"
    return f"SELECT {run}, json_extract(value, '$[1]') FROM json_each(%s)", [f"[{pairs}]"]


def passing(question: Question, field: str) -> list[tuple[int, str, int]]:
    """Return (run id, state, start) of all runs that pass, in no order.

    Raises
    ------
    Invalid
        If there are more than `MOST`; ``field`` is what asked for the value at a step.
    """
    source, before, where, behind = matching(question, FEW_TO_COUNT)
    sql = f"SELECT r.id, r.state, r.started_ms FROM {source} WHERE {where} LIMIT %s"
    found = rows(sql, [*before, *behind, MOST + 1])
    if len(found) > MOST:
        raise Invalid(
            f"The value at a step is read for at most {MOST:,} runs, and more pass the filter: narrow it, "
            "or use the last, best, least or greatest value.",
            field=field, limit=MOST,
        )  # fmt: skip
    return found


def _ordered(question: Question) -> list[_Row]:
    found = passing(question, "sort")
    known = values([run_id for run_id, _, _ in found], question.order.key, step_of(question.order.agg) or 0)
    return [_placed(run, known.get(run[0]), question.order) for run in found]


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
