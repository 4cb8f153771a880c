"""Check the target and cut the rows into a training and a held-out part."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from experiments.training.spec import TrainingSpec
from mlportal.lib.errors import Unprocessable

MIN_ROWS: Final = 10
MAX_CLASSES: Final = 100


@dataclass(frozen=True, slots=True)
class Parts:
    """Row positions of both parts, in random order: the first n are a sample."""

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def target_values(spec: TrainingSpec, frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, int]:
    """Return rows with a target, the target values, and how many rows were dropped.

    Parameters
    ----------
    spec : TrainingSpec
        Names the target and the rule for missing ones.
    frame : pandas.DataFrame
        All rows.

    Returns
    -------
    frame : pandas.DataFrame
        Rows with a target.
    values : numpy.ndarray, shape (rows,)
        Labels (text, whole numbers or booleans) or float64 numbers.
    dropped : int
        Rows without a target.

    Raises
    ------
    Unprocessable
        Missing targets under the rule ``fail``, too few rows, one class, too many classes.
    """
    missing = frame[spec.target].isna()
    count = int(missing.sum())
    if count and spec.missing_target == "fail":
        raise _unusable(
            f'Target "{spec.target}" has {count:,} missing values in {len(frame):,} rows. '
            "Fill them in the data, or choose to drop these rows.",
            code="target_missing",
            got=count,
        )
    frame = frame[~missing].reset_index(drop=True)
    if len(frame) < MIN_ROWS:
        raise _unusable(
            f"The data has {len(frame):,} usable rows. Training needs at least {MIN_ROWS}.",
            code="too_few_rows",
            limit=MIN_ROWS,
            got=len(frame),
        )
    read = _labels if spec.task == "classification" else _numbers
    return frame, read(spec.target, frame[spec.target]), count


def _numbers(name: str, column: pd.Series) -> np.ndarray:
    values = column.to_numpy(dtype="float64")
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise _unusable(f'Target "{name}" has {infinite:,} infinite values.', code="target_infinite", got=infinite)
    if np.unique(values).size == 1:
        raise _unusable(
            f'Target "{name}" has one value, {values[0]:g}, in every row: nothing to learn.',
            code="target_constant",
            got=1,
        )
    return values


def _labels(name: str, column: pd.Series) -> np.ndarray:
    count = int(column.nunique())
    if count == 1:
        raise _unusable(
            f'Target "{name}" has 1 class, "{column.iloc[0]}". Classification needs at least 2.',
            code="single_class",
            limit=2,
            got=1,
        )
    numeric = pd.api.types.is_numeric_dtype(column)
    if pd.api.types.is_float_dtype(column) and not (column % 1 == 0).all():
        raise _unusable(
            f'Target "{name}" holds numbers with fractions, {count:,} different ones. Choose the task regression.',
            code="target_not_classes",
            got=count,
        )
    if count > MAX_CLASSES:
        raise _unusable(
            f'Target "{name}" has {count:,} different values and the limit is {MAX_CLASSES} '
            f"classes. {'Choose the task regression' if numeric else 'Choose another target'}.",
            code="too_many_classes",
            limit=MAX_CLASSES,
            got=count,
        )
    if pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=bool)
    if numeric:
        return column.to_numpy(dtype="int64")
    return column.to_numpy(dtype=object)


def split(spec: TrainingSpec, target: np.ndarray) -> Parts:
    """Return the row positions of the training and the held-out part.

    Raises
    ------
    Unprocessable
        When a class is too small to be in both parts, or a part would miss classes.
    """
    stratify = target if spec.stratify else None
    if stratify is not None:
        _check_smallest(target, needed=2, why="a stratified split")
    try:
        train, test = train_test_split(
            np.arange(len(target)),
            test_size=spec.test_share,
            random_state=spec.seed,
            stratify=stratify,
        )
    except ValueError as error:
        raise _too_small(spec, target) from error
    if spec.task == "classification":
        _check_training_part(spec, target, train)
    return Parts(train=train, test=test)


def saved(spec: TrainingSpec, path: Path, kept: np.ndarray, target: np.ndarray) -> Parts:
    """Return the parts that a saved split names, as places among the rows that have a target.

    Parameters
    ----------
    spec : TrainingSpec
        The specification.
    path : pathlib.Path
        Parquet file of row numbers and their parts, in the order that the split drew them.
    kept : numpy.ndarray of bool, shape (all rows,)
        Which rows of the data have a target.
    target : numpy.ndarray, shape (kept rows,)
        Their targets.

    Raises
    ------
    Unprocessable
        When a part is empty without the rows that have no target, or misses classes.
    """
    table = pd.read_parquet(path, use_threads=False)
    rows, part = table["row"].to_numpy(), table["part"].astype(str).to_numpy()
    place = np.cumsum(kept) - 1
    named = {name: rows[part == name] for name in ("train", "validation", "test")}
    parts = {name: place[found[kept[found]]] for name, found in named.items()}
    for name in ("train", "test"):
        if not len(parts[name]):
            raise _unusable(
                f'The {name} part of the split "{spec.split}" has no row with a target.',
                code="split_too_small",
                field="split",
            )
    if spec.task == "classification":
        _check_training_part(spec, target, parts["train"])
    return Parts(**parts)


def _check_training_part(spec: TrainingSpec, target: np.ndarray, train: np.ndarray) -> None:
    _check_all_seen(target, train, where="the training part")
    if spec.folds and spec.stratify:
        _check_smallest(target[train], needed=spec.folds, why=f"{spec.folds} folds")
    if spec.algorithm == "linear_svm":
        _check_smallest(target[train], needed=3, why="calibrating a linear SVM")


def _check_all_seen(target: np.ndarray, train: np.ndarray, *, where: str) -> None:
    unseen = np.setdiff1d(target, target[train])
    if unseen.size:
        raise _unusable(
            f'Class "{unseen[0]}" has no row in {where}. Switch stratify on, or leave the class out of the data.',
            code="class_unseen",
            got=int(unseen.size),
        )


def _too_small(spec: TrainingSpec, target: np.ndarray) -> Unprocessable:
    held_out = int(np.ceil(spec.test_share * len(target)))
    needed = np.unique(target).size if spec.stratify else 1
    return _unusable(
        f"Holding out {spec.test_share:g} of {len(target):,} rows leaves {held_out:,} to judge and "
        f"{len(target) - held_out:,} to learn from, but each part needs at least {needed:,}. "
        "Change the test share.",
        code="split_too_small",
        limit=needed,
        got=held_out,
        field="test_share",
    )


def _check_smallest(target: np.ndarray, *, needed: int, why: str) -> None:
    labels, counts = np.unique(target, return_counts=True)
    smallest = int(np.argmin(counts))
    if counts[smallest] < needed:
        rows = "1 row" if counts[smallest] == 1 else f"{counts[smallest]:,} rows"
        raise _unusable(
            f'Class "{labels[smallest]}" has {rows}, and {why} needs at least {needed} of each class.',
            code="class_too_small",
            limit=needed,
            got=int(counts[smallest]),
        )


def folds(spec: TrainingSpec, target: np.ndarray) -> Iterator[Parts]:
    """Yield the parts of a cross-validation over the training rows.

    Raises
    ------
    Unprocessable
        When there are fewer rows than folds.
    """
    if len(target) < spec.folds:
        raise _unusable(
            f"{spec.folds} folds need at least {spec.folds} training rows. There are {len(target)}.",
            code="too_few_rows",
            field="folds",
            limit=spec.folds,
            got=len(target),
        )
    kind = StratifiedKFold if spec.stratify else KFold
    cut = kind(n_splits=spec.folds, shuffle=True, random_state=spec.seed)
    for train, test in cut.split(np.zeros((len(target), 1)), target):
        if spec.task == "classification":
            _check_all_seen(target, train, where="the training part of a fold")
        yield Parts(train=train, test=test)


def overlap(frame: pd.DataFrame, parts: Parts) -> int:
    """Return how many held-out rows also occur, value for value, in the training part."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return int(np.isin(hashes[parts.test], hashes[parts.train]).sum())


def _unusable(
    message: str, *, code: str, field: str = "target", limit: int | None = None, got: int | None = None
) -> Unprocessable:
    return Unprocessable(message, code=code, field=field, limit=limit, got=got)
