"""Bytes of a text file as checked UTF-8 blocks: unpacked, decoded, without NUL, with exact positions."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mlportal.lib.errors import TooLarge, Unprocessable

from . import sniff
from .limits import DEFAULT, Limits

BLOCK_BYTES = 4 * 2**20


class TextSource:
    """A CSV file as UTF-8 blocks.

    Parameters
    ----------
    path : Path
        The stored file.
    encoding : str
        What the user chose, empty to detect.
    limits : Limits
        Bounds to hold.
    block_bytes : int
        Size of a read. No verdict depends on it.

    Attributes
    ----------
    codec : str
        Python name of the encoding that is used.
    share_read : float
        Part of the stored file that was read, 0 to 1.
    """

    def __init__(
        self,
        path: Path,
        *,
        encoding: str = "",
        limits: Limits = DEFAULT,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._path, self._limits, self._block_bytes = path, limits, block_bytes
        self._size = max(1, path.stat().st_size)
        with path.open("rb") as stored:
            self.file_type = sniff.file_type(stored.read(sniff.HEAD_BYTES))
        self.codec = sniff.encoding(self.head(), encoding)
        self.share_read = 0.0
        self._lines = _LineCounter()

    def head(self) -> bytes:
        """First unpacked bytes.

        Raises
        ------
        Unprocessable
            When a compressed file is damaged at its beginning.
        UnsupportedType
            When what was compressed is not text.
        """
        with self._path.open("rb") as stored:
            head = next(self._unpacked(stored), b"")[: sniff.HEAD_BYTES]
        if self.file_type == sniff.CSV_GZIP and sniff.file_type(head) != sniff.CSV:
            raise Unprocessable(
                f"The gzip file does not hold CSV text. {sniff.ALLOWED}",
                code="unsupported_type",
                field="file",
            )
        return head

    def blocks(self) -> Iterator[bytes]:
        """UTF-8 blocks of the whole text, byte order mark removed.

        Raises
        ------
        Unprocessable
            For bytes that are not in the encoding (byte offset and line), for NUL (line), for a damaged
            gzip file.
        TooLarge
            When more than ``unpacked_bytes`` come out of a compressed file.
        """
        decoder = codecs.getincrementaldecoder(self.codec)("strict")
        direct = self.codec in ("utf-8", "utf-8-sig")
        offset, carried, first = 0, b"", True
        with self._path.open("rb") as stored:
            for raw in self._with_end(self._unpacked(stored)):
                self.share_read = min(1.0, stored.tell() / self._size)
                block = raw or b""
                try:
                    text = decoder.decode(block, final=raw is None)
                except UnicodeDecodeError as error:
                    raise self._undecodable(error, offset, len(carried)) from None
                if direct:
                    whole = carried + block
                    kept = len(decoder.getstate()[0]) if raw is not None else 0
                    carried = whole[len(whole) - kept :]
                    out = whole[: len(whole) - kept]
                    if first and out:
                        out = out.removeprefix(codecs.BOM_UTF8)
                        first = False
                else:
                    out = text.encode("utf-8", "strict")
                    carried = decoder.getstate()[0]
                offset += len(block)
                if out:
                    self._refuse_nul(out)
                    self._lines.see(out)
                    yield out

    @staticmethod
    def _with_end(parts: Iterator[bytes]) -> Iterator[bytes | None]:
        yield from parts
        yield None

    def _unpacked(self, stored: IO[bytes]) -> Iterator[bytes]:
        if self.file_type != sniff.CSV_GZIP:
            while block := stored.read(self._block_bytes):
                yield block
            return
        size = 0
        with gzip.GzipFile(fileobj=stored) as packed:
            while block := self._unpack_block(packed):
                size += len(block)
                if size > self._limits.unpacked_bytes:
                    raise TooLarge(
                        f"The gzip file unpacks to more than {_words(self._limits.unpacked_bytes)}, which "
                        "is the limit.",
                        code="unpacked_too_large",
                        field="file",
                        limit=self._limits.unpacked_bytes,
                    )
                yield block

    def _unpack_block(self, packed: gzip.GzipFile) -> bytes:
        try:
            return packed.read(self._block_bytes)
        except (OSError, EOFError, zlib.error) as error:
            raise Unprocessable(
                f"The gzip file is damaged or cut: {error}.", code="gzip_damaged", field="file"
            ) from None

    def _undecodable(self, error: UnicodeDecodeError, offset: int, carried: int) -> Unprocessable:
        data: bytes = error.object
        at = offset - carried + error.start
        line = self._lines.line_at(_readable(data[: error.start], self.codec))
        wrong = " ".join(f"0x{byte:02X}" for byte in data[error.start : error.start + 2][:1])
        return Unprocessable(
            f"The file is not {self._encoding_name()} text: byte {wrong} at offset {at:,}, line {line:,}. "
            "Save it as UTF-8, or upload it again and choose its encoding.",
            code="wrong_encoding",
            field="encoding",
            got={"offset": at, "line": line},
        )

    def _encoding_name(self) -> str:
        names = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16"}
        return names.get(self.codec) or sniff.ENCODINGS[self.codec]

    def _refuse_nul(self, block: bytes) -> None:
        at = block.find(b"\x00")
        if at >= 0:
            line = self._lines.line_at(block[:at])
            raise Unprocessable(
                f"Line {line:,} holds a NUL byte; a CSV file is text. If the file is UTF-16, choose that encoding.",
                code="nul_byte",
                field="file",
                got={"line": line},
            )


class _LineCounter:
    """Count line ends (LF, CRLF, CR) over blocks."""

    def __init__(self) -> None:
        self._ends = 0
        self._after_return = False

    def see(self, block: bytes) -> None:
        self._ends += self._count(block)
        self._after_return = block.endswith(b"\r")

    def line_at(self, before: bytes) -> int:
        return self._ends + self._count(before) + 1

    def _count(self, block: bytes) -> int:
        ends = block.count(b"\n")
        if b"\r" in block:
            ends += block.count(b"\r") - block.count(b"\r\n")
        return ends - (self._after_return and block.startswith(b"\n"))


def _readable(before: bytes, codec: str) -> bytes:
    return before.decode(codec, "ignore").encode() if codec.startswith("utf-16") else before


def _words(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:g} GB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:g} MB"
