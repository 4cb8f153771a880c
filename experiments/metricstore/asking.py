"""What is asked of the runs, and the SQL of all runs that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from .meaning import Node
from .orders import NEWEST_FIRST, Order
from .predicates import Context, Params, Predicate, compiled
from .starting import rarest

# Fewer than these are read from the index of their condition, not by testing every run.
FEW_TO_COUNT = 3000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: conditions, order, deleted runs or living ones."""

    context: Context
    conditions: Sequence[Node] = ()
    order: Order = NEWEST_FIRST
    lifecycle: str = "active"


def matching(question: Question, few: int) -> tuple[str, Params, str, Params]:
    """SQL of all runs `r` that match: FROM and its values, WHERE and its values.

    Where a condition keeps at most `few`, they come from its index, else all runs of the experiments are tested.
    """
    predicates = [compiled(c, question.context) for c in question.conditions]
    return placed(question, predicates, rarest(predicates, few))


def placed(
    question: Question, predicates: Sequence[Predicate], rare: Predicate | None
) -> tuple[str, Params, str, Params]:
    """SQL of all runs `r` that pass these conditions, from the index of the rare one if there is one."""
    where, params = where_of(question, [p for p in predicates if p is not rare])
    if rare is None or rare.start is None:
        return _all_of(question, predicates), [], where, params
    table, test, given = rare.start
    inside = table.count("%s")
    source = f"{table} CROSS JOIN experiments_run r"
    return source, given[:inside], f"{test} AND r.id = x.run_id AND {where}", [*given[inside:], *params]


def _all_of(question: Question, predicates: Sequence[Predicate]) -> str:
    """SQL of all runs `r`, about in the order they were made in: that is how the rows of their values lie.

    SQLite would rather walk them by name. Where names are random words it then reads a page of the table of values
    anew for each run.
    """
    is_sure = connection.vendor == "sqlite" and question.context.scope.ids and all(p.narrow for p in predicates)
    return "experiments_run r INDEXED BY run_by_state" if is_sure else "experiments_run r"


def where_of(question: Question, predicates: Sequence[Predicate]) -> tuple[str, Params]:
    """SQL of the test that a run `r` is meant and passes these conditions, and its values."""
    parts = [question.context.scope.holds("r.experiment_id"), "r.lifecycle = %s", *(p.sql for p in predicates)]
    params = [question.lifecycle, *(v for p in predicates for v in p.params)]
    return " AND ".join(parts), params
