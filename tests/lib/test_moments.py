from datetime import UTC, datetime, timedelta

import pytest

from mlportal.lib import moments
from mlportal.lib.errors import Invalid

NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-12T12:00",
        "2026-03-12 12:00",
        "2026-03-12T12:00:00Z",
        "2026-03-12T13:00+01:00",
        "2026-03-12T13:00 01:00",
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text):
    assert moments.read(text, field="at") == moments.Span(NOON, NOON)


def test_a_date_is_a_whole_day():
    span = moments.read(" 2026-03-12 ", field="at")
    assert (span.is_day, span.start.hour, (span.end - span.start) > timedelta(hours=23)) == (True, 0, True)
    assert moments.after("2026-03-12", field="at") == datetime(2026, 3, 13, tzinfo=UTC)
    assert (str(span), span.words) == ("2026-03-12", "12 March 2026, the whole day in UTC")


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "2026-02-30", "12.3.2026", "9999-12-31T23:59-23:00"])
def test_what_is_no_moment_is_said(text):
    with pytest.raises(Invalid, match="at is a date") as caught:
        moments.read(text, field="at")
    assert caught.value.field == "at"


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31T23:59", "9000-01-01", "9999-12-31T23:59"])
def test_moments_of_other_ages_are_refused(text):
    with pytest.raises(Invalid, match="1970 to 8999") as caught:
        moments.read(text, field="at")
    assert (caught.value.field, caught.value.limit) == ("at", 8999)


def test_an_offset_that_a_database_refuses_is_taken():
    read = moments.read("2026-03-12T12:00+19:04", field="at").start
    assert (read, read.tzinfo) == (datetime(2026, 3, 11, 16, 56, tzinfo=UTC), UTC)


def test_today_ends_now_and_tomorrow_is_refused():
    assert moments.past("2026-03-12", field="at", now=NOON).end == NOON
    with pytest.raises(Invalid, match="lies in the future"):
        moments.past("2026-03-13", field="at", now=NOON)
