"""Names of metrics, parameters and tags as small numbers, cached in the process."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection, transaction

from mlportal.lib.sql import Statement

CACHE_LIMIT = 50_000
_ids: dict[str, int] = {}
_names: dict[int, str] = {}
# On PostgreSQL arrays, which it plans once a connection.
_STORE = Statement(
    "INSERT INTO experiments_key (name) SELECT unnest(%s::text[]) ON CONFLICT (name) DO NOTHING RETURNING name, id"
)
_FIND = Statement("SELECT name, id FROM experiments_key WHERE name = ANY(%s::text[])")


def ids(names: Iterable[str]) -> dict[str, int]:
    """Return the id of every name, storing new ones. Call inside the writing transaction."""
    wanted = set(names)
    known = {name: _ids[name] for name in wanted if name in _ids}
    unknown = sorted(wanted - known.keys())  # sorted, so that two writers take row locks in one order
    if not unknown:
        return known
    stored = _store(unknown)
    transaction.on_commit(lambda: _remember(stored))  # a rolled-back id must never be remembered
    left = [name for name in unknown if name not in stored]
    return {**known, **stored, **(_read(left) if left else {})}


def _store(unknown: list[str]) -> dict[str, int]:
    """Store new names and return the ids of those that were."""
    if connection.vendor == "postgresql":
        return dict(_STORE.rows([unknown]))
    marks = ", ".join(["(%s)"] * len(unknown))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO experiments_key (name) VALUES {marks} ON CONFLICT (name) DO NOTHING RETURNING name, id",
            unknown,
        )
        return dict(cursor.fetchall())


def cached(names: Iterable[str]) -> dict[str, int] | None:
    """Return the ids of all the names if this process knows them, else None."""
    try:
        return {name: _ids[name] for name in names}
    except KeyError:
        return None


def new(names: set[str]) -> set[str]:
    """Return those names that this process has not met; the others were checked before they were stored."""
    return names - _ids.keys()


def find(names: Iterable[str]) -> dict[str, int]:
    """Return the ids of those names that are stored."""
    wanted = set(names)
    known = {name: _ids[name] for name in wanted if name in _ids}
    unknown = sorted(wanted - known.keys())
    return {**known, **_read(unknown)} if unknown else known


def names(wanted: Iterable[int]) -> dict[int, str]:
    """Return the name of each id."""
    numbers = set(wanted)
    known = {number: _names[number] for number in numbers if number in _names}
    unknown = sorted(numbers - known.keys())
    for start in range(0, len(unknown), 500):
        part = unknown[start : start + 500]
        marks = ", ".join(["%s"] * len(part))
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id, name FROM experiments_key WHERE id IN ({marks})", part)
            found = dict(cursor.fetchall())
        known |= found
        transaction.on_commit(lambda found=found: _remember_names(found))  # type: ignore[misc]
    return known


def forget() -> None:
    """Empty the cache; needed when the tables were emptied under a living process."""
    _ids.clear()
    _names.clear()


def _read(unknown: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    if connection.vendor == "postgresql":
        found.update(_FIND.rows([unknown]))
        transaction.on_commit(lambda: _remember(found))  # a rolled-back id must never be remembered
        return found
    with connection.cursor() as cursor:
        for start in range(0, len(unknown), 500):
            part = unknown[start : start + 500]
            marks = ", ".join(["%s"] * len(part))
            cursor.execute(f"SELECT name, id FROM experiments_key WHERE name IN ({marks})", part)
            found.update(cursor.fetchall())
    transaction.on_commit(lambda: _remember(found))  # a rolled-back id must never be remembered
    return found


def _remember(found: dict[str, int]) -> None:
    if len(_ids) + len(found) > CACHE_LIMIT:
        _ids.clear()
    _ids.update(found)


def _remember_names(found: dict[int, str]) -> None:
    if len(_names) + len(found) > CACHE_LIMIT:
        _names.clear()
    _names.update(found)
