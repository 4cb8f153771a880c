"""A glance at a long segment: some of its points, readable without the rest.

A picture of a million points shows a thousand. Inflating all their 245 segments takes 0.2 s, so each long segment
has some of its points in front: evenly spread ones, its last, and the least and the greatest number of each
stretch, so that no spike is lost. They are copies; the segment behind them is whole.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

GLANCED_FROM = 1024
EVEN_EVERY = 64
STRETCH = 256
_HEADER = struct.Struct("<IHH")  # checksum of the rest, evenly spread points, all points
# Place in the segment, step, timestamp, value.
POINT = np.dtype([("at", "<i8"), ("step", "<i8"), ("stamp", "<i8"), ("value", "<f8")])
Glance = NDArray[np.void]


def room(points: int) -> int:
    """Return the most bytes that the glance at so many points takes."""
    return _HEADER.size + POINT.itemsize * (points // EVEN_EVERY + 2 + 2 * (points // STRETCH + 1))


def pack(steps: NDArray[np.int64], stamps: NDArray[np.int64], values: NDArray[np.float64]) -> bytes:
    """Choose points of a sorted series and pack them, the evenly spread ones first."""
    even = np.unique([*range(0, len(values), EVEN_EVERY), len(values) - 1])
    at = np.concatenate([even, np.setdiff1d(_extremes(values), even)])
    chosen = np.empty(len(at), POINT)
    chosen["at"], chosen["step"], chosen["stamp"], chosen["value"] = at, steps[at], stamps[at], values[at]
    body = chosen.tobytes()
    return _HEADER.pack(zlib.crc32(body), len(even), len(at)) + body


def size(data: memoryview) -> int:
    """Return how many bytes the glance takes at the start of some bytes."""
    return _HEADER.size + POINT.itemsize * int(_HEADER.unpack_from(data)[2])


def unpack(data: memoryview) -> tuple[Glance, Glance] | None:
    """Return the evenly spread points and all points, each in order; None when the bytes were damaged."""
    checksum, even, count = _HEADER.unpack_from(data)
    body = data[_HEADER.size : _HEADER.size + POINT.itemsize * count]
    if len(body) != POINT.itemsize * count or zlib.crc32(body) != checksum:
        return None
    found = np.frombuffer(body, POINT)
    return found[:even], found[np.argsort(found["at"])]


def _extremes(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places of the least and the greatest finite number of each stretch."""
    starts = np.arange(0, len(values), STRETCH)
    padded = np.full(len(starts) * STRETCH, np.nan)
    padded[: len(values)] = np.where(np.isfinite(values), values, np.nan)
    rows = padded.reshape(-1, STRETCH)
    known = ~np.isnan(rows).all(axis=1)
    rows, starts = rows[known], starts[known]
    if not len(rows):
        return starts
    return np.concatenate([starts + np.nanargmin(rows, axis=1), starts + np.nanargmax(rows, axis=1)])
