"""Reading: latest values and series of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from django.db import connection

from mlportal.lib.sql import Among

from . import codec, folding, glances, keys, placing
from .codec import Points
from .thinning import Choice, Series, joined, nothing, spark, spread, thinned, whole

SPARK_SEGMENTS = 6
# A series of this many times the points asked for is read by glances, whose points lie 64 apart.
GLANCED_TIMES = 128
_LATEST = """
    SELECT m.run_id, k.name, m.value, m.is_nan, m.step, m.stamp_ms, m.low, m.high
    FROM experiments_runmetric m JOIN experiments_key k ON k.id = m.key_id
"""
_ALL_LATEST = Among(f"{_LATEST} WHERE m.run_id IN (%s) ORDER BY k.name")


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest point of a metric; ``low`` and ``high`` are over all its points but NaN."""

    value: float
    step: int
    stamp_ms: int
    low: float | None = None
    high: float | None = None


def latest(run_ids: Iterable[int], names: Iterable[str] | None = None) -> dict[int, dict[str, Latest]]:
    """Return the latest point of each metric of each run.

    Parameters
    ----------
    run_ids : iterable of int
    names : iterable of str, optional
        Only these metrics.
    """
    wanted = list(run_ids)
    found: dict[int, dict[str, Latest]] = {run_id: {} for run_id in wanted}
    key_ids = None if names is None else keys.find(names)
    if not wanted or key_ids == {}:
        return found
    folding.fold_runs(wanted)
    for run_id, name, value, is_nan, *rest in _latest_rows(wanted, key_ids):
        found[run_id][name] = Latest(float("nan") if is_nan else value, *rest)
    return found


def _latest_rows(run_ids: list[int], key_ids: dict[str, int] | None) -> list[tuple[Any, ...]]:
    if key_ids is None:
        return _ALL_LATEST.of(run_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_LATEST} WHERE m.run_id IN ({marks(run_ids)}) AND m.key_id IN ({marks(key_ids)}) ORDER BY k.name",
            [*run_ids, *key_ids.values()],
        )
        return cursor.fetchall()


def series(run_id: int, name: str, *, at_most: int | None = None) -> Series:
    """Return one metric of one run, whole or thinned."""
    return many_series([run_id], [name], at_most=at_most).get((run_id, name)) or thinned(whole(nothing()), None)


def many_series(
    run_ids: Sequence[int], names: Sequence[str], *, at_most: int | None = None
) -> dict[tuple[int, str], Series]:
    """Return several metrics of several runs in one query; absent pairs are left out.

    Parameters
    ----------
    run_ids : sequence of int
    names : sequence of str
    at_most : int, optional
        Thin each series to about this many points, keeping first, last and spikes.
    """
    key_ids = keys.find(names)
    back = {number: name for name, number in key_ids.items()}
    return {
        (run_id, back[key_id]): thinned(choice, at_most)
        for (run_id, key_id), choice in _choices(run_ids, [*back], at_most)
    }


def sampled(run_ids: Sequence[int], name: str, at_most: int, span: tuple[int, int] | None = None) -> dict[int, Points]:
    """Return an even sample of one metric of each run, its first and last point always in.

    Parameters
    ----------
    run_ids : sequence of int
    name : str
    at_most : int
        Points of each run; one is the last point.
    span : (first step, last step), optional
        Only points of these steps.
    """
    found = _choices(run_ids, [*keys.find([name]).values()], at_most, span=span, even=True)
    return {run_id: spread(choice, at_most, span) for (run_id, _), choice in found}


def _choices(
    run_ids: Sequence[int],
    key_ids: Sequence[int],
    at_most: int | None,
    *,
    span: tuple[int, int] | None = None,
    even: bool = False,
) -> Iterator[tuple[tuple[int, int], Choice]]:
    """Read what the points of each series are to be chosen from: of long ones mostly the glances at their segments."""
    if not key_ids or not run_ids:
        return
    folding.fold_runs(run_ids)
    for pair, rows in groupby(_segments(run_ids, key_ids, at_most, span), key=lambda row: row[:2]):
        choice = _choice([*rows], even=even)
        if choice is None:  # glances of segments that overlap cannot be put in order
            choice = _choice(_segments([pair[0]], [pair[1]], None, span), even=even)
        yield pair, choice or whole(nothing())


def _segments(
    run_ids: Sequence[int], key_ids: Sequence[int], at_most: int | None, span: tuple[int, int] | None
) -> list[tuple[int, int, int, int, int, int, bytes]]:
    """Return (run, key, points, first step, last step, whether it is a glance, bytes) of segments, in order.

    Of long series only the first and the last segment are read whole, so that the ends are exact.
    """
    few = [at_most * GLANCED_TIMES if at_most else 2**62, glances.GLANCED_FROM]
    inside = "" if span is None else " AND c.last_step >= %s AND c.first_step <= %s"
    given = [*run_ids, *key_ids, *(span or ())]
    where = f"c.run_id IN ({marks(run_ids)}) AND c.key_id IN ({marks(key_ids)}){inside}"
    glanced = "s.total >= %s AND c.points >= %s AND c.first_step > s.low AND c.last_step < s.high"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT c.run_id, c.key_id, c.points, c.first_step, c.last_step, CASE WHEN {glanced} THEN 1 ELSE 0 END,
                       CASE WHEN {glanced} THEN substr(c.data, 1, %s) ELSE c.data END
                FROM (SELECT c.run_id, c.key_id, sum(c.points) AS total, min(c.first_step) AS low,
                             max(c.last_step) AS high
                      FROM experiments_metricchunk c WHERE {where} GROUP BY c.run_id, c.key_id) s
                JOIN experiments_metricchunk c ON c.run_id = s.run_id AND c.key_id = s.key_id
                WHERE {where} ORDER BY c.run_id, c.key_id, c.first_step, c.id""",
            [*few, *few, codec.GLANCE_BYTES, *given, *given],
        )
        return cursor.fetchall()


def _choice(rows: Sequence[tuple[int, int, int, int, int, int, bytes]], *, even: bool) -> Choice | None:
    """Put the segments of a series together, None where they overlap and some were only to be glanced at."""
    if not any(row[5] for row in rows):
        return whole(joined([codec.unpack_segment(bytes(row[6])) for row in rows] or [nothing()]))
    if any(before[4] >= behind[3] for before, behind in pairwise(rows)):
        return None
    parts, places, gone = [], [], 0
    for _, _, count, _, _, is_glance, data in rows:
        part = _glance(bytes(data), even=even) if is_glance else whole(codec.unpack_segment(bytes(data)))
        if part is None:
            return None
        parts.append(part.points)
        places.append(part.places + gone)
        gone += count
    return Choice(joined(parts), np.concatenate(places))


def _glance(data: bytes, *, even: bool) -> Choice | None:
    found = codec.glance(data)
    if found is None:
        return None
    some = found[0 if even else 1]
    return Choice(Points(np.empty(0, np.int32), some["step"], some["stamp"], some["value"]), some["at"])


def sparks(run_ids: Sequence[int], names: Sequence[str]) -> dict[tuple[int, str], list[float]]:
    """Return at most 24 finite values per run and metric for a small line, by one query.

    Of a long series evenly spread parts are read, the last one always.
    """
    key_ids = keys.find(names)
    if not key_ids or not run_ids:
        return {}
    folding.fold_runs(run_ids)
    parts: dict[tuple[int, int], list[Points]] = defaultdict(list)
    with connection.cursor() as cursor:
        # The bytes are joined behind the choice, so that a database does not carry those that are not chosen.
        cursor.execute(
            f"""SELECT c.run_id, c.key_id, c.data FROM (
                  SELECT id, row_number() OVER series AS at, count(*) OVER (PARTITION BY run_id, key_id) AS parts
                  FROM experiments_metricchunk
                  WHERE run_id IN ({marks(run_ids)}) AND key_id IN ({marks(key_ids)})
                  WINDOW series AS (PARTITION BY run_id, key_id ORDER BY first_step, id)
                ) s JOIN experiments_metricchunk c ON c.id = s.id
                WHERE s.at = 1 OR s.at * {SPARK_SEGMENTS} / s.parts <> (s.at - 1) * {SPARK_SEGMENTS} / s.parts
                ORDER BY c.run_id, c.key_id, c.first_step, c.id""",
            [*run_ids, *key_ids.values()],
        )
        for run_id, key_id, data in cursor.fetchall():
            parts[run_id, key_id].append(codec.unpack_segment(bytes(data)))
    back = {number: name for name, number in key_ids.items()}
    return {(run_id, back[key_id]): spark(joined(part)) for (run_id, key_id), part in parts.items()}


def at_step(run_ids: Sequence[int], names: Sequence[str], step: int) -> dict[tuple[int, str], float]:
    """Return the value that each metric of each run had at a step: the last one logged there or before.

    Of a series only the parts are read that may hold it. A metric that never came so far still has the last value
    it had; the caller knows its last step.
    """
    key_ids = keys.find(names)
    if not key_ids or not run_ids:
        return {}
    folding.fold_runs(run_ids)
    back = {number: name for name, number in key_ids.items()}
    return {(run, back[key]): value for (run, key), value in placing.values_at(run_ids, [*back], step).items()}


def marks(items: Iterable[object]) -> str:
    """Return a mark for each value of a statement."""
    return ", ".join(["%s"] * len(list(items)))
