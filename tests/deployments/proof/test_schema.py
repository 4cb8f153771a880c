"""Differences of two schemas in words."""

import pytest

from deployments.proof.schema import differences

BASE = {
    "task": "classification",
    "target": "churned",
    "inputs": [
        {"name": "age", "kind": "numeric", "nullable": True, "min": 18, "max": 90},
        {"name": "plan", "kind": "categorical", "nullable": False, "categories": ["basic", "plus"]},
    ],
    "outputs": [{"name": "prediction", "kind": "categorical"}, {"name": "probability", "classes": ["no", "yes"]}],
}


def told(**changes):
    return [(item.effect, item.text) for item in differences(BASE, {**BASE, **changes})]


def inputs(*rows):
    return {"inputs": list(rows)}


AGE, PLAN = BASE["inputs"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"target": "left"}, [("breaks", "The target was churned and is left.")]),
        ({"task": "regression"}, [("breaks", "The task was classification and is regression.")]),
        (inputs(AGE), [("widens", "plan is not asked for any more.")]),
        (inputs(AGE, PLAN, {"name": "city", "kind": "text", "nullable": True}),
         [("widens", "city (text) is new and may be empty.")]),
        (inputs(AGE, PLAN, {"name": "city", "kind": "text"}), [("breaks", "city (text) is new and required.")]),
        (inputs({**AGE, "kind": "integer"}, PLAN), [("breaks", "age was numeric and is integer.")]),
        (inputs({**AGE, "nullable": False}, PLAN), [("breaks", "age may not be empty any more.")]),
        (inputs(AGE, {**PLAN, "nullable": True}), [("widens", "plan may be empty now.")]),
        (inputs(AGE, {**PLAN, "categories": ["plus", "pro"]}),
         [("breaks", "plan does not know basic any more."), ("widens", "plan knows pro too.")]),
        (inputs({**AGE, "max": 60}, PLAN), [("other", "age was seen from 18 to 90 and is from 18 to 60.")]),
        (inputs(PLAN, AGE), [("other", "The columns come in another order.")]),
        ({"outputs": [BASE["outputs"][0]]}, [("breaks", "The answer has no probability any more.")]),
        ({"outputs": [BASE["outputs"][0], {"name": "probability", "classes": ["a", "b"]}]},
         [("breaks", "The classes were no, yes and are a, b.")]),
    ],
)  # fmt: skip
def test_each_difference_has_a_sentence(changes, expected):
    assert told(**changes) == expected


def test_what_breaks_comes_first_and_odd_documents_do_no_harm():
    found = differences(BASE, {"inputs": ["odd", {"kind": "x"}], "outputs": None})
    assert [item.effect for item in found] == sorted((item.effect for item in found), key=("breaks", "widens").index)
    assert differences({}, {}) == []
