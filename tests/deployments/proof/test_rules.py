import dataclasses

import pytest

from deployments.proof import rules
from deployments.proof.rules import Facts, Gate, Metric
from mlportal.lib.errors import Invalid

AUC = Metric("roc_auc", "ROC AUC", "higher", 0.8792, 0.8711, 0.0081, 0.003, 0.012)
LOSS = Metric("log_loss", "Log loss", "lower", 0.30, 0.29, 0.01, -0.01, 0.03)
GOOD = Facts(
    run_state="finished",
    inputs=3,
    outputs=2,
    dataset_state="succeeded",
    metrics=(AUC, LOSS),
    primary="roc_auc",
    latency_ms={"p99": 12.0},
    size_bytes=5_000_000,
)


def judge_one(gate: Gate, facts: Facts):
    [outcome] = rules.judge((gate,), facts)
    return outcome


@pytest.mark.parametrize(
    ("gate", "bad"),
    [
        (Gate("run_succeeded"), {"run_state": "running"}),
        (Gate("artifact_verified"), {"damaged": ("model.skops has another hash",)}),
        (Gate("signature_present"), {"inputs": 0}),
        (Gate("signature_present"), {"outputs": 0}),
        (Gate("dataset_profiled"), {"dataset_state": "failed"}),
        (Gate("dataset_profiled"), {"dataset_state": None}),
        (Gate("dataset_warnings"), {"dataset_warnings": ("x is constant",)}),
        (Gate("latency_at_most", limit=50), {"latency_ms": {"p99": 50.1}}),
        (Gate("latency_at_most", limit=50), {"latency_ms": {}}),
        (Gate("size_at_most", limit=5_000_000), {"size_bytes": 5_000_001}),
        (Gate("size_at_most", limit=5_000_000), {"size_bytes": None}),
        (Gate("metric_not_worse", metric="primary"), {"metrics": ()}),
        (
            Gate("metric_not_worse", metric="primary"),
            {"metrics": (dataclasses.replace(AUC, difference=-0.0001),)},
        ),
        (
            Gate("metric_at_least", metric="primary", limit=0.87),
            {"metrics": (dataclasses.replace(AUC, candidate=0.8),)},
        ),
        (
            Gate("metric_at_least", metric="log_loss", limit=0.31),
            {"metrics": (dataclasses.replace(LOSS, candidate=0.4),)},
        ),
        (Gate("metric_at_least", metric="log_loss", limit=0.31), {"metrics": ()}),
    ],
)
def test_judge_passes_good_facts_and_fails_the_bad_one(gate, bad):
    assert judge_one(gate, GOOD).passed is True
    assert judge_one(gate, dataclasses.replace(GOOD, **bad)).passed is False


def test_metric_margin_absolute_and_relative():
    worse = dataclasses.replace(AUC, difference=-0.01)
    facts = dataclasses.replace(GOOD, metrics=(worse,))
    assert judge_one(Gate("metric_not_worse", metric="primary", margin=0.01), facts).passed is True
    assert judge_one(Gate("metric_not_worse", metric="primary", margin=0.009), facts).passed is False
    relative = judge_one(Gate("metric_not_worse", metric="primary", margin=0.02, relative=True), facts)
    assert (relative.passed, relative.rule, relative.found) == (
        True,
        "not below −0.0174",
        "−0.01",
    )
    assert relative.detail == "95% interval +0.003 to +0.012"


def test_metric_where_lower_is_better():
    outcome = judge_one(Gate("metric_not_worse", metric="log_loss", margin=0.005), GOOD)
    assert (outcome.passed, outcome.rule, outcome.found) == (
        False,
        "not above +0.005",
        "+0.01",
    )


def test_first_version_passes_because_nothing_is_in_production():
    alone = Metric("roc_auc", "ROC AUC", "higher", 0.88)
    outcome = judge_one(
        Gate("metric_not_worse", metric="primary"),
        dataclasses.replace(GOOD, metrics=(alone,)),
    )
    assert (outcome.passed, outcome.found) == (True, "nothing in production yet")


def test_a_comparison_that_could_not_be_made_does_not_pass():
    alone = Metric("roc_auc", "ROC AUC", "higher", 0.88)
    facts = dataclasses.replace(GOOD, metrics=(alone,), evaluation="production needs the column age")
    outcome = judge_one(Gate("metric_not_worse", metric="primary"), facts)
    assert (outcome.passed, outcome.found) == (False, "production needs the column age")


def test_others_are_the_metrics_no_rule_names():
    gates = (
        Gate("metric_not_worse", metric="primary"),
        Gate("metric_not_worse", level="advisory", metric="others"),
    )
    names = [(outcome.name, outcome.level) for outcome in rules.judge(gates, GOOD)]
    assert names == [
        ("metric_not_worse:roc_auc", "blocking"),
        ("metric_not_worse:log_loss", "advisory"),
    ]


def test_default_gates_parse_to_themselves():
    assert rules.parse([rules.plain(gate) for gate in rules.DEFAULT_GATES]) == rules.DEFAULT_GATES


@pytest.mark.parametrize(
    "rows",
    [
        None,
        {},
        ["x"],
        [{"kind": "unknown"}],
        [{"kind": 3}],
        [{"kind": "run_succeeded", "level": "maybe"}],
        [{"kind": "run_succeeded", "other": 1}],
        [{"kind": "metric_not_worse", "margin": -1}],
        [{"kind": "metric_not_worse", "margin": True}],
        [{"kind": "metric_not_worse", "margin": "x"}],
        [{"kind": "metric_not_worse", "metric": 3}],
        [{"kind": "latency_at_most"}],
        [{"kind": "latency_at_most", "limit": float("nan")}],
        [{"kind": "run_succeeded"}, {"kind": "run_succeeded"}],
        [{"kind": "run_succeeded"}] * 51,
    ],
)
def test_parse_refuses(rows):
    with pytest.raises(Invalid) as caught:
        rules.parse(rows)
    assert caught.value.code == "bad_gates"
    assert caught.value.field.partition(".")[0] == "gates"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8792, "0.8792"),
        (71, "71"),
        (0, "0"),
        (-0.01, "−0.01"),
        (12345.0, "1.234e+04"),
        (0.5, "0.5"),
    ],
)
def test_plain_number(value, text):
    assert rules.plain_number(value) == text
