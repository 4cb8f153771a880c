"""Scores and verdicts of whole windows, with the bad inputs of B63."""

import math

import numpy as np
import pytest

from monitoring import drift
from monitoring.drift import score, shape, verdict

RNG = np.random.default_rng(5)
N = 3000
FRAME = {
    "age": RNG.normal(40, 10, N),
    "plan": RNG.choice(["a", "b", "c"], N, p=[0.5, 0.3, 0.2]),
    "on": RNG.random(N) < 0.5,
    "name": [f"customer {index}" for index in range(N)],
    shape.SCORE: RNG.beta(2, 5, N),
}
KINDS = {"age": "numeric", "plan": "categorical", "on": "boolean", "name": "text", shape.SCORE: "numeric"}
GRIDS = drift.reference(FRAME, KINDS, {"age": 0.6, "plan": 0.3, "on": 0.1})


def window(size=1000, **changes):
    """Counts of a quiet window; a keyword replaces a column's values, None takes the column away."""
    draw = RNG.choice(N, size)
    values = {name: np.asarray(column, dtype=object)[draw] for name, column in FRAME.items()} | changes
    return {name: drift.fill(GRIDS[name], column) for name, column in values.items() if column is not None}


def states(counts, **options):
    return {found.column: found.state for found in score.columns(GRIDS, counts, **options)}


def test_quiet_window_is_ok():
    found = score.columns(GRIDS, window())
    assert {one.column: one.state for one in found} == {
        "age": "ok",
        "plan": "ok",
        "on": "ok",
        "name": "unscored",
        shape.SCORE: "ok",
    }
    assert verdict.judge(found) == verdict.Verdict("ok", ())


def test_shifted_number_raises_the_alert():
    found = score.columns(GRIDS, window(age=RNG.normal(55, 10, 1000)))
    assert found[0].state == "alert"
    assert found[0].mean == pytest.approx(55, abs=1)
    judged = verdict.judge(found)
    assert (judged.state, judged.drifted, judged.weighted_share) == ("alert", 1, pytest.approx(0.6))
    assert judged.reasons == (f"age: PSI {found[0].value:.2f}",)


def test_new_category_everywhere_is_an_alert_and_is_named():
    counts = window(plan=["wallet"] * 1000)
    found = {one.column: one for one in score.columns(GRIDS, counts)}
    assert (found["plan"].state, found["plan"].unseen_share) == ("alert", 1.0)
    assert counts["plan"]["others"] == {"wallet": 1000}


@pytest.mark.parametrize(("share", "state"), [(0.5, "ok"), (0.58, "warn"), (0.7, "alert")])
def test_boolean_is_judged_by_its_share(share, state):
    values = [True] * int(share * 2000) + [False] * int((1 - share) * 2000)
    assert states(window(on=values))["on"] == state


def test_two_hundred_rows_are_needed():
    assert states(window(size=199))["age"] == "too_few"
    assert states(window(size=200))["age"] == "ok"
    assert states(window(size=50), min_samples=50)["age"] == "ok"
    judged = verdict.judge(score.columns(GRIDS, window(size=199)))
    assert judged.state == "too_few"
    assert judged.reasons[0] == "age: too few: 199 values, at least 200 are needed."


def test_one_row_is_too_few():
    assert verdict.judge(score.columns(GRIDS, window(size=1))).state == "too_few"


def test_column_gone_cannot_be_computed():
    found = score.columns(GRIDS, window(age=None))
    assert (found[0].state, found[0].reason) == ("cannot_compute", "The column is missing from the requests.")
    judged = verdict.judge(found)
    assert judged.state == "cannot_compute"
    assert judged.reasons == ("age: cannot compute: The column is missing from the requests.",)


def test_all_nan_cannot_be_computed_and_shows_the_gap():
    found = score.columns(GRIDS, window(age=[math.nan] * 1000))[0]
    assert (found.state, found.null_share, found.null_excess) == ("cannot_compute", 1.0, 1.0)
    assert found.reason == "Every value in this window is empty."


def test_empty_reference_cannot_be_computed():
    assert score.columns({}, {}) == []
    assert verdict.judge([]) == verdict.Verdict("cannot_compute", ("The version has no reference to compare with.",))
    hollow = drift.reference({"x": [None] * 50}, {"x": "numeric"})
    found = score.columns(hollow, {"x": drift.fill(hollow["x"], [1.0] * 300)})
    assert (found[0].state, found[0].reason) == (
        "cannot_compute",
        "The reference holds no values for this column.",
    )


def test_reference_of_one_row_cannot_be_computed():
    tiny = drift.reference({"x": [1.0]}, {"x": "numeric"})
    found = score.columns(tiny, {"x": drift.fill(tiny["x"], [1.0] * 300)})[0]
    assert found.reason == "The reference has 1 rows, at least 20 are needed."


def test_counts_of_another_schema_cannot_be_computed():
    counts = window() | {"age": {"counts": [5, 5], "nulls": 0}}
    assert states(counts)["age"] == "cannot_compute"


def test_one_value_in_reference_and_window_is_quiet_and_a_new_one_is_not():
    constant = drift.reference({"x": [3.0] * 100}, {"x": "numeric"})
    same = score.columns(constant, {"x": drift.fill(constant["x"], [3.0] * 300)})[0]
    other = score.columns(constant, {"x": drift.fill(constant["x"], [4.0] * 300)})[0]
    assert (same.state, other.state) == ("ok", "alert")


def test_missing_values_count_only_beyond_the_reference():
    half = [None if index % 2 else value for index, value in enumerate(RNG.normal(40, 10, 1000))]
    found = score.columns(GRIDS, window(age=half))[0]
    assert (found.null_share, found.null_excess) == (0.5, 0.5)
    few = [None] * 30 + list(RNG.normal(40, 10, 970))
    assert score.columns(GRIDS, window(age=few))[0].null_excess == 0.0


def test_values_outside_the_training_range_are_counted():
    values = [*RNG.normal(40, 10, 900), *([500.0] * 100)]
    assert score.columns(GRIDS, window(age=values))[0].outside_share == pytest.approx(0.1, abs=0.005)


def test_chi2_is_given_for_small_windows_only():
    small, large = (score.columns(GRIDS, window(size=size)) for size in (1000, 1500))
    assert (small[1].chi2_p is None, large[1].chi2_p is None) == (False, True)


def test_unimportant_drift_is_a_warning_only():
    many = {f"f{index}": RNG.normal(0, 1, 1000) for index in range(10)}
    weights = {f"f{index}": 10.0 - index for index in range(10)}
    grids = drift.reference(many, dict.fromkeys(many, "numeric"), weights)
    moved = many | {"f9": RNG.normal(3, 1, 1000)}
    found = score.columns(grids, {name: drift.fill(grids[name], values) for name, values in moved.items()})
    assert (found[9].state, verdict.judge(found).state) == ("alert", "warn")


def test_every_feature_matters_when_no_weight_is_known():
    grids = drift.reference({"x": RNG.normal(0, 1, 500), "y": RNG.normal(0, 1, 500)}, {})
    found = score.columns(grids, {name: drift.fill(grid, RNG.normal(0, 1, 400)) for name, grid in grids.items()})
    assert verdict.important(found) == {"x", "y"}
    assert verdict.weighted_share(found, {"x"}) == 0.5


def test_thirty_quiet_features_raise_no_alert_and_hardly_a_warning():
    frame = {f"f{index}": RNG.normal(0, 1, 5000) for index in range(30)}
    grids = drift.reference(frame, dict.fromkeys(frame, "numeric"))
    states = []
    for _ in range(20):
        counts = {name: drift.fill(grids[name], RNG.normal(0, 1, 400)) for name in grids}
        states.append(verdict.judge(score.columns(grids, counts)).state)
    assert "alert" not in states
    assert states.count("warn") <= 2


@pytest.mark.parametrize(("warn", "alert", "expected"), [(0.1, 0.25, "alert"), (0.1, 9.0, "warn"), (8.0, 9.0, "ok")])
def test_level_follows_the_limits_given(warn, alert, expected):
    found = score.columns(GRIDS, window(age=RNG.normal(50, 10, 1000)))[0]
    assert score.level(found, warn=warn, alert=alert) == expected
