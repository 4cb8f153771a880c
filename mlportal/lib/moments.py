"""Dates and times as people and scripts write them, always in UTC unless they say otherwise."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from mlportal.lib.errors import Invalid

DAY = timedelta(days=1)
_LEAST = timedelta(microseconds=1)
YEARS = range(1970, 9000)  # a day or a quarter of a year off one of these is a moment still


@dataclass(frozen=True)
class Span:
    """A moment, or a whole day: ``start`` and ``end`` are equal for a moment."""

    start: datetime
    end: datetime
    is_day: bool = False

    def __str__(self) -> str:
        """As an address gives it back."""
        return f"{self.start:%Y-%m-%d}" if self.is_day else self.start.isoformat(timespec="seconds")

    @property
    def words(self) -> str:
        """As a sentence says it: ``12 March 2026 14:00 UTC``."""
        return f"{self.start:%-d %B %Y}" + (", the whole day in UTC" if self.is_day else f" {self.start:%H:%M} UTC")


def read(text: str, *, field: str) -> Span:
    """Read ``2026-03-12`` (the whole day), ``2026-03-12 14:00`` or any ISO 8601 time; without a zone it is UTC.

    What is read is in UTC: PostgreSQL refuses offsets of 16 hours and more, which Python takes.

    Raises
    ------
    Invalid
        When it is none of these or not of the years 1970 to 8999, naming the field and what came.
    """
    clean = text.strip()
    try:
        span = _span(clean)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"{field} is a date as 2026-03-12 or a time as 2026-03-12T14:00 (UTC); {clean[:40]!r} is neither.",
            field=field, got=clean[:40],
        ) from error  # fmt: skip
    if span.start.year not in YEARS:
        raise Invalid(f"{field} lies in the years {YEARS[0]} to {YEARS[-1]}.", field=field, limit=YEARS[-1],
                      got=clean[:40])  # fmt: skip
    return span


def _span(text: str) -> Span:
    if len(text) == len("2026-03-12"):
        start = datetime.combine(date.fromisoformat(text), time.min, tzinfo=UTC)
        return Span(start, start + DAY - _LEAST, is_day=True)
    # An address turns the plus of an offset into a blank.
    given = datetime.fromisoformat(_with_plus(text))
    moment = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    return Span(moment, moment)


def _with_plus(text: str) -> str:
    date_and_time = " " if "T" not in text else ""
    return "+".join(text.rsplit(" ", 1)) if text.count(" ") > len(date_and_time) else text


def past(text: str, *, field: str, now: datetime) -> Span:
    """Read a moment that has been: a day that is not over ends now.

    Raises
    ------
    Invalid
        Also for a moment that is still to come.
    """
    span = read(text, field=field)
    if span.start > now:
        raise Invalid(
            f"{field} lies in the future: it is {now:%Y-%m-%d %H:%M} UTC now.", field=field,
            limit=now.isoformat(timespec="seconds"), got=text.strip()[:40],
        )  # fmt: skip
    return Span(span.start, min(span.end, now), span.is_day)


def after(text: str, *, field: str) -> datetime:
    """Return the first moment after a date, or the time itself: the open end of a span."""
    span = read(text, field=field)
    return span.start + DAY if span.is_day else span.end
