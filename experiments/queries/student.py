"""Student's t distribution: how far a mean of few runs may be off.

The pages' process does not load scipy for one number, so its quantile is found here by halving an interval.
"""

from __future__ import annotations

import math
from functools import lru_cache

CONFIDENCE = 0.95
_TINY = 1e-300


@lru_cache(maxsize=4096)
def quantile(degrees: int, probability: float = (1 + CONFIDENCE) / 2) -> float:
    """Return the value that Student's t stays below with this probability.

    Parameters
    ----------
    degrees : int
        Degrees of freedom, at least 1.
    probability : float
        Above 0.5, below 1.

    References
    ----------
    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1 and 26.5.27.
    """
    low, high = 0.0, 1.0
    while _below(high, degrees) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _below(middle, degrees) < probability else (low, middle)
    return high


def half_width(count: int, deviation: float | None) -> float | None:
    """Return half the width of the 95 % confidence interval of a mean, None for fewer than two runs."""
    if count < 2 or deviation is None:
        return None
    return quantile(count - 1) * deviation / math.sqrt(count)


def _below(t: float, degrees: int) -> float:
    """Probability that Student's t is below a positive number."""
    return 1 - 0.5 * _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    """Lentz's way of computing a continued fraction."""
    c, d = 1.0, 1 / _kept(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 400):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / _kept(1 + term * d), _kept(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return found


def _kept(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
