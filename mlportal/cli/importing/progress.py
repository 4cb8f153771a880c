"""The line that tells how far an import is: rewritten on a terminal, now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time

OFTEN, SELDOM = 0.5, 15.0


class Progress:
    """Counts what was copied and tells it on standard error.

    Parameters
    ----------
    quiet
        Say nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.total = self.done = self.points = self.bytes = 0
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._began = self._told = time.monotonic()

    def expect(self, runs: int) -> None:
        """Learn how many runs there are, and start the clock of the estimate."""
        self.total = runs
        self._began = time.monotonic()

    def add(self, *, runs: int = 0, points: int = 0, size: int = 0) -> None:
        """Count; tell it when it is time."""
        with self._lock:
            self.done += runs
            self.points += points
            self.bytes += size
            if not self._quiet and time.monotonic() - self._told >= (OFTEN if self._terminal else SELDOM):
                self._tell()

    def end(self) -> None:
        """Leave the last state on the terminal."""
        if not self._quiet:
            self._tell()
            if self._terminal:
                print(file=sys.stderr)

    def _tell(self) -> None:
        self._told = time.monotonic()
        text = f"runs {self.done}/{self.total}, points {self.points:,}, files {size(self.bytes)}{self._left()}"
        print(
            f"\r{text:<78}" if self._terminal else text, end="" if self._terminal else "\n", file=sys.stderr, flush=True
        )

    def _left(self) -> str:
        if not self.done or self.done >= self.total:
            return ""
        seconds = (time.monotonic() - self._began) / self.done * (self.total - self.done)
        return f", about {duration(seconds)} left"


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Return a time span for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
