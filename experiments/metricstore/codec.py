"""Byte forms of metric points: the raw block of one call and the folded segment of one key.

A block is what a log call writes: fixed-width columns, no compression, so that writing costs one copy.
A segment is what folding leaves: one key, sorted, delta-coded, byte-shuffled and deflated.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_HEADER = struct.Struct("<2sBxI")
BLOCK_MAGIC = b"mb"
SEGMENT_MAGIC = b"ms"
FORMAT = 1
SEGMENT_POINTS = 4096
_KEY_BYTES = 4
_POINT_BYTES = _KEY_BYTES + 3 * 8

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Keys = NDArray[np.int32]


class DamagedChunk(ValueError):
    """Stored metric bytes that do not decode; the run's other chunks stay readable."""


@dataclass(frozen=True, slots=True)
class Points:
    """Columns of metric points, all of one length; ``keys`` is empty for a single-key series."""

    keys: Keys
    steps: Ints
    stamps: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)


def clean_values(values: Floats) -> Floats:
    """Give equal numbers equal bytes: one NaN pattern and no negative zero.

    Parameters
    ----------
    values : array of float64, shape (n,)

    Returns
    -------
    array of float64, shape (n,)
        A new array; infinities and all other numbers are untouched.
    """
    out = np.asarray(values, dtype="<f8") + 0.0  # -0.0 + 0.0 is 0.0
    out[np.isnan(out)] = np.nan
    return out


def pack_block(points: Points) -> bytes:
    """Pack the points of one log call in the order they came.

    Parameters
    ----------
    points : Points
        With ``keys`` filled.

    Returns
    -------
    bytes
        Header of 8 bytes, then keys (int32), steps, stamps (int64) and values (float64), little endian.
    """
    head = BLOCK_HEADER.pack(BLOCK_MAGIC, FORMAT, len(points))
    return b"".join(
        (
            head,
            np.ascontiguousarray(points.keys, "<i4").tobytes(),
            np.ascontiguousarray(points.steps, "<i8").tobytes(),
            np.ascontiguousarray(points.stamps, "<i8").tobytes(),
            clean_values(points.values).tobytes(),
        )
    )


def unpack_block(data: bytes) -> Points:
    """Read what `pack_block` wrote.

    Raises
    ------
    DamagedChunk
        If the header or the length is wrong.
    """
    count = _count(data, BLOCK_MAGIC)
    if len(data) != BLOCK_HEADER.size + count * _POINT_BYTES:
        raise DamagedChunk(f"a block of {count} points cannot have {len(data)} bytes")
    at = BLOCK_HEADER.size
    keys = np.frombuffer(data, "<i4", count, at)
    at += count * _KEY_BYTES
    steps, stamps = (np.frombuffer(data, "<i8", count, at + i * count * 8) for i in range(2))
    values = np.frombuffer(data, "<f8", count, at + 2 * count * 8)
    return Points(keys, steps, stamps, values)


def pack_segment(points: Points) -> bytes:
    """Compress one key's sorted points.

    Parameters
    ----------
    points : Points
        Sorted by step, stamp, value; ``keys`` is not stored.

    Returns
    -------
    bytes
        Header of 8 bytes, then zlib over the shuffled bytes of step deltas, stamp deltas and values.
    """
    head = BLOCK_HEADER.pack(SEGMENT_MAGIC, FORMAT, len(points))
    body = np.concatenate(
        (
            _shuffled(_deltas(points.steps)),
            _shuffled(_deltas(points.stamps)),
            _shuffled(clean_values(points.values)),
        )
    )
    return head + zlib.compress(body.tobytes(), 1)


def unpack_segment(data: bytes) -> Points:
    """Read what `pack_segment` wrote.

    Raises
    ------
    DamagedChunk
        If the header, the checksum or the length is wrong.
    """
    count = _count(data, SEGMENT_MAGIC)
    try:
        body = zlib.decompress(data[BLOCK_HEADER.size :])
    except zlib.error as fault:
        raise DamagedChunk(f"a segment does not inflate: {fault}") from fault
    if len(body) != count * 24:
        raise DamagedChunk(f"a segment of {count} points cannot have {len(body)} bytes")
    raw = np.frombuffer(body, np.uint8).reshape(3, 8, count)
    steps, stamps = (np.cumsum(_unshuffled(raw[i], "<i8"), dtype="<i8") for i in range(2))
    return Points(np.empty(0, np.int32), steps, stamps, _unshuffled(raw[2], "<f8"))  # type: ignore[arg-type]


def _count(data: bytes, magic: bytes) -> int:
    if len(data) < BLOCK_HEADER.size:
        raise DamagedChunk("a chunk is shorter than its header")
    found, version, count = BLOCK_HEADER.unpack_from(data)
    if found != magic or version != FORMAT:
        raise DamagedChunk(f"unknown chunk format {found!r} {version}")
    return int(count)


def _deltas(column: Ints) -> Ints:
    # Wraps around on overflow, and so does the running sum that undoes it.
    with np.errstate(over="ignore"):
        return np.diff(column, prepend=np.int64(0)).astype("<i8")


def _shuffled(column: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, 8).T.ravel()


def _unshuffled(planes: NDArray[np.uint8], dtype: str) -> NDArray[np.generic]:
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1)
