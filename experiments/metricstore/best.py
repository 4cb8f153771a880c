"""Best and newest values of one metric in each of several experiments: one statement for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from . import folding, keys
from .predicates import Params
from .starting import rows

_AT_ONCE = 200  # terms of one statement; SQLite takes 500


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric of an experiment and which way is better."""

    experiment_id: int
    metric: str
    descending: bool


def best_each(asked: Sequence[Asked]) -> dict[Asked, float]:
    """Return the best value over the active runs of each experiment; without those that have none."""
    folding.fold_experiments(sorted({each.experiment_id for each in asked}))
    ids = keys.find({each.metric for each in asked})
    known = [each for each in asked if each.metric in ids]
    found: dict[Asked, float] = {}
    for start in range(0, len(known), _AT_ONCE):
        part = known[start : start + _AT_ONCE]
        sql = " UNION ALL ".join(_best(each) for each in part)
        values: Params = []
        for at, each in enumerate(part):
            values += [at, each.experiment_id, ids[each.metric], False]
        found |= {part[at]: value for at, value in rows(sql, values) if value is not None}
    return found


def newest_each(asked: Sequence[Asked], *, limit: int = 20) -> dict[Asked, list[float | None]]:
    """Return the values of the newest active runs of each experiment, oldest first; None where a run has none."""
    ids = keys.find({each.metric for each in asked})
    known = [each for each in asked if each.metric in ids]
    found: dict[Asked, list[float | None]] = defaultdict(list)
    for start in range(0, len(known), _AT_ONCE):
        part = known[start : start + _AT_ONCE]
        sql = " UNION ALL ".join([_NEWEST] * len(part))
        values: Params = []
        for at, each in enumerate(part):
            values += [at, ids[each.metric], False, each.experiment_id, limit]
        for at, value in rows(sql, values):
            found[part[at]].insert(0, value)
    return dict(found)


_NEWEST = """SELECT * FROM (SELECT %s AS at,
      (SELECT m.value FROM experiments_runmetric m WHERE m.run_id = r.id AND m.key_id = %s AND m.is_nan = %s) AS v
    FROM experiments_run r WHERE r.experiment_id = %s AND r.lifecycle = 'active'
    ORDER BY r.started_ms DESC, r.id DESC LIMIT %s) newest"""


def _best(asked: Asked) -> str:
    way = "DESC" if asked.descending else "ASC"
    number = "%s::bigint" if connection.vendor == "postgresql" else "%s"
    return f"""SELECT {number} AS at, (SELECT m.value FROM experiments_runmetric m CROSS JOIN experiments_run r
        WHERE m.experiment_id = %s AND m.key_id = %s AND m.is_nan = %s AND r.id = m.run_id AND r.lifecycle = 'active'
        ORDER BY m.value {way} LIMIT 1) AS v"""
