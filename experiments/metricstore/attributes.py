"""Conditions on a run's attributes and input datasets in the words of the tracking protocol, as SQL.

A missing value is never true, not even for ``!=``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from django.db import connection

from .meaning import Condition
from .predicates import Params, Predicate, compare_text
from .sorting import RUN_ROWS, STATUS, Source, started

_MANY = 50
_COMPARE = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def compiled(condition: Condition, source: Source) -> Predicate:
    """Return the SQL of a condition on an attribute or a dataset."""
    return _KINDS[condition.kind](condition, source)


def lifecycle(source: Source) -> Predicate:
    """Return the condition that a run is in its source; deleted runs are few, so it may start a search."""
    start = (RUN_ROWS, "x.experiment_id = %s AND x.lifecycle = %s", [source.experiment_id, source.lifecycle])
    return Predicate(
        "r.experiment_id = %s AND r.lifecycle = %s", [source.experiment_id, source.lifecycle],
        start if source.lifecycle != "active" else None,
    )  # fmt: skip


def _text(column: str) -> Callable[[Condition, Source], Predicate]:
    return lambda condition, source: Predicate(*_compared(column, condition))


def _compared(column: str, condition: Condition) -> tuple[str, Params]:
    values = [str(v) for v in condition.values]
    if condition.op in ("like", "ilike"):
        return compare_text(column, values[0], fold=condition.op == "ilike")
    negative = "NOT " if condition.op == "!=" else ""
    listed, params = _listed(values)
    return f"{column} {negative}IN ({listed})", params


def _listed(values: list[str]) -> tuple[str, Params]:
    """A list of values; a long one is one parameter, since SQLite takes 32,766."""
    if len(values) <= _MANY:
        return ", ".join(["%s"] * len(values)), [*values]
    if connection.vendor == "postgresql":
        return "SELECT unnest(%s::text[])", [values]
    return "SELECT value FROM json_each(%s)", [json.dumps(values)]


def _run_id(condition: Condition, source: Source) -> Predicate:
    sql, params = _compared("r.uuid", condition)
    start_sql, start_params = _compared("x.uuid", condition)
    start = (RUN_ROWS, start_sql, start_params) if condition.op == "=" else None
    return Predicate(sql, params, start)


def _status(condition: Condition, source: Source) -> Predicate:
    """Compare the protocol's words, which are few, before the database sees them."""
    values = [str(v) for v in condition.values]
    states = [state for state, word in STATUS.items() if _holds(condition.op, word, values)]
    if not states:
        return Predicate("1 = 0", [])
    return Predicate(f"r.state IN ({', '.join(['%s'] * len(states))})", [*states])


def _holds(operator: str, word: str, values: list[str]) -> bool:
    if operator in ("like", "ilike"):
        wild = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in values[0])
        return re.fullmatch(wild, word, re.DOTALL | (re.IGNORECASE if operator == "ilike" else 0)) is not None
    return (word in values) != (operator == "!=")


def _uri(condition: Condition, source: Source) -> Predicate:
    sql, params = _compared("(%s || r.uuid || %s)", condition)
    return Predicate(sql, [source.prefix, source.suffix, *params])


def _started(condition: Condition, source: Source) -> Predicate:
    values: Params = [*condition.values]
    operator = _COMPARE[condition.op]
    start = started(operator, values, source) if condition.op != "!=" else None
    return Predicate(f"r.started_ms {operator} %s", values, start)


def _ended(condition: Condition, source: Source) -> Predicate:
    sql = f"(r.ended_ms IS NOT NULL AND r.ended_ms {_COMPARE[condition.op]} %s)"
    return Predicate(sql, [*condition.values])


def _dataset(column: str) -> Callable[[Condition, Source], Predicate]:
    """Some dataset that the run read has such a name or digest."""

    def build(condition: Condition, source: Source) -> Predicate:
        test, params = _compared(f"d.{column}", condition)
        joined = f"d.id = x.dataset_id AND {test}"
        # CROSS JOIN holds SQLite to the order written: from the run, or from the dataset.
        start = "experiments_inputdataset d CROSS JOIN experiments_runinput x"
        rows = "experiments_runinput x CROSS JOIN experiments_inputdataset d"
        return Predicate(
            f"(SELECT 1 FROM {rows} WHERE x.run_id = r.id AND {joined} LIMIT 1) IS NOT NULL", params,
            (start, f"d.experiment_id = %s AND {joined}", [source.experiment_id, *params]),
            bounded=condition.op == "=",
        )  # fmt: skip

    return build


def _context(condition: Condition, source: Source) -> Predicate:
    test, params = _compared("x.context", condition)
    rows = f"experiments_runinput x WHERE x.run_id = r.id AND x.context <> '' AND {test}"
    return Predicate(f"(SELECT 1 FROM {rows} LIMIT 1) IS NOT NULL", params)


_KINDS: dict[str, Callable[[Condition, Source], Predicate]] = {
    "run_id": _run_id,
    "run_name": _text("r.name"),
    "user_id": _text("r.user_name"),
    "status": _status,
    "artifact_uri": _uri,
    "start_time": _started,
    "end_time": _ended,
    "dataset.name": _dataset("name"),
    "dataset.digest": _dataset("digest"),
    "dataset.context": _context,
}
