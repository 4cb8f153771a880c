"""Estimated performance against simulations whose truth is known, and against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn import isotonic as sk_isotonic
from sklearn import metrics
from sklearn.ensemble import HistGradientBoostingRegressor

from monitoring import drift
from monitoring.drift import estimate, expected, shape

KINDS = {"x": "numeric", "plan": "categorical", shape.PREDICTION: "categorical", shape.SCORE: "numeric"}
NUMBERS = KINDS | {shape.PREDICTION: "numeric"}


def classified(size, *, shift=0.0, concept=1.0, seed=1):
    """A model that is wrong by a factor in the log-odds: calibration has something to mend."""
    chance = np.random.default_rng(seed)
    x = chance.normal(shift, 1.0, size)
    plan = chance.choice(["a", "b"], size)
    truth = chance.random(size) < 1 / (1 + np.exp(-1.2 * concept * x))
    score = 1 / (1 + np.exp(-2.5 * x))
    answers = np.where(score >= 0.5, "yes", "no")
    return {
        "x": x,
        "plan": plan,
        shape.TARGET: np.where(truth, "yes", "no"),
        shape.PREDICTION: answers,
        shape.SCORE: score,
    }


def real(frame):
    truth, answers, score = frame[shape.TARGET], frame[shape.PREDICTION], frame[shape.SCORE]
    return {
        "accuracy": metrics.accuracy_score(truth, answers),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, answers),
        "precision": metrics.precision_score(truth, answers, pos_label="yes"),
        "recall": metrics.recall_score(truth, answers, pos_label="yes"),
        "f1": metrics.f1_score(truth, answers, pos_label="yes"),
        "roc_auc": metrics.roc_auc_score(truth == "yes", score),
    }


def guessed(grids, frame):
    counts = {shape.SCORE: drift.fill(grids[shape.SCORE], frame[shape.SCORE])}
    return expected.figures(grids, counts)


GRIDS = json.loads(json.dumps(drift.reference(classified(20_000), KINDS)))


@pytest.mark.parametrize("shift", [0.0, 0.5, -1.0])
def test_estimate_of_classes_follows_covariate_shift(shift):
    window = classified(50_000, shift=shift, seed=7)
    assert guessed(GRIDS, window) == pytest.approx(real(window), abs=0.02)


def test_concept_drift_is_invisible_to_the_estimate():
    window = classified(50_000, concept=0.2, seed=8)
    assert guessed(GRIDS, window)["accuracy"] - real(window)["accuracy"] > 0.1


def test_estimate_equals_the_expectation_over_rows_calibrated_one_by_one():
    reference, window = classified(20_000), classified(10_000, shift=0.3, seed=9)
    fitted = sk_isotonic.IsotonicRegression(out_of_bounds="clip").fit(
        reference[shape.SCORE], reference[shape.TARGET] == "yes"
    )
    p, chosen = fitted.predict(window[shape.SCORE]), window[shape.PREDICTION] == "yes"
    assert guessed(GRIDS, window)["accuracy"] == pytest.approx(float(np.mean(np.where(chosen, p, 1 - p))), abs=0.003)


def test_band_holds_windows_like_the_reference():
    learned = GRIDS[shape.SCORE]["estimate"]
    band = expected.band(learned, "accuracy", 1000)
    inside = [band.low <= real(classified(1000, seed=seed))["accuracy"] <= band.high for seed in range(100, 160)]
    assert sum(inside) >= 58
    assert band.high - band.mean == pytest.approx(3 * (0.75 * 0.25 / 1000) ** 0.5, rel=0.25)
    assert expected.band(learned, "mae", 1000) is None


def test_a_score_of_few_values_is_ordered_by_its_number():
    frame = classified(3000)
    frame[shape.SCORE] = np.round(frame[shape.SCORE], 1)
    grids = json.loads(json.dumps(drift.reference(frame, KINDS)))
    assert grids[shape.SCORE]["kind"] == "categorical"
    assert guessed(grids, frame)["roc_auc"] == pytest.approx(real(frame)["roc_auc"], abs=0.01)


def test_isotonic_agrees_with_scikit_learn_and_fills_empty_bins():
    hits, sizes = np.array([0, 3, 2, 0, 9.0, 0]), np.array([0, 10, 10, 0, 10, 0])
    assert estimate.isotonic(hits, sizes) == pytest.approx([0.25, 0.25, 0.25, 0.25, 0.9, 0.9])


def numbered(size, *, shift=0.0, seed=1):
    chance = np.random.default_rng(seed)
    x, plan = chance.normal(shift, 1.0, size), chance.choice(["a", "b", "c"], size)
    spread = np.where(plan == "b", 2.0, 0.5) * (1 + np.abs(x) / 2)
    answers = 3 * x
    truth = answers + chance.normal(0, spread)
    return {"x": x, "plan": plan, shape.TARGET: truth, shape.PREDICTION: answers, shape.SCORE: answers}


@pytest.mark.parametrize(("shift", "within"), [(0.0, 0.03), (0.5, 0.04), (1.0, 0.06)])
def test_estimate_of_numbers_follows_covariate_shift(shift, within):
    grids = json.loads(json.dumps(drift.reference(numbered(10_000), NUMBERS)))
    window = numbered(20_000, shift=shift, seed=5)
    learned = grids[shape.SCORE]["estimate"]
    held = estimate.errors(learned, window, grids)
    counts = {shape.ERROR: {"counts": [len(held)], "sums": [float(held.sum())], "nulls": 0}}
    truth = float(np.mean(np.abs(window[shape.TARGET] - window[shape.SCORE])))
    assert expected.figures(grids, counts) == {"mae": pytest.approx(truth, rel=within)}


def test_trees_answer_as_the_model_they_were_taken_from():
    frame = numbered(2000)
    frame["x"] = np.where(np.arange(2000) % 11 == 0, np.nan, frame["x"])
    grids = drift.reference(frame, NUMBERS)
    learned = json.loads(json.dumps(grids[shape.SCORE]["estimate"]))
    matrix = estimate.encode(frame, learned["model"]["columns"], grids)
    model = HistGradientBoostingRegressor(
        max_iter=estimate.TREES, max_leaf_nodes=estimate.LEAVES, early_stopping=False, random_state=estimate.SEED
    ).fit(matrix, np.abs(frame[shape.SCORE] - frame[shape.TARGET]))
    assert estimate.errors(learned, frame, grids) == pytest.approx(np.maximum(model.predict(matrix), 0.0))
    assert estimate.errors(learned, {"x": [1.0]}, grids) is None


@pytest.mark.parametrize(
    "frame",
    [classified(50), {**classified(300), shape.TARGET: np.array(["no", "yes", "may"] * 100)}],
)
def test_too_few_rows_or_more_classes_teach_nothing(frame):
    grids = drift.reference(frame, KINDS)
    assert "estimate" not in grids[shape.SCORE]
    assert guessed(grids, frame) == {}
