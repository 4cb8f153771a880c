"""Byte forms of metric points: the raw block of one call and the folded segment of one key.

A block is what a log call writes: fixed-width columns, no compression, so that writing costs one copy.
A segment is what folding leaves: one key, sorted, delta-coded, byte-shuffled, and deflated where that pays.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import glances

BLOCK_HEADER = struct.Struct("<2sBxI")
BLOCK_MAGIC = b"mb"
SEGMENT_HEADER = struct.Struct("<2sBBII")  # magic, format, layout, points, checksum of what follows
_VALUE = struct.Struct("<d")
BOUNDS = struct.Struct("<qqqq")  # first step, first stamp, earliest stamp, latest stamp
SEGMENT_MAGIC = b"ms"
FORMAT, SEGMENT_FORMAT = 1, 2
_PLAIN, _PLANES, _GLANCED = 0, 1, 2
PLAIN_BELOW = 16
SPAN_BYTES = SEGMENT_HEADER.size + PLAIN_BELOW * 24
NOISE_FROM, NOISE_BITS = 512, 7.3
SEGMENT_POINTS = 4096
# Enough of a segment's beginning for its glance.
GLANCE_BYTES = SEGMENT_HEADER.size + BOUNDS.size + glances.room(SEGMENT_POINTS)
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


def unpack_blocks(blocks: Sequence[bytes]) -> list[Points]:
    """Read many blocks; those of one length, as a training loop writes them, are read together.

    Raises
    ------
    DamagedChunk
        If a header or a length is wrong.
    """
    alike: dict[int, list[bytes]] = defaultdict(list)
    for data in blocks:
        alike[len(data)].append(data)
    return [part for same in alike.values() for part in _unpacked_alike(same)]


def _unpacked_alike(blocks: list[bytes]) -> list[Points]:
    count, size = _count(blocks[0], BLOCK_MAGIC), len(blocks[0])
    head = BLOCK_HEADER.pack(BLOCK_MAGIC, FORMAT, count)
    if size != len(head) + count * _POINT_BYTES or not all(data.startswith(head) for data in blocks):
        return [unpack_block(data) for data in blocks]
    table = np.frombuffer(b"".join(blocks), np.uint8).reshape(len(blocks), size)[:, len(head) :]
    edges = np.cumsum([0, _KEY_BYTES * count, 8 * count, 8 * count, 8 * count])
    keys, steps, stamps, values = (
        np.ascontiguousarray(table[:, start:stop]).view(kind).reshape(-1)
        for start, stop, kind in zip(edges[:-1], edges[1:], ("<i4", "<i8", "<i8", "<f8"), strict=True)
    )
    return [Points(keys, steps, stamps, values)]


def pack_segment(points: Points) -> bytes:
    """Compress one key's sorted points.

    Parameters
    ----------
    points : Points
        Sorted by step, stamp, value; ``keys`` is not stored.

    Returns
    -------
    bytes
        Few points as plain columns. Else steps and stamps as differences, values as they are, all cut into
        24 planes of equal bytes: a plane of one byte is stored as that byte, a plane of noise as it is, the
        others deflated. Inflating is most of the work of reading, so only what shrinks is deflated. Many points
        have a glance in front of the planes.
    """
    count, values = len(points), clean_values(points.values)
    if count < PLAIN_BELOW:
        steps, stamps = (np.ascontiguousarray(c, "<i8").tobytes() for c in (points.steps, points.stamps))
        return _sealed(_PLAIN, count, steps + stamps + values.tobytes())
    planes = np.concatenate([_planes(c) for c in (_deltas(points.steps), _deltas(points.stamps), values)])
    same = (planes == planes[:, :1]).all(axis=1)
    noise = np.array([not flat and _is_noise(plane) for flat, plane in zip(same, planes, strict=True)])
    is_long = count >= glances.GLANCED_FROM
    body = (
        BOUNDS.pack(points.steps[0], points.stamps[0], points.stamps.min(), points.stamps.max())
        + (glances.pack(points.steps, points.stamps, values) if is_long else b"")
        + np.packbits([same, noise]).tobytes()
        + planes[same, 0].tobytes()
        + planes[noise].tobytes()
        + zlib.compress(planes[~same & ~noise].tobytes(), 1)
    )
    return _sealed(_GLANCED if is_long else _PLANES, count, body)


def unpack_segment(data: bytes) -> Points:
    """Read what `pack_segment` wrote.

    Raises
    ------
    DamagedChunk
        If the header, the checksum or the length is wrong.
    """
    layout, count = _opened(data)
    body = memoryview(data)[SEGMENT_HEADER.size :]
    none = np.empty(0, np.int32)
    if layout == _PLAIN:
        if len(body) != count * 24:
            raise DamagedChunk(f"a segment of {count} points cannot have {len(body)} bytes")
        steps, stamps = (np.frombuffer(body, "<i8", count, i * 8 * count) for i in range(2))
        return Points(none, steps, stamps, np.frombuffer(body, "<f8", count, 16 * count))
    first_step, first_stamp, _, _ = BOUNDS.unpack_from(body)
    rest = body[BOUNDS.size :]
    planes, same = _read_planes(rest[glances.size(rest) :] if layout == _GLANCED else rest, count)
    steps, stamps = _column(planes, same, 0), _column(planes, same, 8)
    steps[0], stamps[0] = first_step, first_stamp
    values = np.ascontiguousarray(planes[16:].T).view("<f8").reshape(-1)
    # Differences wrap around on overflow, and so does the running sum that undoes it.
    return Points(none, np.cumsum(steps, dtype="<i8"), np.cumsum(stamps, dtype="<i8"), values)


def value_at(data: bytes, step: int) -> float | None:
    """Return the value at a step of a segment that begins there or before, None where only unpacking tells.

    Where the steps are evenly spaced, the place is computed and eight bytes are read: a fifth of the time.

    Raises
    ------
    DamagedChunk
        If the header or the checksum is wrong.
    """
    layout, count = _opened(data)
    if layout == _PLAIN:
        return None
    body = memoryview(data)[SEGMENT_HEADER.size :]
    first_step = BOUNDS.unpack_from(body)[0]
    rest = body[BOUNDS.size :]
    if layout == _GLANCED:
        rest = rest[glances.size(rest) :]
    flags = int.from_bytes(rest[:6], "big")
    same, noise = flags >> 24, flags & 0xFFFFFF
    if same >> 16 != 0xFF:  # the planes of the steps, from the left
        return None
    space = int.from_bytes(rest[6:14], "little", signed=True)
    if space < 0:  # differences that wrapped around
        return None
    at = min(count - 1, (step - first_step) // space) if space else count - 1
    return _value_in(rest, count, at, same, noise)


def glance(data: bytes) -> tuple[glances.Glance, glances.Glance] | None:
    """Return evenly spread points and all points that a segment has in front, None where it has none.

    Parameters
    ----------
    data : bytes
        A segment, or its first `GLANCE_BYTES`.

    Raises
    ------
    DamagedChunk
        If the header or the checksum is wrong.
    """
    layout, _ = _opened(data, whole=False)
    if layout != _GLANCED:
        return None
    found = glances.unpack(memoryview(data)[SEGMENT_HEADER.size + BOUNDS.size :])
    if found is None:
        raise DamagedChunk("the beginning of a segment does not have its checksum")
    return found


def stamp_span(data: bytes) -> tuple[int, int]:
    """Return the earliest and the latest timestamp of a segment from its first `SPAN_BYTES` bytes."""
    layout, count = _opened(data, whole=False)
    if layout != _PLAIN:
        return BOUNDS.unpack_from(data, SEGMENT_HEADER.size)[2:]
    stamps = np.frombuffer(data, "<i8", count, SEGMENT_HEADER.size + 8 * count)
    return int(stamps.min()), int(stamps.max())


def _sealed(layout: int, count: int, body: bytes) -> bytes:
    return SEGMENT_HEADER.pack(SEGMENT_MAGIC, SEGMENT_FORMAT, layout, count, zlib.crc32(body)) + body


def _opened(data: bytes, *, whole: bool = True) -> tuple[int, int]:
    """Check header and checksum; return layout and count."""
    if len(data) < SEGMENT_HEADER.size:
        raise DamagedChunk("a chunk is shorter than its header")
    magic, version, layout, count, checksum = SEGMENT_HEADER.unpack_from(data)
    if (magic, version) != (SEGMENT_MAGIC, SEGMENT_FORMAT) or layout not in (_PLAIN, _PLANES, _GLANCED):
        raise DamagedChunk(f"unknown chunk format {magic!r} {version}")
    if whole and zlib.crc32(memoryview(data)[SEGMENT_HEADER.size :]) != checksum:
        raise DamagedChunk("a segment does not have its checksum")
    return int(layout), int(count)


def _read_planes(body: memoryview, count: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return 24 planes of `count` bytes, and which of them are one byte over and over."""
    flags = np.unpackbits(np.frombuffer(body, np.uint8, 6)).reshape(2, 24).astype(bool)
    same, noise = flags
    at = 6 + int(same.sum())
    raw = int(noise.sum()) * count
    planes = np.empty((24, count), np.uint8)
    planes[same] = np.frombuffer(body, np.uint8, at - 6, 6)[:, None]
    planes[noise] = np.frombuffer(body, np.uint8, raw, at).reshape(-1, count)
    rest = zlib.decompress(body[at + raw :])
    planes[~same & ~noise] = np.frombuffer(rest, np.uint8).reshape(-1, count)
    return planes, same


def _value_in(body: memoryview, count: int, at: int, same: int, noise: int) -> float:
    """The value at a place, from its bytes in the last eight of the planes."""
    noisy = 6 + same.bit_count()
    rest = b""
    if (same | noise) & 0xFF != 0xFF:
        rest = zlib.decompress(body[noisy + noise.bit_count() * count :])
    found = bytearray(8)
    for plane in range(8):
        bit = 0x80 >> plane
        before = ~(2 * bit - 1) & 0xFFFFFF  # the planes in front of this one
        if same & bit:
            found[plane] = body[6 + (same & before).bit_count()]
        elif noise & bit:
            found[plane] = body[noisy + (noise & before).bit_count() * count + at]
        else:
            found[plane] = rest[(~(same | noise) & before).bit_count() * count + at]
    return float(_VALUE.unpack(found)[0])


def _column(planes: NDArray[np.uint8], same: NDArray[np.bool_], start: int) -> Ints:
    """Put whole numbers together; most differences vary in their lowest bytes only."""
    varying = [at for at in range(8) if not same[start + at]]
    if len(varying) > 3:
        return np.ascontiguousarray(planes[start : start + 8].T).view("<i8").reshape(-1)
    fixed = sum(int(planes[start + at, 0]) << 8 * at for at in range(8) if at not in varying)
    column = np.full(planes.shape[1], fixed, np.uint64)
    for at in varying:
        column |= planes[start + at].astype(np.uint64) << np.uint64(8 * at)
    return column.view(np.int64)


def _count(data: bytes, magic: bytes) -> int:
    if len(data) < BLOCK_HEADER.size:
        raise DamagedChunk("a chunk is shorter than its header")
    found, version, count = BLOCK_HEADER.unpack_from(data)
    if found != magic or version != FORMAT:
        raise DamagedChunk(f"unknown chunk format {found!r} {version}")
    return int(count)


def _deltas(column: Ints) -> Ints:
    """Differences to the value before; the first, which is stored apart, repeats the second."""
    with np.errstate(over="ignore"):
        found = np.empty(len(column), "<i8")
        np.subtract(column[1:], column[:-1], out=found[1:])
    found[0] = found[1]
    return found


def _planes(column: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, 8).T


def _is_noise(plane: NDArray[np.uint8]) -> bool:
    """Whether deflating would gain nothing: almost eight bits of information a byte."""
    if len(plane) < NOISE_FROM:
        return False
    share = np.bincount(plane, minlength=256) / len(plane)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum()) > NOISE_BITS
