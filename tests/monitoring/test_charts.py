"""Data of the pictures."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitoring import charts, drift
from monitoring.drift import shape

RNG = np.random.default_rng(2)
NUMBERS = drift.reference({"x": RNG.uniform(0, 100, 2000)}, {"x": "numeric"})["x"]
LEVELS = drift.reference({"c": ["card"] * 60 + ["debit"] * 30 + [None] * 10}, {"c": "categorical"})["c"]


def test_levels_show_new_and_empty_values():
    made = charts.bars(LEVELS, drift.fill(LEVELS, ["card"] * 5 + ["wallet"] * 4 + [None]))
    assert made.rows == [
        ("card", 0.6, 0.5),
        ("debit", 0.3, 0.0),
        ("wallet", 0.0, 0.4),
        ("empty", 0.1, 0.1),
    ]
    assert made.plot("method")["cat"] is True


def test_numbers_are_spread_over_twenty_even_bars():
    made = charts.bars(NUMBERS, drift.fill(NUMBERS, RNG.uniform(1, 99, 3000)))
    assert (len(made.names), made.plot("x")["cat"]) == (20, False)
    assert sum(made.reference) == pytest.approx(1, abs=0.002)
    assert made.current == pytest.approx([0.05] * 20, abs=0.02)


def test_numbers_outside_the_range_get_bars_of_their_own():
    made = charts.bars(NUMBERS, drift.fill(NUMBERS, [-5.0, 500.0, 50.0, 50.0]))
    assert (made.names[0][0], made.names[-1][0]) == ("<", ">")
    assert (made.current[0], made.current[-1]) == (0.25, 0.25)


@pytest.mark.parametrize("counts", [{"counts": [1], "nulls": 0}, shape.empty(NUMBERS)])
def test_nothing_to_draw(counts):
    assert charts.bars(NUMBERS, counts) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "na"), (0.0, "h0"), (0.05, "h1"), (0.1, "h2"), (0.15, "h3"), (0.2, "h4"), (0.3, "h5"), (9.0, "h5")],
)
def test_heat(value, name):
    assert charts.heat(value) == name


@pytest.mark.parametrize(
    ("span", "step", "cell"), [(3600, 60, 120), (86_400, 60, 2880), (30 * 86_400, 3600, 86_400), (3600, 3600, 3600)]
)
def test_cells_are_at_most_thirty_and_whole_steps(span, step, cell):
    assert charts.cell_seconds(span, step) == cell


def test_cell_names_are_days_or_times():
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    assert (charts.cell_name(midnight, 86_400), charts.cell_name(midnight, 3600)) == ("20 Nov", "00:00")


def test_series_table_is_newest_first():
    at = datetime(2026, 11, 20, tzinfo=UTC)
    series = charts.Series([at, at + timedelta(hours=1)], [charts.Line("p50", [1.0, None])], 3.0, "limit 3", "ms")
    assert [values for _at, values in series.rows] == [[None], [1.0]]
    drawn = series.plot()
    assert (drawn["limit"], drawn["unit"], drawn["lines"][0]["y"]) == (3.0, "ms", [1.0, None])
