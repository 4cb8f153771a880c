"""Many curves at once in bounded memory: what a comparison of 1,000 runs draws.

First only numbers of segments are read; then segments, a batch of whole series at a time, each series thinned
before the next batch comes. So memory holds one batch and the thinned points, whatever was logged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db import connection

from . import codec, folding, keys
from .codec import SEGMENT_POINTS, Ints, Points
from .reading import marks
from .thinning import Series, joined, nothing, taken, thinned, whole

BATCH_POINTS = 1_000_000
BATCH_SEGMENTS = 5000
# Above this many points a read takes an even sample of each series' segments, its first and last always in.
MOST_POINTS = 8_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the curves that is looked at.

    Parameters
    ----------
    low, high : float
        Bounds in the axis' unit; a neighbour on each side is kept, so that lines run to the edge.
    by_step : bool
        Bounds are steps, else milliseconds.
    origins : mapping of run id to int
        Milliseconds at which each run's time is zero.
    """

    low: float
    high: float
    by_step: bool = True
    origins: Mapping[int, int] = field(default_factory=dict)

    def cut(self, run_id: int, part: Points) -> Points:
        """Keep what lies inside, and one neighbour on each side."""
        column: Ints = part.steps if self.by_step else part.stamps - self.origins.get(run_id, 0)
        inside = np.flatnonzero((column >= self.low) & (column <= self.high))
        if not len(inside):
            return taken(part, slice(0, 0))
        return taken(part, slice(max(0, inside[0] - 1), inside[-1] + 2))


def bundle(
    run_ids: Sequence[int], names: Sequence[str], *, at_most: int, window: Window | None = None
) -> Iterator[tuple[int, str, Series]]:
    """Yield (run id, name, thinned series); absent pairs are left out.

    Parameters
    ----------
    run_ids : sequence of int
    names : sequence of str
    at_most : int
        Points a series, chosen so that first, last and spikes stay.
    window : Window, optional
        Only this part of the curves.
    """
    key_ids = keys.find(names)
    if not key_ids or not run_ids:
        return
    folding.fold_runs(run_ids)
    back = {number: name for name, number in key_ids.items()}
    for batch in _batches(_sampled(_segments(run_ids, [*key_ids.values()], window))):
        read = _read([segment for ids in batch.values() for segment in ids])
        for (run_id, key_id), ids in batch.items():
            part = joined([read[i] for i in ids if i in read] or [nothing()])
            part = window.cut(run_id, part) if window else part
            if len(part):
                yield run_id, back[key_id], thinned(whole(part), at_most)


_Series = dict[tuple[int, int], list[tuple[int, int]]]  # (run, key) -> (segment, points) in order


def _segments(run_ids: Sequence[int], key_ids: Sequence[int], window: Window | None) -> _Series:
    near, bounds = "", []
    if window is not None and window.by_step:
        # A neighbour outside the window may lie in the segment before or behind; it is drawn when it is in this one.
        near, bounds = " AND last_step >= %s AND first_step <= %s", [window.low, window.high]
    found: _Series = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT run_id, key_id, id, points FROM experiments_metricchunk
                WHERE run_id IN ({marks(run_ids)}) AND key_id IN ({marks(key_ids)}){near}
                ORDER BY run_id, key_id, first_step, id""",
            [*run_ids, *key_ids, *bounds],
        )
        for run_id, key_id, segment, points in cursor.fetchall():
            found.setdefault((run_id, key_id), []).append((segment, points))
    return found


def _sampled(found: _Series) -> _Series:
    total = sum(points for parts in found.values() for _, points in parts)
    if total <= MOST_POINTS:
        return found
    each = max(2, MOST_POINTS // SEGMENT_POINTS // len(found))
    return {
        pair: [parts[i] for i in np.linspace(0, len(parts) - 1, min(each, len(parts))).astype(int)]
        for pair, parts in found.items()
    }


def _batches(found: _Series) -> Iterator[dict[tuple[int, int], list[int]]]:
    batch: dict[tuple[int, int], list[int]] = {}
    points = segments = 0
    for pair, parts in found.items():
        if batch and (points > BATCH_POINTS or segments > BATCH_SEGMENTS):
            yield batch
            batch, points, segments = {}, 0, 0
        batch[pair] = [segment for segment, _ in parts]
        points += sum(n for _, n in parts)
        segments += len(parts)
    if batch:
        yield batch


def _read(segments: Sequence[int]) -> dict[int, Points]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, data FROM experiments_metricchunk WHERE id IN ({marks(segments)})", [*segments]
        )  # fmt: skip
        return {segment: codec.unpack_segment(bytes(data)) for segment, data in cursor.fetchall()}
