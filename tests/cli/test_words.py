"""How the command reads words and prints tables."""

import pytest

from mlportal.cli import main, parser
from mlportal.cli.errors import Failure
from mlportal.cli.line import numbered, specification, value
from mlportal.cli.output import table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", None),
        ("True", True),
        ("false", False),
        ("3", 3),
        ("-2", -2),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("l2", "l2"),
    ],
)
def test_hyper_parameter_values_get_their_type(text, expected):
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("text", "expected"), [("a", ("a", None)), ("a@3", ("a", 3)), ("a@v12", ("a", 12))])
def test_version_after_at(text, expected):
    assert numbered(text) == expected


def test_version_that_is_no_number_is_refused():
    with pytest.raises(Failure, match="after @ comes a version number, as in a@3"):
        numbered("a@latest")


def test_specification_has_every_field_the_api_takes():
    given = parser().parse_args(
        [
            "train",
            "--dataset",
            "d",
            "--target",
            "y",
            "--algorithm",
            "ridge",
            "--task",
            "regression",
            "--features",
            "a,b",
            "--set",
            "alpha=0.5",
        ]
    )
    assert specification(given) == {
        "task": "regression",
        "target": "y",
        "features": ["a", "b"],
        "test_share": 0.25,
        "seed": 0,
        "stratify": False,
        "folds": 0,
        "algorithm": "ridge",
        "hyper_parameters": {"alpha": 0.5},
    }


def test_set_without_a_value_is_refused():
    given = parser().parse_args(["train", "--dataset", "d", "--target", "y", "--algorithm", "ridge", "--set", "alpha"])
    with pytest.raises(Failure, match="--set alpha: give NAME=VALUE"):
        specification(given)


def test_table_aligns_numbers_right_and_marks_missing():
    assert table(["name", "rows"], [["iris", 150], ["telco", None], ["wine", 1780]]) == (
        "name   rows\niris    150\ntelco     –\nwine   1780"
    )


def test_empty_table_is_its_head():
    assert table(["id", "state"], []) == "id  state"


def test_wrong_command_line_ends_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["dataset", "frobnicate"])
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_version_is_told_without_django(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == "mlportal 0.1.0\n"
