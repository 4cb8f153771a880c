"""Cost of a threshold: counts against a loop over the rows, costs against scikit-learn, intervals against scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix

from deployments.proof import threshold
from deployments.proof.threshold import Costs

COSTS = Costs(false_positive=1.0, false_negative=5.0)


def rows(count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, and two models that know something of it; some probabilities lie exactly on the grid."""
    random = np.random.default_rng(7)
    truth = random.random(count) < 0.3
    ours = np.clip(0.25 + 0.4 * truth + random.normal(0, 0.2, count), 0, 1)
    theirs = np.clip(0.3 + 0.2 * truth + random.normal(0, 0.25, count), 0, 1)
    ours[:50] = np.round(ours[:50], 2)
    return truth, ours, theirs


def said(probabilities: np.ndarray, step: int) -> np.ndarray:
    return probabilities >= threshold.GRID[step]


@pytest.mark.parametrize("step", [0, 1, 29, 37, 50, 58, 99, 100])
def test_the_cells_are_those_of_a_loop_over_the_rows(step):
    truth, ours, theirs = rows()
    one, other = said(ours, step), said(theirs, step)
    pairs = [(~one & ~other), (one & ~other), (~one & other), (one & other)]
    wanted = [int((side & pair).sum()) for side in (~truth, truth) for pair in pairs]
    assert threshold.cells(truth, ours, theirs)[step] == wanted
    alone = threshold.cells(truth, ours, None)[step]
    assert alone == [int(n) for side in (~truth, truth) for n in ((side & ~one).sum(), (side & one).sum(), 0, 0)]


def test_costs_are_those_of_the_confusion_matrix_of_scikit_learn():
    truth, ours, theirs = rows()
    kept = threshold.cells(truth, ours, theirs)
    for production, scores in ((False, ours), (True, theirs)):
        found = threshold.curve(kept, COSTS, production=production)
        for step in (10, 50, 80):
            _, fp, fn, _ = confusion_matrix(truth, said(scores, step)).ravel()
            assert found[step] == pytest.approx((fp * 1.0 + fn * 5.0) / len(truth))
    at = threshold.at(kept[50], COSTS, compared=True, seed=1)
    _, fp, fn, _ = confusion_matrix(truth, said(theirs, 50)).ravel()
    assert (at["baseline"]["false_positives"], at["baseline"]["false_negatives"]) == (fp, fn)


def test_intervals_are_those_of_a_bootstrap_over_the_rows_by_scipy():
    truth, ours, theirs = rows()
    at = threshold.at(threshold.cells(truth, ours, theirs)[40], COSTS, compared=True, seed=3, rounds=4000)
    losses = [
        np.where(truth, 5.0 * ~said(scores, 40), 1.0 * said(scores, 40)) for scores in (ours, theirs)
    ]  # fmt: skip
    wanted = {"candidate": losses[0], "baseline": losses[1], "difference": losses[0] - losses[1]}
    for side, values in wanted.items():
        oracle = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=5).confidence_interval
        width = oracle.high - oracle.low
        assert at[side]["value"] == pytest.approx(values.mean())
        assert at[side]["low"] == pytest.approx(oracle.low, abs=width / 10)
        assert at[side]["high"] == pytest.approx(oracle.high, abs=width / 10)


def test_without_production_only_the_candidate_is_weighed():
    truth, ours, _ = rows()
    at = threshold.at(threshold.cells(truth, ours, None)[50], COSTS, compared=False, seed=1)
    assert (at["baseline"], at["difference"]) == (None, None)
