"""Student's t against scipy."""

import pytest
from scipy import stats

from experiments.queries import student


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 30, 120, 1000, 99_999, 10_000_000])
@pytest.mark.parametrize("probability", [0.75, 0.975, 0.9995])
def test_the_quantile_is_that_of_scipy(degrees, probability):
    assert student.quantile(degrees, probability) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-7)


def test_the_interval_is_that_of_scipy():
    values = [0.81, 0.84, 0.79, 0.9]
    low, high = stats.t.interval(0.95, 3, stats.tmean(values), stats.sem(values))
    assert student.half_width(4, stats.tstd(values)) == pytest.approx((high - low) / 2)
    assert student.half_width(1, None) is None
