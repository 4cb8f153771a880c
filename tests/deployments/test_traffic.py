"""Assignment, e-values, confidence sequences: what they promise, by simulation."""

import math

import numpy as np
import pytest

from deployments.traffic import assignment, evidence, sequence
from deployments.traffic.sequence import Arm

RNG = np.random.default_rng(7)


def test_units_spread_evenly_and_stay_when_a_share_grows():
    units = [b"customer-%d" % number for number in range(20_000)]
    places = [assignment.place(unit, b"a" * 32) for unit in units]
    small, large = (assignment.bounds([share, 1 - share]) for share in (0.1, 0.3))
    first = {unit for unit, at in zip(units, places, strict=True) if assignment.pick(small, at) == 0}
    later = {unit for unit, at in zip(units, places, strict=True) if assignment.pick(large, at) == 0}
    assert len(first) / len(units) == pytest.approx(0.1, abs=0.008)
    assert first < later
    others = [assignment.place(unit, b"b" * 32) for unit in units]
    assert abs(np.corrcoef(np.array(places, float), np.array(others, float))[0, 1]) < 0.03
    assert assignment.pick(assignment.bounds([0.0, 1.0]), 0) == 1
    assert assignment.pick(assignment.bounds([1.0, 0.0]), assignment.SPACE - 1) == 0
    assert -(1 << 63) <= assignment.signed(places[0]) < 1 << 63


def first_alarm(rate: float, requests: int) -> int | None:
    """Requests until the e-value passes 100 when one looks every ten."""
    errors = np.cumsum(RNG.random(requests) < rate)
    for at in range(10, requests + 1, 10):
        if evidence.error_evidence(int(errors[at - 1]), at, 0.01) >= math.log(100):
            return at
    return None


def test_the_error_test_stays_quiet_and_finds_what_is_worse():
    quiet = [first_alarm(0.01, 3_000) for _ in range(150)]
    assert sum(at is not None for at in quiet) <= 5  # 1 % is promised over all looks
    bad = [first_alarm(0.05, 2_000) for _ in range(40)]
    assert all(bad)
    assert np.median([at for at in bad if at]) < 250
    assert np.median([at for at in (first_alarm(0.2, 400) for _ in range(20)) if at]) <= 40


def looks(p0: float, p1: float, *, units: int, alpha: float = 0.05) -> list[sequence.Interval]:
    """The interval at a hundred looks of one experiment."""
    rho = sequence.tuned(units / 2, alpha)
    zeros, ones = (np.cumsum(RNG.random(units) < p) for p in (p0, p1))
    found = []
    for at in range(units // 100, units + 1, units // 100):
        arms = [Arm(at, float(sums[at - 1]), float(sums[at - 1])) for sums in (zeros, ones)]
        found.append(sequence.difference(*arms, alpha=alpha, rho=rho))
    return found


def test_the_interval_covers_the_truth_at_every_look():
    missed = 0
    for _ in range(200):
        missed += any(not look.low <= 0.02 <= look.high for look in looks(0.1, 0.12, units=10_000))
    assert missed / 200 <= 0.05


def test_the_interval_narrows_enough_to_decide():
    decided = [any(look.low > 0 for look in looks(0.1, 0.13, units=10_000)) for _ in range(40)]
    assert sum(decided) >= 36


def test_few_units_give_no_interval_and_an_even_split_no_alarm():
    found = sequence.difference(Arm(10, 5, 5), Arm(900, 400, 400), alpha=0.05, rho=0.05)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert evidence.mismatch(5_050, 4_950, 0.5) > 0.1
    assert evidence.mismatch(5_300, 4_700, 0.5) < 1e-6
    assert evidence.psi([100, 100], [100, 100]) == 0
    assert evidence.psi([500, 500], [900, 100]) > 0.25
