"""Which groups of rows are looked at apart: columns with few values, and columns that people name."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SMALL = 30  # rows; a smaller group says more of single people than of the model
FEW_VALUES = 12
MOST_COLUMNS = 8
MOST_VALUES = 20
BANDS = (0.25, 0.5, 0.75)
EMPTY = "empty"
OTHERS = "other values"


@dataclass(frozen=True)
class Grouping:
    """Rows by the value of one column.

    Attributes
    ----------
    column
        Its name.
    labels
        The values as text, numbers with many values as quartile bands.
    codes
        Position in ``labels`` for each row, shape ``(n,)``.
    """

    column: str
    labels: tuple[str, ...]
    codes: NDArray[np.int64]

    def rows(self, place: int) -> NDArray[np.int64]:
        """Return the positions of the rows of one group."""
        return np.flatnonzero(self.codes == place)


def chosen(frame: pd.DataFrame, named: list[str]) -> list[Grouping]:
    """Group rows by the named columns that are there, then by those with 2 to 12 values, 8 columns in all.

    Parameters
    ----------
    frame
        The held-out rows without target and prediction.
    named
        Columns that a policy or the marks of the dataset name; they come first and are never left out for number.
    """
    first = [name for name in dict.fromkeys(named) if name in frame]
    more = [str(name) for name in frame if name not in first and 2 <= frame[name].nunique() <= FEW_VALUES]
    kept = [*first, *more[: max(0, MOST_COLUMNS - len(first))]]
    return [made for name in kept if (made := by(frame[name])) is not None]


def by(column: pd.Series) -> Grouping | None:
    """Group rows by one column; None when it holds fewer than two groups."""
    many = column.nunique() > FEW_VALUES
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if many and (numeric or pd.api.types.is_datetime64_any_dtype(column)):
        words = _bands(column)
    else:
        words = column.map(_word).astype(object).where(column.notna(), EMPTY)
    counts = words.value_counts()
    if len(counts) < 2:
        return None
    kept = list(counts.index[:MOST_VALUES])
    codes = words.map({label: place for place, label in enumerate(kept)}).fillna(len(kept)).to_numpy(dtype=np.int64)
    labels = [*kept, OTHERS] if len(counts) > MOST_VALUES else kept
    return _sorted(str(column.name), [str(item) for item in labels], codes, bands=many)


def _sorted(column: str, labels: list[str], codes: NDArray[np.int64], *, bands: bool) -> Grouping:
    """Put groups into the order people read: bands by size, values by name, what is left over last."""
    last = {EMPTY: 1, OTHERS: 2}

    def key(place: int) -> tuple[int, float, str]:
        word = labels[place]
        number = float(word.split("|")[0]) if bands and "|" in word else _number(word)
        return last.get(word, 0), number, word

    order = sorted(range(len(labels)), key=key)
    moved = np.empty(len(labels), dtype=np.int64)
    moved[order] = np.arange(len(labels))
    return Grouping(column, tuple(labels[place].split("|")[-1] for place in order), moved[codes])


def _bands(column: pd.Series) -> pd.Series:
    """Name the quartile of each value; the first part, up to the bar, is its place."""
    known = column.dropna()
    edges = list(dict.fromkeys(known.quantile(list(BANDS), interpolation="lower")))
    place = np.searchsorted(np.asarray(edges), known.to_numpy(), side="left")
    names = [f"0|up to {_word(edges[0])}"]
    names += [f"{at}|over {_word(low)} to {_word(high)}" for at, (low, high) in enumerate(pairwise(edges), 1)]
    names.append(f"{len(edges)}|over {_word(edges[-1])}")
    out = pd.Series(EMPTY, index=column.index, dtype=object)
    out[known.index] = np.asarray(names, dtype=object)[place]
    return out


def _word(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)[:80]


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return 0.0
