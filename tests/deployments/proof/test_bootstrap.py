import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from deployments.proof import scorers
from deployments.proof.bootstrap import compare
from deployments.proof.scorers import Answers

RANDOM = np.random.default_rng(7)
ROWS = 300


def classification(classes: int):
    truth = RANDOM.integers(0, classes, ROWS)
    raw = RANDOM.random((ROWS, classes)).round(1) + 0.05
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    return truth, Answers(probabilities.argmax(axis=1), probabilities)


def oracle_value(metric: str, truth, answers, classes: int, weights):
    average = "binary" if classes == 2 else "macro"
    if metric in ("precision", "recall", "f1"):
        score = {
            "precision": oracle.precision_score,
            "recall": oracle.recall_score,
            "f1": oracle.f1_score,
        }[metric]
        return score(
            truth,
            answers.values,
            average=average,
            sample_weight=weights,
            zero_division=0,
        )
    if metric == "accuracy":
        return oracle.accuracy_score(truth, answers.values, sample_weight=weights)
    if metric == "balanced_accuracy":
        return oracle.balanced_accuracy_score(truth, answers.values, sample_weight=weights)
    if metric == "log_loss":
        return oracle.log_loss(truth, answers.probabilities, sample_weight=weights, labels=range(classes))
    score = {
        "roc_auc": oracle.roc_auc_score,
        "average_precision": oracle.average_precision_score,
    }[metric]
    if classes == 2:
        return score(truth, answers.probabilities[:, 1], sample_weight=weights)
    hot = np.eye(classes)[truth]
    return score(hot, answers.probabilities, average="macro", sample_weight=weights)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(
    "metric",
    [
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "roc_auc",
        "average_precision",
        "log_loss",
    ],
)
def test_classification_scorers_equal_scikit_learn_with_weights(metric, classes):
    truth, answers = classification(classes)
    weights = RANDOM.integers(0, 4, ROWS).astype(float)
    scorer = scorers.SCORERS[metric](truth, answers, classes)
    for case in (np.ones(ROWS), weights):
        assert scorer(case[None, :])[0] == pytest.approx(oracle_value(metric, truth, answers, classes, case), abs=1e-9)


def test_regression_scorers_equal_scikit_learn_on_repeated_rows():
    truth = RANDOM.normal(1e6, 3, ROWS)
    answers = Answers(truth + RANDOM.normal(0, 1, ROWS))
    counts = RANDOM.integers(0, 4, ROWS)
    for case in (np.ones(ROWS, dtype=int), counts):
        there, said = np.repeat(truth, case), np.repeat(answers.values, case)
        expected = {
            "rmse": oracle.root_mean_squared_error(there, said),
            "mae": oracle.mean_absolute_error(there, said),
            "r2": oracle.r2_score(there, said),
            "median_ae": oracle.median_absolute_error(there, said),
        }
        found = {name: scorers.SCORERS[name](truth, answers, 0)(case[None, :].astype(float))[0] for name in expected}
        assert found == pytest.approx(expected, rel=1e-9)


def test_compare_interval_of_a_known_difference():
    """Two accuracies on paired rows: the bootstrap interval is close to the normal one of the mean difference."""
    truth = np.zeros(2000, dtype=int)
    better = Answers((RANDOM.random(2000) < 0.1).astype(int))
    worse = Answers((RANDOM.random(2000) < 0.2).astype(int))
    [found] = compare(truth, better, worse, metrics=["accuracy"], classes=2, rounds=2000, seed=1)
    paired = (better.values == 0).astype(float) - (worse.values == 0).astype(float)
    half = 1.96 * paired.std() / np.sqrt(2000)
    assert found.difference == pytest.approx(paired.mean())
    assert found.low == pytest.approx(paired.mean() - half, abs=0.002)
    assert found.high == pytest.approx(paired.mean() + half, abs=0.002)


def test_compare_is_repeatable_and_reports_progress():
    truth, answers = classification(2)
    other = Answers(answers.values[::-1].copy(), answers.probabilities[::-1].copy())
    shares: list[float] = []
    options = {"metrics": ["roc_auc", "f1"], "classes": 2, "rounds": 120, "seed": 5}
    first = compare(truth, answers, other, **options, on_progress=shares.append)
    assert first == compare(truth, answers, other, **options)
    assert [item.metric for item in first] == ["roc_auc", "f1"]
    assert shares == [pytest.approx(50 / 120), pytest.approx(100 / 120), 1.0]


def test_compare_without_production_scores_the_candidate_alone():
    truth, answers = classification(2)
    [found] = compare(truth, answers, None, metrics=["accuracy"], classes=2, rounds=1000, seed=1)
    assert found.candidate == pytest.approx(oracle.accuracy_score(truth, answers.values))
    assert (found.production, found.difference, found.low, found.high) == (
        None,
        None,
        None,
        None,
    )


def test_compare_leaves_out_what_one_model_cannot_be_scored_on():
    truth, answers = classification(2)
    bare = Answers(answers.values)
    found = compare(
        truth,
        answers,
        bare,
        metrics=["roc_auc", "accuracy", "log_loss"],
        classes=2,
        rounds=50,
        seed=1,
    )
    assert [item.metric for item in found] == ["accuracy"]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_a_model_compared_with_itself_differs_by_nothing(rows, seed):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, rows)
    scores = random.random(rows)
    answers = Answers((scores > 0.5).astype(int), np.column_stack([1 - scores, scores]))
    metrics = ["accuracy", "f1", "log_loss"]
    for item in compare(truth, answers, answers, metrics=metrics, classes=2, rounds=50, seed=seed):
        assert (item.difference, item.low, item.high) == (0.0, 0.0, 0.0)


def test_the_candidate_alone_is_bounded_as_a_share_of_rows_is():
    truth = np.repeat([0, 1], 500)
    answers = Answers(np.where(np.arange(1000) % 10 == 0, 1 - truth, truth))
    [found] = compare(truth, answers, None, metrics=["accuracy"], classes=2, rounds=4000, seed=1, alone=True)
    half = 1.96 * (0.9 * 0.1 / 1000) ** 0.5  # of a binomial share
    assert (found.candidate, found.low, found.high) == (0.9, None, None)
    assert found.candidate_low == pytest.approx(0.9 - half, abs=0.002)
    assert found.candidate_high == pytest.approx(0.9 + half, abs=0.002)


def test_bounding_the_candidate_changes_no_difference():
    random = np.random.default_rng(3)
    truth = random.integers(0, 2, 300)
    ours, theirs = (Answers(np.where(random.random(300) < share, truth, 1 - truth)) for share in (0.9, 0.8))
    options = {"metrics": ["accuracy", "f1"], "classes": 2, "rounds": 600, "seed": 5}
    plain, bounded = (compare(truth, ours, theirs, **options, alone=alone) for alone in (False, True))
    assert [(item.low, item.high) for item in plain] == [(item.low, item.high) for item in bounded]
    assert all(item.candidate_low < item.candidate < item.candidate_high for item in bounded)
