"""Compare two figures that both have an interval: what was promised and what came, before and after. Plain Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

from monitoring.drift.measures import LOWER_IS_BETTER

Verdict = Literal["better", "same", "worse", "unknown"]


@dataclass(frozen=True, slots=True)
class Change:
    """From one figure to the next; ``gain`` is positive when the later one is better, with its 95 % bounds."""

    verdict: Verdict
    gain: float | None = None
    low: float | None = None
    high: float | None = None


def change(metric: str, earlier: Mapping[str, Any], later: Mapping[str, Any]) -> Change:
    """Compare two figures, each with ``value``, ``low`` and ``high``.

    Without an interval of the later figure nothing is said to have changed: a point alone is no evidence. An earlier
    figure without one counts as exact.
    """
    before, after = earlier.get("value"), later.get("value")
    if before is None or after is None:
        return Change("unknown")
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    gain = sign * (after - before)
    width = _half(later)
    if width is None:
        return Change("unknown", gain)
    reach = sqrt(width**2 + (_half(earlier) or 0.0) ** 2)
    low, high = gain - reach, gain + reach
    return Change("better" if low > 0 else "worse" if high < 0 else "same", gain, low, high)


def _half(figure: Mapping[str, Any]) -> float | None:
    low, high = figure.get("low"), figure.get("high")
    return None if low is None or high is None else max(high - low, 0.0) / 2
