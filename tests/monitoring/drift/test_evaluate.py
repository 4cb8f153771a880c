"""Rules applied to windows: values, limits and the sentences."""

import math
from dataclasses import replace

import numpy as np
import pytest

from monitoring.drift import evaluate, score, shape
from monitoring.drift.evaluate import Facts, Limits, Question
from monitoring.drift.measures import Measure
from monitoring.models.rules import UNMEASURED, Metric
from tests.factories.monitoring import GRIDS, LABELS, requests

RNG = np.random.default_rng(9)
LIMITS = Limits("above", 0.1, 0.25)


def facts(size=500, **changes):
    counts = requests(size, **changes)
    traffic = counts.pop(shape.TRAFFIC)
    return Facts(
        labels=LABELS,
        scores=score.columns(GRIDS, counts),
        grids=GRIDS,
        others={name: held.get("others", {}) for name, held in counts.items()},
        rows=size,
        requests=shape.size(traffic),
        errors=traffic["nulls"],
        latency_p99_us=shape.latency_us(traffic, 0.99),
    )


def one(metric, given, limits=LIMITS, **options):
    finding = evaluate.ask(Question(metric, limits, **options), given)
    assert len(finding.samples) == 1
    return finding.samples[0]


@pytest.mark.parametrize(
    ("value", "signal"), [(0.3, "critical"), (0.25, "critical"), (0.1, "warn"), (0.09, "between"), (0.07, "clear")]
)
def test_limits_above(value, signal):
    assert LIMITS.signal(value) == signal


@pytest.mark.parametrize(("value", "signal"), [(0, "critical"), (1, "between"), (1.3, "clear")])
def test_limits_below(value, signal):
    assert Limits("below", None, 1.0).signal(value) == signal


def test_limits_with_a_clear_limit_of_their_own():
    assert Limits("above", 0.1, None, 0.02).signal(0.05) == "between"
    assert Limits("above", 0.0, None).signal(0.0) == "warn"


def test_quiet_window_is_ok_and_clear():
    finding = evaluate.ask(Question("drift.psi", LIMITS), facts())
    assert (finding.outcome, finding.samples[0].signal) == ("ok", "clear")


def test_shifted_number_is_told_with_its_means():
    found = one("drift.psi", facts(age=RNG.normal(60, 10, 500)))
    assert (found.signal, found.limit, found.labels) == ("critical", 0.25, LABELS)
    assert found.title == f"age drifted, PSI {found.value:.2f}"
    assert found.detail.startswith("Its mean moved from 40")


def test_new_category_is_told_by_name():
    values = ["wallet"] * 100 + ["a"] * 400
    found = one("drift.psi", facts(plan=values), column="plan")
    assert found.labels == LABELS | {"column": "plan"}
    assert found.detail == "A new value “wallet” arrived and is now 20% of requests."


def test_boolean_is_told_by_its_share():
    found = one("drift.psi", facts(size=2000, on=[True] * 1800 + [False] * 200), column="on")
    assert found.signal == "critical"
    assert found.title.startswith("on drifted, share moved by 4")
    assert found.limit == pytest.approx(0.10)


def test_several_features_make_one_sample_and_by_column_one_each():
    given = facts(age=RNG.normal(60, 10, 500), plan=["c"] * 500)
    assert one("drift.psi", given).title.split(" drifted")[0] in ("age and 1 more", "plan and 1 more")
    finding = evaluate.ask(Question("drift.psi", LIMITS, by_column=True), given)
    assert {found.labels["column"]: found.signal for found in finding.samples} == {
        "age": "critical", "plan": "critical", "on": "clear",
    }  # fmt: skip


def test_drift_share_sums_importance():
    found = one("drift.share", facts(age=RNG.normal(60, 10, 500)), Limits("above", 0.3, None))
    assert (found.value, found.signal, found.title) == (pytest.approx(0.6), "warn", "1 of 3 features drifted")


def test_prediction_drift_looks_at_outputs_only():
    found = one("prediction.psi", facts(**{shape.SCORE: RNG.beta(5, 2, 500)}))
    assert (found.signal, found.title) == ("critical", f"Prediction score drifted, PSI {found.value:.2f}")
    assert one("prediction.psi", facts(age=RNG.normal(60, 10, 500))).signal == "clear"


def test_missing_values():
    found = one("quality.null_share", facts(age=[None] * 250 + [40.0] * 250), Limits("above", 0.05, 0.2))
    assert (found.signal, found.title) == ("critical", "age is missing in 50.0% of requests")
    assert found.detail == "In the training data 0.0% were missing."


def test_all_nan_is_missing_and_cannot_be_computed_for_drift():
    given = facts(age=[math.nan] * 500)
    assert one("quality.null_share", given, Limits("above", 0.05, 0.2)).signal == "critical"
    finding = evaluate.ask(Question("drift.psi", LIMITS), given)
    assert (finding.outcome, finding.reason) == (
        "no_data", "cannot compute: age: Every value in this window is empty.",
    )  # fmt: skip
    alone = evaluate.ask(Question("drift.psi", LIMITS, column="age"), given)
    assert alone.reason == "cannot compute: Every value in this window is empty."


def test_unseen_and_outside():
    given = facts(plan=["wallet"] * 50 + ["a"] * 450, age=[500.0] * 100 + [40.0] * 400)
    unseen = one("quality.unseen", given, Limits("above", 0.01, 0.5))
    assert (unseen.signal, unseen.value) == ("warn", pytest.approx(0.1))
    assert unseen.detail == "The commonest new value is “wallet”."
    assert one("quality.outside", given, Limits("above", 0.01, 0.1)).signal == "critical"


def test_too_few_rows_are_no_verdict():
    finding = evaluate.ask(Question("drift.psi", LIMITS), facts(size=100))
    assert (finding.outcome, finding.reason) == ("too_few", "100 values, at least 200 are needed.")
    assert one("quality.unseen", facts(size=10), min_samples=50).signal == "none"


def test_no_rows_and_no_such_column_are_no_data():
    empty = Facts(LABELS, [], GRIDS, {}, rows=0)
    assert evaluate.ask(Question("drift.psi", LIMITS), empty).reason == "There were no requests in this window."
    assert (
        evaluate.ask(Question("drift.psi", LIMITS, column="gone"), facts()).reason
        == "The reference has no such column."
    )
    no_reference = Facts(LABELS, [], {}, {}, rows=10)
    assert evaluate.ask(Question("drift.psi", LIMITS), no_reference).outcome == "no_data"


@pytest.mark.parametrize(
    ("metric", "given", "limits", "signal", "title"),
    [
        ("error.rate", {"requests": 100, "errors": 6}, (0.01, 0.05), "critical", "6.0% of requests failed"),
        ("latency.p99_ms", {"requests": 100, "latency_p99_us": 1.2e6}, (1000.0, 5000.0), "warn",
         "99th percentile latency is 1,200 ms"),
    ],
)  # fmt: skip
def test_traffic_metrics(metric, given, limits, signal, title):
    found = one(metric, Facts(LABELS, [], {}, {}, rows=100, **given), Limits("above", *limits), min_samples=20)
    assert (found.signal, found.title) == (signal, title)


def test_traffic_metrics_need_requests():
    nothing = Facts(LABELS, [], {}, {}, rows=0)
    assert evaluate.ask(Question("error.rate", LIMITS), nothing).outcome == "no_data"
    few = Facts(LABELS, [], {}, {}, rows=5, requests=5, errors=5)
    assert evaluate.ask(Question("error.rate", LIMITS, min_samples=20), few).outcome == "too_few"
    assert one("traffic.requests", nothing, Limits("below", None, 1.0)).signal == "critical"


def test_latency_percentile_is_within_seven_percent():
    counts = shape.traffic([100.0] * 98 + [50_000.0] * 2, errors=3)
    assert shape.latency_us(counts, 0.5) == pytest.approx(100, rel=0.07)
    assert shape.latency_us(counts, 0.99) == pytest.approx(50_000, rel=0.07)
    assert (shape.size(counts), shape.latency_us(shape.traffic([], errors=1), 0.5)) == (103, None)


def test_every_metric_of_a_rule_can_be_asked():
    for metric in set(Metric) - {*UNMEASURED}:
        found = evaluate.ask(Question(metric, Limits("above", 0.1, 0.25)), facts())
        assert found.outcome in ("ok", "breach", "no_data")


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("performance.accuracy", "No prediction of this window has a label yet."),
        ("performance.estimated.roc_auc", "The version has nothing to estimate performance from."),
        ("fairness.tpr_difference", "No two groups of a sensitive column have enough predictions in this window."),
        ("quality.duplicates", "Nothing was measured in this window."),
    ],
)
def test_what_was_not_measured_has_no_data(metric, reason):
    assert evaluate.ask(Question(metric, LIMITS), facts()) == evaluate.Finding("no_data", reason=reason)


def test_measured_figure_is_compared_and_told():
    given = replace(facts(), measured={"performance.accuracy": Measure(0.71234, 400, "400 of 500 have a label.")})
    found = one("performance.accuracy", given, Limits("below", 0.8, 0.7), min_samples=400)
    assert (found.signal, found.value, found.limit, found.labels) == ("warn", 0.71234, 0.8, LABELS)
    assert (found.title, found.detail) == ("Accuracy is 0.712", "400 of 500 have a label.")
    few = evaluate.ask(Question("performance.accuracy", LIMITS, min_samples=401), given)
    assert (few.outcome, few.reason) == ("too_few", "400 rows, at least 401 are needed.")


def test_estimate_says_that_it_is_one():
    given = replace(facts(), measured={"performance.estimated.f1": Measure(0.5, 400)})
    found = one("performance.estimated.f1", given, Limits("below", 0.6, None))
    assert found.title == "Estimated F1 is 0.500 (estimate, assumes P(y|x) unchanged)"


@pytest.mark.parametrize(
    ("metric", "field"), [("latency.p50_ms", "latency_p50_us"), ("latency.p95_ms", "latency_p95_us")]
)
def test_other_percentiles_of_latency(metric, field):
    assert one(metric, replace(facts(), **{field: 250_000.0}), Limits("above", 200.0, None)).value == 250.0
