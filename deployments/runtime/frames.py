"""Columns of a request as the DataFrame that a stored pipeline was fitted on."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from deployments.runtime.signature import Columns, Signature

NUMBERS = frozenset({"numeric", "integer", "boolean"})


def frame(columns: Columns, signature: Signature) -> pd.DataFrame:
    """Build the frame.

    Parameters
    ----------
    columns : list of list, shape (columns, rows)
        As returned by `signature.read_records`.
    signature : Signature

    Returns
    -------
    pandas.DataFrame, shape (rows, columns)
        Numbers and booleans are float64 with NaN for null, dates UTC timestamps, the rest objects with NaN.
    """
    pairs = enumerate(zip(signature.columns, columns, strict=True))
    # Copied, all columns of a type lie in one block, and names are plain objects: scikit-learn takes columns out of
    # the frame many times over, which then costs a quarter less.
    rows = pd.DataFrame({at: _typed(values, column.kind) for at, (column, values) in pairs}, copy=True)
    rows.columns = _labels(signature.names)
    return rows


@lru_cache(maxsize=256)
def _labels(names: tuple[str, ...]) -> pd.Index:
    return pd.Index(names, dtype=object)


def plain_array(columns: Columns, *, numeric: bool) -> Any:
    """Columns of one kind as scikit-learn takes them out of a frame.

    Returns
    -------
    numpy.ndarray, shape (rows, columns)
        Of float64, or of objects with NaN for null.
    """
    if numeric or all(map(_are_numbers, columns)):
        return np.array(columns, dtype=np.float64).T
    made = np.empty((len(columns[0]), len(columns)), dtype=object)
    for at, values in enumerate(columns):
        made[:, at] = np.array(values, dtype=np.float64) if _are_numbers(values) else _with_nan(values)
    return made


def _typed(values: list[Any], kind: str) -> Any:
    if kind in NUMBERS or (kind != "datetime" and _are_numbers(values)):
        return np.array(values, dtype=np.float64)
    if kind == "datetime":
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True, errors="coerce", format="ISO8601")
    typed = np.empty(len(values), dtype=object)
    typed[:] = _with_nan(values)
    return pd.Series(typed, dtype=object)


def _are_numbers(values: list[Any]) -> bool:
    """Whether a column that might hold anything holds numbers and nulls only, and not only nulls."""
    known = any(value is not None for value in values)
    return known and all(type(value) in (int, float, type(None)) for value in values)


def _with_nan(values: list[Any]) -> list[Any]:
    return [np.nan if value is None else value for value in values]
