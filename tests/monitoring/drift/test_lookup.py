"""Bins by a table of cells are those of a search for each value."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import drift
from monitoring.drift import lookup

SHAPES = {
    "even": lambda chance, size: chance.random(size),
    "normal": lambda chance, size: chance.normal(1e6, 1e-3, size),
    "skewed": lambda chance, size: chance.lognormal(0, 3, size),
    "tails": lambda chance, size: chance.standard_cauchy(size),
    "counts": lambda chance, size: chance.poisson(30, size).astype(float),
    "mostly zero": lambda chance, size: np.where(chance.random(size) < 0.9, 0.0, chance.random(size)),
    "huge": lambda chance, size: chance.choice([-1.0, 1.0], size) * 10.0 ** chance.uniform(-300, 300, size),
    "tiny": lambda chance, size: chance.random(size) * 5e-324 * 100,
}


@pytest.mark.parametrize("shape", SHAPES)
@given(seed=st.integers(0, 2**32), shift=st.sampled_from([0.0, 0.5]))
@settings(max_examples=20, deadline=None)
def test_counts_are_those_of_a_search_for_each_value(shape, seed, shift):
    chance = np.random.default_rng(seed)
    sample = SHAPES[shape](chance, 500)
    edges = np.unique(chance.choice(sample, 130))
    values = np.concatenate([edges, np.nextafter(edges, np.inf), SHAPES[shape](chance, 5000) + shift])
    found = lookup.counted(edges, values)
    if found is None:
        assert shape in ("huge", "tiny")
        return
    places = np.searchsorted(edges, values, side="left")
    assert found[0].tolist() == np.bincount(places, minlength=len(edges) + 1).tolist()
    if shape != "huge":
        assert found[1].sum() == pytest.approx(values.sum(), rel=1e-9, abs=1e-9)


def test_many_values_and_few_fall_into_the_same_bins():
    chance = np.random.default_rng(3)
    grid = drift.reference({"x": chance.normal(0, 1, 3000)}, {"x": "numeric"})["x"]
    values = np.append(chance.normal(0.2, 2, 2 * lookup.ENOUGH), np.nan)
    whole = drift.fill(grid, values)
    halves = [drift.fill(grid, values[start : start + 1000]) for start in range(0, len(values), 1000)]
    assert whole["counts"] == np.sum([half["counts"] for half in halves], axis=0).tolist()
    assert whole["nulls"] == 1
    assert whole["sums"] == pytest.approx(np.sum([half["sums"] for half in halves], axis=0).tolist(), rel=1e-9)


@pytest.mark.parametrize("chunked", [True, False])
def test_columns_of_arrow_are_counted_as_lists_are(chunked):
    words, numbers = ["a", "b", None, "zebra", "a"], [1.5, None, 3.0, 1e400, -2.0]
    grids = drift.reference({"w": ["a", "b"] * 20, "x": np.arange(100.0)}, {"w": "categorical", "x": "numeric"})
    for name, values, kind in (("w", words, pa.string()), ("x", numbers, pa.float64())):
        column = pa.chunked_array([values[:2], values[2:]], kind) if chunked else pa.array(values, kind)
        assert drift.fill(grids[name], column) == drift.fill(grids[name], values)
