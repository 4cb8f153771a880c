# ruff: noqa: S608 - names are quoted by _name, values are parameters, the rest are our own words
"""Measure declared checks on a canonical copy, by DuckDB over Arrow batches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from projects.tabular.words import clip

from . import sandbox
from .rules import KINDS, Rule, limit_words

NUMBERS = ("numeric", "integer")
WORDS = ("categorical", "text", "id")
_KIND_WORDS = dict(zip(KINDS, ("numbers", "whole numbers", "true and false", "categories", "text", "dates",
                               "identifiers"), strict=True))  # fmt: skip
Sample = dict[str, Any]


class Unfit(Exception):
    """The check cannot be measured on this table; the text says why."""


@dataclass(frozen=True)
class Result:
    """What one check found.

    Parameters
    ----------
    key : str
        The rule's.
    outcome : str
        ``passed``, ``failed`` or ``error``.
    measured : float or None
        The number that is compared with the limit.
    shown : str
        The same in words.
    limit : str
        The limit in words.
    failing : int or None
        Rows at fault.
    sample : dict
        ``columns`` and ``rows`` of some of them.
    message : str
        Why it could not be measured, or what is missing.
    """

    key: str
    outcome: str
    measured: float | None = None
    shown: str = ""
    limit: str = ""
    failing: int | None = None
    sample: Sample = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Table:
    """The table and what is known about it.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Where it is called ``data``.
    kinds : dict
        Kind of each column.
    rows : int
        Its rows.
    earlier_rows : int or None
        Rows of the version before.
    uploaded_at, now : datetime
        In UTC.
    """

    connection: duckdb.DuckDBPyConnection
    kinds: dict[str, str]
    rows: int
    earlier_rows: int | None
    uploaded_at: datetime
    now: datetime

    def one(self, query: str, *values: Any) -> tuple[Any, ...]:
        """First row of a query."""
        found = self.connection.execute(query, list(values)).fetchone()
        assert found is not None  # every query here aggregates
        return found


def measure(rule: Rule, table: Table) -> Result:
    """Measure one check; trouble is a result too."""
    try:
        for name in rule.columns:
            if name not in table.kinds:
                raise Unfit(f"There is no column {name}.")
        return _MEASURES[rule.kind](rule, table)
    except Unfit as unfit:
        # a column that is gone breaks the promise; it is no fault of the check
        return Result(rule.key, "failed", limit=limit_words(rule), message=str(unfit))
    except duckdb.Error as error:
        text = " ".join(str(error).split())[:300]
        return Result(rule.key, "error", limit=limit_words(rule), message=text)


def of_query(rule: Rule, path: Path, *, memory_mb: int, seconds: float) -> Result:
    """Run the SELECT of a ``sql`` check in the closed connection."""
    try:
        with sandbox.opened(path, memory_mb=memory_mb) as connection:
            found = sandbox.select(connection, rule.values["query"], seconds=seconds)
    except sandbox.Refused as refused:
        return Result(rule.key, "error", limit=limit_words(rule), message=str(refused))
    count, words = found["count"], f"{found['count']:,}" + (" or more" if found["more"] else "")
    sample = {"columns": found["columns"], "rows": found["rows"]}
    outcome = "failed" if count else "passed"
    row = "row" if count == 1 else "rows"
    return Result(rule.key, outcome, float(count), f"{words} {row}", limit_words(rule), count, sample if count else {})


# ---------------------------------------------------------------- one function a kind


def _type(rule: Rule, table: Table) -> Result:
    kind, wanted = table.kinds[rule.columns[0]], rule.values["is"]
    return Result(rule.key, "passed" if kind == wanted else "failed", None, kind, wanted)


def _range(rule: Rule, table: Table) -> Result:
    (name,) = rule.columns
    column, kind = _name(name), table.kinds[name]
    moment = any(isinstance(rule.values.get(end), str) for end in ("min", "max"))
    _needs(name, kind, ("datetime",) if moment else NUMBERS, "a range of dates" if moment else "a range of numbers")
    cast = "CAST(? AS TIMESTAMP)" if moment else "CAST(? AS DOUBLE)"
    parts = [(f"{column} {sign} {cast}", rule.values[end]) for end, sign in (("min", "<"), ("max", ">"))
             if end in rule.values]  # fmt: skip
    bad, values = " OR ".join(text for text, _ in parts), [value for _, value in parts]
    least, most = table.one(f"SELECT min({column}), max({column}) FROM data")
    shown = "no values" if least is None else f"{_said(least)} to {_said(most)}"
    return _rows_at_fault(rule, table, bad, values, shown)


def _nulls(rule: Rule, table: Table) -> Result:
    column = _name(rule.columns[0])
    (count,) = table.one(f"SELECT count(*) - count({column}) FROM data")
    share = count / max(1, table.rows)
    passed = share <= rule.values["max_share"]
    sample = {} if passed else _sample(table, f"{column} IS NULL", [], rule.columns)
    outcome, shown = "passed" if passed else "failed", f"{share * 100:.4g}%"
    return Result(rule.key, outcome, share, shown, limit_words(rule), int(count), sample)


def _unique(rule: Rule, table: Table) -> Result:
    names = [_name(name) for name in rule.columns]
    listed, present = ", ".join(names), " AND ".join(f"{name} IS NOT NULL" for name in names)
    groups = f"SELECT {listed}, count(*) AS times FROM data WHERE {present} GROUP BY ALL HAVING count(*) > 1"
    count, rows = table.one(f"SELECT count(*), coalesce(sum(times), 0) FROM ({groups})")
    sample: Sample = {}
    if count:
        found = table.connection.execute(f"{groups} ORDER BY times DESC LIMIT {sandbox.SHOWN_ROWS}").fetchall()
        sample = _plain(sandbox.shown([*rule.columns, "times"], found))
    shown = "no repeats" if not count else f"{int(count):,} repeated, {int(rows):,} rows"
    return Result(rule.key, "failed" if count else "passed", float(count), shown, limit_words(rule), int(rows), sample)


def _values(rule: Rule, table: Table) -> Result:
    (name,) = rule.columns
    column, allowed = _name(name), rule.values["allowed"]
    if table.kinds[name] in NUMBERS:
        bad = f"CAST({column} AS DOUBLE) NOT IN (SELECT TRY_CAST(unnest(?) AS DOUBLE))"
        allowed = [value for value in allowed if _is_number(value)]
    else:
        bad = f"CAST({column} AS VARCHAR) NOT IN (SELECT unnest(?))"
    present = f"{column} IS NOT NULL AND {bad}"
    found = table.connection.execute(
        f"SELECT CAST({column} AS VARCHAR), count(*) FROM data WHERE {present} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5",
        [allowed],
    ).fetchall()
    shown = "only these" if not found else "also " + ", ".join(clip(str(value), 40) for value, _ in found)
    return _rows_at_fault(rule, table, present, [allowed], shown)


def _pattern(rule: Rule, table: Table) -> Result:
    (name,) = rule.columns
    _needs(name, table.kinds[name], WORDS, "a pattern")
    bad = f"NOT regexp_full_match({_name(name)}, ?)"
    return _rows_at_fault(rule, table, bad, [rule.values["regex"]], "")


def _length(rule: Rule, table: Table) -> Result:
    (name,) = rule.columns
    _needs(name, table.kinds[name], WORDS, "a length")
    column = _name(name)
    parts = [(f"length({column}) {sign} ?", rule.values[end]) for end, sign in (("min", "<"), ("max", ">"))
             if end in rule.values]  # fmt: skip
    least, most = table.one(f"SELECT min(length({column})), max(length({column})) FROM data")
    shown = "no values" if least is None else f"{least} to {most}"
    return _rows_at_fault(rule, table, " OR ".join(text for text, _ in parts), [value for _, value in parts], shown)


def _share(rule: Rule, table: Table) -> Result:
    column, value = _name(rule.columns[0]), rule.values["value"]
    text = f"CAST({column} AS VARCHAR)"
    if table.kinds[rule.columns[0]] in NUMBERS:
        text, value = f"CAST({column} AS DOUBLE)", float(value) if _is_number(value) else None
    (share,) = table.one(f"SELECT avg(CAST({text} = ? AS DOUBLE)) FROM data", value)
    share = float(share or 0.0)
    passed = rule.values.get("min", 0.0) <= share <= rule.values.get("max", 1.0)
    return Result(rule.key, "passed" if passed else "failed", share, f"{share * 100:.4g}%", limit_words(rule))


def _freshness(rule: Rule, table: Table) -> Result:
    newest: datetime | None = table.uploaded_at
    if rule.columns:
        (name,) = rule.columns
        _needs(name, table.kinds[name], ("datetime",), "freshness")
        (found,) = table.one(f"SELECT max({_name(name)}) FROM data")
        newest = None if found is None else found.replace(tzinfo=UTC)
    if newest is None:
        raise Unfit(f"{rule.columns[0]} has no value.")
    hours = (table.now - newest).total_seconds() / 3600
    passed = hours <= rule.values["max_age_hours"]
    return Result(rule.key, "passed" if passed else "failed", hours, f"{hours:,.1f} h old", limit_words(rule))


def _rows(rule: Rule, table: Table) -> Result:
    values, rows, shown = rule.values, table.rows, f"{table.rows:,}"
    passed = values.get("min", 0) <= rows <= values.get("max", rows)
    if "change" in values and table.earlier_rows:
        change = (rows - table.earlier_rows) / table.earlier_rows
        passed = passed and abs(change) <= values["change"]
        shown += f" ({change:+.1%})"
    return Result(rule.key, "passed" if passed else "failed", float(rows), shown, limit_words(rule))


def _columns(rule: Rule, table: Table) -> Result:
    wanted = rule.values["names"]
    gone = [name for name in wanted if name not in table.kinds]
    more = [name for name in table.kinds if name not in wanted] if rule.values.get("exact") else []
    said = [f"missing: {', '.join(gone[:10])}"] if gone else []
    said += [f"unexpected: {', '.join(more[:10])}"] if more else []
    count = len(gone) + len(more)
    shown = f"{len(table.kinds):,} columns"
    return Result(rule.key, "failed" if count else "passed", float(count), shown, limit_words(rule),
                  message="; ".join(said))  # fmt: skip


_MEASURES: dict[str, Callable[[Rule, Table], Result]] = {
    "type": _type, "range": _range, "nulls": _nulls, "unique": _unique, "values": _values, "pattern": _pattern,
    "length": _length, "share": _share, "freshness": _freshness, "rows": _rows, "columns": _columns,
}  # fmt: skip


# ---------------------------------------------------------------- parts


def _rows_at_fault(rule: Rule, table: Table, bad: str, values: list[Any], shown: str) -> Result:
    (count,) = table.one(f"SELECT count(*) FROM data WHERE {bad}", *values)
    words = f"{count:,} {'row' if count == 1 else 'rows'} at fault"
    sample = _sample(table, bad, values, rule.columns) if count else {}
    shown = ", ".join(part for part in (shown, words if count else "") if part) or "all match"
    return Result(rule.key, "failed" if count else "passed", float(count), shown, limit_words(rule), int(count), sample)


def _sample(table: Table, bad: str, values: list[Any], first: tuple[str, ...]) -> Sample:
    """Rows at fault with their place in the table, the checked columns first."""
    rest = [name for name in table.kinds if name not in first][: sandbox.SHOWN_COLUMNS - 1 - len(first)]
    names = [*first, *rest]
    listed = ", ".join(_name(name) for name in names)
    query = (
        f"SELECT * FROM (SELECT row_number() OVER () AS place, {listed} FROM data) "
        f"WHERE {bad} LIMIT {sandbox.SHOWN_ROWS}"
    )
    found = table.connection.execute(query, values).fetchall()
    return _plain(sandbox.shown(["row", *names], found))


def _plain(found: dict[str, Any]) -> Sample:
    return {"columns": found["columns"], "rows": found["rows"]}


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _needs(name: str, kind: str, allowed: tuple[str, ...], what: str) -> None:
    if kind not in allowed:
        raise Unfit(
            f"{name} holds {_KIND_WORDS[kind]}, and {what} needs {' or '.join(_KIND_WORDS[k] for k in allowed)}."
        )


def _said(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds").removesuffix(" 00:00:00")
    return f"{value:,.6g}".replace("-", "−")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
