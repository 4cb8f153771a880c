"""A specification is complete and checked, and says everything that is wrong at once."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.training import catalogue
from experiments.training.spec import FIELDS, validate_spec
from mlportal.lib.errors import Invalid

SCHEMA = [
    {"name": "age", "kind": "integer"},
    {"name": "plan", "kind": "categorical"},
    {"name": "spend", "kind": "numeric"},
    {"name": "since", "kind": "datetime"},
]
GOOD = {"task": "classification", "target": "plan", "algorithm": "random_forest"}


def faults(**changes: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        validate_spec(GOOD | changes, SCHEMA)
    return {fault["field"]: fault["message"] for fault in caught.value.errors}


def test_short_spec_becomes_complete() -> None:
    assert validate_spec(GOOD, SCHEMA).as_json() == {
        "task": "classification",
        "target": "plan",
        "features": None,
        "missing_target": "fail",
        "test_share": 0.2,
        "seed": 0,
        "stratify": True,
        "folds": 0,
        "algorithm": "random_forest",
        "hyper_parameters": {
            "n_estimators": 100,
            "max_depth": None,
            "min_samples_leaf": 1,
            "min_samples_split": 2,
            "max_features": "sqrt",
            "class_weight": "none",
        },
    }


def test_complete_spec_is_a_fixed_point() -> None:
    complete = validate_spec(GOOD, SCHEMA).as_json()
    assert validate_spec(complete, SCHEMA).as_json() == complete


def test_values_cannot_be_changed_afterwards() -> None:
    with pytest.raises(TypeError):
        validate_spec(GOOD, SCHEMA).hyper_parameters["n_estimators"] = 7  # type: ignore[index]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, math.nan, math.inf])
def test_test_share_out_of_range(share: float) -> None:
    assert faults(test_share=share) == {"test_share": f"test_share must be a number from 0.01 to 0.9. It was {share}."}


def test_test_share_1_5_says_the_range() -> None:
    assert faults(test_share=1.5) == {"test_share": "test_share must be a number from 0.01 to 0.9. It was 1.5."}


def test_test_share_text() -> None:
    assert faults(test_share="abc") == {"test_share": 'test_share must be a number from 0.01 to 0.9. It was "abc".'}


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "x", None, True, [1]])
def test_seed_out_of_range(seed: object) -> None:
    assert list(faults(seed=seed)) == ["seed"]
    assert "a whole number from 0 to 4,294,967,295" in faults(seed=seed)["seed"]


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_seed_at_the_limits(seed: int) -> None:
    assert validate_spec(GOOD | {"seed": seed}, SCHEMA).seed == seed


def test_one_fold_is_none_at_all() -> None:
    assert faults(folds=1) == {"folds": "folds must be 0 for none, or 2 to 10. It was 1."}


def test_unknown_field_lists_the_fields() -> None:
    assert faults(model="x") == {"model": 'There is no field "model". Allowed: ' + ", ".join(FIELDS) + "."}


def test_unknown_hyper_parameter_lists_names_and_ranges() -> None:
    assert faults(algorithm="k_neighbors", hyper_parameters={"trees": 3}) == {
        "hyper_parameters.trees": 'k_neighbors has no parameter "trees". Allowed: '
        "n_neighbors (1 to 500), weights (uniform or distance), p (1 to 2)."
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (10**9, "1000000000"),
        (10**400, "1" + "0" * 78 + "…"),
        (-1, "-1"),
        (1.5, "1.5"),
        (math.nan, "nan"),
        (True, "true"),
        (None, "null"),
        ("10", '"10"'),
        ([1], "[1]"),
        ({"a": 1}, "{'a': 1}"),
        ("x" * 10_000, '"' + "x" * 78 + "…"),
    ],
)
def test_hyper_parameter_of_wrong_type_or_size(value: object, shown: str) -> None:
    message = faults(hyper_parameters={"n_estimators": value})["hyper_parameters.n_estimators"]
    assert message.startswith("n_estimators must be a whole number from 1 to 2,000")
    assert message.endswith(f"It was {shown}.")


def test_empty_depth_means_no_limit() -> None:
    spec = validate_spec(GOOD | {"hyper_parameters": {"max_depth": None}}, SCHEMA)
    assert spec.hyper_parameters["max_depth"] is None


def test_hyper_parameters_of_wrong_shape() -> None:
    assert faults(hyper_parameters=[1])["hyper_parameters"].startswith(
        "hyper_parameters must be an object. It was [1]."
    )


def test_target_not_in_the_columns() -> None:
    assert faults(target="churn") == {"target": 'There is no column "churn". Allowed: age, plan, spend, since.'}


def test_target_missing() -> None:
    assert faults(target=None) == {"target": "target is missing. Allowed: age, plan, spend, since."}


def test_target_among_the_features() -> None:
    assert faults(features=["age", "plan"]) == {
        "features": '"plan" is the target and cannot be a feature as well. Remove it from the features.'
    }


def test_feature_not_in_the_columns() -> None:
    assert faults(features=["age", "cost"]) == {"features": 'There is no column "cost". Allowed: age, spend, since.'}


def test_feature_named_twice() -> None:
    assert faults(features=["age", "age"]) == {"features": "Named more than once: age."}


def test_no_features() -> None:
    assert faults(features=[]) == {"features": "features is empty. Choose at least one column."}


def test_text_target_for_regression_suggests_classification() -> None:
    assert faults(task="regression", algorithm="ridge", stratify=False) == {
        "target": 'Column "plan" holds text, and regression predicts numbers. Choose the task '
        "classification or a numeric column. Allowed: age, spend."
    }


def test_algorithm_of_the_other_task() -> None:
    assert faults(algorithm="ridge")["algorithm"] == (
        'algorithm was "ridge". Allowed: logistic_regression, random_forest, extra_trees, '
        "hist_gradient_boosting, k_neighbors, linear_svm, dummy."
    )


def test_stratified_regression_is_refused() -> None:
    found = faults(task="regression", target="spend", algorithm="ridge", stratify=True)
    assert list(found) == ["stratify"]


def test_all_faults_at_once() -> None:
    assert set(faults(target="x", test_share=2, seed=-1, hyper_parameters={"max_depth": 0})) == {
        "target",
        "test_share",
        "seed",
        "hyper_parameters.max_depth",
    }


@pytest.mark.parametrize("spec", [None, 1, "x", [], [GOOD]])
def test_spec_of_another_shape(spec: object) -> None:
    with pytest.raises(Invalid, match=r"^spec must be an object with the fields task, target"):
        validate_spec(spec, SCHEMA)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), anything))
def test_no_input_breaks_the_check(changes: dict[str, Any]) -> None:
    try:
        spec = validate_spec(GOOD | changes, SCHEMA)
    except Invalid as error:
        said = error.errors
    else:
        said = []
        assert validate_spec(spec.as_json(), SCHEMA) == spec
    assert all(fault["field"] and fault["message"] for fault in said)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_values_within_the_declared_ranges_are_taken(data: st.DataObject) -> None:
    task = data.draw(st.sampled_from(catalogue.TASKS))
    entry = data.draw(st.sampled_from(catalogue.algorithms(task)))
    values = {rule.name: data.draw(allowed(rule)) for rule in entry.parameters[task]}
    spec = validate_spec({"task": task, "target": "age", "algorithm": entry.name, "hyper_parameters": values}, SCHEMA)
    assert dict(spec.hyper_parameters) == values


def allowed(rule: Any) -> st.SearchStrategy[Any]:
    if rule.kind == "boolean":
        return st.booleans()
    if rule.kind == "choice":
        return st.sampled_from(rule.choices)
    kind = st.integers if rule.kind == "integer" else st.floats
    numbers = kind(rule.low, rule.high)
    return st.none() | numbers if rule.empty else numbers
