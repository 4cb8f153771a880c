"""Folding: blocks of calls become sorted segments and latest values, in one transaction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from mlportal.lib.sql import Among, Statement

from . import codec, kept, packing, points
from .codec import SEGMENT_POINTS, Points
from .turn import writing

# A fold delays the call that is due for it, and those of other loops that this process answers meanwhile: together they
# are to be less than the hundredth of calls by which loops are judged. A reader who comes before folds what waits.
FOLD_AFTER_CALLS = 1024
FOLD_AFTER_POINTS = 2**16
_calls: dict[int, tuple[int, int]] = {}

_LATEST_COLUMNS = "(run_id, key_id, experiment_id, value, is_nan, step, stamp_ms, low, high)"
_NEWER = """(excluded.step, excluded.stamp_ms, excluded.is_nan, excluded.value)
        > (experiments_runmetric.step, experiments_runmetric.stamp_ms,
           experiments_runmetric.is_nan, experiments_runmetric.value)"""
_LOWER = (
    "(excluded.low IS NOT NULL AND (experiments_runmetric.low IS NULL OR excluded.low < experiments_runmetric.low))"
)
_HIGHER = _LOWER.replace("low", "high").replace("<", ">")
_LATEST_WINS = f"""
    ON CONFLICT (run_id, key_id) DO UPDATE
    SET {
    ", ".join(
        f"{name} = CASE WHEN {_NEWER} THEN excluded.{name} ELSE experiments_runmetric.{name} END"
        for name in ("value", "is_nan", "step", "stamp_ms")
    )
},
        low = CASE WHEN {_LOWER} THEN excluded.low ELSE experiments_runmetric.low END,
        high = CASE WHEN {_HIGHER} THEN excluded.high ELSE experiments_runmetric.high END
    WHERE {_NEWER} OR {_LOWER} OR {_HIGHER}
"""
_LATEST_ROWS = f"""
    INSERT INTO experiments_runmetric {_LATEST_COLUMNS} VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) {_LATEST_WINS}
"""
# On PostgreSQL arrays, which it plans once a connection.
_LATEST_ARRAYS = Statement(f"""
    INSERT INTO experiments_runmetric {_LATEST_COLUMNS}
    SELECT %s, k, %s, v, n, s, t, l, h
    FROM unnest(%s::bigint[], %s::float8[], %s::bool[], %s::bigint[], %s::bigint[], %s::float8[], %s::float8[])
      AS rows (k, v, n, s, t, l, h)
    {_LATEST_WINS}
""")
_SEGMENT_COLUMNS = "(run_id, experiment_id, key_id, points, first_step, last_step, data)"
_SEGMENT = f"INSERT INTO experiments_metricchunk {_SEGMENT_COLUMNS} VALUES (%s, %s, %s, %s, %s, %s, %s)"
_SEGMENT_ARRAYS = Statement(f"""
    INSERT INTO experiments_metricchunk {_SEGMENT_COLUMNS}
    SELECT %s, %s, k, p, a, z, d
    FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::bigint[], %s::bytea[]) AS rows (k, p, a, z, d)
""")
_SEGMENTS = Among("SELECT id, data FROM experiments_metricchunk WHERE id IN (%s)")
_GONE = Among("DELETE FROM experiments_metricchunk WHERE id IN (%s)")
_OF_RUN = """
    SELECT c.id, c.experiment_id, c.data FROM experiments_metricchunk c
    WHERE c.experiment_id = (SELECT experiment_id FROM experiments_run WHERE id = %s{})
    AND c.run_id = %s AND c.key_id IS NULL ORDER BY c.id{}
"""
_BLOCKS = Statement(_OF_RUN.format("", ""))
# The run's lock keeps it in its experiment until the segments are written; its row is written at the end. A second
# folder waits for the blocks; it then finds them gone and sees the new segments.
_LOCKED_BLOCKS = Statement(_OF_RUN.format(" FOR NO KEY UPDATE", " FOR UPDATE OF c"), binary=True)
_WAITING = Among("SELECT DISTINCT run_id FROM experiments_metricchunk WHERE experiment_id IN (%s) AND key_id IS NULL")
_WAITING_OF = Among("""
    SELECT r.id FROM experiments_run r WHERE r.id IN (%s) AND (
        SELECT c.id FROM experiments_metricchunk c
        WHERE c.experiment_id = r.experiment_id AND c.run_id = r.id AND c.key_id IS NULL LIMIT 1
    ) IS NOT NULL
""")


def count_call(run_id: int, size: int) -> bool:
    """Count a log call of this process with so many points; say whether the run is due for folding."""
    calls, held = _calls.get(run_id, (0, 0))
    calls, held = calls + 1, held + size
    if calls < FOLD_AFTER_CALLS and held < FOLD_AFTER_POINTS:
        if len(_calls) > 10_000:
            _calls.clear()  # only delays folding: reads fold what they need
        _calls[run_id] = (calls, held)
        return False
    _calls.pop(run_id, None)
    return True


def fold(run_id: int) -> int:
    """Fold all blocks of one run.

    Returns
    -------
    int
        Blocks folded; 0 when another writer was faster or there was nothing.
    """
    with writing():
        blocks = _locked_blocks(run_id)
        if not blocks:
            return 0
        experiment_id = blocks[0][1]
        fresh = points.merged(codec.unpack_blocks([bytes(data) for _, _, data in blocks]))
        series = dict(points.by_key(fresh))
        _write_segments(run_id, experiment_id, series, [row[0] for row in blocks])
        _write_latest(run_id, experiment_id, series)
        packing.pack(run_id)
        kept.refresh([run_id], experiment_id, series)
        return len(blocks)


def fold_experiment(experiment_id: int) -> None:
    """Fold what is not folded yet in one experiment, so that a read shows all that was acknowledged."""
    fold_experiments([experiment_id])


def fold_experiments(experiment_ids: Sequence[int]) -> None:
    """Fold what is not folded yet in several experiments, found by one query."""
    _fold_all([row[0] for row in _WAITING.of(experiment_ids)])


def fold_runs(run_ids: Iterable[int]) -> None:
    """Fold what is not folded yet of these runs."""
    _fold_all([row[0] for row in _WAITING_OF.of(run_ids)])


def _fold_all(run_ids: list[int]) -> None:
    if not run_ids:
        return
    with writing():  # one transaction: one wait for the disk
        for run_id in sorted(run_ids):
            fold(run_id)


def _locked_blocks(run_id: int) -> list[tuple[int, int, bytes]]:
    return (_LOCKED_BLOCKS if connection.vendor == "postgresql" else _BLOCKS).rows([run_id, run_id])


def _write_segments(run_id: int, experiment_id: int, series: dict[int, Points], block_ids: list[int]) -> None:
    absorbed = _tails(run_id, series)
    gone = list(block_ids)
    rows: list[tuple[int, int, int, int, bytes]] = []
    for key_id, fresh in series.items():
        tails = absorbed.get(key_id, [])
        gone.extend(chunk_id for chunk_id, _ in tails)
        whole = points.merged([fresh, *(part for _, part in tails)]) if tails else fresh
        rows.extend(
            (key_id, len(p), int(p.steps[0]), int(p.steps[-1]), codec.pack_segment(p)) for p in points.pieces(whole)
        )
    _GONE.count_of(gone)
    if connection.vendor == "postgresql":
        _SEGMENT_ARRAYS.count([run_id, experiment_id, *_columns(rows)])
        return
    with connection.cursor() as cursor:
        cursor.executemany(_SEGMENT, [(run_id, experiment_id, *row) for row in rows])


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _tails(run_id: int, series: dict[int, Points]) -> dict[int, list[tuple[int, Points]]]:
    """Choose the small newest segments that the fresh points swallow.

    A segment is swallowed while it is at most twice as long as what has been gathered, so each point
    is rewritten about log2 times and a series has few short segments.
    """
    small = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT key_id, id, points FROM experiments_metricchunk
               WHERE run_id = %s AND key_id IS NOT NULL AND points < %s ORDER BY id DESC""",
            [run_id, SEGMENT_POINTS],
        )
        for key_id, chunk_id, length in cursor.fetchall():
            small[key_id].append((chunk_id, length))
    chosen: dict[int, int] = {}
    for key_id, fresh in series.items():
        gathered = len(fresh)
        for chunk_id, length in small.get(key_id, ()):
            if length > 2 * gathered:
                break
            chosen[chunk_id] = key_id
            gathered += length
    return _read_segments(chosen)


def _read_segments(chosen: dict[int, int]) -> dict[int, list[tuple[int, Points]]]:
    found = defaultdict(list)
    for chunk_id, data in _SEGMENTS.of(sorted(chosen)):
        found[chosen[chunk_id]].append((chunk_id, codec.unpack_segment(bytes(data))))
    return found


def _write_latest(run_id: int, experiment_id: int, series: dict[int, Points]) -> None:
    rows = []
    for key_id, part in sorted(series.items()):
        step, stamp, value = points.last(part)
        nan = math.isnan(value)
        rows.append((key_id, 0.0 if nan else value, nan, step, stamp, *points.bounds(part)))
    if connection.vendor == "postgresql":
        _LATEST_ARRAYS.count([run_id, experiment_id, *_columns(rows)])
        return
    with connection.cursor() as cursor:
        cursor.executemany(_LATEST_ROWS, [(run_id, row[0], experiment_id, *row[1:]) for row in rows])
