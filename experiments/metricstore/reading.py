"""Reading: latest values and series of runs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from django.db import connection
from tsdownsample import MinMaxLTTBDownsampler

from . import codec, folding, keys, points
from .codec import Floats, Ints, Points

SPARK_POINTS = 24
SPARK_SEGMENTS = 6


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest point of a metric; ``low`` and ``high`` are over all its points but NaN."""

    value: float
    step: int
    stamp_ms: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one metric of one run in order; ``total`` counts them before thinning."""

    steps: Ints
    stamps: Ints
    values: Floats
    total: int


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
    only = "" if key_ids is None else f" AND m.key_id IN ({_marks(key_ids)})"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT m.run_id, k.name, m.value, m.is_nan, m.step, m.stamp_ms, m.low, m.high
                FROM experiments_runmetric m JOIN experiments_key k ON k.id = m.key_id
                WHERE m.run_id IN ({_marks(wanted)}){only} ORDER BY k.name""",
            [*wanted, *(key_ids or {}).values()],
        )
        for run_id, name, value, is_nan, *rest in cursor.fetchall():
            found[run_id][name] = Latest(float("nan") if is_nan else value, *rest)
    return found


def latest_rows(run_ids: Sequence[int]) -> Iterator[tuple[int, str, float, bool, int, int]]:
    """Yield (run id, name, value, is NaN, step, timestamp) of the latest points of folded runs, in no order.

    For pages of many runs: it makes no objects and looks names up in the process.
    """
    if not run_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT run_id, key_id, value, is_nan, step, stamp_ms FROM experiments_runmetric
                WHERE run_id IN ({_marks(run_ids)})""",
            [*run_ids],
        )
        rows = cursor.fetchall()
    names = keys.names({row[1] for row in rows})
    for run_id, key_id, value, is_nan, step, stamp in rows:
        yield run_id, names[key_id], value, is_nan, step, stamp


def series(run_id: int, name: str, *, at_most: int | None = None) -> Series:
    """Return one metric of one run, whole or thinned."""
    return many_series([run_id], [name], at_most=at_most).get((run_id, name)) or _thinned(_nothing(), None)


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
    if not key_ids or not run_ids:
        return {}
    folding.fold_runs(run_ids)
    parts: dict[tuple[int, int], list[Points]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT run_id, key_id, data FROM experiments_metricchunk
                WHERE run_id IN ({_marks(run_ids)}) AND key_id IN ({_marks(key_ids)})
                ORDER BY run_id, key_id, first_step, id""",
            [*run_ids, *key_ids.values()],
        )
        for run_id, key_id, data in cursor.fetchall():
            parts[run_id, key_id].append(codec.unpack_segment(bytes(data)))
    back = {number: name for name, number in key_ids.items()}
    return {(run, back[key]): _thinned(_joined(part), at_most) for (run, key), part in parts.items()}


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
    key_id = keys.find([name]).get(name)
    if key_id is None or not run_ids:
        return {}
    folding.fold_runs(run_ids)
    inside = "" if span is None else " AND last_step >= %s AND first_step <= %s"
    parts: dict[int, list[Points]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT run_id, data FROM experiments_metricchunk
                WHERE run_id IN ({_marks(run_ids)}) AND key_id = %s{inside} ORDER BY run_id, first_step, id""",
            [*run_ids, key_id, *(span or ())],
        )
        for run_id, data in cursor.fetchall():
            parts[run_id].append(codec.unpack_segment(bytes(data)))
    return {run_id: _spread(_joined(part), at_most, span) for run_id, part in parts.items()}


def _spread(part: Points, at_most: int, span: tuple[int, int] | None) -> Points:
    start, stop = 0, len(part)
    if span is not None:
        start = int(np.searchsorted(part.steps, span[0], "left"))
        stop = int(np.searchsorted(part.steps, span[1], "right"))
    if stop - start <= at_most:
        chosen = np.arange(start, stop)
    elif at_most == 1:
        chosen = np.array([stop - 1])
    else:
        chosen = np.linspace(start, stop - 1, at_most).astype(int)
    return Points(part.keys, part.steps[chosen], part.stamps[chosen], part.values[chosen])


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
                  WHERE run_id IN ({_marks(run_ids)}) AND key_id IN ({_marks(key_ids)})
                  WINDOW series AS (PARTITION BY run_id, key_id ORDER BY first_step, id)
                ) s JOIN experiments_metricchunk c ON c.id = s.id
                WHERE s.at = 1 OR s.at * {SPARK_SEGMENTS} / s.parts <> (s.at - 1) * {SPARK_SEGMENTS} / s.parts
                ORDER BY c.run_id, c.key_id, c.first_step, c.id""",
            [*run_ids, *key_ids.values()],
        )
        for run_id, key_id, data in cursor.fetchall():
            parts[run_id, key_id].append(codec.unpack_segment(bytes(data)))
    back = {number: name for name, number in key_ids.items()}
    return {(run_id, back[key_id]): _spark(_joined(part)) for (run_id, key_id), part in parts.items()}


def at_step(run_ids: Sequence[int], names: Sequence[str], step: int) -> dict[tuple[int, str], float]:
    """Return the value that each metric of each run had at a step: the last one logged there or before.

    Of a series only the parts are read that may hold it. A metric that never came so far still has the last value
    it had; the caller knows its last step.
    """
    key_ids = keys.find(names)
    if not key_ids or not run_ids:
        return {}
    folding.fold_runs(run_ids)
    found: dict[tuple[int, int], tuple[int, int, bool, float]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT c.run_id, c.key_id, c.data FROM (
                  SELECT id, last_step, max(CASE WHEN last_step <= %s THEN last_step END)
                    OVER (PARTITION BY run_id, key_id) AS near
                  FROM experiments_metricchunk
                  WHERE run_id IN ({_marks(run_ids)}) AND key_id IN ({_marks(key_ids)}) AND first_step <= %s
                ) s JOIN experiments_metricchunk c ON c.id = s.id WHERE s.last_step > %s OR s.last_step = s.near""",
            [step, *run_ids, *key_ids.values(), step, step],
        )
        for run_id, key_id, data in cursor.fetchall():
            place = _point_at(codec.unpack_segment(bytes(data)), step)
            found[run_id, key_id] = max(place, found.get((run_id, key_id), place))
    back = {number: name for name, number in key_ids.items()}
    return {(run, back[key]): math.nan if nan else value for (run, key), (_, _, nan, value) in found.items()}


def _point_at(part: Points, step: int) -> tuple[int, int, bool, float]:
    """The latest point of a sorted part at a step or before, as what compares."""
    at = int(np.searchsorted(part.steps, step, "right")) - 1
    value = float(part.values[at])
    nan = math.isnan(value)
    return int(part.steps[at]), int(part.stamps[at]), nan, 0.0 if nan else value


def _joined(parts: list[Points]) -> Points:
    ordered = all(a.steps[-1] < b.steps[0] for a, b in pairwise(parts))
    if len(parts) == 1:
        return parts[0]
    if not ordered:
        return points.merged(parts)
    none = np.empty(0, np.int32)
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in ("steps", "stamps", "values")]
    return Points(none, *columns)


def _thinned(part: Points, at_most: int | None) -> Series:
    total = len(part)
    if at_most is None or total <= max(at_most, 3):
        return Series(part.steps, part.stamps, part.values, total)
    keep = _kept(part.values, at_most)
    return Series(part.steps[keep], part.stamps[keep], part.values[keep], total)


def _kept(values: Floats, at_most: int) -> np.ndarray:
    """Choose points by MinMaxLTTB; points that are no number take the value before them for the choice."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.linspace(0, len(values) - 1, at_most).astype(int)
    last_good = np.maximum.accumulate(np.where(finite, np.arange(len(values)), 0))
    filled = np.where(finite[last_good], values[last_good], values[finite][0])
    return MinMaxLTTBDownsampler().downsample(np.ascontiguousarray(filled), n_out=max(at_most, 3))


def _spark(part: Points) -> list[float]:
    values = part.values[np.isfinite(part.values)]
    if len(values) > SPARK_POINTS:
        values = values[np.sort(_kept(values, SPARK_POINTS))]
    return values.tolist()


def _nothing() -> Points:
    ints = np.empty(0, np.int64)
    return Points(np.empty(0, np.int32), ints, ints, np.empty(0))


def _marks(items: Iterable[object]) -> str:
    return ", ".join(["%s"] * len(list(items)))
