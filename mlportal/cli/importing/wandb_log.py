"""Reads a ``.wandb`` file: LevelDB's log format around protobuf records (both are open formats).

A block of 32 KiB holds pieces: checksum (4 bytes), length (2), kind (1), data; a record is one whole piece or a first,
middle and last one. W&B puts seven bytes before the first piece and computes the plain CRC-32 of kind and data.
Numbers of protobuf fields are those of W&B's ``wandb_internal.proto``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAGIC, BLOCK, HEAD = b":W&B", 32768, 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Damaged(Exception):
    """The file is not what it should be from here on."""


def records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file. One that a crash cut off at the end is left out; other damage raises `Damaged`."""
    with path.open("rb") as stream:
        if not stream.read(HEAD).startswith(MAGIC):
            raise Damaged("it does not begin like a .wandb file")
        parts: list[bytes] = []
        for kind, data in _pieces(stream):
            if kind in (WHOLE, FIRST):
                parts = []
            parts.append(data)
            if kind in (WHOLE, LAST):
                yield b"".join(parts)


def _pieces(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    while True:
        left = BLOCK - stream.tell() % BLOCK
        if left < HEAD:
            stream.seek(left, 1)
        head = stream.read(HEAD)
        if len(head) < HEAD:
            return
        checksum, length, kind = struct.unpack("<IHB", head)
        data = stream.read(length)
        if len(data) < length:
            return
        if zlib.crc32(data, zlib.crc32(head[6:7])) != checksum or kind not in (WHOLE, FIRST, MIDDLE, LAST):
            # A machine that went down leaves zeros after the last write.
            if not any(head) and not any(data):
                return
            raise Damaged(f"wrong checksum before byte {stream.tell()}")
        yield kind, data


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of a message's fields: whole numbers, or bytes."""
    at = 0
    try:
        while at < len(data):
            tag, at = _varint(data, at)
            value: int | bytes
            kind = tag & 7
            if kind == VARINT:
                value, at = _varint(data, at)
            elif kind in (FIXED64, FIXED32):
                size = 8 if kind == FIXED64 else 4
                value, at = data[at : at + size], at + size
            elif kind == BYTES:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
            else:
                raise Damaged("a field of an unknown kind")
            yield tag >> 3, value
    except IndexError:
        raise Damaged("a message ends too early") from None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise Damaged("a number is too long")


def messages(data: bytes, number: int) -> Iterator[bytes]:
    """Yield the values of one field that holds messages or texts."""
    for found, value in fields(data):
        if found == number and isinstance(value, bytes):
            yield value


def text(data: bytes, number: int) -> str:
    """Return a text field; empty when unset."""
    return next(messages(data, number), b"").decode("utf-8", "replace")


def whole(data: bytes, number: int) -> int:
    """Return a signed whole number; 0 when unset."""
    for found, value in fields(data):
        if found == number and isinstance(value, int):
            return value - (1 << 64) if value >= 1 << 63 else value
    return 0


def milliseconds(data: bytes) -> int:
    """Read a timestamp message."""
    return whole(data, 1) * 1000 + whole(data, 2) // 1_000_000
