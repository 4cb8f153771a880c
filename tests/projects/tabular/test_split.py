"""Cuts: equal to scikit-learn's, disjoint and complete, groups and moments on one side, strata within rounding."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from mlportal.lib.errors import Invalid, Unprocessable
from projects.tabular.split import recipe as reading
from projects.tabular.split.child import codes
from projects.tabular.split.cut import cut
from projects.tabular.split.recipe import Recipe

pytestmark = pytest.mark.slow
SCHEMA = [
    {"name": "plan", "kind": "categorical"}, {"name": "at", "kind": "datetime"}, {"name": "age", "kind": "integer"},
]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
@pytest.mark.parametrize("share", [0.2, 0.25, 0.333])
def test_a_random_split_is_that_of_scikit_learn(seed, share):
    found = cut(Recipe("random", share, seed=seed), 101, None)
    train, test = train_test_split(np.arange(101), test_size=share, random_state=seed)
    assert found.train.tolist() == train.tolist()
    assert found.test.tolist() == test.tolist()


def test_a_stratified_split_is_that_of_scikit_learn_on_the_labels():
    labels = np.array((["no"] * 5 + ["yes"] + ["maybe"] * 2) * 20)
    coded, known = codes(pa.array(labels.tolist()))
    assert known == ["maybe", "no", "yes", None]
    found = cut(Recipe("stratified", 0.2, seed=3, column="plan"), len(labels), coded)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=3, stratify=labels)
    assert found.train.tolist() == train.tolist()
    assert found.test.tolist() == test.tolist()


def test_a_group_split_is_that_of_scikit_learn():
    groups = np.repeat(np.arange(30), 4)
    found = cut(Recipe("group", 0.2, seed=5, column="plan"), len(groups), groups)
    train, test = next(GroupShuffleSplit(1, test_size=0.2, random_state=5).split(groups, groups=groups))
    assert (found.train.tolist(), found.test.tolist()) == (train.tolist(), test.tolist())


def test_a_split_by_time_holds_out_the_latest_and_keeps_moments_together():
    times = np.array([5, 1, 4, 4, 2, 9, 4, 3, 8, 7])
    found = cut(Recipe("time", 0.4, column="at"), 10, times)
    assert sorted(times[found.test]) == [5, 7, 8, 9]
    tied = cut(Recipe("time", 0.5, column="at"), 10, times)
    assert sorted(times[tied.test]) == [4, 4, 4, 5, 7, 8, 9]
    by_row = cut(Recipe("time", 0.2, 0.1), 10, None)
    assert [part.tolist() for part in by_row.parts().values()] == [list(range(7)), [7], [8, 9]]


shares = st.sampled_from([(0.2, 0.0), (0.2, 0.2), (0.1, 0.3), (0.5, 0.0), (0.01, 0.0)])


@given(
    st.integers(20, 400), shares, st.integers(0, 2**32 - 1), st.sampled_from(["random", "stratified", "time", "group"])
)
@settings(deadline=None, max_examples=60)
def test_parts_are_disjoint_and_complete_and_keep_their_promise(rows, sizes, seed, kind):
    column = np.random.default_rng(seed).integers(0, 4 if kind == "stratified" else 15, rows)
    recipe = Recipe(kind, *sizes, seed=seed, column="" if kind == "random" else "plan")
    try:
        found = cut(recipe, rows, None if kind == "random" else column)
    except Unprocessable:
        return
    again = cut(recipe, rows, None if kind == "random" else column)
    parts = [part for part in found.parts().values() if len(part)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
    assert all((one == two).all() for one, two in zip(found.parts().values(), again.parts().values(), strict=True))
    inside = [set(column[part].tolist()) for part in parts]
    if kind == "group":
        assert sum(map(len, inside)) == len(set().union(*inside))
    if kind == "time":
        assert all(max(one) < min(two) for one, two in pairwise(inside))
    if kind == "stratified":
        for part in parts:
            counts = np.bincount(column[part], minlength=4)
            assert np.abs(counts - np.bincount(column, minlength=4) * len(part) / rows).max() <= 2


@pytest.mark.parametrize(
    ("recipe", "column", "words"),
    [
        (Recipe("stratified", 0.2, column="plan"), [0] * 9 + [1], "is in 1 row, and a stratified split into 2 parts"),
        (Recipe("stratified", 0.1, column="plan"), [0, 1, 2] * 4, "A part of 2 rows cannot hold each of the 3 values"),
        (Recipe("group", 0.2, column="plan"), [0] * 10, "plan has 1 value, which is too few"),
        (Recipe("time", 0.2, column="at"), [3] * 10, "a part would be empty"),
        (Recipe("random", 0.9), [0], "the training part would be empty"),
    ],
)
def test_what_cannot_be_cut_says_why(recipe, column, words):
    with pytest.raises(Unprocessable, match=words):
        cut(recipe, len(column), np.array(column))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("x", "kind"),
        ({}, "kind"),
        ({"kind": "other"}, "kind"),
        ({"kind": "random", "test_share": 0}, "test_share"),
        ({"kind": "random", "test_share": "0.2"}, "test_share"),
        ({"kind": "random", "test_share": float("nan")}, "test_share"),
        ({"kind": "random", "test_share": 0.5, "validation_share": 0.5}, "validation_share"),
        ({"kind": "random", "seed": -1}, "seed"),
        ({"kind": "random", "seed": 2**32}, "seed"),
        ({"kind": "random", "seed": 1.5}, "seed"),
        ({"kind": "random", "folds": 3}, "folds"),
        ({"kind": "stratified"}, "column"),
        ({"kind": "group", "column": "nope"}, "column"),
        ({"kind": "time", "column": "plan"}, "column"),
        ({"kind": "random", "balance": "nope"}, "balance"),
    ],
)
def test_wrong_recipes_are_named(given, field):
    with pytest.raises(Invalid) as raised:
        reading.read(given, SCHEMA)
    assert raised.value.field == field
