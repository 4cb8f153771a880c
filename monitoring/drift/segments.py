"""Which segment a row belongs to: one value of a configured column. Needs numpy: workers only."""

from bisect import bisect_left
from collections.abc import Sequence
from math import isnan
from typing import Any

from monitoring.drift.parts import EMPTY, MOST, OTHER, bands, edges
from monitoring.drift.shape import Grid
from monitoring.drift.values import numbers, text_of, truth_of


def values(grid: Grid, column: Sequence[Any]) -> list[str]:
    """Return the segment of each row: a common level as it is, a number by its band of the reference.

    Parameters
    ----------
    grid : Grid
        The column's reference.
    column : sequence, shape (n)
        Raw values.

    Returns
    -------
    list of str, length n
        At most 22 different ones: the 20 commonest levels of the reference, ``(other)`` and ``(empty)``.
    """
    if grid["kind"] == "numeric":
        return _bands(grid, column)
    known = frozenset(grid.get("levels", [])[:MOST])
    texts = [text_of(value) for value in column]
    if grid["kind"] == "boolean":
        texts = [None if text is None else truth_of(text) for text in texts]
    return [EMPTY if text is None else text if text in known else OTHER for text in texts]


def _bands(grid: Grid, column: Sequence[Any]) -> list[str]:
    ends, names = edges(grid), bands(grid)
    return [EMPTY if isnan(value) else names[bisect_left(ends, value)] for value in numbers(column).tolist()]
