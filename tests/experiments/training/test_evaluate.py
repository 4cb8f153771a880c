"""Evaluation against hand-worked numbers and scikit-learn as oracle."""

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression

from experiments.training import evaluate

CLASSES = np.array(["no", "yes"], dtype=object)
ACTUAL = np.array(["no", "no", "yes", "yes"], dtype=object)
SHARE = np.array([0.1, 0.4, 0.35, 0.8])
BOTH = np.column_stack([1 - SHARE, SHARE])
PREDICTED = np.array(["no", "no", "no", "yes"], dtype=object)


def test_two_classes_by_hand() -> None:
    # The four scores are the worked example of scikit-learn's user guide (roc_auc_score: 0.75).
    found = evaluate.classification(ACTUAL, PREDICTED, BOTH, CLASSES)
    assert found == pytest.approx(
        {
            "accuracy": 0.75,
            "balanced_accuracy": 0.75,
            "f1": 2 / 3,
            "precision": 1.0,
            "recall": 0.5,
            "log_loss": -np.mean(np.log([0.9, 0.6, 0.35, 0.8])),
            "roc_auc": 0.75,
            "average_precision": 0.5 * 1 + 0.5 * 2 / 3,
        }
    )


def test_three_classes_are_means_over_classes() -> None:
    classes = np.array([1, 2, 3])
    actual, predicted = np.array([1, 1, 2, 2, 3, 3]), np.array([1, 2, 2, 2, 3, 1])
    found = evaluate.classification(actual, predicted, np.full((6, 3), 1 / 3), classes)
    assert found["precision"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert found["recall"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert found["log_loss"] == pytest.approx(np.log(3))
    assert found["roc_auc"] == pytest.approx(0.5)


def test_class_without_rows_leaves_ranking_out() -> None:
    found = evaluate.classification(ACTUAL[:2], PREDICTED[:2], BOTH[:2], CLASSES)
    assert "roc_auc" not in found
    assert found["accuracy"] == 1.0


def test_regression_by_hand() -> None:
    found = evaluate.regression(np.array([3, -0.5, 2, 7]), np.array([2.5, 0.0, 2, 8]))
    assert found == pytest.approx({"rmse": 0.375**0.5, "mae": 0.5, "median_ae": 0.5, "r2": 0.9486081370449679})


def test_confusion_matrix_counts_rows_of_each_class() -> None:
    assert evaluate.confusion_matrix(ACTUAL, PREDICTED, CLASSES) == {
        "classes": ["no", "yes"],
        "matrix": [[2, 0], [1, 1]],
    }


def test_roc_curve_of_the_last_class() -> None:
    assert evaluate.roc(ACTUAL, BOTH, CLASSES) == {
        "curves": [
            {
                "class": "yes",
                "auc": 0.75,
                "fpr": [0.0, 0.0, 0.5, 0.5, 1.0],
                "tpr": [0.0, 0.5, 0.5, 1.0, 1.0],
                "thresholds": [None, 0.8, 0.4, 0.35, 0.1],
            }
        ]
    }


def test_precision_recall_curve() -> None:
    curve = evaluate.precision_recall(ACTUAL, BOTH, CLASSES)["curves"][0]
    assert curve["recall"] == [1.0, 1.0, 0.5, 0.5, 0.0]
    assert curve["precision"] == pytest.approx([0.5, 2 / 3, 0.5, 1.0, 1.0])
    assert curve["thresholds"] == [0.1, 0.35, 0.4, 0.8, None]


def test_calibration_bins_and_brier_score() -> None:
    curve = evaluate.calibration(ACTUAL, BOTH, CLASSES)["curves"][0]
    assert sum(curve["counts"]) == 4
    assert curve["brier"] == pytest.approx((0.1**2 + 0.4**2 + 0.65**2 + 0.2**2) / 4)


def test_curves_are_thinned_with_both_ends() -> None:
    random = np.random.default_rng(0)
    share = random.random(5000)
    actual = np.where(random.random(5000) < share, "yes", "no").astype(object)
    curve = evaluate.roc(actual, np.column_stack([1 - share, share]), CLASSES)["curves"][0]
    assert len(curve["fpr"]) == 200
    assert (curve["fpr"][0], curve["tpr"][0], curve["fpr"][-1], curve["tpr"][-1]) == (0.0, 0.0, 1.0, 1.0)


def test_one_curve_a_class_of_three() -> None:
    classes, actual = np.array(["a", "b", "c"], dtype=object), np.array(["a", "b", "c", "a"], dtype=object)
    curves = evaluate.roc(actual, np.full((4, 3), 1 / 3), classes)["curves"]
    assert [curve["class"] for curve in curves] == ["a", "b", "c"]


def test_residuals_are_actual_minus_predicted() -> None:
    found = evaluate.residuals(np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 1.0]), seed=0)
    assert found["quantiles"]["0"] == 0.0
    assert found["quantiles"]["0.5"] == 1.0
    assert found["quantiles"]["1"] == 3.0
    assert sum(found["histogram"]["counts"]) == 3
    assert found["actual"] == [1.0, 2.0, 4.0]


def test_residual_points_are_a_seeded_sample() -> None:
    values = np.arange(5000.0)
    one, two = (evaluate.residuals(values, values / 2, seed=4) for _ in range(2))
    assert len(one["actual"]) == 2000
    assert one == two


@pytest.mark.slow
def test_importance_equals_scikit_learn() -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(300, 3)), columns=["strong", "weak", "none"])
    target = (3 * frame["strong"] + frame["weak"] + random.normal(size=300) > 0).to_numpy()
    model = LogisticRegression().fit(frame, target)
    seen: list[int] = []
    found = evaluate.importance(lambda rows: model.score(rows, target), frame, seed=9, on_column=seen.append)
    oracle = permutation_importance(model, frame, target, n_repeats=5, random_state=9)
    by_name = {row["feature"]: (row["mean"], row["std"]) for row in found}
    for place, name in enumerate(frame):
        assert by_name[name] == pytest.approx((oracle.importances_mean[place], oracle.importances_std[place]))
    assert [row["feature"] for row in found][:2] == ["strong", "weak"]
    assert seen == [1, 2, 3]
