"""Names that an experiment's runs have, in bounded numbers: an experiment may hold 10,000 of them.

Keys are found by hopping from key to key through an index of the narrow tables: one look a name, none a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from . import folding, keys
from .predicates import TABLES, Params, contains, head

COUNTED = 20_000
VALUES_COUNTED = 20
COUNTED_RUNS = 1000
DIFFERENT = 500


def some(experiment_id: int, kind: str, limit: int) -> list[str]:
    """Return at most `limit` names, those that were met first by this portal.

    Parameters
    ----------
    experiment_id : int
    kind : str
        metric, param or tag.
    limit : int
    """
    _fold(experiment_id, kind)
    hops, params = _hops(experiment_id, kind, limit)
    found = _rows(f"{hops} SELECT n.name FROM hop JOIN experiments_key n ON n.id = hop.k", params)
    return sorted(name for (name,) in found)


def have(experiment_id: int, kind: str, names: Iterable[str]) -> list[str]:
    """Return those of the names that some run of the experiment has."""
    _fold(experiment_id, kind)
    ids = keys.find(names)
    if not ids:
        return []
    known, params = [], []
    for key_id in ids.values():
        known.append(f"EXISTS (SELECT 1 FROM {TABLES[kind]} WHERE experiment_id = %s AND key_id = %s)")
        params += [experiment_id, key_id]
    found = _rows(f"SELECT {', '.join(known)}", params)[0]
    return [name for name, here in zip(ids, found, strict=True) if here]


def names_of(run_id: int, limit: int) -> list[str]:
    """Return names of metrics that one run has, at most `limit`."""
    sql = """SELECT n.name FROM (SELECT key_id FROM experiments_runmetric WHERE run_id = %s ORDER BY key_id LIMIT %s) m
             JOIN experiments_key n ON n.id = m.key_id"""
    return sorted(name for (name,) in _rows(sql, [run_id, limit]))


def search(experiment_id: int, kind: str, text: str, limit: int) -> tuple[list[str], int]:
    """Find names that contain a text, in any case of letters.

    Parameters
    ----------
    experiment_id : int
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
    _fold(experiment_id, kind)
    hops, params = _hops(experiment_id, kind, COUNTED)
    test = contains("n.name", text)
    sql = f"""{hops} SELECT n.name, count(*) OVER () FROM hop JOIN experiments_key n ON n.id = hop.k
              WHERE {test[0]} ORDER BY n.name LIMIT %s"""
    found = _rows(sql, [*params, *test[1], limit])
    return [name for name, _ in found], found[0][1] if found else 0


def ranges(experiment_id: int, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest latest number of each metric, by one look at each end of its index."""
    ids = keys.find(names)
    looks, params = [], []
    for key_id in ids.values():
        for end in ("min", "max"):
            looks.append(
                f"(SELECT {end}(value) FROM experiments_runmetric"
                " WHERE experiment_id = %s AND key_id = %s AND is_nan = %s)"
            )
            params += [experiment_id, key_id, False]
    found = _rows(f"SELECT {', '.join(looks)}", params)[0] if looks else ()
    pairs = zip(ids, found[::2], found[1::2], strict=True)
    return {name: (low, high) for name, low, high in pairs if low is not None}


def value_counts(experiment_id: int, kind: str, names: Sequence[str]) -> dict[str, int]:
    """Count the different values of parameters or tags, up to 21 each, by hops from value to value."""
    ids = keys.find(names)
    if not ids:
        return {}
    table, marks = TABLES[kind], ", ".join(["%s"] * len(ids))
    first = f"SELECT min({head('z')}) FROM {table} z WHERE z.experiment_id = %s AND z.key_id = "
    found = _rows(
        f"""WITH RECURSIVE hop (k, v, at) AS (
              SELECT n.id, ({first} n.id), 1 FROM experiments_key n WHERE n.id IN ({marks})
              UNION ALL
              SELECT hop.k, ({first} hop.k AND {head("z")} > hop.v), at + 1
              FROM hop WHERE hop.v IS NOT NULL AND at <= %s
            ) SELECT k, count(v) FROM hop GROUP BY k""",
        [experiment_id, *ids.values(), experiment_id, VALUES_COUNTED],
    )
    back = {number: name for name, number in ids.items()}
    return {back[key_id]: count for key_id, count in found}


def _fold(experiment_id: int, kind: str) -> None:
    """Parameters and tags stand in their tables at once, metrics once they are folded."""
    if kind == "metric":
        folding.fold_experiment(experiment_id)


def values(experiment_id: int, kind: str, name: str, text: str, limit: int) -> list[tuple[str, int]]:
    """Find values of a parameter or tag that contain a text, each with its number of runs, at most 1,001.

    Looks at the first 500 different values, and at those that begin with the text.
    """
    key_id = keys.find([name]).get(name)
    if key_id is None:
        return []
    begun = _different(experiment_id, kind, key_id, text, limit) if text else []
    found = begun + [v for v in _different(experiment_id, kind, key_id, "", DIFFERENT) if text.lower() in v.lower()]
    wanted = list(dict.fromkeys(found))[:limit]
    table, counts, params = TABLES[kind], [], []
    for value in wanted:
        counts.append(
            f"(SELECT count(*) FROM (SELECT 1 FROM {table} z WHERE z.experiment_id = %s AND z.key_id = %s"
            f" AND {head('z')} = %s LIMIT %s) c)"
        )
        params += [experiment_id, key_id, value, COUNTED_RUNS + 1]
    sizes = _rows(f"SELECT {', '.join(counts)}", params)[0] if wanted else ()
    return sorted(zip(wanted, sizes, strict=True), key=lambda pair: -pair[1])


def _different(experiment_id: int, kind: str, key_id: int, start: str, limit: int) -> list[str]:
    """Hop from value to value of one key, from those that begin with `start`."""
    table, column = TABLES[kind], head("z")
    first = f"SELECT min({column}) FROM {table} z WHERE z.experiment_id = %s AND z.key_id = %s AND {column}"
    found = _rows(
        f"""WITH RECURSIVE hop (v, at) AS (
              SELECT ({first} >= %s), 1
              UNION ALL
              SELECT ({first} > hop.v), at + 1 FROM hop WHERE hop.v IS NOT NULL AND at < %s
            ) SELECT v FROM hop WHERE v IS NOT NULL""",
        [experiment_id, key_id, start, experiment_id, key_id, limit],
    )
    return [value for (value,) in found if value.startswith(start)]


def _hops(experiment_id: int, kind: str, limit: int) -> tuple[str, Params]:
    """SQL of a table `hop` of key ids `k`."""
    table = TABLES[kind]
    sql = f"""WITH RECURSIVE hop (k, at) AS (
                SELECT min(key_id), 1 FROM {table} WHERE experiment_id = %s
                UNION ALL
                SELECT (SELECT min(key_id) FROM {table} WHERE experiment_id = %s AND key_id > hop.k), at + 1
                FROM hop WHERE hop.k IS NOT NULL AND at < %s
              )"""
    return sql, [experiment_id, experiment_id, limit]


def _rows(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()
