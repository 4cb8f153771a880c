"""Confidence sequences: intervals that hold at every look, so that looking early is safe."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_UNITS = 50


@dataclass(frozen=True, slots=True)
class Arm:
    """What one variant's units came to.

    Parameters
    ----------
    units : int
    total : float
        Sum of the units' outcomes.
    squares : float
        Sum of their squares.
    """

    units: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """Mean outcome of a unit."""
        return self.total / self.units if self.units else 0.0

    @property
    def variance(self) -> float:
        """Variance of the outcomes."""
        return max(self.squares / self.units - self.mean**2, 0.0) if self.units else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """Difference of means, treatment less control, with its interval at this look; infinite while units are few."""

    difference: float
    low: float
    high: float


def tuned(units: float, alpha: float) -> float:
    """Parameter that makes the interval narrowest near this many units.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, arXiv 2103.06476, appendix B.2.
    """
    spread = -2 * math.log(alpha)
    return math.sqrt((spread + math.log(spread + 1)) / max(units, 1.0))


def radius(units: int, spread: float, *, alpha: float, rho: float) -> float:
    """Half the width of the asymptotic confidence sequence after ``units`` of standard deviation ``spread``.

    Source: theorem 2.2 of arXiv 2103.06476: the mixture boundary of Robbins with an estimated variance.
    """
    grown = units * rho**2 + 1
    return spread * math.sqrt(2 * grown / (units**2 * rho**2) * math.log(math.sqrt(grown) / alpha))


def difference(control: Arm, treatment: Arm, *, alpha: float, rho: float) -> Interval:
    """Compare two arms. All units together are the sequence; each arm's variance counts by its share of them.

    The influence function of a difference of means has the variance ``N (v1 / n1 + v0 / n0)`` over ``N`` units.
    """
    found = treatment.mean - control.mean
    if min(control.units, treatment.units) < LEAST_UNITS:
        return Interval(found, -math.inf, math.inf)
    units = control.units + treatment.units
    spread = math.sqrt(units * (control.variance / control.units + treatment.variance / treatment.units))
    half = radius(units, spread, alpha=alpha, rho=rho)
    return Interval(found, found - half, found + half)
