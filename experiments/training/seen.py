"""Which rows a training has learned from, so that nobody judges its model on them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.training import columns as choosing
from experiments.training import split
from experiments.training.spec import TrainingSpec

TARGET = "__target__"


def rows(
    spec: TrainingSpec, frame: pd.DataFrame, schema: Sequence[Mapping[str, Any]], saved_split: Path | None = None
) -> pd.DataFrame:
    """Return the rows of the training part, cut as the training cut them: features and ``__target__``.

    Parameters
    ----------
    frame
        The typed data of the dataset version, all rows.
    saved_split
        Row numbers of the parts, where the specification names a saved split.
    """
    usable, target, _dropped = split.target_values(spec, frame)
    features = choosing.typed(usable, choosing.choose(spec, usable, schema))
    if saved_split is None:
        parts = split.split(spec, target)
    else:
        parts = split.saved(spec, saved_split, frame[spec.target].notna().to_numpy(), target)
    return features.assign(**{TARGET: target}).iloc[parts.train]


def among(held_out: pd.DataFrame, learned: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the held-out rows that occur, value for value, among the learned ones.

    Parameters
    ----------
    held_out, learned
        Frames of raw features and ``__target__``; the columns of ``learned`` are compared.

    Returns
    -------
    ndarray of bool, shape (len(held_out),)
    """
    names = list(learned)
    return np.isin(_hashes(held_out[names]), _hashes(learned))


def _hashes(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """Hash rows by value: numbers as floats, everything else as text, whatever types two files gave them."""
    plain = frame.apply(_plain)
    return pd.util.hash_pandas_object(plain, index=False).to_numpy(dtype=np.uint64)


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column.astype("float64")
    return column.astype("string").fillna("").astype(object)
