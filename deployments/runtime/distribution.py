"""How scores spread, counted in two looks at tables that come one after the other."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

BINS = 40
MOST_LABELS = 20
PREDICTION = "prediction"


class Distribution:
    """Counts of a column of scores in equal bins, and of labels.

    Parameters
    ----------
    score : str
        Column of the scores, empty for none.
    bounds : (float, float) or None
        Where the bins begin and end; by default at the least and the largest score of the first look.
    count_labels : bool
        Whether predictions are classes, to be counted.
    """

    def __init__(self, score: str, *, bounds: tuple[float, float] | None, count_labels: bool) -> None:
        self.score, self.count_labels = score, count_labels
        self.bounds = bounds
        self.low, self.high, self.total, self.filled = math.inf, -math.inf, 0.0, 0
        self.counts = np.zeros(BINS, dtype=np.int64)
        self.labels: Counter[Any] = Counter()

    def look(self, table: pa.Table) -> None:
        """Learn where the scores of a table begin and end."""
        values = self._values(table)
        if values.size:
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self.total, self.filled = self.total + float(values.sum()), self.filled + values.size

    def count(self, table: pa.Table) -> None:
        """Count the scores and labels of a table."""
        values = self._values(table)
        if values.size:
            self.counts += np.histogram(values, bins=self._edges())[0]
        if self.count_labels:
            found = table.column(PREDICTION).drop_null().value_counts().to_pylist()
            self.labels.update({row["values"]: row["counts"] for row in found})

    def plain(self) -> dict[str, Any]:
        """Return the counts as JSON takes them."""
        out: dict[str, Any] = {}
        if self.filled:
            out["score"] = {
                "column": self.score, "edges": [float(edge) for edge in self._edges()],
                "counts": [int(count) for count in self.counts], "min": self.low, "max": self.high,
                "mean": self.total / self.filled,
            }  # fmt: skip
        if self.count_labels:
            ranked = sorted(self.labels.items(), key=lambda pair: (-pair[1], str(pair[0])))
            out["labels"] = [{"value": _word(value), "count": count} for value, count in ranked[:MOST_LABELS]]
            out["other_labels"] = len(ranked[MOST_LABELS:])
        return out

    def _values(self, table: pa.Table) -> Any:
        if not self.score:
            return np.empty(0)
        return table.column(self.score).drop_null().to_numpy().astype(np.float64)

    def _edges(self) -> Any:
        low, high = self.bounds or (self.low, self.high)
        if high <= low:  # all scores are one number
            low, high = low - 0.5, high + 0.5
        return np.linspace(low, high, BINS + 1)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
