"""Which segment a row belongs to: one value of a configured column. Needs numpy: workers only."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import isnan
from typing import Any

from monitoring.drift.grid import numbers, text_of, truth_of
from monitoring.drift.shape import Grid

MOST = 20
OTHER, EMPTY = "(other)", "(empty)"
BANDS = (1, 4, 7)  # the second, fifth and eighth decile


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
    cuts = grid["cuts"]
    edges = sorted({grid["edges"][cuts[place]] for place in BANDS if place < len(cuts)})
    shown = [f"{edge:.4g}" for edge in edges]
    names = [f"up to {shown[0]}", *(f"over {low} to {high}" for low, high in pairwise(shown)),
             f"over {shown[-1]}"] if shown else [OTHER]  # fmt: skip
    return [EMPTY if isnan(value) else names[bisect_left(edges, value)] for value in numbers(column).tolist()]
