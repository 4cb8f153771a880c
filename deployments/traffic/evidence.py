"""Tests on counts that stay valid however often one looks, and two that are asked once a look."""

from __future__ import annotations

import math
from collections.abc import Sequence

# How much worse than the stable rate a canary may be: the alternatives that the bet is spread over.
FACTORS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
LEAST_RATE = 1e-3
LEAST_SHARE = 1e-4


def stable_rate(errors: int, requests: int) -> float:
    """Error rate of what is compared with, never below one in a thousand: a quiet past promises no perfection."""
    return max((errors + 1) / (requests + 2), LEAST_RATE)


def error_evidence(errors: int, requests: int, rate: float) -> float:
    """Log of the e-value against "the canary errs no more often than ``rate``".

    An equal mixture of likelihood ratios over rates ``rate`` times 1.25 to 50. By Ville's inequality it exceeds
    ``1 / alpha`` with a probability of at most ``alpha`` over all looks together, so it may be asked at any time.
    Source: Howard et al., Ann. Statist. 2021 (arXiv 1810.08240); Grünwald et al., Safe Testing (arXiv 1906.07801).
    """
    worse = [min(rate * factor, 0.999) for factor in FACTORS if rate < 0.999]
    if not worse:
        return 0.0
    logs = [errors * math.log(one / rate) + (requests - errors) * math.log((1 - one) / (1 - rate)) for one in worse]
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs) / len(logs))


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Population stability index between two counts of the same bins."""
    base, now = sum(reference), sum(current)
    if not base or not now:
        return 0.0
    total = 0.0
    for before, after in zip(reference, current, strict=True):
        p, q = max(before / base, LEAST_SHARE), max(after / now, LEAST_SHARE)
        total += (q - p) * math.log(q / p)
    return total


def mismatch(first: int, second: int, share: float) -> float:
    """p-value of the chi-square test that ``share`` of the units were given to the first variant."""
    total = first + second
    if not total or not 0 < share < 1:
        return 1.0
    wanted = total * share
    statistic = (first - wanted) ** 2 / wanted + (first - wanted) ** 2 / (total - wanted)
    return math.erfc(math.sqrt(statistic / 2))
