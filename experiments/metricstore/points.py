"""Order and identity of metric points, in numpy: what folding and reading agree on.

A point is (key, step, timestamp, value). Points are ordered by exactly these, NaN after every
number, and two equal points are one point. So the latest point of a key is the last in this
order, whatever the order in which calls arrived.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .codec import SEGMENT_POINTS, Points


def merged(parts: Sequence[Points]) -> Points:
    """Join parts into one sorted set of points.

    Parameters
    ----------
    parts : sequence of Points
        All with keys, or all without.

    Returns
    -------
    Points
        Sorted by key, step, timestamp, value; each point once.
    """
    keys = np.concatenate([p.keys for p in parts])
    steps = np.concatenate([p.steps for p in parts])
    stamps = np.concatenate([p.stamps for p in parts])
    values = np.concatenate([p.values for p in parts])
    columns = [values, stamps, steps]  # lexsort: last is first; numpy sorts NaN after all numbers
    order = np.lexsort([*columns, keys] if len(keys) else columns)
    keys = keys[order] if len(keys) else keys
    steps, stamps, values = steps[order], stamps[order], values[order]
    keep = _first_of_each(keys, steps, stamps, values)
    return Points(keys[keep] if len(keys) else keys, steps[keep], stamps[keep], values[keep])


def by_key(points: Points) -> Iterator[tuple[int, Points]]:
    """Split sorted points into one series per key, in key order."""
    starts = np.flatnonzero(np.diff(points.keys, prepend=points.keys[:1] - 1)) if len(points) else []  # type: ignore[var-annotated]
    for start, stop in zip(starts, [*starts[1:], len(points)], strict=True):
        yield int(points.keys[start]), _slice(points, start, stop)


def pieces(series: Points) -> Iterator[Points]:
    """Cut one key's series into parts of at most `SEGMENT_POINTS` points."""
    for start in range(0, len(series), SEGMENT_POINTS):
        yield _slice(series, start, start + SEGMENT_POINTS)


def last(series: Points) -> tuple[int, int, float]:
    """Return (step, timestamp, value) of the latest point of one key's sorted series."""
    return int(series.steps[-1]), int(series.stamps[-1]), float(series.values[-1])


def bounds(series: Points) -> tuple[float | None, float | None]:
    """Return the least and the greatest number of one key's series, None when all its values are NaN."""
    # The unbound calls pass over NaN and cost a fifth of numpy's nanmin, which counts for 10,000 short series.
    low, high = float(np.fmin.reduce(series.values)), float(np.fmax.reduce(series.values))
    return (None, None) if math.isnan(low) else (low, high)


def _slice(points: Points, start: int, stop: int) -> Points:
    part = slice(start, stop)
    none = np.empty(0, np.int32)
    return Points(none, points.steps[part], points.stamps[part], points.values[part])


def _first_of_each(
    keys: NDArray[np.int32],
    steps: NDArray[np.int64],
    stamps: NDArray[np.int64],
    values: NDArray[np.float64],
) -> NDArray[np.bool_]:
    keep = np.ones(len(steps), bool)
    same = (steps[1:] == steps[:-1]) & (stamps[1:] == stamps[:-1])
    same &= values.view(np.int64)[1:] == values.view(np.int64)[:-1]  # bits, so that NaN equals NaN
    if len(keys):
        same &= keys[1:] == keys[:-1]
    keep[1:] = ~same
    return keep
