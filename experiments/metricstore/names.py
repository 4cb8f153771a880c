"""Names that the runs of experiments have, in bounded numbers: an experiment may hold 10,000 of them.

Keys are found by hopping from key to key through an index of the narrow tables: one look a name, none a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.db import connection

from . import folding, keys
from .predicates import TABLES, Params, contains, head
from .scope import Scope

COUNTED = 20_000
VALUES_COUNTED = 20
COUNTED_RUNS = 1000
DIFFERENT = 500
# Looks over all experiments together; the first names of each come first.
HOPS = 100_000


def some(scope: Scope, kind: str, limit: int) -> list[str]:
    """Return at most `limit` names, those that were met first by this portal.

    Parameters
    ----------
    scope : Scope
    kind : str
        metric, param or tag.
    limit : int
    """
    _fold(scope, kind)
    hops, params = _hops(scope, kind, limit)
    found = _rows(f"{hops} SELECT DISTINCT n.name FROM hop JOIN experiments_key n ON n.id = hop.k", params)
    return sorted(name for (name,) in found)


def have(scope: Scope, kind: str, names: Iterable[str]) -> list[str]:
    """Return those of the names that some run of the experiments has."""
    _fold(scope, kind)
    ids = keys.find(names)
    if not ids:
        return []
    known, params = [], []
    for key_id in ids.values():
        known.append(f"EXISTS (SELECT 1 FROM {TABLES[kind]} WHERE {scope.holds('experiment_id')} AND key_id = %s)")
        params.append(key_id)
    found = _rows(f"SELECT {', '.join(known)}", params)[0]
    return [name for name, here in zip(ids, found, strict=True) if here]


def names_of(run_ids: Sequence[int], limit: int) -> list[str]:
    """Return names of metrics that some runs have, at most `limit` of each; one query."""
    if not run_ids:
        return []
    one = "SELECT key_id FROM (SELECT key_id FROM experiments_runmetric WHERE run_id = %s ORDER BY key_id LIMIT %s) m"
    sql = f"SELECT n.name FROM experiments_key n WHERE n.id IN ({' UNION '.join([one] * len(run_ids))})"
    return sorted(name for (name,) in _rows(sql, [value for run_id in run_ids for value in (run_id, limit)]))


def search(scope: Scope, kind: str, text: str, limit: int) -> tuple[list[str], int]:
    """Find names that contain a text, in any case of letters.

    Parameters
    ----------
    scope : Scope
    kind : str
        metric, param or tag.
    text : str
        Empty finds all.
    limit : int

    Returns
    -------
    tuple of (list of str, int)
        At most `limit` names in order, and how many of the first 20,000 match.
    """
    _fold(scope, kind)
    hops, params = _hops(scope, kind, COUNTED)
    test = contains("n.name", text)
    sql = f"""{hops} SELECT n.name, count(*) OVER () FROM experiments_key n
              WHERE n.id IN (SELECT k FROM hop) AND {test[0]} ORDER BY n.name LIMIT %s"""
    found = _rows(sql, [*params, *test[1], limit])
    return [name for name, _ in found], found[0][1] if found else 0


def ranges(scope: Scope, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest latest number of each metric, by one look at each end of its index."""
    ids = keys.find(names)
    looks, params = [], []
    for key_id in ids.values():
        for end in ("min", "max"):
            looks.append(scope.end(end, partial(_end_of_metric, end)))
            params += [key_id, False]
    found = _rows(f"SELECT {', '.join(looks)}", params)[0] if looks else ()
    pairs = zip(ids, found[::2], found[1::2], strict=True)
    return {name: (low, high) for name, low, high in pairs if low is not None}


def value_counts(scope: Scope, kind: str, names: Sequence[str]) -> dict[str, int]:
    """Count the different values of parameters or tags, up to 21 each, by hops from value to value."""
    ids = keys.find(names)
    if not ids:
        return {}
    table, marks = TABLES[kind], ", ".join(["%s"] * len(ids))
    first = scope.end("min", partial(_least, table, " AND z.key_id = n.id"))
    following = scope.end("min", partial(_least, table, f" AND z.key_id = hop.k AND {head('z')} > hop.v"))
    found = _rows(
        f"""WITH RECURSIVE hop (k, v, at) AS (
              SELECT n.id, {first}, 1 FROM experiments_key n WHERE n.id IN ({marks})
              UNION ALL
              SELECT hop.k, {following}, at + 1 FROM hop WHERE hop.v IS NOT NULL AND at <= %s
            ) SELECT k, count(v) FROM hop GROUP BY k""",
        [*ids.values(), VALUES_COUNTED],
    )
    back = {number: name for name, number in ids.items()}
    return {back[key_id]: count for key_id, count in found}


def _fold(scope: Scope, kind: str) -> None:
    """Parameters and tags stand in their tables at once, metrics once they are folded."""
    if kind == "metric":
        folding.fold_experiments(scope.ids)


def values(scope: Scope, kind: str, name: str, text: str, limit: int) -> list[tuple[str, int]]:
    """Find values of a parameter or tag that contain a text, each with its number of runs, at most 1,001.

    Looks at the first 500 different values, and at those that begin with the text.
    """
    key_id = keys.find([name]).get(name)
    if key_id is None:
        return []
    begun = _different(scope, kind, key_id, text, limit) if text else []
    found = begun + [v for v in _different(scope, kind, key_id, "", DIFFERENT) if text.lower() in v.lower()]
    wanted = list(dict.fromkeys(found))[:limit]
    table, counts, params = TABLES[kind], [], []
    for value in wanted:
        counts.append(
            f"(SELECT count(*) FROM (SELECT 1 FROM {table} z WHERE {scope.holds('z.experiment_id')} AND z.key_id = %s"
            f" AND {head('z')} = %s LIMIT %s) c)"
        )
        params += [key_id, value, COUNTED_RUNS + 1]
    sizes = _rows(f"SELECT {', '.join(counts)}", params)[0] if wanted else ()
    return sorted(zip(wanted, sizes, strict=True), key=lambda pair: -pair[1])


def _different(scope: Scope, kind: str, key_id: int, start: str, limit: int) -> list[str]:
    """Hop from value to value of one key, from those that begin with `start`."""
    table, own = TABLES[kind], f" AND z.key_id = %s AND {head('z')}"
    first = scope.end("min", partial(_least, table, f"{own} >= %s"))
    following = scope.end("min", partial(_least, table, f"{own} > hop.v"))
    found = _rows(
        f"""WITH RECURSIVE hop (v, at) AS (
              SELECT {first}, 1
              UNION ALL
              SELECT {following}, at + 1 FROM hop WHERE hop.v IS NOT NULL AND at < %s
            ) SELECT v FROM hop WHERE v IS NOT NULL""",
        [key_id, start, key_id, limit],
    )
    return [value for (value,) in found if value.startswith(start)]


def _hops(scope: Scope, kind: str, limit: int) -> tuple[str, Params]:
    """SQL of a table `hop` of key ids `k`, at most `limit` of each experiment; several may have the same."""
    table = TABLES[kind]
    sql = f"""WITH RECURSIVE all_hops (e, k, at) AS (
                SELECT e.id, (SELECT min(key_id) FROM {table} WHERE experiment_id = e.id), 1 FROM {scope.rows}
                UNION ALL
                SELECT e, (SELECT min(key_id) FROM {table} WHERE experiment_id = a.e AND key_id > a.k), at + 1
                FROM all_hops a WHERE a.k IS NOT NULL AND at < %s
              ), hop (k) AS (SELECT k FROM all_hops LIMIT %s)"""
    return sql, [limit, max(limit, HOPS)]


def _least(table: str, own: str, experiment: str) -> str:
    """SQL of the least value of a key in an experiment, under a condition of one's own."""
    return f"SELECT min({head('z')}) FROM {table} z WHERE z.experiment_id = {experiment}{own}"


def _end_of_metric(end: str, experiment: str) -> str:
    """SQL of the least or greatest latest number of a metric in an experiment."""
    own = f"experiment_id = {experiment} AND key_id = %s AND is_nan = %s"
    return f"SELECT {end}(value) FROM experiments_runmetric WHERE {own}"


def _rows(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()
