"""AUC and F1 of two variants: the values, and what the bootstrap over units promises, by simulation."""

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from deployments.proof import ranked

UNITS, ROWS, ROUNDS = 150, 3, 300
Arm = tuple[np.ndarray, np.ndarray, np.ndarray]


def arm(rng: np.random.Generator, apart: float, *, units: int = UNITS, rows: int = ROWS) -> Arm:
    """Rows of units that have one truth and a score of their own, so rows of one unit say little more than one."""
    hashes, truths = rng.integers(-(2**63), 2**63 - 1, units), rng.integers(0, 2, units)
    own = rng.normal(size=units) * 1.2 + apart * truths
    scores = np.repeat(own, rows) + rng.normal(size=units * rows) * 0.5
    return np.repeat(hashes, rows), scores, np.repeat(truths, rows)


def tally(rows: Arm, edges: np.ndarray) -> ranked.Tally:
    made = ranked.Tally(edges)
    made.add(*rows)
    return made


def judged(metric: str, control: Arm, treatment: Arm, seed: int, *, rounds: int = ROUNDS) -> ranked.Judged:
    edges = ranked.places_of(np.concatenate([control[1], treatment[1]])) if metric == "roc_auc" else np.array([0.5])
    return ranked.judge(tally(control, edges), tally(treatment, edges), metric, alpha=0.05, seed=seed, rounds=rounds)


def said(rows: Arm) -> Arm:
    return rows[0], (rows[1] > 0.5).astype(float), rows[2]


def above(value: float) -> float:
    return 0.5 * math.erfc(value / math.sqrt(2))


def truth_of(metric: str, apart: float) -> float:
    spread = math.sqrt(1.2**2 + 0.5**2)
    if metric == "roc_auc":
        return above(-apart / spread / math.sqrt(2))
    found, false = above((0.5 - apart) / spread), above(0.5 / spread)
    return 2 * found / (1 + found + false)


def test_values_are_those_of_scikit_learn_and_the_seed_tells_the_interval():
    rng = np.random.default_rng(3)
    control, treatment = arm(rng, 0.5, units=2_000), arm(rng, 1.5, units=2_000)
    found = judged("roc_auc", control, treatment, 5)
    values = [roc_auc_score(rows[2], rows[1]) for rows in (control, treatment)]
    assert [found.control, found.treatment] == pytest.approx(values, abs=2e-4)  # neighbours share one of 512 places
    assert found.low < found.difference == found.treatment - found.control < found.high
    assert judged("roc_auc", control, treatment, 5) == found != judged("roc_auc", control, treatment, 6)
    found = judged("f1", said(control), said(treatment), 5)
    assert [found.control, found.treatment] == [f1_score(rows[2], rows[1]) for rows in (said(control), said(treatment))]


@pytest.mark.parametrize("metric", ["roc_auc", "f1"])
def test_the_interval_covers_the_truth_and_no_difference_is_seldom_called_one(metric):
    rng, runs = np.random.default_rng(11), 120
    missed = called = by_rows = 0
    for seed in range(runs):
        rows = [arm(rng, apart) for apart in (1.0, 1.6, 1.0)]
        control, treatment, same = rows if metric == "roc_auc" else [said(each) for each in rows]
        found = judged(metric, control, treatment, seed)
        missed += not found.low <= truth_of(metric, 1.6) - truth_of(metric, 1.0) <= found.high
        nothing = judged(metric, control, same, seed)
        called += not nothing.low <= 0 <= nothing.high
        lone = [(rng.integers(0, 2**63 - 1, len(each[0])), *each[1:]) for each in (control, same)]
        as_rows = judged(metric, *lone, seed)
        by_rows += not as_rows.low <= 0 <= as_rows.high
    assert (missed <= 0.1 * runs, called <= 0.1 * runs) == (True, True)  # 5 % are promised
    assert by_rows > 1.5 * 0.1 * runs  # what drawing rows instead of units would have called


def test_what_is_kept_does_not_grow_with_the_rows_and_their_order_changes_nothing():
    rng = np.random.default_rng(4)
    hashes, scores, truths = arm(rng, 1.0, units=5_000)
    edges = ranked.places_of(scores)
    assert len(edges) < ranked.PLACES
    whole, parts = tally((hashes, scores, truths), edges), ranked.Tally(edges)
    for part in np.array_split(rng.permutation(len(hashes)), 7):
        parts.add(hashes[part], scores[part], truths[part])
    assert (whole.units, parts.units, parts.suffices(5_000), parts.suffices(1_000)) == (5_000, 5_000, False, True)
    once, again = (each.draws("roc_auc", rounds=60, seed=(1,)) for each in (whole, parts))
    assert once[0] == again[0]
    assert (once[1] == again[1]).all()
