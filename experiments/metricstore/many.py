"""Changes to many runs at once: a statement for all of them instead of some for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson
from django.db import connection

from . import kept, keys
from .limits import check_batch
from .predicates import TABLES

_MOVED = ("runmetric", "runparam", "runtag", "metricchunk")
_UPDATE_TAGS = "UPDATE experiments_run SET tags = %s WHERE id = %s"
_TAG_ROWS = "INSERT INTO experiments_runtag (run_id, key_id, experiment_id, value) VALUES "
_TAG_WINS = " ON CONFLICT (run_id, key_id) DO UPDATE SET value = excluded.value"
_ANYTHING = object()


def retag_many(key: str, wanted: Mapping[int, str | None], *, only_if: object = _ANYTHING) -> dict[int, str | None]:
    """Give each active run its value of one tag, None for no such tag; call inside the writing transaction.

    Parameters
    ----------
    key : str
    wanted : mapping of run id to text or None
    only_if : str or None, optional
        Leave out runs whose value is another one now.

    Returns
    -------
    dict
        The value before of each run that has the wanted one now; None where it had none.

    Raises
    ------
    Invalid
        If the key or a value breaks a limit.
    """
    for value in set(wanted.values()):
        check_batch((), {}, {key: value or ""})
    before: dict[int, str | None] = {}
    changed: dict[int, tuple[int, str | None]] = {}
    documents = []
    for run_id, experiment_id, text in _locked(sorted(wanted)):
        tags = orjson.loads(text)
        known, value = tags.get(key), wanted[run_id]
        if only_if is not _ANYTHING and known != only_if:
            continue
        before[run_id] = known
        if known != value:
            changed[run_id] = (experiment_id, value)
            tags = {**tags, key: value} if value is not None else {k: v for k, v in tags.items() if k != key}
            documents.append((orjson.dumps(tags).decode(), run_id))
    if changed:
        with connection.cursor() as cursor:
            cursor.executemany(_UPDATE_TAGS, documents)
        _write_rows(keys.ids([key])[key], changed)
    return before


def move_many(run_ids: Sequence[int], experiment_id: int) -> None:
    """Let all that runs recorded belong to another experiment; call with the runs locked, in their transaction."""
    if not run_ids:
        return
    marks = ", ".join(["%s"] * len(run_ids))
    with connection.cursor() as cursor:
        for table in _MOVED:
            cursor.execute(
                f"UPDATE experiments_{table} SET experiment_id = %s WHERE run_id IN ({marks})",
                [experiment_id, *run_ids],
            )
    kept.drop(run_ids)
    kept.refresh(run_ids, experiment_id)


def keys_used(run_ids: Sequence[int]) -> dict[str, set[int]]:
    """Return the numbers of the names that these runs have, by kind."""
    if not run_ids:
        return {}
    marks = ", ".join(["%s"] * len(run_ids))
    found: dict[str, set[int]] = {}
    with connection.cursor() as cursor:
        for kind, table in TABLES.items():
            cursor.execute(f"SELECT DISTINCT key_id FROM {table} WHERE run_id IN ({marks})", run_ids)
            found[kind] = {row[0] for row in cursor.fetchall()}
    return found


def key_names(numbers: Iterable[int]) -> list[str]:
    """Return the names of these numbers, in order."""
    return sorted(keys.names(numbers).values())


def _locked(run_ids: list[int]) -> list[tuple[int, int, str]]:
    lock = " FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT id, experiment_id, tags FROM experiments_run
                WHERE id IN ({", ".join(["%s"] * len(run_ids))}) AND lifecycle = 'active' ORDER BY id{lock}""",
            run_ids,
        )
        return cursor.fetchall()


def _write_rows(key_id: int, changed: Mapping[int, tuple[int, str | None]]) -> None:
    gone = [run_id for run_id, (_, value) in changed.items() if value is None]
    kept = [(run_id, key_id, place, value) for run_id, (place, value) in changed.items() if value is not None]
    with connection.cursor() as cursor:
        if gone:
            marks = ", ".join(["%s"] * len(gone))
            cursor.execute(f"DELETE FROM experiments_runtag WHERE key_id = %s AND run_id IN ({marks})", [key_id, *gone])
        if kept:
            marks = ", ".join(["(%s, %s, %s, %s)"] * len(kept))
            cursor.execute(f"{_TAG_ROWS}{marks}{_TAG_WINS}", [cell for row in kept for cell in row])
