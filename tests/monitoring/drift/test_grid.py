"""Grids: what they hold, how values fall into them, and that parts add up to the whole."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import drift
from monitoring.drift import shape

RNG = np.random.default_rng(7)
NUMBERS = RNG.normal(50, 10, 2000)


def numeric_grid():
    return drift.reference({"x": NUMBERS}, {"x": "numeric"})["x"]


def test_reference_is_plain_json():
    frame = pd.DataFrame({"x": NUMBERS[:300], "plan": ["a", "b", None] * 100, "on": [True, False, True] * 100})
    kinds = {"x": "numeric", "plan": "categorical", "on": "boolean"}
    grids = drift.reference(frame, kinds, {"x": 3.0, "plan": 1.0})
    assert json.loads(json.dumps(grids, allow_nan=False)) == grids
    assert {name: grid["kind"] for name, grid in grids.items()} == {
        "x": "numeric",
        "plan": "categorical",
        "on": "boolean",
    }
    assert (grids["x"]["weight"], grids["plan"]["weight"]) == (0.75, 0.25)
    assert "weight" not in grids["on"]


def test_reference_of_empty_frame_is_empty():
    assert drift.reference(pd.DataFrame({"x": []}), {"x": "numeric"}) == {}


def test_reference_leaves_the_target_out_and_marks_outputs():
    frame = {"x": NUMBERS, shape.TARGET: NUMBERS, shape.SCORE: RNG.random(2000)}
    grids = drift.reference(frame, {"x": "numeric", shape.SCORE: "numeric"})
    assert {name: grid["role"] for name, grid in grids.items()} == {"x": "feature", shape.SCORE: "prediction"}


def test_numeric_reference_has_equal_deciles_and_nothing_outside():
    grid = numeric_grid()
    assert shape.coarse(grid, grid) == [200] * 10
    assert (grid["counts"][0], grid["counts"][-1]) == (0, 0)
    assert len(grid["edges"]) >= 128 + 6


def test_numbers_outside_the_reference_fall_into_the_outer_bins():
    grid = numeric_grid()
    counts = drift.fill(grid, [-1e9, NUMBERS.min(), NUMBERS.max(), 1e9, 1e308])
    assert (counts["counts"][0], counts["counts"][-1]) == (1, 2)


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf, "abc", "", [], {}])
def test_what_is_no_number_counts_as_empty(nothing):
    counts = drift.fill(numeric_grid(), [nothing, 50.0])
    assert (counts["nulls"], sum(counts["counts"])) == (1, 1)


def test_few_distinct_numbers_become_levels():
    grid = drift.reference({"n": [0, 1, 2, 1, 0, None] * 10}, {"n": "integer"})["n"]
    assert (grid["kind"], grid["levels"], grid["counts"], grid["nulls"]) == (
        "categorical",
        ["0", "1", "2"],
        [20, 20, 10, 0],
        10,
    )
    assert drift.fill(grid, [1, 1.0, "1", 7, None]) == {"counts": [0, 3, 0, 1], "nulls": 1, "others": {"7": 1}}


def test_levels_keep_the_50_commonest_and_name_the_others():
    values = [f"v{index:03}" for index in range(80) for _ in range(80 - index)]
    grid = drift.reference({"c": values}, {"c": "categorical"})["c"]
    assert grid["levels"] == [f"v{index:03}" for index in range(50)]
    assert grid["counts"][-1] == sum(range(1, 31))
    assert drift.fill(grid, ["wallet", "wallet", "v000"])["others"] == {"wallet": 2}


def test_mostly_distinct_text_is_only_checked_for_gaps():
    grid = drift.reference({"id": [f"customer-{index}" for index in range(500)]}, {"id": "categorical"})["id"]
    assert grid["kind"] == "text"
    counts = drift.fill(grid, ["", "a" * 5000, None])
    assert (counts["counts"][0], counts["counts"][-1], counts["nulls"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("value", "place"),
    [(True, 1), (1, 1), ("true", 1), ("Yes", 1), (False, 0), (0, 0), ("F", 0), ("maybe", 2), (np.True_, 1)],
)
def test_booleans_are_understood_in_every_spelling(value, place):
    grid = drift.reference({"on": [True, False] * 20}, {"on": "boolean"})["on"]
    assert drift.fill(grid, [value])["counts"] == [int(index == place) for index in range(3)]


def test_pandas_missing_values_are_empty():
    grid = drift.reference({"c": ["a", "b"] * 20}, {"c": "categorical"})["c"]
    counts = drift.fill(grid, pd.Series(["a", pd.NA, None, pd.NaT, math.nan], dtype=object))
    assert (counts["counts"], counts["nulls"]) == ([1, 0, 0], 4)


def test_merge_of_other_grids_is_refused():
    with pytest.raises(shape.GridMismatch):
        shape.merge([{"counts": [1], "nulls": 0}, {"counts": [1, 2], "nulls": 0}])


MIXED = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(math.nan)), max_size=60)


@settings(deadline=None)
@given(first=MIXED, second=MIXED)
def test_parts_of_numbers_add_up_to_the_whole(first, second):
    grid = GRID
    whole, merged = drift.fill(grid, first + second), shape.merge([drift.fill(grid, first), drift.fill(grid, second)])
    assert (merged["counts"], merged["nulls"]) == (whole["counts"], whole["nulls"])
    assert np.allclose(merged["sums"], whole["sums"], atol=1e-6)
    assert shape.size(whole) == len(first) + len(second)


LEVELS = st.lists(st.sampled_from(["a", "b", "c", "d", None, 1, 2.0]), max_size=60)


@settings(deadline=None)
@given(first=LEVELS, second=LEVELS)
def test_parts_of_levels_add_up_to_the_whole(first, second):
    grid = LEVEL_GRID
    whole, merged = drift.fill(grid, first + second), shape.merge([drift.fill(grid, first), drift.fill(grid, second)])
    assert merged == whole


GRID = numeric_grid()
LEVEL_GRID = drift.reference({"c": ["a", "b"] * 20}, {"c": "categorical"})["c"]


def test_empty_counts_are_neutral():
    counts = drift.fill(GRID, NUMBERS)
    assert shape.merge([shape.empty(GRID), counts]) == counts
