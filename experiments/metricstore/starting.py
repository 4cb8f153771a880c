"""Where a search starts: from which condition's index, how many runs it keeps, and the run behind each entry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from django.db import connection

from mlportal.lib.sql import Statement

from .predicates import Params, Predicate

# Counting by a test that the index does not hold reads more than it counts; only long walks pay for that.
UNBOUNDED_FROM = 4000
# What reading and sorting a run costs against testing an entry of a walk.
DEARER = 3
# Texts with long lists of values hardly come again.
PLANNED_VALUES = 40


def rows(sql: str, params: Params) -> list[tuple[Any, ...]]:
    """Run a query of this store."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def planned_rows(sql: str, params: Params) -> list[tuple[Any, ...]]:
    """Run a query whose text comes again and again with other values: PostgreSQL plans it once a connection.

    A limit must stand in the text: a plan for any limit is another one.
    """
    return _statement(sql).rows(params) if len(params) <= PLANNED_VALUES else rows(sql, params)


@lru_cache(maxsize=128)
def _statement(sql: str) -> Statement:
    return Statement(sql, binary=True)


def rarest(predicates: Sequence[Predicate], limit: int, *, by_index: bool = False) -> Predicate | None:
    """Return the condition that keeps fewest runs if these are at most `limit`; all sizes by one query.

    With ``by_index`` only conditions count that their index holds.
    """
    return _rarest(predicates, limit, math.inf if by_index else UNBOUNDED_FROM)[0]


def none_rare(predicates: Sequence[Predicate], few: int) -> tuple[str, Params]:
    """SQL that each of some plain conditions keeps more than a few runs, behind an AND; an index is read no further."""
    sql, params = "", []
    for predicate in predicates:
        if predicate.start and predicate.bounded:
            table, test, given = predicate.near or predicate.start
            sql += f" AND (SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {test} LIMIT {few + 1}) few) > {few}"
            params += given
    return sql, params


def shortened(predicates: Sequence[Predicate], ahead: int, few: int = 0) -> tuple[Predicate | None, list[Predicate]]:
    """Look for a shorter way than walking so many entries and testing each by primary key.

    A condition that keeps at most ``few`` runs always is one.

    Returns
    -------
    Predicate or None
        A condition that keeps far fewer runs, to start from.
    list of Predicate
        The conditions to go on with: one that keeps no more than twice as many is read once as a set of runs, in
        which an entry is found for a tenth of what a look by primary key costs.
    """
    rare, size = _rarest(predicates, max(few, 2 * ahead), UNBOUNDED_FROM)
    if rare is None or DEARER * size <= ahead or size <= few:
        return rare, [*predicates]
    rest = [p for p in predicates if p is not rare]
    return None, [_as_set(rare, size), *rest] if len(rest) < len(predicates) else [*predicates]


def entries(predicate: Predicate) -> tuple[str, Params]:
    """SQL of the entries `o` that a condition's index yields, and its values.

    OFFSET holds PostgreSQL to reading them first, since it was counted that they are few; it would else join the
    index of an order to the opposite of a condition, of which it always expects many.
    """
    table, test, params = predicate.start or ("", "", [])
    fence = " OFFSET 0" if connection.vendor == "postgresql" else ""
    return f"(SELECT x.run_id FROM {table} WHERE {test}{fence}) o", params


def run_of_each() -> str:
    """SQL that joins the run `r` of each entry `o` by its primary key, whatever a planner estimates.

    PostgreSQL would else read the whole table of runs and hash it while that looks cheap. Ends with a condition.
    """
    if connection.vendor == "postgresql":
        return "CROSS JOIN LATERAL (SELECT * FROM experiments_run z WHERE z.id = o.run_id LIMIT 1) r WHERE TRUE"
    return "CROSS JOIN experiments_run r WHERE r.id = o.run_id"


def all_hold(predicates: Sequence[Predicate]) -> tuple[str, Params]:
    """SQL of all conditions on an entry `o` and its run `r`, each behind an AND.

    Those that ask only for the run's id name the entry, so a database tests them before it reads the run.
    """
    ordered = sorted(predicates, key=lambda p: not p.narrow)
    sql = "".join(f" AND ({p.on('o.run_id') if p.narrow else p.sql})" for p in ordered)
    return sql, [value for p in ordered for value in p.params]


def _rarest(predicates: Sequence[Predicate], limit: int, unbounded: float) -> tuple[Predicate | None, int]:
    leaves = [leaf for leaf in _leaves(predicates) if leaf.start and (leaf.bounded or limit >= unbounded)]
    if not leaves:
        return None, 0
    counts, params = [], []
    for leaf in leaves:
        table, test, given = leaf.near or leaf.start or ("", "", [])
        counts.append(f"(SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {test} LIMIT {limit + 1}) few)")
        params += given
    found = rows(f"SELECT {', '.join(counts)}", params)[0]
    sizes = {id(leaf): size for leaf, size in zip(leaves, found, strict=True)}
    size, rare = min((_best(p, sizes) for p in predicates), key=lambda pair: pair[0])
    return (rare, int(size)) if size <= limit else (None, 0)


def _leaves(predicates: Sequence[Predicate]) -> list[Predicate]:
    return [leaf for p in predicates for leaf in (_leaves(p.parts) if p.parts else [p])]


def _best(predicate: Predicate, sizes: dict[int, int]) -> tuple[float, Predicate]:
    """Return how few runs a condition keeps at most, and where to find them.

    Of conditions that all must hold the smallest will do; of those of which any may hold all are needed,
    and what they keep is joined. So a tree is found by indexes wherever its size is small.
    """
    if not predicate.parts:
        return sizes.get(id(predicate), math.inf), predicate
    found = [_best(part, sizes) for part in predicate.parts]
    if predicate.op == "and":
        return min(found, key=lambda pair: pair[0])
    size = sum(size for size, _ in found)
    return size, _union([part for _, part in found]) if size < math.inf else predicate


def _union(parts: Sequence[Predicate]) -> Predicate:
    """A start that yields the runs of several starts, each once."""
    starts = [part.start for part in parts if part.start]
    table = " UNION ".join(f"SELECT x.run_id FROM {table} WHERE {test}" for table, test, _ in starts)
    params = [value for _, _, given in starts for value in given]
    return Predicate("1 = 1", [], (f"({table}) x", "1 = 1", params))


def _as_set(predicate: Predicate, size: int) -> Predicate:
    """The same condition by a set of runs.

    IS TRUE holds PostgreSQL to a set, where it would join else. The limit, far above what was counted, tells it that
    the set fits into its memory, whatever it estimates: runs may have come since.
    """
    table, test, params = predicate.near or predicate.start or ("", "", [])
    sql = f"(r.id IN (SELECT x.run_id FROM {table} WHERE {test} LIMIT {10 * size + 10_000})) IS TRUE"
    if predicate.near is None:
        return replace(predicate, sql=sql, params=params, narrow=True)
    return replace(predicate, sql=f"({sql} AND {predicate.sql})", params=[*params, *predicate.params])
