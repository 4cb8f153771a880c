"""The best value of each column over all runs of a filter, by one query for all columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import connection

from mlportal.lib.errors import Invalid

from . import folding, keys, stepping
from .asking import FEW_TO_COUNT, Question, matching
from .orders import column_of, step_of
from .predicates import Params
from .starting import rows

WALKED = 3000


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
    ``auc<0.5`` does, costs one more query that reads the runs that pass. Values at a step are read, in the order of
    the columns, while they are at most as many as are sorted by one; the columns behind have no best.

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
    placed = [step_of(top.agg) is not None for top in wanted]
    at_step = iter(_at_step(question, [top for top, is_placed in zip(wanted, placed, strict=True) if is_placed], total))
    kept = iter(
        _indexed(question, [top for top, is_placed in zip(wanted, placed, strict=True) if not is_placed], total)
    )
    return [next(at_step if is_placed else kept) for is_placed in placed]


def _at_step(question: Question, wanted: Sequence[Top], total: int) -> list[float | None]:
    """The best values at steps, None also where they would be too many to read."""
    room = stepping.MOST // total
    try:
        run_ids = [run_id for run_id, _, _ in stepping.passing(question, "agg")] if wanted and room else []
    except Invalid:  # more came since they were counted
        room = 0
    found = [stepping.best(run_ids, top.name, step_of(top.agg) or 0, top.end) for top in wanted[:room]]
    return [*found, *[None] * (len(wanted) - len(found))]


def _indexed(question: Question, wanted: Sequence[Top], total: int) -> list[float | None]:
    if not wanted:
        return []
    ids = keys.find(top.name for top in wanted)
    placed = [(top, ids.get(top.name, -1)) for top in wanted]  # no row has the key -1
    if total <= FEW_TO_COUNT:
        return _asked(*_read(question, placed))
    found = _asked(*_walked(question, placed))
    left = [at for at, value in enumerate(found) if value is not None and math.isinf(value)]
    for at, value in zip(left, _asked(*_read(question, [placed[at] for at in left])) if left else (), strict=True):
        found[at] = value
    return found


def _asked(sql: str, params: Params) -> list[float | None]:
    return list(rows(sql, params)[0])


def _read(question: Question, placed: Sequence[tuple[Top, int]]) -> tuple[str, Params]:
    source, before, where, behind = matching(question, FEW_TO_COUNT)
    columns, joins = [], []
    for at, (top, _) in enumerate(placed):
        value = f"m{at}.{column_of(top.agg)}"
        columns.append(f"{top.end}({_known(top, f'm{at}', value)})")
        joins.append(f"LEFT JOIN experiments_runmetric m{at} ON m{at}.run_id = r.id AND m{at}.key_id = %s")
    sql = f"SELECT {', '.join(columns)} FROM {source} {' '.join(joins)} WHERE {where}"
    return sql, [*before, *(key_id for _, key_id in placed), *behind]


def _known(top: Top, alias: str, value: str) -> str:
    return f"CASE WHEN NOT {alias}.is_nan THEN {value} END" if top.agg == "last" else value


def _walked(question: Question, placed: Sequence[tuple[Top, int]]) -> tuple[str, Params]:
    _, _, where, given = matching(question, -1)  # never from a condition's index
    looks, params = [], []
    for top, key_id in placed:
        looks.append(question.context.scope.end(top.end, partial(_walk, where, top)))
        own: Params = [key_id, *([False] if top.agg == "last" else [])]
        best = math.inf if top.end == "max" else -math.inf
        params += [*given, *own, *own, -best, *own, best]
    return f"SELECT {', '.join(looks)}", params


def _walk(where: str, top: Top, experiment: str) -> str:
    """SQL of the best value of one experiment: infinitely good where the walk ended before it met a run that passes.

    So of several experiments none is left out unseen: what is infinitely good is read again, run by run.
    """
    column, way, ahead = column_of(top.agg), *(("DESC", ">=") if top.end == "max" else ("ASC", "<="))
    known = "q.is_nan = %s" if top.agg == "last" else f"q.{column} IS NOT NULL"
    own = f"q.experiment_id = {experiment} AND q.key_id = %s AND {known}"
    order = f"ORDER BY q.{column} {way}, q.run_id {way} LIMIT 1"
    # The value so many entries on ends the walk; where there are not so many, the other end of all numbers.
    last = f"(SELECT q.{column} FROM experiments_runmetric q WHERE {own} {order} OFFSET {WALKED})"
    # LATERAL and LIMIT hold PostgreSQL to the walk, CROSS JOIN holds SQLite to it.
    join = (
        f"CROSS JOIN LATERAL (SELECT 1 FROM experiments_run r WHERE r.id = q.run_id AND {where} LIMIT 1) passing WHERE"
        if connection.vendor == "postgresql"
        else f"CROSS JOIN experiments_run r WHERE r.id = q.run_id AND {where} AND"
    )
    reach = f"q.{column} {ahead} COALESCE({last}, %s)"
    found = f"(SELECT q.{column} FROM experiments_runmetric q {join} {own} AND {reach} {order})"
    return f"SELECT COALESCE({found}, CASE WHEN {last} IS NOT NULL THEN %s END)"
