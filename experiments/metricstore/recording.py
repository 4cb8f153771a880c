"""Writing: one row for all metric points of a call, and the run's document of parameters and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from django.db import connection

from mlportal.lib.errors import Conflict, Missing
from mlportal.lib.sql import Statement

from . import codec, keys
from .limits import Batch, Metric, check_batch, columns
from .meaning import number
from .together import Together
from .turn import turn, writing

# The lock is the one its foreign key takes anyway; taken here, the run cannot move to another experiment meanwhile.
_APPEND = Statement(
    """
    INSERT INTO experiments_metricchunk (run_id, experiment_id, key_id, points, first_step, last_step, data)
    SELECT r.id, r.experiment_id, NULL, %s, %s, %s, %s FROM experiments_run r
    WHERE r.id = %s AND r.lifecycle = 'active' AND EXISTS (SELECT 1 FROM experiments_key WHERE id = %s AND name = %s)
    """,
    lock="FOR KEY SHARE OF r",
)
_LOCK = Statement(
    "SELECT experiment_id, params, tags FROM experiments_run WHERE id = %s AND lifecycle = 'active'",
    lock="FOR NO KEY UPDATE",
)
_SAVE = Statement("UPDATE experiments_run SET params = %s, tags = %s WHERE id = %s")
_PARAM_COLUMNS = "run_id, key_id, experiment_id, value, number"
_TAG_COLUMNS = "run_id, key_id, experiment_id, value"
_TAG_WINS = "ON CONFLICT (run_id, key_id) DO UPDATE SET value = excluded.value"
# On PostgreSQL arrays, which it plans once a connection; hundreds of marks it would plan at each call.
_PARAM_ARRAYS = Statement(
    f"""
    INSERT INTO experiments_runparam ({_PARAM_COLUMNS})
    SELECT %s, k, %s, v, n FROM unnest(%s::bigint[], %s::text[], %s::float8[]) AS rows (k, v, n)
    """
)
_TAG_ARRAYS = Statement(
    f"""
    INSERT INTO experiments_runtag ({_TAG_COLUMNS})
    SELECT %s, k, %s, v FROM unnest(%s::bigint[], %s::text[]) AS rows (k, v) {_TAG_WINS}
    """
)


def append(
    run_id: int,
    *,
    metrics: Sequence[Metric] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Record a batch on one run, all of it or nothing.

    Parameters
    ----------
    run_id : int
    metrics : sequence of (key, value, timestamp in ms, step)
    params : mapping of str to str
        Write-once: the same value again is fine, another value is refused.
    tags : mapping of str to str
        The last value wins.

    Raises
    ------
    Invalid
        If the batch breaks a limit.
    Conflict
        If a parameter already has another value, or the run was deleted.
    Missing
        If there is no such run.
    """
    batch, params, tags = Batch.of(metrics), params or {}, tags or {}
    check_batch(batch, params, tags)
    if batch and not params and not tags and _append_alone(run_id, batch):
        return
    with writing():
        ids = keys.ids([*batch.names, *params, *tags])
        if params or tags:
            _write_document(run_id, params, tags, ids)
        if batch:
            _write_block(run_id, batch, ids)


def begin(run_id: int, experiment_id: int, *, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Write the rows of a run just inserted with its whole document; call inside the writing transaction."""
    _write_rows((run_id, experiment_id), params, tags, keys.ids([*params, *tags]))


def _write_rows(
    place: tuple[int, int], params: Mapping[str, str], tags: Mapping[str, str], ids: Mapping[str, int]
) -> None:
    """Insert each kind by one statement: PostgreSQL answers a hundred single ones in a hundred round trips."""
    run_id, experiment_id = place
    if connection.vendor == "postgresql":
        if params:
            numbers = [number(value) for value in params.values()]
            _PARAM_ARRAYS.count([*place, [ids[key] for key in params], [*params.values()], numbers])
        if tags:
            _TAG_ARRAYS.count([*place, [ids[key] for key in tags], [*tags.values()]])
        return
    with connection.cursor() as cursor:
        if params:
            marks = ", ".join(["(%s, %s, %s, %s, %s)"] * len(params))
            values = [cell for k, v in params.items() for cell in (run_id, ids[k], experiment_id, v, number(v))]
            cursor.execute(f"INSERT INTO experiments_runparam ({_PARAM_COLUMNS}) VALUES {marks}", values)
        if tags:
            marks = ", ".join(["(%s, %s, %s, %s)"] * len(tags))
            values = [cell for k, v in tags.items() for cell in (run_id, ids[k], experiment_id, v)]
            cursor.execute(f"INSERT INTO experiments_runtag ({_TAG_COLUMNS}) VALUES {marks} {_TAG_WINS}", values)


def _append_alone(run_id: int, batch: Batch) -> bool:
    """Record metrics of known names by their one statement, which needs no transaction around it."""
    ids = keys.cached(set(batch.names))
    if ids is None:
        return False
    block = _block(run_id, columns(batch, ids), ids, batch.names[0])
    # A caller's own transaction stays its own, and PostgreSQL lets those share a wait for the disk who commit at once.
    if connection.vendor == "postgresql" or connection.in_atomic_block:
        return _APPEND.count(block) == 1
    return _blocks.submit(block) == 1


def _append_all(blocks: Sequence[list[object]]) -> list[int]:
    """Write the blocks of several calls by one wait for the disk; one alone is its own transaction."""
    with turn() if len(blocks) == 1 else writing():
        return [_APPEND.count(block) for block in blocks]


_blocks = Together(_append_all)


def drop_tag(run_id: int, key: str) -> bool:
    """Remove one tag; say whether it was there."""
    with writing():
        _, document_params, document_tags = _locked(run_id)
        if document_tags.pop(key, None) is None:
            return False
        _save(run_id, document_params, document_tags)
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM experiments_runtag WHERE run_id = %s AND key_id = %s", [run_id, keys.ids([key])[key]]
            )
        return True


def _write_block(run_id: int, batch: Batch, ids: Mapping[str, int]) -> None:
    points, probe = columns(batch, ids), batch.names[0]
    if _insert_block(run_id, points, ids, probe):
        return
    # Either the run is gone, or the cache of keys outlived an emptied database.
    keys.forget()
    ids = keys.ids(batch.names)
    if not _insert_block(run_id, columns(batch, ids), ids, probe):
        raise _gone(run_id)


def _insert_block(run_id: int, points: codec.Points, ids: Mapping[str, int], probe: str) -> bool:
    return _APPEND.count(_block(run_id, points, ids, probe)) == 1


def _block(run_id: int, points: codec.Points, ids: Mapping[str, int], probe: str) -> list[object]:
    span = [int(points.steps.min()), int(points.steps.max())]
    return [len(points), *span, codec.pack_block(points), run_id, ids[probe], probe]


def _write_document(run_id: int, params: Mapping[str, str], tags: Mapping[str, str], ids: Mapping[str, int]) -> None:
    experiment, known_params, known_tags = _locked(run_id)
    for key, value in params.items():
        if known_params.get(key, value) != value:
            raise Conflict(
                f"params.{key} is {known_params[key][:80]!r} and cannot change to {value[:80]!r}.",
                code="param_changed",
                field=f"params.{key}",
            )
    fresh = {key: value for key, value in params.items() if key not in known_params}
    changed = {key: value for key, value in tags.items() if known_tags.get(key) != value}
    if not fresh and not changed:
        return
    _save(run_id, {**known_params, **fresh}, {**known_tags, **changed})
    _write_rows((run_id, experiment), fresh, changed, ids)


def _locked(run_id: int) -> tuple[int, dict[str, str], dict[str, str]]:
    row = _LOCK.row([run_id])
    if row is None:
        raise _gone(run_id)
    return row[0], orjson.loads(row[1]), orjson.loads(row[2])


def _save(run_id: int, params: dict[str, str], tags: dict[str, str]) -> None:
    _SAVE.count([orjson.dumps(params).decode(), orjson.dumps(tags).decode(), run_id])


def _gone(run_id: int) -> Conflict | Missing:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM experiments_run WHERE id = %s", [run_id])
        if cursor.fetchone():
            return Conflict(f"Run {run_id} is deleted; restore it to write to it.", code="run_deleted")
    return Missing(f"There is no run {run_id}.", code="run_missing")
