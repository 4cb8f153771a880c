"""The whole history of one metric by time, in pieces: never more in memory than overlaps in time.

Segments are kept by step. Clients read a history by timestamp, so first the span of each segment is looked
up from its first bytes; then segments are read as the sweep over time reaches them, and what no later
segment can precede is given out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from django.db import connection

from . import codec, folding, keys
from .codec import Floats, Ints, Points

READ_AT_ONCE = 16
Place = tuple[int, int, float]
"""(timestamp, step, value) of a point; a point of one metric is nothing else."""


@dataclass(frozen=True, slots=True)
class History:
    """A history that can be read in pieces; ``points`` is how many it has at most."""

    points: int
    _spans: list[tuple[int, int, int]]
    _after: Place | None

    def pieces(self) -> Iterator[Points]:
        """Yield points ordered by timestamp, step, value (NaN last), those behind the place asked for."""
        for piece in _swept(self._spans):
            part = piece if self._after is None else _behind(piece, self._after)
            if len(part):
                yield part


def history(run_id: int, name: str, *, after: Place | None = None) -> History:
    """Look up one metric of one run.

    Parameters
    ----------
    run_id : int
    name : str
    after : Place, optional
        Only points behind this one.
    """
    folding.fold_runs([run_id])
    key_id = keys.find([name]).get(name, -1)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT substr(data, 1, %s), id, points FROM experiments_metricchunk
               WHERE run_id = %s AND key_id = %s""",
            [codec.SPAN_BYTES, run_id, key_id],
        )
        rows = cursor.fetchall()
    spans = sorted((*codec.stamp_span(bytes(head)), chunk_id) for head, chunk_id, _ in rows)
    if after is not None:
        spans = [span for span in spans if span[1] >= after[0]]
    return History(sum(row[2] for row in rows), spans, after)


def _swept(spans: list[tuple[int, int, int]]) -> Iterator[Points]:
    """Read segments by their earliest timestamp; yield what is complete."""
    open_part: Points | None = None
    for start in range(0, len(spans), READ_AT_ONCE):
        batch = spans[start : start + READ_AT_ONCE]
        read = _read([chunk_id for _, _, chunk_id in batch])
        for at, (_, _, chunk_id) in enumerate(batch, start):
            fresh = read[chunk_id]
            part = fresh if open_part is None else _joined(open_part, fresh)
            part = _by_time(part)
            # What has the timestamp at which the next segment starts may still get company.
            stop = len(part) if at + 1 == len(spans) else int(np.searchsorted(part.stamps, spans[at + 1][0]))
            if stop:
                yield _cut(part, slice(0, stop))
            open_part = _cut(part, slice(stop, None)) if stop < len(part) else None


def _read(chunk_ids: list[int]) -> dict[int, Points]:
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(chunk_ids))
        cursor.execute(f"SELECT id, data FROM experiments_metricchunk WHERE id IN ({marks})", chunk_ids)
        return {chunk_id: codec.unpack_segment(bytes(data)) for chunk_id, data in cursor.fetchall()}


def _by_time(part: Points) -> Points:
    later = part.stamps[1:] > part.stamps[:-1]
    if (later | ((part.stamps[1:] == part.stamps[:-1]) & (part.steps[1:] > part.steps[:-1]))).all():
        return part  # by step as it was kept, and so by time as well
    part = _cut(part, np.lexsort([part.values, part.steps, part.stamps]))
    return _cut(part, _first_of_equals(part))


def _first_of_equals(part: Points) -> np.ndarray:
    """Mark all but repeated points: a point that came again may lie in two segments."""
    values = part.values
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    same &= (part.stamps[1:] == part.stamps[:-1]) & (part.steps[1:] == part.steps[:-1])
    return np.concatenate([np.ones(min(len(values), 1), bool), ~same])


def _behind(part: Points, place: Place) -> Points:
    stamp, step, value = place
    later = np.zeros(len(part), bool) if np.isnan(value) else (part.values > value) | np.isnan(part.values)
    keep = (part.stamps > stamp) | (
        (part.stamps == stamp) & ((part.steps > step) | ((part.steps == step) & later))
    )  # fmt: skip
    return _cut(part, keep)


def _joined(first: Points, second: Points) -> Points:
    columns = [np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("steps", "stamps", "values")]
    return Points(first.keys, *columns)


def _cut(part: Points, chosen: slice | Ints | Floats | np.ndarray) -> Points:
    return Points(part.keys, part.steps[chosen], part.stamps[chosen], part.values[chosen])
