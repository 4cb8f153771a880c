"""Distances against literal numbers, scipy as oracle, and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from monitoring import drift
from monitoring.drift import distance, shape

RNG = np.random.default_rng(11)
COUNTS = st.lists(st.integers(0, 500), min_size=5, max_size=5).filter(any)


def test_psi_of_a_worked_example():
    # (.5-.6)ln(.5/.6) + (.3-.3)ln 1 + (.2-.1)ln(.2/.1) = .018232 + 0 + .069315
    assert distance.psi([60, 30, 10], [50, 30, 20]) == pytest.approx(0.0875469, abs=1e-7)


def test_psi_floors_an_empty_bin_at_one_in_ten_thousand():
    # .17 ln(.17/.0001) - .17 ln((1-.17)/1) with the first bin going from 1 to .83
    expected = (0.17 - 1e-4) * np.log(0.17 / 1e-4) + (0.83 - 1) * np.log(0.83)
    assert distance.psi([1000, 0], [830, 170]) == pytest.approx(expected)


def test_psi_limit_is_the_chi_square_quantile():
    assert distance.psi_limit(10, 200, 200) == pytest.approx(stats.chi2.ppf(0.999, 9) / 100)
    assert distance.psi_limit(10, 200, 10_000) == pytest.approx(27.877 * (1 / 200 + 1 / 10_000), rel=1e-4)


def test_psi_p_is_one_in_a_thousand_on_the_limit():
    assert distance.psi_p(distance.psi_limit(10, 300, 900), 10, 300, 900) == pytest.approx(0.001)


@pytest.mark.parametrize(("n", "most"), [(50, 0.08), (100, 0.01), (200, 0.005)])
def test_small_samples_do_not_raise_false_alarms(n, most):
    """The plain rule PSI > 0.1 gives 86 %, 39 % and 2.3 % here (serving-monitoring.md, 5.3)."""
    draws = RNG.multinomial(n, [0.1] * 10, size=(2000, 2))
    limit = max(0.1, distance.psi_limit(10, n, n))
    alarms = np.mean([distance.psi(first, second) > limit for first, second in draws])
    assert alarms <= most


@settings(deadline=None)
@given(reference=COUNTS, current=COUNTS)
def test_js_agrees_with_scipy(reference, current):
    expected = jensenshannon(np.array(reference) / sum(reference), np.array(current) / sum(current), base=2)
    assert distance.js(reference, current) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(reference=COUNTS, current=COUNTS)
def test_chi2_agrees_with_scipy(reference, current):
    table = np.array([reference, current])
    table = table[:, table.sum(axis=0) > 0]
    expected = stats.chi2_contingency(table, correction=False).pvalue if table.shape[1] > 1 else 1.0
    assert distance.chi2_p(reference, current) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(reference=COUNTS, current=COUNTS)
def test_psi_is_symmetric_and_never_negative(reference, current):
    forth, back = distance.psi(reference, current), distance.psi(current, reference)
    assert forth >= 0
    assert forth == pytest.approx(back)


@settings(deadline=None)
@given(counts=COUNTS, factor=st.integers(1, 50))
def test_more_of_the_same_is_no_distance(counts, factor):
    more = [count * factor for count in counts]
    assert distance.psi(counts, more) == pytest.approx(0, abs=1e-9)
    assert distance.ks(counts, more) == pytest.approx(0, abs=1e-9)
    assert distance.js(counts, more) == pytest.approx(0, abs=1e-6)


def shifted(shift):
    reference, current = RNG.normal(0, 1, 20_000), RNG.normal(shift, 1, 20_000)
    grid = drift.reference({"x": reference}, {"x": "numeric"})["x"]
    return reference, current, grid, drift.fill(grid, current)


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0])
def test_ks_of_the_grid_is_close_to_exact(shift):
    reference, current, grid, counts = shifted(shift)
    exact = stats.ks_2samp(reference, current).statistic
    assert distance.ks(grid["counts"], counts["counts"]) == pytest.approx(exact, abs=0.004)


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0])
def test_wasserstein_of_the_grid_is_close_to_exact(shift):
    reference, current, grid, counts = shifted(shift)
    exact = stats.wasserstein_distance(reference, current) / reference.std()
    found = distance.wasserstein(grid["counts"], counts["counts"], grid["sums"], counts["sums"], scale=grid["sd"])
    assert found == pytest.approx(exact, abs=0.004)


def test_wasserstein_is_right_on_heavy_tails():
    reference, current = RNG.lognormal(0, 2, 50_000), 1.5 * RNG.lognormal(0, 2, 50_000)
    grid = drift.reference({"x": reference}, {"x": "numeric"})["x"]
    counts = drift.fill(grid, current)
    exact = stats.wasserstein_distance(reference, current) / reference.std()
    found = distance.wasserstein(grid["counts"], counts["counts"], grid["sums"], counts["sums"], scale=grid["sd"])
    # Over 25 seeds the grid is 0.5 % under to 6.8 % over: points that cross inside a bin are seen only by its mean.
    assert found == pytest.approx(exact, rel=0.1)


def test_wasserstein_of_a_constant_is_zero_or_infinite():
    assert distance.wasserstein([5], [3], [10.0], [6.0], scale=0.0) == 0.0
    assert distance.wasserstein([5], [3], [10.0], [9.0], scale=0.0) == float("inf")


def test_psi_on_deciles_of_the_grid_is_exact():
    reference, current, grid, counts = shifted(0.5)
    edges = np.quantile(reference, np.arange(1, 10) / 10, method="inverted_cdf")
    bins = [np.bincount(np.searchsorted(edges, side, side="left"), minlength=10) for side in (reference, current)]
    assert distance.psi(shape.coarse(grid, grid), shape.coarse(grid, counts)) == pytest.approx(distance.psi(*bins))


def test_share_p_of_a_worked_example():
    # pooled .525, standard error .049937, z = .05 / .049937 = 1.00125
    assert distance.share_p(110, 200, 100, 200) == pytest.approx(2 * stats.norm.sf(1.0012523), rel=1e-6)
    assert distance.share_p(0, 10, 0, 10) == 1.0


def test_benjamini_hochberg_of_the_paper():
    """The 15 p-values of Benjamini and Hochberg (1995), section 3.2: the first four are rejected at 0.05."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.000]  # fmt: skip
    assert [q <= 0.05 for q in distance.benjamini_hochberg(p_values)] == [True] * 4 + [False] * 11


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30))
def test_benjamini_hochberg_agrees_with_scipy(p_values):
    expected = stats.false_discovery_control(p_values) if p_values else []
    assert np.allclose(distance.benjamini_hochberg(p_values), expected)
