"""Values at steps that were asked of many runs, kept as rows (``docs/adr/0092-values-at-asked-steps-are-kept.md``).

Runs that were there when a step was first asked for are read some thousand at a time; whoever asks reads on. From
then on each fold and each move writes the value itself, so what is kept is never behind what was acknowledged.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from mlportal.lib.errors import Unavailable
from mlportal.lib.sql import Statement

from . import placing
from .predicates import Params
from .scope import Scope
from .starting import rows
from .turn import writing

# Reading so many runs of 300 points takes about half a second.
READ_A_CALL = 20_000
# What one more experiment costs, in runs.
EACH = 50
MOST_COLUMNS = 8
TOUCHED_EVERY = timedelta(hours=1)
UNASKED_FOR = timedelta(days=7)

_COLUMNS = Statement("SELECT key_id, step FROM experiments_stepcolumn WHERE experiment_id = %s", lock="FOR KEY SHARE")
_THIS = "experiment_id = %s AND key_id = %s AND step = %s"
_FIELDS = "(run_id, key_id, step, experiment_id, value, is_nan)"
_WINS = {
    True: "DO UPDATE SET experiment_id = excluded.experiment_id, value = excluded.value, is_nan = excluded.is_nan",
    False: "DO NOTHING",
}


class Reading(Unavailable):
    """503: the values at a step are not yet read of all runs; asking again reads on.

    Parameters
    ----------
    step : int
    done, total : int
        Runs with the metric.
    field : str
        What asked for them.
    """

    kind = "values_being_read"
    title = "Values are being read"

    def __init__(self, step: int, done: int, total: int, field: str) -> None:
        super().__init__(
            f"The values at step {step} are being read: {done:,} of {total:,} runs so far. Ask again to read on.",
            field=field, limit=total, got=done, retry_after=1,
        )  # fmt: skip
        self.step = step


@dataclass(frozen=True, slots=True)
class Column:
    """What is kept: one metric at one step, by the number of its name."""

    key_id: int
    step: int


def is_ready(scope: Scope, column: Column) -> bool:
    """Whether the values are kept of all runs of these experiments."""
    return not _unready(scope, column)


def read_on(scope: Scope, column: Column, field: str) -> None:
    """Read the values of some thousand runs more, and keep them.

    Raises
    ------
    Reading
        If there are more runs.
    """
    left = READ_A_CALL
    for experiment_id in _unready(scope, column):
        if left <= 0:
            raise Reading(column.step, *_progress(scope, column), field)
        count, is_whole = _read(experiment_id, column, left)
        left -= max(EACH, count) if is_whole else left
    if _unready(scope, column):
        raise Reading(column.step, *_progress(scope, column), field)


def refresh(run_ids: Sequence[int], experiment_id: int, key_ids: Collection[int] | None = None) -> None:
    """Write the values of runs that changed, of all kept columns or of these metrics, in the transaction of the change.

    Reading the columns holds them until it ends: see `_open`.
    """
    for key_id, step in _COLUMNS.rows([experiment_id]):
        if key_ids is None or key_id in key_ids:
            _write(experiment_id, Column(key_id, step), placing.values(run_ids, key_id, step), wins=True)


def drop(run_ids: Sequence[int]) -> None:
    """Forget the values of runs."""
    marks = ", ".join(["%s"] * len(run_ids))
    _run(f"DELETE FROM experiments_stepvalue WHERE run_id IN ({marks})", [*run_ids])


def forget(now: datetime) -> int:
    """Remove columns that nobody has asked for in a week; return how many."""
    old = rows(
        "SELECT experiment_id, key_id, step FROM experiments_stepcolumn WHERE asked_at < %s",
        [_moment(now - UNASKED_FOR)],
    )
    for experiment_id, key_id, step in old:
        _remove(experiment_id, Column(key_id, step))
    return len(old)


def _unready(scope: Scope, column: Column) -> list[int]:
    """The experiments whose runs have the metric, but whose values are not kept; marks the others as asked for."""
    now = timezone.now()
    found = rows(
        f"""SELECT e.id, c.is_complete FROM {scope.rows} LEFT JOIN experiments_stepcolumn c
              ON c.experiment_id = e.id AND c.key_id = %s AND c.step = %s
            WHERE (c.is_complete IS NOT TRUE OR c.asked_at < %s)
              AND EXISTS (SELECT 1 FROM experiments_runmetric m WHERE m.experiment_id = e.id AND m.key_id = %s)
            ORDER BY e.id""",
        [column.key_id, column.step, _moment(now - TOUCHED_EVERY), column.key_id],
    )
    for experiment_id, _ in (row for row in found if row[1]):
        given = [_moment(now), experiment_id, column.key_id, column.step]
        _run(f"UPDATE experiments_stepcolumn SET asked_at = %s WHERE {_THIS}", given)
    return [experiment_id for experiment_id, is_complete in found if not is_complete]


def _moment(moment: datetime) -> object:
    """A moment as the database compares it."""
    return connection.ops.adapt_datetimefield_value(moment)


def _progress(scope: Scope, column: Column) -> tuple[int, int]:
    """How many of the runs that have the metric were read, and how many there are."""
    read = "count(CASE WHEN c.is_complete OR m.run_id <= c.read_to THEN 1 END)"
    sql = f"""SELECT {read}, count(*) FROM {scope.rows}
              JOIN experiments_runmetric m ON m.experiment_id = e.id AND m.key_id = %s
              LEFT JOIN experiments_stepcolumn c ON c.experiment_id = e.id AND c.key_id = %s AND c.step = %s"""
    done, total = rows(sql, [column.key_id, column.key_id, column.step])[0]
    return done, total


def _read(experiment_id: int, column: Column, at_most: int) -> tuple[int, bool]:
    """Read so many runs of one experiment; return how many, and whether these were the last."""
    read_to = _open(experiment_id, column)
    found = rows(
        """SELECT run_id FROM experiments_runmetric WHERE experiment_id = %s AND key_id = %s AND run_id > %s
           ORDER BY run_id LIMIT %s""",
        [experiment_id, column.key_id, read_to, at_most + 1],
    )
    numbers, is_whole = [row[0] for row in found[:at_most]], len(found) <= at_most
    this: Params = [experiment_id, column.key_id, column.step]
    for start in range(0, len(numbers), placing.AT_ONCE):
        part = numbers[start : start + placing.AT_ONCE]
        with writing():
            # First the column, so that it stands until the values are written; somebody else may have read further.
            if not _run(
                f"UPDATE experiments_stepcolumn SET read_to = CASE WHEN read_to < %s THEN %s ELSE read_to END "
                f"WHERE {_THIS}", [part[-1], part[-1], *this],
            ):  # fmt: skip
                return len(numbers), False
            _write(experiment_id, column, placing.values(part, column.key_id, column.step), wins=False)
    if is_whole:
        _run(f"UPDATE experiments_stepcolumn SET is_complete = %s WHERE {_THIS}", [True, *this])
    return len(numbers), is_whole


def _open(experiment_id: int, column: Column) -> int:
    """Make the column where there is none; return the number of the run up to which it was read.

    A fold or move that did not see the column has ended before the runs are read: it locked the table in a way that
    this lock waits for. One that comes later sees it, and writes its own values.
    """
    this: Params = [experiment_id, column.key_id, column.step]
    known = rows(f"SELECT read_to FROM experiments_stepcolumn WHERE {_THIS}", this)
    if known:
        return int(known[0][0])
    with writing():
        if connection.vendor == "postgresql":
            _run("LOCK TABLE experiments_stepcolumn IN EXCLUSIVE MODE", [])
        _run(
            """INSERT INTO experiments_stepcolumn (experiment_id, key_id, step, read_to, is_complete, asked_at)
               VALUES (%s, %s, %s, 0, %s, %s) ON CONFLICT DO NOTHING""",
            [*this, False, _moment(timezone.now())],
        )
    beyond = rows(
        """SELECT key_id, step FROM experiments_stepcolumn WHERE experiment_id = %s AND NOT (key_id = %s AND step = %s)
           ORDER BY asked_at DESC, id DESC LIMIT %s OFFSET %s""",
        [*this, MOST_COLUMNS, MOST_COLUMNS - 1],
    )
    for key_id, step in beyond:
        _remove(experiment_id, Column(key_id, step))
    return 0


def _remove(experiment_id: int, column: Column) -> None:
    this: Params = [experiment_id, column.key_id, column.step]
    with writing():  # first the column: it waits for whoever writes values of it, and nobody does after it
        _run(f"DELETE FROM experiments_stepcolumn WHERE {_THIS}", this)
        _run(f"DELETE FROM experiments_stepvalue WHERE {_THIS}", this)


def _write(experiment_id: int, column: Column, known: Mapping[int, float], *, wins: bool) -> None:
    if not known:
        return
    given = [(run_id, math.isnan(value), value) for run_id, value in sorted(known.items())]
    conflict = f"ON CONFLICT (run_id, key_id, step) {_WINS[wins]}"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"""INSERT INTO experiments_stepvalue {_FIELDS} SELECT r, %s, %s, %s, v, n
                    FROM unnest(%s::bigint[], %s::float8[], %s::bool[]) AS given (r, v, n) {conflict}""",
                [column.key_id, column.step, experiment_id, [g[0] for g in given],
                 [0.0 if nan else value for _, nan, value in given], [g[1] for g in given]],
            )  # fmt: skip
            return
        cursor.executemany(
            f"INSERT INTO experiments_stepvalue {_FIELDS} VALUES (%s, %s, %s, %s, %s, %s) {conflict}",
            [(run_id, column.key_id, column.step, experiment_id, 0.0 if nan else value, nan)
             for run_id, nan, value in given],
        )  # fmt: skip


def _run(sql: str, params: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)
