import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score

from deployments.proof.evaluation import Asked
from deployments.proof.evaluation import evaluate as measure
from mlportal.lib.errors import Invalid

RANDOM = np.random.default_rng(3)


def evaluate(frame, candidate, production, **asked):
    return measure(frame, candidate, production, Asked(**asked))


def people(labels=("no", "yes"), rows=400):
    age = RANDOM.normal(40, 10, rows)
    income = RANDOM.normal(0, 1, rows)
    chosen = (age / 10 + income + RANDOM.normal(0, 0.5, rows)) > 4
    return pd.DataFrame(
        {
            "age": age,
            "income": income,
            "__target__": np.where(chosen, labels[1], labels[0]),
        }
    )


def fit(model, frame, columns=("age", "income")):
    return model.fit(frame[list(columns)], frame["__target__"])


def test_evaluate_classification_equals_scikit_learn():
    frame = people()
    good, dummy = fit(LogisticRegression(), frame), fit(DummyClassifier(), frame)
    result = evaluate(
        frame,
        good,
        dummy,
        task="classification",
        metrics=["roc_auc", "accuracy"],
        seed=1,
        columns=["age", "income"],
        rounds=100,
    )
    truth, columns = frame["__target__"], frame[["age", "income"]]
    auc, accuracy = result.metrics
    assert auc.candidate == pytest.approx(roc_auc_score(truth == "yes", good.predict_proba(columns)[:, 1]))
    assert auc.production == pytest.approx(0.5)
    assert accuracy.candidate == pytest.approx(accuracy_score(truth, good.predict(columns)))
    assert accuracy.low > 0
    assert (result.rows, result.rounds, result.note) == (400, 100, "")
    assert result.latency_ms > 0
    assert result.production_latency_ms > 0


def test_evaluate_knows_that_one_and_one_point_zero_are_one_class():
    frame = people(labels=(0, 1))
    whole = fit(LogisticRegression(), frame)
    floats = fit(LogisticRegression(), frame.assign(__target__=frame["__target__"].astype(float)))
    result = evaluate(
        frame,
        whole,
        floats,
        task="classification",
        metrics=["accuracy"],
        seed=1,
        columns=["age", "income"],
        rounds=50,
    )
    assert result.metrics[0].difference == 0.0


def test_evaluate_scores_a_class_production_never_saw():
    frame = people()
    three = frame.copy()
    three.loc[:20, "__target__"] = "maybe"
    result = evaluate(
        three,
        fit(LogisticRegression(), three),
        fit(LogisticRegression(), frame),
        task="classification",
        metrics=["accuracy", "log_loss"],
        seed=1,
        columns=["age", "income"],
        rounds=50,
    )
    assert [item.metric for item in result.metrics] == ["accuracy", "log_loss"]
    assert np.isfinite(result.metrics[1].production)


def test_evaluate_regression():
    frame = people().assign(__target__=lambda rows: rows["age"] * 2)
    result = evaluate(
        frame,
        fit(LinearRegression(), frame),
        fit(DummyRegressor(), frame),
        task="regression",
        metrics=["rmse", "r2"],
        seed=1,
        columns=["age", "income"],
        rounds=50,
    )
    rmse, r2 = result.metrics
    assert rmse.candidate == pytest.approx(0, abs=1e-9)
    assert r2.candidate == pytest.approx(1)
    assert rmse.high < 0


def test_evaluate_says_why_production_cannot_be_compared():
    frame = people()
    candidate = fit(LogisticRegression(), frame, ["age"])
    production = fit(LogisticRegression(), frame)
    result = evaluate(
        frame.drop(columns="income"),
        candidate,
        production,
        task="classification",
        metrics=["accuracy"],
        seed=1,
        columns=["age"],
        production_columns=["age", "income"],
        rounds=50,
    )
    assert "income" in result.note
    assert result.metrics[0].production is None


def test_evaluate_says_when_production_cannot_read_the_values():
    frame = people()
    result = evaluate(
        frame.assign(age="old", older=frame["age"]),
        fit(LogisticRegression(), frame.assign(older=frame["age"]), ["older"]),
        fit(LogisticRegression(), frame),
        task="classification",
        metrics=["accuracy"],
        seed=1,
        columns=["older"],
        production_columns=["age", "income"],
        rounds=50,
    )
    assert result.note.startswith("production cannot read the candidate's held-out rows")


@pytest.mark.parametrize(
    "frame",
    [
        people().iloc[:0],
        people().drop(columns="__target__"),
        people().drop(columns="age"),
    ],
)
def test_evaluate_refuses_rows_it_cannot_use(frame):
    model = fit(LogisticRegression(), people())
    with pytest.raises(Invalid):
        evaluate(
            frame,
            model,
            None,
            task="classification",
            metrics=["accuracy"],
            seed=1,
            columns=["age", "income"],
        )
