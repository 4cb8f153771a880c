"""A text file by pages: lines with their numbers, read from where the address says, of a file of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from experiments.models import Artifact
from mlportal.lib import blobs

PAGE_BYTES = 128 * 1024
# Up to here line numbers are counted; beyond, counting would mean reading too much for one page.
COUNTED_BYTES = 64 * 2**20
PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TextPage:
    """Some lines of a file; ``number`` is the first one's, None in a file too large to count."""

    lines: list[str]
    number: int | None
    start: int
    stop: int
    size: int

    @property
    def numbered(self) -> list[tuple[int | None, str]]:
        """Each line with its number."""
        first = self.number
        return [(None if first is None else first + at, line) for at, line in enumerate(self.lines)]

    @property
    def previous(self) -> int | None:
        """Where the page before starts, None on the first."""
        return max(0, self.start - PAGE_BYTES) if self.start else None

    @property
    def next(self) -> int | None:
        """Where the next page starts, None on the last."""
        return self.stop if self.stop < self.size else None


def read(artifact: Artifact, at: int) -> TextPage:
    """Return the lines around byte ``at``: whole lines, where they are not longer than a page.

    Raises
    ------
    UnicodeDecodeError
        If the file is no UTF-8.
    """
    size = artifact.size_bytes
    at = max(0, min(at, size - 1))
    with blobs.open_blob(artifact.sha256) as stream:
        start = 0
        if at:
            stream.seek(at - 1)
            head = stream.read(PAGE_BYTES)
            end = head.find(b"\n")
            start = at + end if 0 <= end < len(head) - 1 else at
        stream.seek(start)
        data = stream.read(PAGE_BYTES)
        is_last = start + len(data) >= size
        cut = len(data) if is_last else (data.rfind(b"\n") + 1 or len(data))
        number = _number(stream, start) if size <= COUNTED_BYTES else None
    # A page that begins or ends inside a line may do so inside a character.
    text = data[:cut].decode("utf-8", "strict" if start == 0 and is_last else "ignore")
    if b"\x00" in data[:cut]:
        raise UnicodeDecodeError("utf-8", data[:1], 0, 1, "holds zero bytes")
    return TextPage(text.removesuffix("\n").split("\n") if text else [], number, start, start + cut, size)


def _number(stream: IO[bytes], start: int) -> int:
    stream.seek(0)
    count, left = 1, start
    while left and (part := stream.read(min(PART_BYTES, left))):
        count += part.count(b"\n")
        left -= len(part)
    return count
