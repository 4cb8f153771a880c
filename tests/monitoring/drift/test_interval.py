"""Bounds of figures from cells: they hold what they say, and say nothing of too little."""

import random

import pytest

from deployments.proof import gap
from monitoring.drift import interval, performance
from monitoring.drift.performance import Row


def cells(rows: int, right: float, seed: int = 1) -> dict:
    luck = random.Random(seed)
    made = []
    for _row in range(rows):
        truth = luck.choice(["no", "yes"])
        score = min(max(luck.gauss(0.65 if truth == "yes" else 0.35, 0.2), 0.01), 0.99)
        answer = truth if luck.random() < right else {"no": "yes", "yes": "no"}[truth]
        made.append(Row(truth, answer, score, ("no", "yes"), 60.0))
    return performance.count(made, regression=False)


def test_bounds_of_accuracy_are_those_of_the_normal_interval():
    low, high = interval.bounds([cells(1000, 0.8)], "accuracy")
    value = performance.figures(cells(1000, 0.8))["accuracy"]
    half = 1.96 * (value * (1 - value) / 1000) ** 0.5
    assert (low, high) == (pytest.approx(value - half, abs=0.008), pytest.approx(value + half, abs=0.008))


@pytest.mark.parametrize("metric", ["roc_auc", "f1", "precision", "recall", "log_loss", "brier", "balanced_accuracy"])
def test_every_figure_of_classes_has_bounds_around_it(metric):
    held = cells(600, 0.8)
    low, high = interval.bounds([held], metric)
    assert low < performance.figures(held)[metric] < high
    wide = interval.bounds([cells(60, 0.8)], metric)
    assert wide[1] - wide[0] > high - low


def test_bounds_hold_the_true_value_nearly_always():
    held = sum(
        low <= 0.8 <= high for low, high in (interval.bounds([cells(200, 0.8, s)], "accuracy") for s in range(40))
    )
    assert held >= 34


def test_numbers_go_by_stretches_of_time():
    luck = random.Random(2)
    parts = [
        performance.count(
            [Row(str(luck.gauss(0, 1)), "", luck.gauss(0, 1), (), 1.0) for _row in range(50)], regression=True
        )
        for _part in range(12)
    ]
    low, high = interval.bounds(parts, "rmse")
    assert low < 2**0.5 < high
    assert interval.bounds(parts[:3], "rmse") is None


def test_too_few_rows_have_no_bounds():
    assert interval.bounds([cells(20, 0.8)], "accuracy") is None
    assert interval.bounds([], "accuracy") is None
    assert interval.bounds([cells(100, 0.8)], "mae") is None


CASES = [
    ("accuracy", (0.9, 0.88, 0.92), (0.8, 0.78, 0.82), "worse", -0.1),
    ("accuracy", (0.8, 0.78, 0.82), (0.9, 0.88, 0.92), "better", 0.1),
    ("accuracy", (0.9, 0.88, 0.92), (0.89, 0.87, 0.91), "same", -0.01),
    ("mae", (1.0, 0.9, 1.1), (2.0, 1.9, 2.1), "worse", -1.0),
    ("accuracy", (0.9, None, None), (0.8, 0.78, 0.82), "worse", -0.1),
    ("accuracy", (0.9, 0.88, 0.92), (0.8, None, None), "unknown", -0.1),
    ("accuracy", (None, None, None), (0.8, 0.78, 0.82), "unknown", None),
]


@pytest.mark.parametrize(("metric", "earlier", "later", "verdict", "gain"), CASES)
def test_change_between_two_figures(metric, earlier, later, verdict, gain):
    named = [dict(zip(("value", "low", "high"), figure, strict=True)) for figure in (earlier, later)]
    found = gap.change(metric, *named)
    assert (found.verdict, found.gain) == (verdict, gain if gain is None else pytest.approx(gain))
