"""Orders of runs over several experiments: what is compared, how it is read, which index walks it.

A value is told as (rank, value): numbers and texts have rank 0, NaN 1, missing 2; so NaN follows the numbers
and missing comes last in both directions. Every order ends with the run's id, so no two runs are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from . import keys
from .predicates import TABLES, Params, Predicate, head, look

PRESENT, NAN, MISSING = 0, 1, 2
Scalar = str | int | float | None
Ranked = tuple[int, Scalar]
Key = tuple[Ranked, ...]
_MISSING: Ranked = (MISSING, None)
# The protocol's words for states; orders and filters see these.
STATUS = {
    "running": "RUNNING", "queued": "SCHEDULED", "finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED",
}  # fmt: skip
_STATUS_SQL = "CASE {}.state " + " ".join(f"WHEN '{state}' THEN '{word}'" for state, word in STATUS.items()) + " END"
_NUMBERS = {"start_time": "{}.started_ms", "end_time": "{}.ended_ms"}
_TEXTS = {"run_name": "{}.name", "user_id": "{}.user_name", "run_id": "{}.uuid", "status": _STATUS_SQL}


@dataclass(frozen=True, slots=True)
class Source:
    """Runs of one experiment, living or deleted; ``prefix`` + run id + ``suffix`` is where their files are.

    ``is_folded`` says that the caller saw nothing that waits to be folded.
    """

    experiment_id: int
    lifecycle: str = "active"
    prefix: str = ""
    suffix: str = ""
    is_folded: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """One thing to order by: ``kind`` is metric, param, tag (with a key) or the name of an attribute."""

    kind: str
    key: str = ""
    descending: bool = False

    @property
    def value_type(self) -> type:
        """What its values are."""
        return float if self.kind == "metric" else int if self.kind in _NUMBERS else str


NEWEST = Sort("start_time", descending=True)
BY_ID = Sort("run_id")


def complete(sorts: Sequence[Sort]) -> tuple[Sort, ...]:
    """Add what tells equal runs apart: newest first, then by id."""
    found = tuple(sorts)
    for last in (NEWEST, BY_ID):
        if all((s.kind, s.key) != (last.kind, last.key) for s in found):
            found = (*found, last)
    at = next(i for i, s in enumerate(found) if s.kind == "run_id")
    return found[: at + 1]  # ids are unique: nothing after them is ever compared


@dataclass(frozen=True, slots=True)
class Walked:
    """Table, expressions and own conditions that walk the present values of a sort by an index, alias `q`."""

    table: str
    run: str
    value: str
    own: str
    params: Params
    descending: bool
    table_params: tuple[object, ...] = ()

    def sql(self, beyond: object, place: tuple[object, int] | None) -> tuple[str, Params]:
        """SQL that gives (v, run_id) in order, past the value `beyond` and past the row `place`."""
        way, ahead = ("DESC", "<") if self.descending else ("ASC", ">")
        where, params = self.own, list(self.params)
        if place is not None:
            where, params = f"{where} AND ({self.value}, {self.run}) {ahead} (%s, %s)", [*params, *place]
        elif beyond is not None:
            where, params = f"{where} AND {self.value} {ahead} %s", [*params, beyond]
        order = f"{self.value} {way}, {self.run} {way}"
        sql = f"SELECT {self.value} AS v, {self.run} AS run_id FROM {self.table} q WHERE {where} ORDER BY {order}"
        return sql, [*self.table_params, *params]

    @property
    def outer_order(self) -> str:
        """The order again, on the names the walk gives."""
        way = "DESC" if self.descending else "ASC"
        return f"o.v {way}, o.run_id {way}"


def walked(sort: Sort, source: Source) -> Walked:
    """Return the walk of a sort's present values."""
    if sort.kind in TABLES:
        params: Params = [source.experiment_id, _key_id(sort)]
        own = "q.experiment_id = %s AND q.key_id = %s"
        if sort.kind == "metric":
            return Walked(
                TABLES["metric"], "q.run_id", "q.value", f"{own} AND q.is_nan = %s", [*params, False], sort.descending
            )
        return Walked(TABLES[sort.kind], "q.run_id", head("q"), own, params, sort.descending)
    params = [source.experiment_id, source.lifecycle]
    own = "q.experiment_id = %s AND q.lifecycle = %s"
    if sort.kind == "end_time":
        own += " AND q.ended_ms IS NOT NULL"
    value, value_params = _attribute(sort, source, "q")
    if value_params:
        rows = f"(SELECT q.id, q.experiment_id, q.lifecycle, {value} AS value FROM experiments_run q)"
        return Walked(rows, "q.id", "q.value", own, params, sort.descending, tuple(value_params))
    return Walked("experiments_run", "q.id", value, own, params, sort.descending)


def ranks(sort: Sort) -> tuple[int, ...]:
    """Return the ranks a sort's values may have."""
    if sort.kind == "metric":
        return (PRESENT, NAN, MISSING)
    return (PRESENT, MISSING) if sort.kind in ("param", "tag", "end_time") else (PRESENT,)


def columns(sort: Sort, source: Source) -> tuple[list[str], Params]:
    """SQL that reads a sort's value of the run `r`, one column or two; `ranker` understands what comes."""
    if sort.kind not in TABLES:
        value, params = _attribute(sort, source, "r")
        return [value], params
    # LIMIT keeps PostgreSQL from hashing the whole table for what is one look by primary key.
    look = f"FROM {TABLES[sort.kind]} z WHERE z.run_id = r.id AND z.key_id = %s LIMIT 1"
    wanted = ["z.value", "z.is_nan"] if sort.kind == "metric" else [head("z")]
    return [f"(SELECT {column} {look})" for column in wanted], [_key_id(sort)] * len(wanted)


def ranker(sorts: Sequence[Sort], at: int) -> Callable[[Sequence[Any]], Key]:
    """Return what turns a row, in which `columns` of these sorts were read from a place on, into (rank, value) each."""
    parts = []
    for sort in sorts:
        parts.append(_number_ranker(at) if sort.kind == "metric" else _value_ranker(at))
        at += 2 if sort.kind == "metric" else 1
    return lambda row: tuple([part(row) for part in parts])


def _number_ranker(at: int) -> Callable[[Sequence[Any]], Ranked]:
    return lambda row: _MISSING if row[at] is None else (NAN, None) if row[at + 1] else (PRESENT, row[at])


def _value_ranker(at: int) -> Callable[[Sequence[Any]], Ranked]:
    return lambda row: _MISSING if row[at] is None else (PRESENT, row[at])


def equal(sort: Sort, source: Source, at: Ranked) -> Predicate:
    """Return the condition that a sort has this value, so that the next sort decides."""
    rank, value = at
    if sort.kind not in TABLES:
        return _equal_attribute(sort, source, rank, value)
    table, key_id = TABLES[sort.kind], _key_id(sort)
    if rank == MISSING:
        return Predicate(f"{look(table, '')} IS NOT TRUE", [key_id], narrow=True)
    if sort.kind == "metric":
        test = " AND x.is_nan = %s" + (" AND x.value = %s" if rank == PRESENT else "")
        params: Params = [False, value] if rank == PRESENT else [True]
    else:
        test, params = f" AND {head()} = %s", [value]
    start = (f"{table} x", f"x.experiment_id = %s AND x.key_id = %s{test}", [source.experiment_id, key_id, *params])
    return Predicate(f"{look(table, test)} IS TRUE", [*params, key_id], start, narrow=True)


def _equal_attribute(sort: Sort, source: Source, rank: int, value: object) -> Predicate:
    expression, params = _attribute(sort, source, "r")
    if rank == MISSING:
        return Predicate(f"{expression} IS NULL", params)
    start = started("=", [value], source) if sort.kind == "start_time" else None
    return Predicate(f"{expression} = %s", [*params, value], start)


def started(operator: str, values: Params, source: Source) -> tuple[str, str, Params]:
    """Start from the index of starting times."""
    marks = f"({', '.join(['%s'] * len(values))})" if operator == "IN" else "%s"
    test = f"x.experiment_id = %s AND x.lifecycle = %s AND x.started_ms {operator} {marks}"
    return (RUN_ROWS, test, [source.experiment_id, source.lifecycle, *values])


# Run rows in the shape of the narrow tables.
RUN_ROWS = "(SELECT id AS run_id, uuid, experiment_id, lifecycle, started_ms FROM experiments_run) x"


def comparable(sorts: Sequence[Sort], key: Sequence[Ranked]) -> tuple[object, ...]:
    """Turn a key, or the beginning of one, into what compares in the order asked for."""
    return tuple(
        (rank, 0 if value is None else _down(value) if sort.descending else value)
        for sort, (rank, value) in zip(sorts, key, strict=False)
    )


def comparer(sorts: Sequence[Sort]) -> Callable[[Sequence[Any]], tuple[object, ...]]:
    """Return what turns a row (run id, then what `columns` read) into what compares, as `comparable` does."""
    parts: list[Callable[[Sequence[Any]], tuple[int, object]]] = []
    at = 1
    for sort in sorts:
        parts.append(_part(sort, at))
        at += 2 if sort.kind == "metric" else 1
    return lambda row: tuple([part(row) for part in parts])


def _part(sort: Sort, at: int) -> Callable[[Sequence[Any]], tuple[int, object]]:
    if sort.kind == "metric":
        sign = -1 if sort.descending else 1
        return lambda row: (
            (MISSING, 0) if row[at] is None else (NAN, 0) if row[at + 1] else (PRESENT, sign * row[at])
        )  # fmt: skip
    if not sort.descending:
        return lambda row: (MISSING, 0) if row[at] is None else (PRESENT, row[at])
    return lambda row: (MISSING, 0) if row[at] is None else (PRESENT, _down(row[at]))


def _down(value: object) -> object:
    return -value if isinstance(value, int | float) else Down(value)


class Down:
    """A text that compares the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __lt__(self, other: Down) -> bool:
        return other.value < self.value  # type: ignore[operator]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Down) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


def _key_id(sort: Sort) -> int:
    return keys.find([sort.key]).get(sort.key, -1)  # no row has the key -1


def _attribute(sort: Sort, source: Source, alias: str) -> tuple[str, Params]:
    if sort.kind in _NUMBERS:
        return _NUMBERS[sort.kind].format(alias), []
    collate = ' COLLATE "C"' if connection.vendor == "postgresql" else ""
    if sort.kind == "artifact_uri":
        return f"((%s || {alias}.uuid || %s){collate})", [source.prefix, source.suffix]
    return f"({_TEXTS[sort.kind].format(alias)}{collate})", []
