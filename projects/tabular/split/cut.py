"""Cut rows into parts. Needs scikit-learn: child processes only.

The test part of a random, a stratified and a group split is that of ``train_test_split`` and
``GroupShuffleSplit`` with ``test_size=test_share`` and ``random_state=seed``, in their order; the validation
part is a second such cut of what is left, with the same seed and a whole number of rows or groups.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from mlportal.lib.errors import Unprocessable

from .recipe import Recipe, held_out

Rows = NDArray[np.int64]
_NOBODY: Rows = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Cut:
    """Row numbers of each part, from 0, in random order except by time."""

    train: Rows
    validation: Rows
    test: Rows

    def parts(self) -> dict[str, Rows]:
        """Parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def cut(recipe: Recipe, rows: int, values: NDArray[Any] | None) -> Cut:
    """Cut the rows of a table.

    Parameters
    ----------
    recipe : Recipe
        How.
    rows : int
        Rows of the table.
    values : numpy.ndarray, shape (rows,)
        Codes of the labels or groups in the order of their values, or times; ``None`` where none are needed.

    Raises
    ------
    Unprocessable
        When a part would be empty or a class is too small.
    """
    count = held_out(rows, recipe.validation_share)
    if rows - count - held_out(rows, recipe.test_share) < 1:
        raise _unfit(f"{rows:,} rows are too few: the training part would be empty.")
    if recipe.kind == "time":
        return _by_time(recipe, rows, values)
    if recipe.kind == "group":
        assert values is not None
        return _by_group(recipe, values)
    labels = values if recipe.kind == "stratified" else None
    return _drawn(recipe, rows, labels)


def _drawn(recipe: Recipe, rows: int, labels: NDArray[Any] | None) -> Cut:
    if labels is not None:
        _check_classes(recipe, rows, labels)
    options = {"random_state": recipe.seed}
    rest, test = train_test_split(np.arange(rows), test_size=recipe.test_share, stratify=labels, **options)
    if not recipe.validation_share:
        return Cut(rest, _NOBODY, test)
    again = None if labels is None else labels[rest]
    count = held_out(rows, recipe.validation_share)
    train, validation = train_test_split(rest, test_size=count, stratify=again, **options)
    return Cut(train, validation, test)


def _check_classes(recipe: Recipe, rows: int, labels: NDArray[Any]) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    needed = 3 if recipe.validation_share else 2
    if counts.min() < needed:
        raise _unfit(
            f"A value of {recipe.column} is in {counts.min():,} {'row' if counts.min() == 1 else 'rows'}, and a "
            f"stratified split into {needed} parts needs at least {needed} rows of each.",
            code="class_too_small", limit=needed, got=int(counts.min()),
        )  # fmt: skip
    shares = [share for share in (recipe.test_share, recipe.validation_share) if share]
    least = min(held_out(rows, share) for share in shares)
    if least < len(classes):
        raise _unfit(
            f"A part of {least:,} rows cannot hold each of the {len(classes):,} values of {recipe.column}. "
            "Raise the share, or choose another column.",
            code="split_too_small", limit=len(classes), got=least,
        )  # fmt: skip


def _by_time(recipe: Recipe, rows: int, times: NDArray[Any] | None) -> Cut:
    """The latest rows are the test part. Rows of the same moment stay together, in the later part."""
    moments = np.arange(rows) if times is None else times
    order = np.argsort(moments, kind="stable")
    ordered = moments[order]
    start = _begin(ordered, rows - held_out(rows, recipe.test_share))
    middle = start
    if recipe.validation_share:
        middle = _begin(ordered[:start], max(0, start - held_out(rows, recipe.validation_share)))
    if middle < 1 or (recipe.validation_share and middle == start):
        raise _unfit(
            f"Too many rows have the same {recipe.column or 'place'}: a part would be empty. Choose other shares."
        )
    return Cut(order[:middle], order[middle:start], order[start:])


def _begin(ordered: NDArray[Any], place: int) -> int:
    return int(np.searchsorted(ordered, ordered[place], side="left")) if place < len(ordered) else place


def _by_group(recipe: Recipe, groups: NDArray[Any]) -> Cut:
    number = len(np.unique(groups))
    needed = 3 if recipe.validation_share else 2
    held = held_out(number, recipe.test_share) + held_out(number, recipe.validation_share)
    if number < needed or held >= number:
        raise _unfit(
            f"{recipe.column} has {number:,} {'value' if number == 1 else 'values'}, which is too few for "
            f"{needed} parts.",
            code="too_few_groups", limit=needed, got=number,
        )  # fmt: skip
    places = np.arange(len(groups))
    rest, test = _groups_cut(groups, recipe.test_share, recipe.seed)
    if not recipe.validation_share:
        return Cut(rest, _NOBODY, test)
    train, validation = _groups_cut(groups[rest], held_out(number, recipe.validation_share), recipe.seed)
    return Cut(places[rest][train], places[rest][validation], test)


def _groups_cut(groups: NDArray[Any], size: float, seed: int) -> tuple[Rows, Rows]:
    shuffle = GroupShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    train, test = next(iter(shuffle.split(groups, groups=groups)))
    return train, test


def _unfit(
    message: str, *, code: str = "split_too_small", limit: int | None = None, got: int | None = None
) -> Unprocessable:
    return Unprocessable(message, code=code, field="column", limit=limit, got=got)
