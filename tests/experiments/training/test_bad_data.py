"""Data that cannot teach ends with a sentence that names what, how many and what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.training import columns
from experiments.training.fit import fit
from experiments.training.hooks import Hooks
from experiments.training.spec import TrainingSpec
from mlportal.lib.errors import Unprocessable
from tests.experiments.training.conftest import schema_of

Make = Callable[..., TrainingSpec]


def refusal(spec: TrainingSpec, frame: pd.DataFrame, **kinds: str) -> str:
    with pytest.raises(Unprocessable) as caught:
        fit(spec, frame, schema_of(frame, **kinds), hooks=Hooks())
    return caught.value.message


def warned(spec: TrainingSpec, frame: pd.DataFrame, **kinds: str) -> list[str]:
    lines: list[tuple[str, str]] = []
    hooks = Hooks(on_log=lambda level, text: lines.append((level, text)))
    fit(spec, frame, schema_of(frame, **kinds), hooks=hooks)
    return [text for level, text in lines if level == "warning"]


def table(rows: int = 40, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(rows) * 1.0, "y": ["a", "b"] * (rows // 2), **more})


FOREST = {"task": "classification", "target": "y", "algorithm": "dummy"}


def test_single_class(spec_for: Make) -> None:
    frame = table(y=["a"] * 40)
    assert refusal(spec_for(frame, **FOREST), frame) == (
        'Target "y" has 1 class, "a". Classification needs at least 2.'
    )


def test_blanks_in_the_target(spec_for: Make) -> None:
    frame = table()
    frame.loc[[3, 5], "y"] = None
    assert refusal(spec_for(frame, **FOREST), frame) == (
        'Target "y" has 2 missing values in 40 rows. Fill them in the data, or choose to drop these rows.'
    )


def test_blanks_in_the_target_dropped_when_chosen(spec_for: Make) -> None:
    frame = table()
    frame.loc[[3, 5], "y"] = None
    spec = spec_for(frame, **FOREST, missing_target="drop")
    assert warned(spec, frame) == ["2 rows without a target are left out."]


@pytest.mark.parametrize("rows", [0, 1, 2, 8])
def test_too_few_rows(spec_for: Make, rows: int) -> None:
    frame = table().iloc[:rows]
    assert refusal(spec_for(table(), **FOREST), frame) == (
        f"The data has {rows} usable rows. Training needs at least 10."
    )


def test_class_with_one_row(spec_for: Make) -> None:
    frame = table()
    frame.loc[7, "y"] = "rare"
    assert refusal(spec_for(frame, **FOREST), frame) == (
        'Class "rare" has 1 row, and a stratified split needs at least 2 of each class.'
    )


def test_class_smaller_than_the_folds(spec_for: Make) -> None:
    frame = table()
    frame.loc[[7, 8, 9], "y"] = "rare"
    message = refusal(spec_for(frame, **FOREST, folds=5), frame)
    assert message == 'Class "rare" has 2 rows, and 5 folds needs at least 5 of each class.'


def test_class_outside_the_training_part(spec_for: Make) -> None:
    frame = table()
    frame["y"] = ["only"] + ["a", "b"] * 19 + ["a"]
    spec = spec_for(frame, **FOREST, stratify=False, test_share=0.9, seed=1)
    assert refusal(spec, frame) == (
        'Class "only" has no row in the training part. Switch stratify on, or leave the class out of the data.'
    )


def test_held_out_part_smaller_than_the_classes(spec_for: Make) -> None:
    frame = table()
    spec = spec_for(frame, **FOREST, test_share=0.02)
    assert refusal(spec, frame) == (
        "Holding out 0.02 of 40 rows leaves 1 to judge and 39 to learn from, "
        "but each part needs at least 2. Change the test share."
    )


def test_numbers_with_fractions_are_no_classes(spec_for: Make) -> None:
    frame = table(y=np.linspace(0, 1, 40))
    assert refusal(spec_for(frame, **FOREST), frame) == (
        'Target "y" holds numbers with fractions, 40 different ones. Choose the task regression.'
    )


def test_too_many_classes(spec_for: Make) -> None:
    frame = pd.DataFrame({"x": range(300), "y": range(300)})
    assert refusal(spec_for(frame, **FOREST), frame) == (
        'Target "y" has 300 different values and the limit is 100 classes. Choose the task regression.'
    )


def test_constant_number_to_predict(spec_for: Make) -> None:
    frame = table(y=7.0)
    spec = spec_for(frame, task="regression", target="y", algorithm="dummy")
    assert refusal(spec, frame) == 'Target "y" has one value, 7, in every row: nothing to learn.'


def test_nothing_left_to_learn_from(spec_for: Make) -> None:
    frame = table(x=1.0, gone=None, key=[f"k{n}" for n in range(40)])
    kinds = {"key": "id"}
    assert refusal(spec_for(frame, **FOREST, kinds=kinds), frame, **kinds) == (
        "No feature is left to learn from. Left out: x (all values are equal), "
        "gone (all values are missing), key (it looks like an identifier)."
    )


def test_useless_columns_are_left_out_with_a_warning(spec_for: Make) -> None:
    frame = table(flat="same", gone=None, key=[f"k{n}" for n in range(40)])
    kinds = {"key": "id"}
    assert warned(spec_for(frame, **FOREST, kinds=kinds), frame, **kinds) == [
        'Column "flat" is left out: all values are equal.',
        'Column "gone" is left out: all values are missing.',
        'Column "key" is left out: it looks like an identifier.',
    ]


def test_too_many_texts_asked_for(spec_for: Make) -> None:
    frame = pd.DataFrame({"note": [f"n{n}" for n in range(1001)], "y": ["a", "b"] * 500 + ["a"]})
    assert refusal(spec_for(frame, **FOREST, features=["note"]), frame) == (
        'Column "note" holds 1,001 different texts such as "n0". Encoding it would make 1,001 columns '
        "and the limit is 1,000. Remove it from the features."
    )


def test_too_many_texts_not_asked_for(spec_for: Make) -> None:
    frame = pd.DataFrame({"x": range(1001), "note": [f"n{n}" for n in range(1001)], "y": ["a", "b"] * 500 + ["a"]})
    assert warned(spec_for(frame, **FOREST), frame) == [
        'Column "note" is left out: it holds 1,001 different texts, more than 1,000.'
    ]


def test_too_many_encoded_columns(spec_for: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_ENCODED_COLUMNS", 50)
    frame = table(a=[f"a{n}" for n in range(40)], b=[f"b{n}" for n in range(40)])
    assert refusal(spec_for(frame, **FOREST, features=["a", "b", "x"]), frame) == (
        "Encoding these features would make 81 columns and the limit is 50. Choose fewer features."
    )


def test_infinite_values(spec_for: Make) -> None:
    frame = table()
    frame.loc[3, "x"] = np.inf
    assert refusal(spec_for(frame, **FOREST), frame) == (
        'Column "x" has 1 infinite values. Replace them, or leave the column out.'
    )


def test_repeated_rows_warn_of_a_leak(spec_for: Make) -> None:
    frame = pd.concat([table(20)] * 10, ignore_index=True)
    assert warned(spec_for(frame, **FOREST), frame) == [
        "40 of 40 held-out rows also occur in the training part, so the metrics may be too good."
    ]


def test_target_that_looks_like_an_identifier(spec_for: Make) -> None:
    frame = table()
    kinds = {"y": "id"}
    assert warned(spec_for(frame, **FOREST, kinds=kinds), frame, **kinds) == ['Target "y" looks like an identifier.']


def test_solver_that_does_not_converge_warns(spec_for: Make, cancer: pd.DataFrame) -> None:
    spec = spec_for(
        cancer,
        task="classification",
        target="benign",
        algorithm="logistic_regression",
        hyper_parameters={"max_iter": 10, "C": 1e6},
    )
    assert [text[:24] for text in warned(spec, cancer)] == ["lbfgs failed to converge"]
