"""Runs of a filter in groups: counted, with the best value, the mean and its spread, all in one query.

Every run of the filter is read, none is sampled. The spread comes from the distances to the group's own mean, in a
second look at the same rows, because a sum of squares loses its digits where values are large and close together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from . import folding, keys, stepping
from .asking import FEW_TO_COUNT, Question, matching
from .orders import KEPT, column_of, step_of
from .predicates import TABLES, Params
from .starting import rows

# Beyond this a sum of squares may not be a number any more; such values are left out, as NaN and infinity are.
LARGEST = 1e140
_LEAST = 1e-140
GROUPED = ("param", "tag", "experiment")


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric that groups show: which value of each run counts, as in an `Order`, and which end is best."""

    name: str
    agg: str = "last"
    best: str = "max"


@dataclass(frozen=True, slots=True)
class Sorted:
    """What groups are ordered by: the place of a grouping or of a measure; ``what`` is value, runs, best or mean."""

    what: str = "value"
    at: int = 0
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Stat:
    """What a group says of one metric: over how many runs, their best, mean and standard deviation."""

    count: int
    best: float | None
    mean: float | None
    deviation: float | None


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that share their values, None where they have none."""

    values: tuple[str | None, ...]
    runs: int
    failed: int
    stats: tuple[Stat, ...]


@dataclass(frozen=True, slots=True)
class Grouping:
    """One page of groups, and how many there are in all."""

    groups: list[RunGroup]
    total: int


def grouped(
    question: Question,
    by: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
    order: Sorted,
    *,
    limit: int,
    skip: int = 0,
) -> Grouping:
    """Group all runs of a filter.

    Parameters
    ----------
    question : Question
        Its order does not matter.
    by : sequence of (kind, name)
        One or two of ``("param", name)``, ``("tag", name)``, ``("experiment", "")``.
    measures : sequence of Measure
        Failed runs are counted, but their values are not: a run that broke off has not measured what others have.
    order : Sorted
    limit, skip : int
        The page: groups are sorted whole, so a page is told by its place.

    Raises
    ------
    Reading
        If the values at a step are not yet kept of so many runs; asking again reads on.
    """
    folding.fold_experiments(question.context.scope.ids)
    tables, given, joined = _joined(question, measures)
    read, params = _rows_sql(question, by, measures, joined)
    names = [f"a{i}" for i in range(len(by))]
    same = " AND ".join(f"s.{n} = g.{n}" for n in names)
    listed = ", ".join(names)
    found = rows(
        f"""WITH {tables}s AS MATERIALIZED ({read}),
              g AS (SELECT {listed}, {", ".join(f"min(n{i}) AS n{i}" for i in range(len(by)))}, count(*) AS runs,
                      sum(failed) AS failed{"".join(_sums(i, m) for i, m in enumerate(measures))}
                    FROM s GROUP BY {listed}),
              d AS (SELECT {", ".join(f"s.{n}" for n in names)}{"".join(_spread(i) for i in range(len(measures)))}
                    FROM s JOIN g ON {same} GROUP BY {", ".join(f"s.{n}" for n in names)})
            SELECT {", ".join(f"g.{n}" for n in names)}, g.runs, g.failed, count(*) OVER ()
              {"".join(f", g.c{i}, g.b{i}, g.m{i}, d.q{i}" for i in range(len(measures)))}
            FROM g JOIN d ON {same.replace("s.", "d.")} ORDER BY {_order(order, len(by))} LIMIT %s OFFSET %s""",
        [*given, *params, limit, skip],
    )
    return Grouping([_group(row, len(by), len(measures)) for row in found], found[0][len(by) + 2] if found else 0)


def _joined(question: Question, measures: Sequence[Measure]) -> tuple[str, Params, dict[int, tuple[str, Params]]]:
    """SQL of tables of values that are read, in front of what joins them; and the join of each measure."""
    sql = ""
    params: Params = []
    joined: dict[int, tuple[str, Params]] = {}
    for at, measure in enumerate(measures):
        step = step_of(measure.agg)
        if step is None:
            joined[at] = _join(TABLES["metric"], f"m{at}"), [_key(measure.name)]
            continue
        passing = stepping.few(question, measure.name, step, "group")
        if passing is None:
            joined[at] = f"{_join(KEPT, f'm{at}')} AND m{at}.step = %s", [_key(measure.name), step]
            continue
        known = stepping.values([run[0] for run in passing], measure.name, step)
        read, given = stepping.table({run: value for run, value in known.items() if abs(value) <= LARGEST})
        sql += f"t{at} (run_id, value, is_nan) AS MATERIALIZED ({read}), "
        params += given
        joined[at] = f"LEFT JOIN t{at} m{at} ON m{at}.run_id = r.id", []
    return sql, params, joined


def _rows_sql(
    question: Question,
    by: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
    joined: Mapping[int, tuple[str, Params]],
) -> tuple[str, Params]:
    """SQL of one row a run: group values, whether it failed, a number a measure."""
    columns, joins = [], []
    params: Params = []
    for at, (kind, name) in enumerate(by):
        if kind == "experiment":
            columns.append(f"'=' || g{at}.name AS a{at}, NULL AS n{at}")
            joins.append(f"JOIN experiments_experiment g{at} ON g{at}.id = r.experiment_id")
            continue
        number = f"g{at}.number" if kind == "param" else "NULL"
        # An equals sign in front tells an empty value from none.
        columns.append(f"CASE WHEN g{at}.value IS NULL THEN '' ELSE '=' || g{at}.value END AS a{at}, {number} AS n{at}")
        joins.append(_join(TABLES[kind], f"g{at}"))
        params.append(_key(name))
    columns.append("CASE WHEN r.state = 'failed' THEN 1 ELSE 0 END AS failed")
    for at, measure in enumerate(measures):
        is_at_step = step_of(measure.agg) is not None
        value = f"m{at}.{'value' if is_at_step else column_of(measure.agg)}"
        known = f" AND NOT m{at}.is_nan" if is_at_step or measure.agg == "last" else ""
        columns.append(
            f"CASE WHEN r.state <> 'failed'{known} AND {value} BETWEEN {-LARGEST!r} AND {LARGEST!r}"
            f" THEN {value} END AS v{at}"
        )
        joins.append(joined[at][0])
        params += joined[at][1]
    source, before, where, behind = matching(question, FEW_TO_COUNT)
    sql = f"SELECT {', '.join(columns)} FROM {source} {' '.join(joins)} WHERE {where}"
    return sql, [*before, *params, *behind]


def _join(table: str, alias: str) -> str:
    return f"LEFT JOIN {table} {alias} ON {alias}.run_id = r.id AND {alias}.key_id = %s"


def _sums(at: int, measure: Measure) -> str:
    return f", count(v{at}) AS c{at}, {measure.best}(v{at}) AS b{at}, avg(v{at}) AS m{at}"


def _spread(at: int) -> str:
    off = f"(s.v{at} - g.m{at})"
    return f", sum(CASE WHEN abs{off} < {_LEAST!r} THEN 0 ELSE {off} * {off} END) AS q{at}"


def _order(order: Sorted, width: int) -> str:
    way = "DESC" if order.descending else "ASC"
    tie = ", ".join(_by_value(i, "ASC") for i in range(width))
    if order.what == "value":
        return f"{_by_value(order.at, way)}, {tie}"
    if order.what == "runs":
        return f"g.runs {way}, {tie}"
    column = f"g.{'b' if order.what == 'best' else 'm'}{order.at}"
    return f"{column} IS NULL, {column} {way}, {tie}"


def _by_value(at: int, way: str) -> str:
    """Numbers first, then texts, then runs without the value."""
    return f"g.a{at} = '', g.n{at} IS NULL, g.n{at} {way}, g.a{at}{_bytes()} {way}"


def _bytes() -> str:
    return ' COLLATE "C"' if connection.vendor == "postgresql" else ""


def _group(row: Sequence[Any], width: int, measures: int) -> RunGroup:
    values = tuple(text[1:] if text else None for text in row[:width])
    stats = []
    for at in range(width + 3, width + 3 + 4 * measures, 4):
        count, best, mean, squares = row[at : at + 4]
        deviation = (squares / (count - 1)) ** 0.5 if count > 1 else None
        stats.append(Stat(count, best, mean, deviation))
    return RunGroup(values, row[width], int(row[width + 1]), tuple(stats))


def _key(name: str) -> int:
    return keys.find([name]).get(name, -1)  # no row has the key -1
