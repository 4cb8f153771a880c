"""The catalogue is light, complete and true to scikit-learn."""

import subprocess
import sys

import pytest

from experiments.training import catalogue
from experiments.training.estimators import build
from experiments.training.parameters import Parameter, number
from experiments.training.spec import validate_spec
from mlportal.lib.errors import Invalid

PAIRS = [(entry.name, task) for task in catalogue.TASKS for entry in catalogue.algorithms(task)]
SCHEMA = [{"name": "x", "kind": "numeric"}, {"name": "y", "kind": "integer"}]


@pytest.mark.slow
def test_light_modules_import_nothing_scientific() -> None:
    code = (
        "import sys, experiments.training.spec, experiments.training.catalogue\n"
        "print(sorted({'numpy', 'pandas', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(("algorithm", "task"), PAIRS)
def test_defaults_build_an_estimator(algorithm: str, task: str) -> None:
    spec = validate_spec({"task": task, "target": "y", "algorithm": algorithm}, SCHEMA)
    estimator = build(spec)
    assert estimator.__sklearn_tags__().estimator_type == ("classifier" if task == "classification" else "regressor")


def test_there_is_every_algorithm_of_the_two_tasks() -> None:
    assert PAIRS == [
        ("logistic_regression", "classification"),
        ("random_forest", "classification"),
        ("extra_trees", "classification"),
        ("hist_gradient_boosting", "classification"),
        ("k_neighbors", "classification"),
        ("linear_svm", "classification"),
        ("dummy", "classification"),
        ("ridge", "regression"),
        ("random_forest", "regression"),
        ("extra_trees", "regression"),
        ("hist_gradient_boosting", "regression"),
        ("k_neighbors", "regression"),
        ("linear_svm", "regression"),
        ("dummy", "regression"),
    ]


@pytest.mark.parametrize(("algorithm", "task"), PAIRS)
def test_each_default_is_allowed(algorithm: str, task: str) -> None:
    for rule in catalogue.parameters(algorithm, task).values():
        assert rule.check(rule.default) == rule.default


def test_phase_shares_add_to_one() -> None:
    assert sum(share for _, share in catalogue.PHASES.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("metric", "better"),
    [("rmse", "lower"), ("cv/log_loss", "lower"), ("cv_mean/roc_auc", "higher"), ("own", "higher")],
)
def test_direction_of_a_metric(metric: str, better: str) -> None:
    assert catalogue.better(metric) == better


def test_unknown_algorithm_lists_the_known() -> None:
    with pytest.raises(Invalid, match=r"no algorithm 'svm' for regression\. Allowed: ridge,"):
        catalogue.parameters("svm", "regression")


RATE = Parameter(name="rate", kind="number", default=0.1, low=0.001, high=1, help="")
DEPTH = Parameter(name="depth", kind="integer", default=None, low=1, high=100, empty="no limit", help="")
SWITCH = Parameter(name="switch", kind="boolean", default=True, help="")


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        (RATE, " 0.5 ", 0.5),
        (RATE, "1e-2", 0.01),
        (DEPTH, "7", 7),
        (DEPTH, "7.0", 7),
        (DEPTH, "  ", None),
        (SWITCH, "TRUE", True),
        (SWITCH, "false", False),
    ],
)
def test_text_of_a_form_becomes_a_value(rule: Parameter, text: str, value: object) -> None:
    assert rule.parse(text) == value


@pytest.mark.parametrize(
    ("rule", "text", "message"),
    [
        (RATE, "", 'rate must be a number from 0.001 to 1. It was "".'),
        (RATE, "1_0", 'rate must be a number from 0.001 to 1. It was "1_0".'),
        (RATE, "nan", "rate must be a number from 0.001 to 1. It was nan."),
        (DEPTH, "１２", 'depth must be a whole number from 1 to 100, or empty for no limit. It was "１２".'),
        (SWITCH, "yes", 'switch must be true or false. It was "yes".'),
    ],
)
def test_text_of_a_form_is_refused(rule: Parameter, text: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        rule.parse(text)
    assert caught.value.message == message


def test_number_of_400_digits_stays_text() -> None:
    assert number("9" * 400) == "9" * 400
