"""Each kind of gate: passes, fails, has no evidence, refuses bad values."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.proof import rules, rules_catalogue
from deployments.proof.rules import Facts, Groups, Metric, Segment
from deployments.proof.rules_shapes import Decisions
from mlportal.lib.errors import Invalid

NOW = datetime(2026, 11, 22, tzinfo=UTC)
AUC = Metric("roc_auc", "ROC AUC", "higher", 0.88, 0.87, 0.01, 0.002, 0.018)
NORTH = Segment("region", "north", 400, (AUC,))
SOUTH = Segment("region", "south", 300, (dataclasses.replace(AUC, candidate=0.81, difference=-0.04, low=-0.06),))
TINY = Segment("region", "island", 5, (dataclasses.replace(AUC, candidate=0.4, difference=-0.4),))
TPR_F = Metric("tpr", "true positive rate", "higher", 0.70, 0.71, -0.01, -0.03, 0.01)
TPR_M = Metric("tpr", "true positive rate", "higher", 0.78, 0.74, 0.04, 0.02, 0.06)
FPR_F = Metric("fpr", "false positive rate", "lower", 0.12, 0.10, 0.02, -0.01, 0.05)
SEX = Groups(
    "sex", {"tpr": {"f": 0.70, "m": 0.78}, "selection_rate": {"f": 0.3, "m": 0.4}}, 0.75,
    {"f": (TPR_F, FPR_F), "m": (TPR_M,)},
)  # fmt: skip
FALLEN = dataclasses.replace(SEX, changes={"f": (dataclasses.replace(TPR_F, low=-0.05),), "m": (TPR_M,)})
BLIND = dataclasses.replace(SEX, changes={"f": (dataclasses.replace(TPR_F, low=None, high=None),), "m": (TPR_M,)})
# Of 100 rows the candidate makes 7 false positives and 11 false negatives, production 10 and 13.
CHEAPER = Decisions([[50, 5, 8, 2, 3, 10, 8, 14]] * 101, compared=True)
DEARER = Decisions([[50, 8, 5, 2, 3, 8, 10, 14]] * 101, compared=True)
GOOD = Facts(
    run_state="finished", inputs=3, outputs=2, dataset_state="succeeded", check_state="passed",
    dataset_made=NOW - timedelta(days=10), metrics=(AUC,), segments=(NORTH, SOUTH, TINY), groups=(SEX,),
    decisions=CHEAPER, primary="roc_auc", latency_ms={"p50": 3.0, "p95": 9.0, "p99": 12.0}, size_bytes=5_000_000,
    card_gaps=(), file_gaps=(),
    reproduced=NOW - timedelta(days=20), now=NOW,
)  # fmt: skip
SEGMENT = {"column": "region", "metric": "roc_auc"}
# kind, values, facts that fail it, facts without evidence
CASES = [
    ("metric_not_worse", {"margin": 0.01}, {"metrics": (dataclasses.replace(AUC, difference=-0.02),)}, {"metrics": ()}),
    (
        "metric_not_worse", {"margin": 0.0, "interval": True},
        {"metrics": (dataclasses.replace(AUC, low=-0.001),)},
        {"metrics": (dataclasses.replace(AUC, low=None, high=None),)},
    ),
    (
        "metric_at_least", {"limit": 0.85}, {"metrics": (dataclasses.replace(AUC, candidate=0.84),)}, {"metrics": ()},
    ),
    (
        "segment_not_worse", {**SEGMENT, "margin": 0.05},
        {"segments": (NORTH, dataclasses.replace(SOUTH, metrics=(dataclasses.replace(AUC, difference=-0.06),)))},
        {"segments": ()},
    ),
    (
        "segment_not_worse", {**SEGMENT, "margin": 0.07, "interval": True},
        {"segments": (dataclasses.replace(SOUTH, metrics=(dataclasses.replace(AUC, low=-0.08),)),)},
        {"segments": (dataclasses.replace(SOUTH, metrics=(dataclasses.replace(AUC, low=None),)),)},
    ),
    (
        "segment_at_least", {**SEGMENT, "value": "south", "limit": 0.8},
        {"segments": (dataclasses.replace(SOUTH, metrics=(dataclasses.replace(AUC, candidate=0.79),)),)},
        {"segments": (NORTH,)},
    ),
    (
        "segment_at_least", {**SEGMENT, "limit": 0.8, "least_rows": 30},
        {"segments": (dataclasses.replace(TINY, rows=30),)}, {"segments": (TINY,)},
    ),
    (
        "fairness_ratio", {"column": "sex", "limit": 0.7},
        {"groups": (dataclasses.replace(SEX, ratio=0.69),)}, {"groups": ()},
    ),
    (
        "fairness_gap", {"column": "sex", "measure": "tpr", "limit": 0.08},
        {"groups": (Groups("sex", {"tpr": {"f": 0.5, "m": 0.6}}, 1.0),)},
        {"groups": (Groups("sex", {"tpr": {"f": 0.5}}, 1.0),)},
    ),
    ("fairness_not_worse", {"column": "sex", "margin": 0.03}, {"groups": (FALLEN,)}, {"groups": (BLIND,)}),
    (
        "fairness_not_worse", {"column": "sex", "margin": 0.01, "interval": False},
        {"groups": (dataclasses.replace(SEX, changes={"m": (dataclasses.replace(TPR_M, difference=-0.011),)}),)},
        {"groups": ()},
    ),
    (
        "fairness_not_worse", {"column": "sex", "value": "f", "measure": "fpr", "margin": 0.05},
        {"groups": (dataclasses.replace(SEX, changes={"f": (dataclasses.replace(FPR_F, high=0.06),)}),)},
        {"groups": (dataclasses.replace(SEX, changes={"m": (TPR_M,)}),)},
    ),
    ("expected_cost", {"false_negative": 5}, {"decisions": DEARER}, {"decisions": None}),
    ("expected_cost", {"margin": 0.06, "interval": True}, {"decisions": DEARER}, {"decisions": None}),
    ("run_succeeded", {}, {"run_state": "failed"}, {"run_state": ""}),
    ("reproduced_within", {"limit": 20}, {"reproduced": NOW - timedelta(days=21)}, {"reproduced": None}),
    ("artifact_verified", {}, {"damaged": ("The file model.skops has changed on disk.",)}, None),
    ("signature_present", {}, {"inputs": 0}, None),
    ("dataset_profiled", {}, {"dataset_state": "failed"}, {"dataset_state": None}),
    ("dataset_warnings", {}, {"dataset_warnings": ("age is constant",)}, {"dataset_state": None}),
    ("dataset_checks", {}, {"check_state": "failed"}, {"check_state": "none"}),
    ("dataset_checks", {}, {"check_state": "error"}, {"check_state": None}),
    ("data_fresh", {"limit": 10}, {"dataset_made": NOW - timedelta(days=10, seconds=1)}, {"dataset_made": None}),
    ("latency_at_most", {"limit": 12}, {"latency_ms": {"p99": 12.1}}, {"latency_ms": {"p50": 1.0}}),
    ("latency_at_most", {"limit": 9, "quantile": "p95"}, {"latency_ms": {"p95": 9.1}}, {"latency_ms": {"p99": 1.0}}),
    ("size_at_most", {"limit": 5_000_000}, {"size_bytes": 5_000_001}, {"size_bytes": None}),
    ("card_complete", {}, {"card_gaps": ("risk",)}, {"card_gaps": None}),
    ("technical_file_complete", {}, {"file_gaps": ("1(a) Provider",)}, {"file_gaps": None}),
]  # fmt: skip


def judged(kind, values, **facts):
    [gate] = rules.parse([{"kind": kind, **values}])
    [outcome] = rules.judge((gate,), dataclasses.replace(GOOD, **facts))
    return outcome


@pytest.mark.parametrize(("kind", "values", "bad", "none"), CASES)
def test_a_gate_passes_fails_and_says_when_it_has_no_evidence(kind, values, bad, none):
    good = judged(kind, values)
    assert (good.passed, good.evidence) == (True, True)
    failed = judged(kind, values, **bad)
    assert (failed.passed, failed.evidence) == (False, True)
    assert failed.found
    assert rules.standing([failed]) == "block"
    if none is not None:
        nothing = judged(kind, values, **none)
        assert (nothing.passed, nothing.evidence) == (False, False)
        assert nothing.found
        assert rules.standing([nothing]) == "none"


def test_every_kind_is_tried_here():
    assert {case[0] for case in CASES} == set(rules_catalogue.KINDS)


def test_a_first_version_has_nothing_to_be_worse_than():
    alone = dataclasses.replace(AUC, production=None, difference=None, low=None, high=None)
    first = {"metrics": (alone,), "segments": (Segment("region", "north", 40, (alone,)),)}
    assert judged("metric_not_worse", {"interval": True}, **first).passed
    assert judged("segment_not_worse", {**SEGMENT, "interval": True}, **first).passed
    unknown = judged("metric_not_worse", {}, **{**first, "evaluation": "production needs the column age"})
    assert (unknown.passed, unknown.evidence) == (False, False)


def test_a_group_that_falls_fails_though_the_gap_narrows():
    """The gap is judged by the candidate alone; only a comparison sees a group lose against production."""
    closer = {"f": TPR_F, "m": dataclasses.replace(TPR_M, candidate=0.72, production=0.80, difference=-0.08, low=-0.11)}
    groups = Groups("sex", {"tpr": {"f": 0.70, "m": 0.72}}, 1.0, {name: (rate,) for name, rate in closer.items()})
    assert judged("fairness_gap", {"column": "sex", "limit": 0.05}, groups=(groups,)).passed
    fallen = judged("fairness_not_worse", {"column": "sex", "margin": 0.05}, groups=(groups,))
    assert (fallen.passed, fallen.found) == (False, "sex = m: −0.11")
    assert fallen.title == "True positive rate by sex not worse than production"
    assert (fallen.rule, fallen.detail) == ("95% interval not below −0.05", "95% interval −0.11 to +0.06")
    assert judged("fairness_not_worse", {"column": "sex", "value": "f", "margin": 0.05}, groups=(groups,)).passed


def test_a_gate_finds_the_group_it_names_by_what_it_is_called_in_the_facts():
    called = {"sex": {"f": "group 1"}, "region": {"south": "group 2"}}
    groups = dataclasses.replace(FALLEN, changes={"group 1": FALLEN.changes["f"], "group 2": (TPR_M,)})
    fallen = judged("fairness_not_worse", {"column": "sex", "value": "f"}, groups=(groups,), called=called)
    assert (fallen.passed, fallen.found) == (False, "sex = group 1: −0.05")
    parts = (dataclasses.replace(SOUTH, value="group 2"),)
    low = judged("segment_at_least", {**SEGMENT, "value": "south", "limit": 0.82}, segments=parts, called=called)
    assert (low.evidence, low.found) == (True, "region = group 2: 0.81")


def test_groups_of_a_first_version_have_nothing_to_be_worse_than_and_unmeasured_ones_say_so():
    alone = dataclasses.replace(TPR_F, production=None, difference=None, low=None, high=None)
    first = {"groups": (dataclasses.replace(SEX, changes={"f": (alone,)}),)}
    assert judged("fairness_not_worse", {"column": "sex"}, **first).passed
    unknown = judged("fairness_not_worse", {"column": "sex"}, **first, evaluation="production needs the column age")
    assert (unknown.evidence, unknown.found) == (False, "production needs the column age")
    no_rate = judged("fairness_not_worse", {"column": "sex", "measure": "accuracy"})
    assert (no_rate.evidence, no_rate.found) == (False, "accuracy has no value in any group")
    few = {"groups": (), "missing": {"fairness: sex": "fewer than two groups of sex have 30 rows"}}
    assert judged("fairness_not_worse", {"column": "sex"}, **few).found == few["missing"]["fairness: sex"]


def test_a_lower_metric_is_judged_the_other_way_round():
    loss = Metric("log_loss", "Log loss", "lower", 0.30, 0.29, 0.01, -0.01, 0.03)
    facts = {"metrics": (loss,)}
    assert judged("metric_at_least", {"metric": "log_loss", "limit": 0.3}, **facts).passed
    assert not judged("metric_at_least", {"metric": "log_loss", "limit": 0.29}, **facts).passed
    assert judged("metric_not_worse", {"metric": "log_loss", "margin": 0.02}, **facts).passed
    assert not judged("metric_not_worse", {"metric": "log_loss", "margin": 0.02, "interval": True}, **facts).passed


def test_mistakes_cost_what_the_rules_say_at_the_threshold_they_name():
    cheap = judged("expected_cost", {})
    assert (cheap.title, cheap.found) == ("Expected cost at 0.5 not worse than production", "0.18 a row, −0.05")
    assert judged("expected_cost", {"false_negative": 10}).found == "1.17 a row, −0.23"
    one_row = Decisions([*DEARER.cells[:30], CHEAPER.cells[0], *DEARER.cells[31:]], compared=True)
    assert judged("expected_cost", {"threshold": 0.3}, decisions=one_row).passed
    assert not judged("expected_cost", {"threshold": 0.31}, decisions=one_row).passed
    assert judged("expected_cost", {"margin": 0.05}, decisions=one_row).passed
    assert judged("expected_cost", {"margin": 0.28, "relative": True}, decisions=one_row).passed
    assert not judged("expected_cost", {"margin": 0.27, "relative": True}, decisions=one_row).passed
    first = Decisions([[50, 7, 0, 0, 11, 32, 0, 0]] * 101, compared=False)
    assert judged("expected_cost", {"interval": True}, decisions=first).found == "0.18 a row, nothing in production yet"
    assert not judged("expected_cost", {}, decisions=first, evaluation="production needs the column age").evidence
    with pytest.raises(Invalid, match=r"false_positive must be a number from 0\.001 to 1e\+09"):
        rules.parse([{"kind": "expected_cost", "false_positive": 0}])


def test_a_segment_names_the_one_that_fails_and_why_it_is_missing():
    bad = judged("segment_not_worse", {**SEGMENT, "margin": 0.01})
    assert (bad.found, bad.title) == ("region = south: −0.04", "ROC AUC by region")
    missing = judged("segment_at_least", {**SEGMENT, "limit": 0.8}, segments=(), missing={"segments": "no such column"})
    assert missing.found == "no such column"
    assert (
        "no segment of region has 30 rows"
        in judged("segment_at_least", {**SEGMENT, "limit": 1}, segments=(TINY,)).found
    )


def test_primary_and_its_own_name_give_two_verdicts_with_two_names():
    gates = rules.parse(
        [{"kind": "metric_at_least", "limit": 0.5}, {"kind": "metric_at_least", "metric": "roc_auc", "limit": 0.9}]
    )
    names = [(item.name, item.passed) for item in rules.judge(gates, GOOD)]
    assert names == [("metric_at_least:roc_auc", True), ("metric_at_least:roc_auc#2", False)]


def test_evidence_against_decides_before_evidence_that_is_missing():
    gates = rules.parse([{"kind": "reproduced_within"}, {"kind": "size_at_most", "limit": 1}])
    outcomes = rules.judge(gates, dataclasses.replace(GOOD, reproduced=None))
    assert rules.standing(outcomes) == "block"
    assert rules.deciding(outcomes).name == "size_at_most"
    assert rules.deciding(rules.judge(gates[:1], GOOD)) is None


@pytest.mark.parametrize(
    ("row", "field", "words"),
    [
        ({"kind": "nothing"}, "gates.1.kind", "must be one of"),
        ({"kind": "size_at_most"}, "gates.1.limit", "limit is missing"),
        ({"kind": "size_at_most", "limit": -1}, "gates.1.limit", "from 0 to"),
        ({"kind": "size_at_most", "limit": "x"}, "gates.1.limit", "it is 'x'"),
        ({"kind": "size_at_most", "limit": float("nan")}, "gates.1.limit", "a number"),
        ({"kind": "size_at_most", "limit": float("inf")}, "gates.1.limit", "a number"),
        ({"kind": "size_at_most", "limit": 10**400}, "gates.1.limit", "a number"),
        ({"kind": "size_at_most", "limit": True}, "gates.1.limit", "a number"),
        ({"kind": "data_fresh", "limit": 0.5}, "gates.1.limit", "from 1 to 3650"),
        ({"kind": "fairness_ratio", "column": "sex", "limit": 1.1}, "gates.1.limit", "from 0 to 1"),
        ({"kind": "fairness_ratio"}, "gates.1.column", "column is missing"),
        ({"kind": "fairness_ratio", "column": "  "}, "gates.1.column", "not empty"),
        ({"kind": "fairness_ratio", "column": "a\x00b"}, "gates.1.column", "a text"),
        ({"kind": "fairness_gap", "column": "sex", "measure": "luck"}, "gates.1.measure", "one of selection_rate"),
        ({"kind": "latency_at_most", "limit": 1, "quantile": "p42"}, "gates.1.quantile", "one of p50"),
        ({"kind": "metric_not_worse", "interval": "yes"}, "gates.1.interval", "true or false"),
        ({"kind": "metric_not_worse", "limit": 1}, "gates.1.limit", "not a value of metric_not_worse"),
        ({"kind": "run_succeeded", "level": "soft"}, "gates.1.level", "blocking or advisory"),
        ({"kind": "run_succeeded", "name": "n" * 111}, "gates.1.name", "at most 110"),
        (
            {"kind": "segment_at_least", "column": "c" * 60, "value": "v" * 60, "limit": 1},
            "gates.1.name",
            "give it a name",
        ),
    ],
)
def test_a_bad_gate_is_refused_with_field_value_and_limit(row, field, words):
    with pytest.raises(Invalid) as caught:
        rules.parse([row])
    assert caught.value.field == field
    assert words in caught.value.message


def test_names_are_unique_and_survive_a_round_trip():
    rows = [
        {"kind": "metric_at_least", "limit": 0.9, "level": "advisory", "name": "Good AUC"},
        {"kind": "metric_at_least", "limit": 0.8},
    ]
    gates = rules.parse(rows)
    plain = [rules.plain(gate) for gate in gates]
    assert [row["name"] for row in plain] == ["Good AUC", "metric_at_least:primary"]
    assert rules.parse(plain) == gates
    with pytest.raises(Invalid, match="twice"):
        rules.parse([*rows, {"kind": "run_succeeded", "name": "Good AUC"}])


def test_the_reference_page_names_every_kind_and_value():
    page = (Path(__file__).parents[3] / "docs/reference/policies.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for kind in rules_catalogue.KINDS.values():
        assert kind.about in rows[kind.key]
        for value in kind.values:
            assert f"`{value.name}` {rules_catalogue.words(value)}" in rows[kind.key]
