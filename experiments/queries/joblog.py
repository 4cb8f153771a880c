"""What a training said: its log, read from either end, searched, or whole."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from experiments.models import JobAttempt, JobLog

MAX_LOG_LINES = 2_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Attributes
    ----------
    number : int
        Counted from 0, also lines that were left out.
    at_ms : int
        Unix time in milliseconds.
    level : str
        ``info``, ``warning`` or ``error``.
    text : str
        The line.
    """

    number: int
    at_ms: int
    level: str
    text: str

    @property
    def clock(self) -> str:
        """Time of day in UTC with milliseconds."""
        return f"{datetime.fromtimestamp(self.at_ms / 1000, UTC):%H:%M:%S}.{self.at_ms % 1000:03}"


def lines(attempt: JobAttempt, *, after: int = 0, limit: int = MAX_LOG_LINES) -> list[LogLine]:
    """Return up to `limit` lines from number `after` on; numbers jump where lines were left out."""
    out: list[LogLine] = []
    for line in _stored(attempt, after):
        if len(out) == limit:
            break
        out.append(line)
    return out


def last(attempt: JobAttempt, *, limit: int) -> list[LogLine]:
    """Return the newest lines, oldest first."""
    parts = JobLog.objects.filter(attempt=attempt).order_by("-first_line")
    out: list[LogLine] = []
    for part in parts.iterator(chunk_size=8):
        out = [*_lines(part), *out]
        if len(out) >= limit:
            break
    return out[-limit:]


def matching(attempt: JobAttempt, *, levels: Collection[str], words: str, limit: int) -> list[LogLine]:
    """Return the newest lines of some levels that hold a text in any case, oldest first; all that is stored is read."""
    wanted, out = words.lower(), list[LogLine]()
    for part in JobLog.objects.filter(attempt=attempt).order_by("-first_line").iterator(chunk_size=8):
        found = [line for line in _lines(part) if line.level in levels and wanted in line.text.lower()]
        out = [*found, *out]
        if len(out) >= limit:
            break
    return out[-limit:]


def first_of(attempt: JobAttempt, level: str) -> int | None:
    """Return the number of the first stored line of a level."""
    return next((line.number for line in _stored(attempt, 0) if line.level == level), None)


def text(attempt: JobAttempt) -> Iterator[str]:
    """Yield the stored log as text for a download, and where lines are missing."""
    expected = 0
    for line in _stored(attempt, 0):
        if line.number > expected:
            yield f"... {line.number - expected:,} lines left out ...\n"
        expected = line.number + 1
        moment = datetime.fromtimestamp(line.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        yield f"{moment} {line.level} {line.text}\n"


def _stored(attempt: JobAttempt, after: int) -> Iterator[LogLine]:
    parts = JobLog.objects.filter(attempt=attempt)
    begun = parts.filter(first_line__lte=after).order_by("-first_line").values_list("first_line", flat=True).first()
    for part in parts.filter(first_line__gte=begun or 0).order_by("first_line").iterator(chunk_size=8):
        yield from (line for line in _lines(part) if line.number >= after)


def _lines(part: JobLog) -> Iterable[LogLine]:
    for place, (at_ms, level, text) in enumerate(part.lines):
        yield LogLine(part.first_line + place, at_ms, level, text)
