"""The best value of each column over all runs of a filter, by one query for all columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import connection

from . import folding, kept, keys, stepping
from .asking import FEW_TO_COUNT, Question, matching
from .orders import KEPT, column_of, step_of
from .predicates import TABLES, Params
from .starting import rows

WALKED = 3000
# Of so many columns at a step the best is found where many runs pass; the values of each have to be read and kept.
MARKED = 4


@dataclass(frozen=True, slots=True)
class Top:
    """What a column shows of a metric: the aggregate last, min, max or ``step:<n>``, and the end of it that is best."""

    name: str
    agg: str = "last"
    end: str = "max"


def tops(question: Question, wanted: Sequence[Top], total: int) -> list[float | None]:
    """Return the best number of each column, None where no run has one.

    Where few runs pass, they are read. Where many do, each metric's index is walked from its best end up to the
    first run that passes: usually a few steps. A filter that leaves out the best thousands of a column, as
    ``auc<0.5`` does, costs one more query that reads the runs that pass. Values at a step are read while they are few
    in all; those of more runs are taken from what is kept, and a column of which they are not yet kept has no best.

    Parameters
    ----------
    question : Question
        Its order does not matter.
    wanted : sequence of Top
    total : int
        How many runs pass, as counted before.
    """
    if not wanted or not total:
        return [None] * len(wanted)
    folding.fold_experiments(question.context.scope.ids)
    few, unkept = _unkept(question, wanted, total)
    known = _at_step(question, few) if few else {}
    indexed = [top for top in dict.fromkeys(wanted) if top not in few and top not in unkept]
    known |= dict(zip(indexed, _indexed(question, indexed, total), strict=True))
    return [known.get(top) for top in wanted]


def read_on(question: Question, wanted: Sequence[Top], total: int) -> None:
    """Read on for the best values at steps that are too many to be read each time: of the first columns, one by one.

    Raises
    ------
    Reading
        If there are more to read.
    """
    few, unkept = _unkept(question, wanted, total)
    for column in list(dict.fromkeys(map(_column, unkept)))[: max(0, MARKED - len(few))]:
        kept.read_on(question.context.scope, column, "agg")


def _unkept(question: Question, wanted: Sequence[Top], total: int) -> tuple[list[Top], list[Top]]:
    """Columns at steps whose values are not kept: those few enough to be read each time, and the others."""
    placed = dict.fromkeys(top for top in wanted if step_of(top.agg) is not None)
    unkept = [top for top in placed if not kept.is_ready(question.context.scope, _column(top))]
    room = stepping.MOST // max(1, total)
    return unkept[:room], unkept[room:]


def _column(top: Top) -> kept.Column:
    return stepping.column_of(top.name, step_of(top.agg) or 0)


def _at_step(question: Question, wanted: Sequence[Top]) -> dict[Top, float | None]:
    """The best values at steps of few runs, which are read."""
    first = wanted[0]
    try:
        passing = stepping.few(question, first.name, step_of(first.agg) or 0, "agg")
    except kept.Reading:  # more came since they were counted
        return {}
    run_ids = [run_id for run_id, _, _ in passing or ()]
    return {top: stepping.best(run_ids, top.name, step_of(top.agg) or 0, top.end) for top in wanted}


def _indexed(question: Question, wanted: Sequence[Top], total: int) -> list[float | None]:
    if not wanted:
        return []
    ids = keys.find(top.name for top in wanted)
    placed = [_Placed.of(top, ids.get(top.name, -1)) for top in wanted]  # no row has the key -1
    if total <= FEW_TO_COUNT:
        return _asked(*_read(question, placed))
    found = _asked(*_walked(question, placed))
    left = [at for at, value in enumerate(found) if value is not None and math.isinf(value)]
    for at, value in zip(left, _asked(*_read(question, [placed[at] for at in left])) if left else (), strict=True):
        found[at] = value
    return found


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where the values of a column are: ``own`` says which rows of the table, for ``{}`` as its alias."""

    end: str
    table: str
    column: str
    own: str
    given: tuple[object, ...]
    may_be_nan: bool

    @classmethod
    def of(cls, top: Top, key_id: int) -> _Placed:
        step = step_of(top.agg)
        if step is not None:
            return cls(top.end, KEPT, "value", "{0}.key_id = %s AND {0}.step = %s", (key_id, step), True)
        return cls(
            top.end, TABLES["metric"], column_of(top.agg), "{0}.key_id = %s", (key_id,), may_be_nan=top.agg == "last"
        )


def _asked(sql: str, params: Params) -> list[float | None]:
    return list(rows(sql, params)[0])


def _read(question: Question, placed: Sequence[_Placed]) -> tuple[str, Params]:
    source, before, where, behind = matching(question, FEW_TO_COUNT)
    columns, joins = [], []
    for at, each in enumerate(placed):
        value = f"m{at}.{each.column}"
        columns.append(f"{each.end}({f'CASE WHEN NOT m{at}.is_nan THEN {value} END' if each.may_be_nan else value})")
        joins.append(f"LEFT JOIN {each.table} m{at} ON m{at}.run_id = r.id AND {each.own.format(f'm{at}')}")
    sql = f"SELECT {', '.join(columns)} FROM {source} {' '.join(joins)} WHERE {where}"
    return sql, [*before, *(value for each in placed for value in each.given), *behind]


def _walked(question: Question, placed: Sequence[_Placed]) -> tuple[str, Params]:
    _, _, where, given = matching(question, -1)  # never from a condition's index
    looks, params = [], []
    for each in placed:
        looks.append(question.context.scope.end(each.end, partial(_walk, where, each)))
        own: Params = [*each.given, *([False] if each.may_be_nan else [])]
        best = math.inf if each.end == "max" else -math.inf
        params += [*given, *own, *own, -best, *own, best]
    return f"SELECT {', '.join(looks)}", params


def _walk(where: str, each: _Placed, experiment: str) -> str:
    """SQL of the best value of one experiment: infinitely good where the walk ended before it met a run that passes.

    So of several experiments none is left out unseen: what is infinitely good is read again, run by run.
    """
    column, way, ahead = each.column, *(("DESC", ">=") if each.end == "max" else ("ASC", "<="))
    known = "q.is_nan = %s" if each.may_be_nan else f"q.{column} IS NOT NULL"
    own = f"q.experiment_id = {experiment} AND {each.own.format('q')} AND {known}"
    order = f"ORDER BY q.{column} {way}, q.run_id {way} LIMIT 1"
    # The value so many entries on ends the walk; where there are not so many, the other end of all numbers.
    last = f"(SELECT q.{column} FROM {each.table} q WHERE {own} {order} OFFSET {WALKED})"
    # LATERAL and LIMIT hold PostgreSQL to the walk, CROSS JOIN holds SQLite to it.
    join = (
        f"CROSS JOIN LATERAL (SELECT 1 FROM experiments_run r WHERE r.id = q.run_id AND {where} LIMIT 1) passing WHERE"
        if connection.vendor == "postgresql"
        else f"CROSS JOIN experiments_run r WHERE r.id = q.run_id AND {where} AND"
    )
    reach = f"q.{column} {ahead} COALESCE({last}, %s)"
    found = f"(SELECT q.{column} FROM {each.table} q {join} {own} AND {reach} {order})"
    return f"SELECT COALESCE({found}, CASE WHEN {last} IS NOT NULL THEN %s END)"
