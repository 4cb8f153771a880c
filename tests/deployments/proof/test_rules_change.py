"""Whether a change lowers the bar: said in words, and true for every candidate that can be thought of."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.proof import measured, rules, rules_change
from deployments.proof.rules import Facts, Groups, Metric, Segment

PLAIN = {
    "steps": [{"name": "Approval", "roles": ["manager"], "needed": 1}], "four_eyes": True, "exclude_trainer": True,
    "switch_at_approval": True, "expiry_days": 7, "approval_days": 7, "reminder_hours": 0, "timeout_hours": 0,
    "timeout_action": "expire", "allow_break_glass": False, "card_sections": [], "gates": [],
}  # fmt: skip


def changed(after, before=None):
    return rules_change.difference({**PLAIN, **(before or {})}, {**PLAIN, **after}, measured.BETTER)


def step(needed, *roles):
    return {"name": "Approval", "roles": list(roles) or ["manager"], "needed": needed}


@pytest.mark.parametrize(
    ("before", "after", "effect", "words"),
    [
        ({"steps": [step(2)]}, {"steps": [step(1)]}, "weaker", "1 manager; was 2 manager"),
        ({"steps": [step(1)]}, {"steps": [step(2)]}, "stronger", "2 manager"),
        ({}, {"steps": [step(1, "manager", "ops")]}, "weaker", "1 of manager or ops"),
        ({}, {"steps": [step(1, "scientist"), step(1)]}, "stronger", "1 scientist, then 1 manager"),
        ({"steps": [step(1, "scientist"), step(1)]}, {"steps": [step(1), step(1, "scientist")]}, "weaker", "then"),
        ({}, {"steps": [{**step(1), "name": "Sign"}]}, "other", "Approvals"),
        ({}, {"four_eyes": False}, "weaker", "Four eyes: off"),
        ({"four_eyes": False}, {}, "stronger", "Four eyes: on"),
        ({}, {"exclude_trainer": False}, "weaker", "off"),
        ({}, {"allow_break_glass": True}, "weaker", "Break-glass"),
        ({}, {"approval_days": 8}, "weaker", "8 days, was 7"),
        ({}, {"approval_days": 6}, "other", "6 days"),
        ({}, {"expiry_days": 30}, "other", "30 days"),
        ({}, {"switch_at_approval": False}, "other", "by hand"),
        ({"card_sections": ["risk"]}, {}, "weaker", "risk is no longer required"),
        ({}, {"card_sections": ["risk"]}, "stronger", "risk is required"),
    ],
)
def test_a_change_is_said_in_words_with_its_effect(before, after, effect, words):
    [change] = changed(after, before)
    assert change.effect == effect
    assert words in change.text


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ({"kind": "size_at_most", "limit": 5e6}, {"kind": "size_at_most", "limit": 6e6}, "weaker"),
        ({"kind": "size_at_most", "limit": 5e6}, {"kind": "size_at_most", "limit": 4e6}, "stronger"),
        ({"kind": "run_succeeded"}, {"kind": "run_succeeded", "level": "advisory"}, "weaker"),
        ({"kind": "run_succeeded", "level": "advisory"}, {"kind": "run_succeeded"}, "stronger"),
        (
            {"kind": "metric_at_least", "metric": "rmse", "limit": 3},
            {"kind": "metric_at_least", "metric": "rmse", "limit": 4}, "weaker",
        ),
        (
            {"kind": "metric_at_least", "metric": "roc_auc", "limit": 0.8},
            {"kind": "metric_at_least", "metric": "roc_auc", "limit": 0.9}, "stronger",
        ),
        # whether a primary metric is better high or low is not known here, so any change counts
        ({"kind": "metric_at_least", "limit": 0.8}, {"kind": "metric_at_least", "limit": 0.9}, "weaker"),
        ({"kind": "metric_not_worse", "interval": True}, {"kind": "metric_not_worse"}, "weaker"),
    ],
)  # fmt: skip
def test_a_gate_that_gets_easier_lowers_the_bar(before, after, effect):
    [change] = changed({"gates": [after]}, {"gates": [before]})
    assert change.effect == effect


def test_removed_and_added_gates_and_what_lowers_the_bar_comes_first():
    fresh, size = {"kind": "data_fresh", "limit": 30}, {"kind": "size_at_most", "limit": 5e6}
    found = changed({"gates": [fresh], "expiry_days": 3}, {"gates": [size]})
    assert [change.effect for change in found] == ["weaker", "stronger", "other"]
    assert found[0].text == "Gate removed: Size budget: at most 5 MB."
    assert found[1].text == "Gate added: Data is fresh: at most 30 days, blocking."


number = st.sampled_from([0.0, 0.01, 0.05, 0.1])
bar = st.sampled_from([0.6, 0.7, 0.8, 0.9])
metric = st.sampled_from(["roc_auc", "log_loss", "primary", "others"])
level = st.sampled_from(["blocking", "blocking", "advisory"])
gate = st.one_of(
    st.builds(
        lambda m, margin, relative, interval, lv: {
            "kind": "metric_not_worse", "metric": m, "margin": margin, "relative": relative, "interval": interval,
            "level": lv,
        },
        metric, number, st.booleans(), st.booleans(), level,
    ),
    st.builds(
        lambda m, limit, lv: {"kind": "metric_at_least", "metric": m, "limit": limit, "level": lv},
        metric.filter(lambda name: name != "others"), bar, level,
    ),
    st.builds(
        lambda value, limit, rows, lv: {
            "kind": "segment_at_least", "column": "c", "value": value, "metric": "roc_auc", "limit": limit,
            "least_rows": rows, "level": lv,
        },
        st.sampled_from(["", "a"]), bar, st.sampled_from([1, 30, 60]), level,
    ),
    st.builds(lambda limit: {"kind": "fairness_ratio", "column": "c", "limit": limit}, bar),
    st.builds(
        lambda limit, measure: {"kind": "fairness_gap", "column": "c", "measure": measure, "limit": limit},
        number, st.sampled_from(["tpr", "fpr"]),
    ),
    st.builds(
        lambda margin, interval, measure: {
            "kind": "fairness_not_worse", "column": "c", "measure": measure, "margin": margin, "interval": interval,
        },
        number, st.booleans(), st.sampled_from(["tpr", "fpr"]),
    ),
    st.builds(
        lambda limit, q: {"kind": "latency_at_most", "limit": limit, "quantile": q},
        st.sampled_from([5.0, 10.0, 20.0]), st.sampled_from(["p50", "p99"]),
    ),
)  # fmt: skip
policy = st.lists(gate, max_size=4, unique_by=lambda row: rules.name_of(rules.parse([row])[0]))
difference = st.sampled_from([-0.2, -0.07, -0.03, -0.005, 0.0, 0.02, 0.08, None])


def a_metric(key, better):
    return st.builds(
        lambda value, change, wide: Metric(
            key, key, better, value, None if change is None else value - change, change,
            None if change is None or wide is None else change - wide,
            None if change is None or wide is None else change + wide,
        ),
        st.sampled_from([0.55, 0.65, 0.75, 0.85, 0.95]), difference, st.sampled_from([0.0, 0.02, None]),
    )  # fmt: skip


facts = st.builds(
    lambda auc, loss, rows, ratio, gaps, latency, primary: Facts(
        "finished", metrics=(auc, loss), primary=primary,
        segments=tuple(Segment("c", name, count, (found,)) for name, count, found in rows),
        groups=(
            Groups(
                "c", {"tpr": {"a": gaps[0], "b": gaps[1]}, "fpr": {"a": gaps[2], "b": gaps[3]}}, ratio,
                {"a": (replace(auc, key="tpr"), replace(loss, key="fpr"))},
            ),
        ),
        latency_ms=latency,
    ),
    a_metric("roc_auc", "higher"), a_metric("log_loss", "lower"),
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([10, 40, 80]), a_metric("roc_auc", "higher")), max_size=2
    ),
    st.sampled_from([0.65, 0.75, 0.85, None]), st.tuples(number, number, number, number),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("p50", "p99"), st.sampled_from([3.0, 8.0, 15.0]))),
    st.sampled_from(["roc_auc", "log_loss"]),
)  # fmt: skip


def passes(rows, found):
    return rules.standing(rules.judge(rules.parse(rows), found)) == "pass"


def replaced(before, drawn):
    """Gates of ``before``, those that ``drawn`` has under the same name exchanged, the rest of it added."""
    return list({rules.name_of(rules.parse([row])[0]): row for row in [*before, *drawn]}.values())


@given(before=policy, after=policy, found=st.lists(facts, min_size=5, max_size=5))
@settings(max_examples=100, deadline=None)
def test_what_passes_rules_that_are_not_weaker_passed_the_old_ones_too(before, after, found):
    after = replaced(before, after)
    if rules_change.weaker({**PLAIN, "gates": before}, {**PLAIN, "gates": after}, measured.BETTER):
        return
    for candidate in found:
        assert not passes(after, candidate) or passes(before, candidate)


SAME = ("kind", "metric", "column", "value", "measure", "quantile", "level")


@given(row=gate, drawn=st.lists(gate, min_size=8, max_size=8), found=st.lists(facts, min_size=20, max_size=20))
@settings(max_examples=60, deadline=None)
def test_one_gate_that_is_not_weaker_lets_nothing_through_that_the_old_one_stopped(row, drawn, found):
    alike = [
        {**other, **{key: row[key] for key in SAME if key in row}} for other in drawn if other["kind"] == row["kind"]
    ]
    for other in alike:
        if any(change.effect == "weaker" for change in changed({"gates": [other]}, {"gates": [row]})):
            continue
        for candidate in found:
            assert not passes([other], candidate) or passes([row], candidate), (row, other)


roles = st.lists(st.sampled_from(["scientist", "manager", "ops"]), min_size=1, max_size=3, unique=True)
sequence = st.lists(st.builds(lambda asked, n: step(n, *asked), roles, st.integers(1, 2)), min_size=1, max_size=3)


def complete(steps, signed):
    """Whether people who sign in this order complete the steps, each signature going to the step that is open."""
    rest = list(signed)
    for asked in steps:
        got = 0
        while got < asked["needed"]:
            if not rest:
                return False
            got += rest.pop(0) in asked["roles"]
    return True


@given(before=sequence, after=sequence, signed=st.lists(st.sampled_from(["scientist", "manager", "ops"]), max_size=8))
@settings(max_examples=500, deadline=None)
def test_approvals_that_complete_covering_steps_complete_the_covered_ones(before, after, signed):
    if rules_change.steps_cover(before, after):
        assert not complete(after, signed) or complete(before, signed)
