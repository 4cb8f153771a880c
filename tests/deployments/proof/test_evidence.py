"""Segments, fairness, calibration and time against fairlearn, scikit-learn and scipy, and at their edges."""

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from deployments.proof import calibration, fairness, groups, measured, rules, timing
from deployments.proof.bootstrap import bounds, compare
from deployments.proof.evaluation import Asked, evaluate
from deployments.proof.scorers import SCORERS, Answers

ROWS = 1200
COLUMNS = ["age", "income"]


def answers(random, truth, skill=1.0):
    score = 1 / (1 + np.exp(-(random.normal(size=len(truth)) + skill * (2 * truth - 1))))
    return Answers((score > 0.5).astype(np.int64), np.column_stack([1 - score, score]))


@pytest.fixture(scope="module")
def told():
    random = np.random.default_rng(11)
    truth = random.integers(0, 2, ROWS)
    sex = pd.Series(random.choice(["f", "m", "x"], ROWS, p=[0.5, 0.4, 0.1]), name="sex")
    return truth, answers(random, truth), answers(random, truth, 0.6), sex


def test_rates_by_group_equal_fairlearn(told):
    truth, ours, theirs, sex = told
    [column], missing = _one(fairness.by_group(groups.by(sex), truth, ours, theirs, rounds=50, seed=1))
    names = {
        "selection_rate": fairlearn.selection_rate, "tpr": fairlearn.true_positive_rate,
        "fpr": fairlearn.false_positive_rate, "accuracy": oracle.accuracy_score,
    }  # fmt: skip
    for side, said in (("candidate", ours), ("baseline", theirs)):
        frame = fairlearn.MetricFrame(metrics=names, y_true=truth, y_pred=said.values, sensitive_features=sex)
        for group in column["groups"]:
            found = {name: group[side][name]["value"] for name in names}
            assert found == pytest.approx(frame.by_group.loc[group["value"]].to_dict(), abs=1e-12)
        ratio = fairlearn.demographic_parity_ratio(truth, said.values, sensitive_features=sex)
        assert column["selection_ratio"][side] == pytest.approx(ratio, abs=1e-12)
    assert column["four_fifths"] is (column["selection_ratio"]["candidate"] >= 0.8)
    assert not missing


def _one(found):
    return [found[0]], found[1]


ORACLES = {
    "selection_rate": (fairlearn.selection_rate, lambda truth, said: said.mean()),
    "tpr": (fairlearn.true_positive_rate, lambda truth, said: said[truth == 1].mean()),
    "fpr": (fairlearn.false_positive_rate, lambda truth, said: said[truth == 0].mean()),
    "accuracy": (oracle.accuracy_score, lambda truth, said: (said == truth).mean()),
}


@pytest.mark.parametrize("rate", fairness.RATES)
def test_differences_by_group_equal_fairlearn_and_scipy(told, rate):
    """The interval of one group is that of drawing all rows in pairs, to a seventh of its width."""
    truth, ours, theirs, sex = told
    grouping, group = groups.by(sex), sex.to_numpy() == "m"
    found = fairness.differences(grouping, truth, ours, theirs, rounds=4000, seed=7)[grouping.labels.index("m")][rate]

    def difference(index, measure=ORACLES[rate][1]):
        kept = index[group[index]]
        return measure(truth[kept], ours.values[kept]) - measure(truth[kept], theirs.values[kept])

    drawn = stats.bootstrap(
        (np.arange(ROWS),), difference, vectorized=False, n_resamples=1000, method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    assert found["value"] == pytest.approx(difference(np.arange(ROWS), ORACLES[rate][0]), abs=1e-12)
    near = 0.15 * (drawn.high - drawn.low)
    assert (found["low"], found["high"]) == pytest.approx((drawn.low, drawn.high), abs=near)


def test_a_group_without_positives_has_no_difference_of_their_rate(told):
    truth, ours, theirs, sex = told
    grouping = groups.by(sex)
    truth = np.where(sex == "f", 0, truth)
    found = fairness.differences(grouping, truth, ours, theirs, rounds=50, seed=7)[grouping.labels.index("f")]
    assert found["tpr"] == {"value": None, "low": None, "high": None}
    assert found["fpr"]["low"] <= found["fpr"]["value"] <= found["fpr"]["high"]
    same = fairness.differences(grouping, truth, ours, ours, rounds=50, seed=7)[0]
    assert {tuple(each.values()) for each in same.values()} <= {(0.0, 0.0, 0.0), (None, None, None)}


@pytest.mark.parametrize(("hits", "of"), [(0, 5), (5, 5), (3, 40), (400, 1000)])
def test_wilson_equals_scipy(hits, of):
    found = fairness.wilson(hits, of)
    expected = stats.binomtest(hits, of).proportion_ci(method="wilson")
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert fairness.wilson(0, 0) == {"value": None, "low": None, "high": None}


def test_calibration_equals_scikit_learn(told):
    truth, ours, _, _ = told
    found = calibration.of(truth, ours, 2)
    score = ours.probabilities[:, 1]
    seen, said = calibration_curve(truth, score, n_bins=10)
    assert [each["seen"]["value"] for each in found["bins"]] == pytest.approx(seen)
    assert [each["said"] for each in found["bins"]] == pytest.approx(said)
    assert found["brier"] == pytest.approx(oracle.brier_score_loss(truth, score))
    rows = np.array([each["rows"] for each in found["bins"]])
    assert found["ece"] == pytest.approx((rows / rows.sum() * np.abs(seen - said)).sum())
    drawn = stats.bootstrap(
        ((score - truth) ** 2,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found["brier_low"], found["brier_high"]) == pytest.approx((drawn.low, drawn.high), abs=0.002)


def test_calibration_of_many_classes_judges_the_chosen_one():
    random = np.random.default_rng(2)
    spread = random.dirichlet([1, 1, 1], 500)
    truth = random.integers(0, 3, 500)
    found = calibration.of(truth, Answers(spread.argmax(axis=1), spread), 3)
    assert sum(each["rows"] for each in found["bins"]) == 500
    assert found["brier"] == pytest.approx(((spread - np.eye(3)[truth]) ** 2).sum(axis=1).mean())
    assert calibration.of(truth, Answers(spread.argmax(axis=1)), 3) is None


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss", "brier", "accuracy", "f1"])
def test_intervals_equal_scipy_bootstrap(told, metric):
    """Both draw 2,000 paired samples: the ends agree within a tenth of the interval's width."""
    truth, ours, theirs, _ = told
    [found] = compare(truth, ours, theirs, metrics=[metric], classes=2, rounds=2000, seed=3)

    def difference(index):
        once = np.ones((1, len(index)))
        both = (SCORERS[metric](truth[index], said.take(index), 2)(once)[0] for said in (ours, theirs))
        return next(both) - next(both)

    drawn = stats.bootstrap(
        (np.arange(ROWS),), difference, vectorized=False, n_resamples=2000, method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    near = 0.1 * (drawn.high - drawn.low)
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=near)


def test_few_draws_give_standard_errors():
    draws = np.random.default_rng(5).normal(0.3, 0.1, 200)
    low, high = bounds(draws, 0.3)
    assert (low, high) == pytest.approx((0.3 - 1.96 * draws.std(), 0.3 + 1.96 * draws.std()))
    assert bounds(np.array([]), 0.3) == (None, None)


def test_more_scores_than_bins_move_an_area_by_less_than_the_bound():
    random = np.random.default_rng(6)
    truth = random.integers(0, 2, 150_000)
    said = answers(random, truth)
    found = SCORERS["roc_auc"](truth, said, 2)(np.ones((1, len(truth))))[0]
    assert found == pytest.approx(oracle.roc_auc_score(truth, said.probabilities[:, 1]), abs=8e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(seed):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, 200)
    ours, theirs = answers(random, truth), answers(random, truth, 0.5)
    order = random.permutation(200)
    metrics = ["roc_auc", "average_precision", "log_loss", "f1"]
    same = {"metrics": metrics, "classes": 2, "rounds": 50, "seed": 9}
    first = compare(truth, ours, theirs, **same)
    second = compare(truth[order], ours.take(order), theirs.take(order), **same)
    for one, other in zip(first, second, strict=True):
        assert (one.difference, one.low, one.high) == pytest.approx(
            (other.difference, other.low, other.high), abs=1e-12
        )


# --- groups --------------------------------------------------------------------------------------


def test_numbers_with_many_values_become_bands_and_the_rest_keeps_its_names():
    ages = groups.by(pd.Series([*range(100), None], name="age"))
    assert ages.labels == ("up to 24", "over 24 to 49", "over 49 to 74", "over 74", "empty")
    assert np.bincount(ages.codes).tolist() == [25, 25, 25, 25, 1]
    flags = groups.by(pd.Series([True, False, True], name="vip"))
    assert flags.labels == ("False", "True")
    many = groups.by(pd.Series([f"town {at % 30}" for at in range(300)], name="town"))
    assert (len(many.labels), many.labels[-1]) == (21, "other values")
    assert np.bincount(many.codes)[-1] == 100
    assert groups.by(pd.Series(["a", "a"], name="one")) is None
    assert groups.by(pd.Series([None, None], name="none", dtype=object)) is None
    days = groups.by(pd.Series(pd.date_range("2026-01-01", periods=40), name="day"))
    assert days.labels[0] == "up to 2026-01-10"


def test_named_columns_come_first_and_others_by_few_values():
    frame = pd.DataFrame({f"c{at}": ["a", "b"] for at in range(12)} | {"age": [1.0, 2.0], "same": [1, 1]})
    found = [each.column for each in groups.chosen(frame, ["c11", "gone"])]
    assert found == ["c11", *(f"c{at}" for at in range(7))]


# --- the whole -----------------------------------------------------------------------------------


def people(rows=600, labels=("no", "yes"), seed=3):
    random = np.random.default_rng(seed)
    age, income = random.normal(40, 10, rows), random.normal(0, 1, rows)
    chosen = (age / 10 + income + random.normal(0, 0.5, rows)) > 4
    sex = random.choice(["f", "m"], rows).astype(object)
    return pd.DataFrame(
        {"age": age, "income": income, "sex": sex, "__target__": np.where(chosen, labels[1], labels[0])}
    )


def look(frame, candidate, production=None, **more):
    task = more.pop("task", "classification")
    metrics = more.pop("metrics", ["roc_auc", "accuracy"])
    asked = Asked(task=task, metrics=metrics, columns=COLUMNS, seed=1, rounds=50, **more)
    return evaluate(frame, candidate, production, asked)


def fit(model, frame):
    return model.fit(frame[COLUMNS], frame["__target__"])


def why(result, part):
    return [row["why"] for row in result.missing if row["part"].startswith(part)]


def test_everything_is_there_for_a_classifier():
    frame = people()
    phases = []
    model = fit(LogisticRegression(), frame)
    asked = Asked("classification", ["roc_auc", "accuracy"], COLUMNS, 1, sensitive=["sex"], segments=["age"], rounds=50)
    result = evaluate(frame, model, model, asked, on_phase=lambda phase, share: phases.append((phase, share)))
    columns = {row["column"] for row in result.segments}
    assert columns == {"age", "sex"}
    for row in result.segments:
        auc = row["metrics"]["roc_auc"]
        assert (auc["difference"], auc["low"], auc["high"]) == (0.0, 0.0, 0.0)
    assert sum(row["rows"] for row in result.segments if row["column"] == "sex") == 600
    assert result.fairness[0]["selection_ratio"]["candidate"] == result.fairness[0]["selection_ratio"]["baseline"]
    assert result.calibration["candidate"] == result.calibration["baseline"]
    assert result.latency["candidate"]["p50_ms"] <= result.latency["candidate"]["p99_ms"] == result.latency_ms
    assert result.latency["candidate"]["batch"]["rows"] == 600
    assert result.missing == []
    assert phases[0] == ("Answer the held-out rows", 0.0)
    assert phases[-1] == ("Explain the candidate", 1.0)
    assert {row["feature"] for row in result.explanations["importance"]} == set(COLUMNS)
    told = result.explanations["examples"]
    assert (told["method"], len(told["rows"])) == ("permutation", 5)
    assert [row["output"] for row in told["rows"]] == sorted(row["output"] for row in told["rows"])
    assert (told["rows"][0]["prediction"], told["rows"][-1]["prediction"]) == ("no", "yes")
    for row in told["rows"]:
        assert row["base"] + sum(row["contributions"]) == pytest.approx(row["output"])
    assert [share for _, share in phases] == sorted(share for _, share in phases)


def test_what_cannot_be_had_is_named():
    frame = people()
    result = look(frame, fit(LogisticRegression(), frame), sensitive=["religion", "one"], segments=["region"])
    assert why(result, "comparison") == ["no version is in production, so there is nothing to compare with"]
    assert why(result, "fairness: religion") == ["the held-out rows do not hold this column"]
    assert why(result, "segments: region") == ["the held-out rows do not hold this column"]
    plain = look(frame, fit(LogisticRegression(), frame))
    assert why(plain, "fairness") == ["no column of the dataset is marked personal or sensitive"]


def test_small_groups_are_left_out_by_name():
    frame = people()
    frame.loc[0, "sex"] = "x"
    result = look(frame, fit(LogisticRegression(), frame), sensitive=["sex"])
    assert result.fairness[0]["small"] == [{"value": "x", "rows": 1}]
    assert {group["value"] for group in result.fairness[0]["groups"]} == {"f", "m"}
    assert why(result, "fairness: sex") == ["groups with fewer than 30 rows are not shown: x (1)"]
    assert why(result, "segments: sex") == ["segments with fewer than 30 rows are not compared: x (1)"]
    few = look(frame.head(20), fit(LogisticRegression(), frame), sensitive=["sex"])
    assert few.fairness == []
    assert "fewer than two groups of sex have 30 rows" in why(few, "fairness: sex")


def test_a_gate_reads_what_each_group_lost_from_the_evidence_as_it_is_stored():
    frame = people()
    production = fit(LogisticRegression(), frame)
    poorer = make_pipeline(FunctionTransformer(lambda rows: rows.assign(income=0.0)), LogisticRegression())
    found = look(frame, fit(poorer, frame), production, sensitive=["sex"]).plain()
    [group, _] = measured.groups(found)[0].changes.items()
    lost = next(rate for rate in group[1] if rate.key == "tpr")
    assert lost.difference == pytest.approx(lost.candidate - lost.production)
    assert lost.low < lost.difference < lost.high < 0

    def judged(result, **values):
        gate = {"kind": "fairness_not_worse", "column": "sex", "value": group[0], **values}
        facts = rules.Facts("finished", groups=measured.groups(result), missing=measured.missing(result))
        return rules.judge(rules.parse([gate]), facts)[0]

    assert not judged(found, margin=-lost.low - 1e-6).passed
    assert judged(found, margin=-lost.low + 1e-6).passed
    assert judged(found, margin=-lost.difference + 1e-6, interval=False).passed
    for each in found["fairness"][0]["groups"]:
        del each["difference"]  # as evidence was before differences were measured
    assert not judged(found, margin=1.0).evidence
    assert judged(found, margin=-lost.difference + 1e-6, interval=False).passed


def test_one_class_in_the_rows_leaves_out_what_needs_two():
    frame = people()
    one = frame[frame["__target__"] == "yes"]
    result = look(one, fit(LogisticRegression(), frame), sensitive=["sex"])
    assert [item.metric for item in result.metrics] == ["accuracy"]
    assert why(result, "metric: roc_auc") == ["the held-out rows hold one class only"]
    assert result.fairness[0]["groups"][0]["candidate"]["fpr"] == {"value": None, "low": None, "high": None}
    single = look(one, fit(DummyClassifier(), one))
    assert [item.metric for item in single.metrics] == ["accuracy"]


def test_missing_values_are_a_group_of_their_own():
    frame = people()
    frame.loc[:99, "sex"] = None
    result = look(frame, fit(LogisticRegression(), frame), sensitive=["sex"])
    assert [group["value"] for group in result.fairness[0]["groups"]] == ["f", "m", "empty"]
    untold = frame.copy()
    untold.loc[:9, "__target__"] = None
    assert look(untold, fit(LogisticRegression(), frame)).rows == 590


def test_many_classes_and_numbers_say_why_there_is_no_fairness():
    frame = people()
    three = frame.assign(__target__=np.where(frame["age"] > 45, "maybe", frame["__target__"]))
    result = look(three, fit(LogisticRegression(max_iter=500), three), sensitive=["sex"])
    assert why(result, "fairness") == ["rates per group need two classes; this model has 3 classes"]
    assert result.calibration["candidate"]["ece"] >= 0
    numbers = frame.assign(__target__=frame["age"] * 2)
    found = look(
        numbers, fit(Ridge(), numbers), fit(DummyRegressor(), numbers), task="regression", metrics=["rmse", "mae"],
        sensitive=["sex"],
    )  # fmt: skip
    assert why(found, "fairness") == ["rates per group need two classes; this model predicts a number"]
    assert why(found, "calibration") == ["this model predicts a number, not a probability"]
    assert all(row["metrics"]["rmse"]["high"] < 0 for row in found.segments)


def test_a_model_without_probabilities_has_no_calibration():
    class Hard:
        classes_ = np.array(["no", "yes"])

        def predict(self, rows):
            return np.where(rows["age"] > 40, "yes", "no")

    result = look(people(), Hard())
    assert result.calibration is None
    assert why(result, "calibration") == ["the candidate gives no probabilities"]


def test_both_models_are_asked_in_turns():
    asked = []
    frame = people(50)

    def model(name):
        def note(rows):
            asked.append((name, len(rows)))
            return rows

        return make_pipeline(FunctionTransformer(note), Ridge()).fit(frame[COLUMNS], frame["age"])

    ours, theirs = model("candidate"), model("production")
    asked.clear()
    ticks = iter(range(10**6))
    found = timing.compare((ours, frame[COLUMNS]), (theirs, frame[COLUMNS]), lambda: next(ticks) / 1000)
    assert [name for name, _ in asked[:4]] == ["candidate", "production"] * 2
    assert {rows for _, rows in asked} == {1, 50}
    assert found["candidate"]["p99_ms"] == found["baseline"]["p99_ms"] == pytest.approx(1.0)
    assert found["candidate"]["batch"]["rows"] == 50
    assert timing.compare((ours, frame[COLUMNS]), None, lambda: next(ticks) / 1000)["baseline"] is None
