"""Collects log lines and keeps them within a bound: the head for good, then the newest tail."""

from collections import deque
from dataclasses import dataclass, field

MAX_LINE = 4_000
FLUSH_BYTES = 256 * 1024

Line = tuple[int, str, str]


@dataclass
class LogBook:
    """Lines of one attempt that are not written yet.

    Under a flood only the newest 256 KiB between two flushes are kept, so a job that
    prints without end costs bounded memory and bounded database writes.

    Attributes
    ----------
    next_line : int
        Number of the first pending line; lines left out count as well.
    warnings, errors : int
        How many lines of these levels there were.
    """

    next_line: int = 0
    warnings: int = 0
    errors: int = 0
    _pending: deque[Line] = field(default_factory=deque)
    _bytes: int = 0

    def add(self, at_ms: int, level: str, text: str) -> None:
        """Take a line; a text of several lines becomes several."""
        self.warnings += level == "warning"
        self.errors += level == "error"
        for part in text.split("\n"):
            line = part.replace("\x00", "�").encode("utf-8", "replace").decode()[:MAX_LINE]
            self._pending.append((at_ms, level, line))
            self._bytes += len(line)
        while self._bytes > FLUSH_BYTES:
            self._bytes -= len(self._pending.popleft()[2])
            self.next_line += 1

    def __bool__(self) -> bool:
        return bool(self._pending)

    def peek(self) -> tuple[int, list[Line]]:
        """Return the number of the first pending line and the pending lines."""
        return self.next_line, list(self._pending)

    def forget(self, count: int) -> None:
        """Drop lines that have been written."""
        for _ in range(count):
            self._bytes -= len(self._pending.popleft()[2])
        self.next_line += count
