"""The two distributions that drift tests need, in plain Python: pages score windows too, and never load scipy."""

from functools import lru_cache
from math import erfc, exp, lgamma, log, sqrt

TINY = 1e-300
PRECISION = 1e-15
MOST_TERMS = 10_000


def chi2_sf(value: float, freedom: int) -> float:
    """Probability (0 to 1) that a chi-square variable with ``freedom`` degrees of freedom exceeds ``value``.

    Notes
    -----
    Source: the regularised upper incomplete gamma function by its series and, beyond ``a + 1``, its continued
    fraction (Abramowitz and Stegun 6.5.29 and 6.5.31; Lentz's method).
    """
    a, x = freedom / 2, value / 2
    if x <= 0:
        return 1.0
    if x < a + 1:
        return max(1.0 - _lower_series(a, x), 0.0)
    return _upper_fraction(a, x)


@lru_cache(maxsize=512)
def chi2_quantile(share: float, freedom: int) -> float:
    """Value that a chi-square variable stays under with probability ``share`` (0 to 1, both excluded)."""
    low, high = 0.0, float(freedom)
    while chi2_sf(high, freedom) > 1 - share:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if high - low <= PRECISION * high:
            break
        low, high = (middle, high) if chi2_sf(middle, freedom) > 1 - share else (low, middle)
    return (low + high) / 2


def normal_two_sided(distance: float) -> float:
    """Probability (0 to 1) of a standard normal at least this far from 0 on either side."""
    return erfc(abs(distance) / sqrt(2))


def _lower_series(a: float, x: float) -> float:
    term = total = 1 / a
    for number in range(1, MOST_TERMS):
        term *= x / (a + number)
        total += term
        if term < total * PRECISION:
            break
    return total * exp(-x + a * log(x) - lgamma(a))


def _upper_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c, d = 1 / TINY, 1 / b
    result = d
    for number in range(1, MOST_TERMS):
        step = -number * (number - a)
        b += 2
        d = 1 / _away_from_zero(step * d + b)
        c = _away_from_zero(b + step / c)
        result *= d * c
        if abs(d * c - 1) < PRECISION:
            break
    return exp(-x + a * log(x) - lgamma(a)) * result


def _away_from_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
