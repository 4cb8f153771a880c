"""Fewer points of a series: an even sample, or the ones that a picture needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from tsdownsample import MinMaxLTTBDownsampler

from . import points
from .codec import Floats, Ints, Points

SPARK_POINTS = 24


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one metric of one run in order; ``total`` counts them before thinning."""

    steps: Ints
    stamps: Ints
    values: Floats
    total: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Points of a series to choose from, and the place of each in the series: all of them, or some of a long one."""

    points: Points
    places: Ints

    @property
    def total(self) -> int:
        """How many points the series has; its last one is always among those to choose from."""
        return int(self.places[-1]) + 1 if len(self.places) else 0


def joined(parts: Sequence[Points]) -> Points:
    """Put sorted parts together; parts that overlap are sorted anew, each point once."""
    if len(parts) == 1:
        return parts[0]
    if not all(a.steps[-1] < b.steps[0] for a, b in pairwise(parts)):
        return points.merged(parts)
    none = np.empty(0, np.int32)
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in ("steps", "stamps", "values")]
    return Points(none, *columns)


def whole(part: Points) -> Choice:
    """Return all points of a series as a choice."""
    return Choice(part, np.arange(len(part), dtype=np.int64))


def nothing() -> Points:
    """Return a series without points."""
    ints = np.empty(0, np.int64)
    return Points(np.empty(0, np.int32), ints, ints, np.empty(0))


def taken(part: Points, kept: slice | Ints | np.ndarray) -> Points:
    """Return some points of a series."""
    return Points(part.keys, part.steps[kept], part.stamps[kept], part.values[kept])


def thinned(choice: Choice, at_most: int | None) -> Series:
    """Keep about `at_most` points by MinMaxLTTB: first, last and spikes stay."""
    part = choice.points
    if at_most is not None and len(part) > max(at_most, 3):
        part = taken(part, _kept(part.values, at_most, None if len(part) == choice.total else choice.places))
    return Series(part.steps, part.stamps, part.values, choice.total)


def spread(choice: Choice, at_most: int, span: tuple[int, int] | None) -> Points:
    """Keep an even sample of at most so many points, the first and the last one in the span of steps always in."""
    part, places = choice.points, choice.places
    if span is not None:
        start, stop = np.searchsorted(part.steps, span[0], "left"), np.searchsorted(part.steps, span[1], "right")
        part, places = taken(part, slice(start, stop)), places[start:stop]
    if len(places) == 0 or places[-1] - places[0] < at_most:
        return part
    wanted = np.linspace(places[0], places[-1], at_most).astype(int) if at_most > 1 else places[-1:]
    behind = np.searchsorted(places, wanted)
    before = np.maximum(behind - 1, 0)
    return taken(part, np.unique(np.where(wanted - places[before] < places[behind] - wanted, before, behind)))


def spark(part: Points) -> list[float]:
    """Return at most 24 finite values for a small line."""
    values = part.values[np.isfinite(part.values)]
    if len(values) > SPARK_POINTS:
        values = values[np.sort(_kept(values, SPARK_POINTS, None))]
    return values.tolist()


def _kept(values: Floats, at_most: int, places: Ints | None) -> np.ndarray:
    """Choose points by MinMaxLTTB; points that are no number take the value before them for the choice."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.linspace(0, len(values) - 1, at_most).astype(int)
    last_good = np.maximum.accumulate(np.where(finite, np.arange(len(values)), 0))
    filled = np.ascontiguousarray(np.where(finite[last_good], values[last_good], values[finite][0]))
    given = (filled,) if places is None else (np.ascontiguousarray(places), filled)
    return MinMaxLTTBDownsampler().downsample(*given, n_out=max(at_most, 3))
