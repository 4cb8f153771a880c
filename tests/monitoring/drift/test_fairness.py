"""Groups by their counts, in the shapes fairlearn's MetricFrame gives: computed here with scikit-learn a group."""

import numpy as np
import pytest
from sklearn import metrics

from monitoring.drift import fairness, performance
from monitoring.drift.performance import Row

CHANCE = np.random.default_rng(4)
GROUPS = {"north": 0.5, "south": 0.2, "tiny": 0.9}
SIZES = {"north": 800, "south": 500, "tiny": 20}


def drawn(name):
    size = SIZES[name]
    truth = CHANCE.random(size) < 0.4
    answers = np.where(CHANCE.random(size) < 0.8, truth, CHANCE.random(size) < GROUPS[name])
    return truth, answers


DRAWN = {name: drawn(name) for name in GROUPS}
SELECTED = {name: (int(answers.sum()), len(answers)) for name, (_truth, answers) in DRAWN.items()}
CELLS = {
    name: performance.count(
        [Row(str(t), str(p), None, ("false", "true"), 0.0) for t, p in zip(truth, answers, strict=True)],
        regression=False,
    )
    for name, (truth, answers) in DRAWN.items()
}


def test_rates_of_groups_agree_with_scikit_learn():
    found = fairness.groups(SELECTED, CELLS)
    assert [group.name for group in found] == ["north", "south"]
    for group in found:
        truth, answers = DRAWN[group.name]
        assert (group.rows, group.labelled) == (len(truth), len(truth))
        assert group.selection_rate == pytest.approx(answers.mean())
        assert group.tpr == pytest.approx(metrics.recall_score(truth, answers))
        assert group.fpr == pytest.approx(1 - metrics.recall_score(~truth, ~answers))
        assert group.accuracy == pytest.approx(metrics.accuracy_score(truth, answers))


def test_figures_are_the_widest_gaps():
    north, south = fairness.groups(SELECTED, CELLS)
    found = fairness.figures([north, south])
    assert found["selection_rate_ratio"] == pytest.approx(
        min(north.selection_rate, south.selection_rate) / max(north.selection_rate, south.selection_rate)
    )
    assert found["tpr_difference"] == pytest.approx(abs(north.tpr - south.tpr))
    assert set(found) == {
        "selection_rate_difference", "selection_rate_ratio", "tpr_difference", "fpr_difference", "accuracy_difference",
    }  # fmt: skip


def test_without_labels_only_the_selection_rate_is_known():
    found = fairness.figures(fairness.groups(SELECTED, {}))
    assert set(found) == {"selection_rate_difference", "selection_rate_ratio"}


def test_one_group_says_nothing_and_nobody_selected_has_no_ratio():
    assert fairness.figures(fairness.groups({"north": (10, 100)}, {})) == {}
    assert fairness.figures(fairness.groups({"a": (0, 50), "b": (0, 50)}, {})) == {"selection_rate_difference": 0.0}
