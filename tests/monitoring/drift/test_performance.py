"""Cells of labelled rows against scikit-learn, and that they add up."""

import numpy as np
import pytest
from sklearn import metrics

from monitoring.drift import performance
from monitoring.drift.performance import Row

RNG = np.random.default_rng(21)
TWO = ("no", "yes")


def binary(size=4000, seed=3):
    chance = np.random.default_rng(seed)
    scores = chance.beta(2, 4, size)
    truth = chance.random(size) < scores
    return [
        Row("yes" if hit else "no", "yes" if score >= 0.4 else "no", float(score), TWO, 3600.0)
        for hit, score in zip(truth, scores, strict=True)
    ]


def test_two_classes_agree_with_scikit_learn():
    rows = binary()
    truth, answers = [row.truth for row in rows], [row.predicted for row in rows]
    scores, hits = [row.score for row in rows], [row.truth == "yes" for row in rows]
    found = performance.figures(performance.count(rows, regression=False))
    exact = {
        "accuracy": metrics.accuracy_score(truth, answers),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, answers),
        "precision": metrics.precision_score(truth, answers, pos_label="yes"),
        "recall": metrics.recall_score(truth, answers, pos_label="yes"),
        "f1": metrics.f1_score(truth, answers, pos_label="yes"),
        "log_loss": metrics.log_loss(hits, scores),
        "brier": metrics.brier_score_loss(hits, scores),
    }
    area = found.pop("roc_auc")
    assert found == pytest.approx(exact)
    assert area == pytest.approx(metrics.roc_auc_score(hits, scores), abs=1e-3)


def test_three_classes_are_macro_means():
    names = ("a", "b", "c")
    truth, answers = RNG.choice(names, 900), RNG.choice(names, 900)
    rows = [Row(t, p, None, names, 0.0) for t, p in zip(truth, answers, strict=True)]
    found = performance.figures(performance.count(rows, regression=False))
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, answers),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, answers),
            "precision": metrics.precision_score(truth, answers, average="macro"),
            "recall": metrics.recall_score(truth, answers, average="macro"),
            "f1": metrics.f1_score(truth, answers, average="macro"),
        }
    )


def test_numbers_agree_with_scikit_learn():
    truth = RNG.normal(100, 20, 500)
    answers = truth + RNG.normal(0, 5, 500)
    rows = [Row(repr(float(t)), "", float(p), (), 0.0) for t, p in zip(truth, answers, strict=True)]
    found = performance.figures(performance.count(rows, regression=True))
    assert found == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(truth, answers),
            "rmse": metrics.root_mean_squared_error(truth, answers),
            "r2": metrics.r2_score(truth, answers),
        }
    )


def test_cells_of_parts_add_up_and_a_correction_leaves_no_trace():
    rows = binary(600)
    whole = performance.count(rows, regression=False)
    parts = [performance.count(rows[start : start + 200], regression=False) for start in (0, 200, 400)]
    assert performance.figures(performance.merge(parts)) == pytest.approx(performance.figures(whole))
    less = performance.add(whole, parts[2], sign=-1)
    assert performance.figures(less) == pytest.approx(performance.figures(performance.merge(parts[:2])))
    assert performance.size(performance.add(parts[0], parts[0], sign=-1)) == 0


@pytest.mark.parametrize(
    ("sent", "same"), [("1.0", "1"), (" 1 ", "1"), ("True", "true"), ("0.5", "0.5"), ("yes", "yes"), ("nan", "nan")]
)
def test_spellings_of_one_value(sent, same):
    assert performance.canonical(sent) == same


def test_lag_is_a_median_within_seven_percent():
    rows = [Row("yes", "yes", 0.9, TWO, hours * 3600.0) for hours in (1, 24, 100)]
    assert performance.lag_hours(performance.count(rows, regression=False)) == pytest.approx(24, rel=0.08)
    assert performance.lag_hours({}) is None
    assert performance.figures({}) == {}


def test_one_class_has_no_area_and_a_truth_that_is_no_number_is_left_out():
    rows = [Row("yes", "yes", 0.9, TWO, 0.0)] * 3
    assert "roc_auc" not in performance.figures(performance.count(rows, regression=False))
    assert performance.count([Row("n/a", "1", 1.0, (), 0.0)], regression=True) == {}


def test_extreme_scores_stay_in_the_outer_bins():
    assert [performance.score_bin(score) for score in (0.0, 0.5, 1.0)] == [-100, 0, 100]
