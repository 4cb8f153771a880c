"""Runs of a filter in groups: counted, with the best value, the mean and its spread, all in one query.

Every run of the filter is read, none is sampled, and mostly once: PostgreSQL keeps the spread while it reads, SQLite
sums squares. Both lose digits where values are large and close together; where a group did, all are read again, by the
distances to their own mean.
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
# The share of a sum of squares that must be left as spread, so that what was rounded off does not show in it: a sum of
# squares loses digits as the square of how far values are from 0, the running variance of PostgreSQL only as that.
_CLEAR = {"sqlite": 1e-7, "postgresql": 1e-14}
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
    source, values = f"WITH {tables}s AS ({read})", [*given, *params]
    names = [f"a{at}" for at in range(len(by))]
    found = rows(
        f"""{source} SELECT * FROM (
              SELECT {", ".join(names)}, count(*) AS runs, sum(failed) AS failed, count(*) OVER () AS total
                {"".join(_summed(at) for at in range(len(measures)))}
                {"".join(f", min(n{at}) AS n{at}" for at in range(len(by)))}
              FROM s GROUP BY {", ".join(names)}) g
            ORDER BY {_order(order, measures, len(by))} LIMIT %s OFFSET %s""",
        [*values, limit, skip],
    )
    sums = [_Sums.of(row, len(by), len(measures)) for row in found]
    unclear = [each for each in sums if any(summed.is_unclear for summed in each.measured)]
    known = _distances(source, values, unclear) if unclear else {}
    groups = [each.group(measures, known.get(each.values)) for each in sums]
    return Grouping(groups, found[0][len(by) + 2] if found else 0)


@dataclass(frozen=True, slots=True)
class _Summed:
    """What one look at a group's values of a metric says; ``spread`` is the sum of squared distances to their mean."""

    count: int
    least: float | None
    most: float | None
    mean: float | None
    spread: float | None

    @property
    def is_unclear(self) -> bool:
        """Whether the spread may be what rounding left of two large numbers."""
        if self.mean is None or self.spread is None or self.least == self.most:
            return False
        return self.spread <= _CLEAR[connection.vendor] * self.count * self.mean * self.mean

    def stat(self, best: str, spread: float | None) -> Stat:
        """What a group says, with a spread that was read again if there is one."""
        squares = 0.0 if self.least == self.most else self.spread if spread is None else spread
        deviation = (max(0.0, squares or 0.0) / (self.count - 1)) ** 0.5 if self.count > 1 else None
        return Stat(self.count, self.most if best == "max" else self.least, self.mean, deviation)


@dataclass(frozen=True, slots=True)
class _Sums:
    """One group as the query found it."""

    values: tuple[str | None, ...]
    runs: int
    failed: int
    measured: tuple[_Summed, ...]

    @classmethod
    def of(cls, row: Sequence[Any], width: int, measures: int) -> _Sums:
        starts = range(width + 3, width + 3 + 5 * measures, 5)
        measured = tuple(_Summed(*row[at : at + 5]) for at in starts)
        return cls(tuple(row[:width]), row[width], int(row[width + 1]), measured)

    def group(self, measures: Sequence[Measure], spreads: Sequence[float | None] | None) -> RunGroup:
        again = spreads or [None] * len(measures)
        stats = tuple(
            summed.stat(measure.best, spread)
            for summed, measure, spread in zip(self.measured, measures, again, strict=True)
        )
        return RunGroup(self.values, self.runs, self.failed, stats)


def _distances(
    source: str, values: Params, groups: Sequence[_Sums]
) -> dict[tuple[str | None, ...], tuple[float | None, ...]]:
    """Sums of squared distances to the mean of each group and measure, by a second look at all runs."""
    names = [f"a{at}" for at in range(len(groups[0].values))]
    measured = range(len(groups[0].measured))
    line = ", ".join(["CAST(%s AS text)"] * len(names) + ["CAST(%s AS double precision)"] * len(measured))
    # An equals sign in front tells an empty value from none, and both sides can be hashed.
    same = " AND ".join(f"COALESCE('=' || s.{name}, '') = COALESCE('=' || g.{name}, '')" for name in names)
    means = [v for each in groups for v in (*each.values, *(summed.mean for summed in each.measured))]
    own = ", ".join(f"s.{name}" for name in names)
    found = rows(
        f"""{source}, g ({", ".join([*names, *(f"m{at}" for at in measured)])}) AS (
              VALUES {", ".join([f"({line})"] * len(groups))})
            SELECT {own}{"".join(f", sum({_squared(f's.v{at} - g.m{at}')})" for at in measured)}
            FROM g JOIN s ON {same} GROUP BY {own}""",
        [*values, *means],
    )
    return {tuple(row[: len(names)]): tuple(row[len(names) :]) for row in found}


def _squared(number: str) -> str:
    """SQL of a square; PostgreSQL refuses one that is too small to be told from 0."""
    return f"CASE WHEN abs({number}) < {_LEAST!r} THEN 0 ELSE ({number}) * ({number}) END"


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
            columns.append(f"g{at}.name AS a{at}, NULL AS n{at}")
            joins.append(f"JOIN experiments_experiment g{at} ON g{at}.id = r.experiment_id")
            continue
        number = f"g{at}.number" if kind == "param" else "NULL"
        columns.append(f"g{at}.value AS a{at}, {number} AS n{at}")
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


def _summed(at: int) -> str:
    spread = f"count(v{at}) * var_pop(v{at})"
    if connection.vendor == "sqlite":
        spread = f"sum(v{at} * v{at}) - count(v{at}) * avg(v{at}) * avg(v{at})"
    return f", count(v{at}), min(v{at}) AS min{at}, max(v{at}) AS max{at}, avg(v{at}) AS mean{at}, {spread}"


def _order(order: Sorted, measures: Sequence[Measure], width: int) -> str:
    way = "DESC" if order.descending else "ASC"
    tie = ", ".join(_by_value(i, "ASC") for i in range(width))
    if order.what == "value":
        return f"{_by_value(order.at, way)}, {tie}"
    if order.what == "runs":
        return f"g.runs {way}, {tie}"
    column = f"g.{measures[order.at].best if order.what == 'best' else 'mean'}{order.at}"
    return f"{column} IS NULL, {column} {way}, {tie}"


def _by_value(at: int, way: str) -> str:
    """Numbers first, then texts, then runs without the value."""
    return f"g.a{at} IS NULL, g.n{at} IS NULL, g.n{at} {way}, g.a{at}{_bytes()} {way}"


def _bytes() -> str:
    return ' COLLATE "C"' if connection.vendor == "postgresql" else ""


def _key(name: str) -> int:
    return keys.find([name]).get(name, -1)  # no row has the key -1
