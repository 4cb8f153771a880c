"""Importance, dependence and contributions against scikit-learn, SHAP and the definition of Shapley values."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import shap
from sklearn import inspection
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from deployments.proof import explain, explaining
from deployments.proof.scorers import Answers
from experiments.training.catalogue import ALGORITHMS
from experiments.training.columns import Columns
from experiments.training.recipe import _prepare

COLUMNS = ["age", "income", "plan"]


@pytest.fixture(scope="module")
def people():
    random = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 10, 300),
            "income": random.normal(0, 1, 300),
            "plan": random.choice(["a", "b", "c"], 300),
        }
    )
    frame.loc[:9, "income"] = None
    score = frame["age"] / 10 + frame["income"].fillna(0) + (frame["plan"] == "b") + random.normal(0, 0.5, 300)
    return frame, score, np.where(score > 4.3, "yes", "no")


def fitted(estimator, algorithm, people, target=2):
    columns = Columns(all=tuple(COLUMNS), numbers=("age", "income"), categories=("plan",))
    model = Pipeline([("prepare", _prepare(ALGORITHMS[algorithm], columns)), ("model", estimator)])
    return model.fit(people[0], people[target])


@pytest.mark.parametrize(
    ("estimator", "algorithm", "target"),
    [(LogisticRegression(), "logistic_regression", 2), (Ridge(), "ridge", 1)],
)
def test_linear_contributions_equal_shap(people, estimator, algorithm, target):
    model, frame = fitted(estimator, algorithm, people, target), people[0]
    found = explain.contributions(model, frame.head(20), frame.tail(150))
    encoded = model[0].transform(frame.tail(150))
    oracle = shap.LinearExplainer(model[1], shap.maskers.Independent(encoded, max_samples=150))
    parts = oracle.shap_values(model[0].transform(frame.head(20)))
    assert found.method == "linear"
    assert found.values[:, :2] == pytest.approx(parts[:, :2], abs=1e-9)
    assert found.values[:, 2] == pytest.approx(parts[:, 2:].sum(axis=1), abs=1e-9)
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.outputs)


@pytest.mark.parametrize(
    ("estimator", "algorithm", "target", "scale"),
    [
        (RandomForestClassifier(20, max_depth=5, random_state=1), "random_forest", 2, "probability"),
        (RandomForestRegressor(20, max_depth=5, random_state=1), "random_forest", 1, "target"),
        (HistGradientBoostingClassifier(max_iter=20, random_state=1), "hist_gradient_boosting", 2, "log-odds"),
    ],
)
def test_contributions_of_trees_sum_to_the_output(people, estimator, algorithm, target, scale):
    model, frame = fitted(estimator, algorithm, people, target), people[0]
    found = explain.contributions(model, frame.head(20), frame)
    assert (found.method, found.scale, found.why) == ("tree", scale, "")
    encoded = model[0].transform(frame.head(20))
    truth = {"probability": explain.output_of(model), "target": explain.output_of(model)}.get(scale)
    expected = model[1].decision_function(encoded) if truth is None else truth(frame.head(20))
    assert found.outputs == pytest.approx(expected, abs=1e-9)
    assert found.base + found.values.sum(axis=1) == pytest.approx(expected, abs=1e-9)
    assert found.values.shape == (20, 3)


def test_permutation_reaches_the_shapley_values_of_a_small_model(people):
    """The definition: the mean of what a column adds over all orders."""
    frame = people[0]
    model = fitted(KNeighborsClassifier(15), "k_neighbors", people)
    output, rows, start = explain.output_of(model), frame.iloc[20:30].reset_index(drop=True), frame.iloc[[100]]
    exact = np.zeros((10, 3))
    for order in permutations(range(3)):
        table, before = pd.concat([start] * 10, ignore_index=True), None
        before = output(table)
        for place in order:
            table[COLUMNS[place]] = rows[COLUMNS[place]].to_numpy()
            now = output(table)
            exact[:, place] += (now - before) / 6
            before = now
    found = explain.permutation(model, rows, start)
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.outputs)
    assert found.values == pytest.approx(exact, abs=1e-9)
    general = explain.contributions(model, rows, frame)
    assert (general.method, general.scale) == ("permutation", "probability")


def test_drawn_orders_come_near_the_shapley_values(people, monkeypatch):
    model, frame = fitted(KNeighborsClassifier(15), "k_neighbors", people), people[0]
    exact = explain.permutation(model, frame.tail(20), frame.iloc[[100]])
    monkeypatch.setattr(explain, "EVERY_ORDER", 0)
    monkeypatch.setattr(explain, "ORDERS", 200)
    drawn = explain.permutation(model, frame.tail(20), frame.iloc[[100]])
    assert drawn.values == pytest.approx(exact.values, abs=0.05)
    assert drawn.base + drawn.values.sum(axis=1) == pytest.approx(drawn.outputs)


def test_more_than_two_classes_are_explained_by_permutation(people):
    frame = people[0]
    labels = pd.cut(people[1], 3, labels=["low", "mid", "top"]).astype(str)
    model = fitted(LogisticRegression(max_iter=500), "logistic_regression", (frame, None, labels))
    found = explain.contributions(model, frame.head(5), frame)
    assert found.method == "permutation"
    assert found.outputs == pytest.approx(model.predict_proba(frame.head(5))[:, -1])


def test_dependence_equals_scikit_learn(people):
    frame, model = people[0], fitted(LogisticRegression(), "logistic_regression", people)
    rows = frame.iloc[np.random.default_rng(explain.SEED).permutation(300)[: explain.DEPENDENCE_ROWS]]
    for curve in explain.dependence(explain.output_of(model), frame, ["age", "plan"]):
        oracle = inspection.partial_dependence(
            model, rows, [curve["feature"]], kind="average", method="brute", categorical_features=["plan"],
            custom_values={curve["feature"]: pd.Series(curve["grid"]).to_numpy()},
        )  # fmt: skip
        assert curve["mean"] == pytest.approx(oracle["average"][0], abs=1e-9)


def test_importance_finds_what_the_model_uses(people):
    frame, truth = people[0].assign(noise=0.0), (people[2] == "yes").astype(int)
    model = fitted(LogisticRegression(), "logistic_regression", people)

    def answer(table):
        spread = model.predict_proba(table[COLUMNS])
        return Answers(spread.argmax(axis=1), spread)

    found = {row["feature"]: row for row in explain.importance(answer, frame, truth, "log_loss", 2)}
    assert found["noise"]["mean"] == 0.0
    oracle = inspection.permutation_importance(
        model, people[0], people[2], scoring="neg_log_loss", n_repeats=30, random_state=1
    )
    for place, name in enumerate(COLUMNS):
        spread = oracle.importances[place].std()
        assert found[name]["mean"] == pytest.approx(oracle.importances_mean[place], abs=4 * spread + 1e-9)


def test_a_study_is_plain_and_sums_what_it_does_not_show(people, monkeypatch):
    monkeypatch.setattr(explaining, "MOST_COLUMNS", 2)
    model = fitted(LogisticRegression(), "logistic_regression", people)
    found = explaining.study(model, people[0], COLUMNS)
    assert found["columns"][-1] == "other columns"
    assert len(found["rows"]) == explaining.ROWS
    for row in found["rows"]:
        assert row["base"] + sum(row["contributions"]) == pytest.approx(row["output"])
        assert len(row["values"]) == 2
    assert found["class"] == "yes"
    assert {curve["kind"] for curve in found["partial_dependence"]} <= {"numeric", "categorical"}


def test_examples_of_an_evaluation_keep_no_secret_value(people):
    model = fitted(LogisticRegression(), "logistic_regression", people)
    found = explaining.examples(model, people[0], ["plan"])
    assert found["method"] == "linear"
    hidden = found["columns"].index("plan")
    assert {row["values"][hidden] for row in found["rows"]} == {"•••"}
    assert "•••" not in [value for row in found["rows"] for at, value in enumerate(row["values"]) if at != hidden]
    assert len(explaining.examples(model, people[0].head(2), [])["rows"]) == 2
