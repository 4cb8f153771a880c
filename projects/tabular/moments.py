"""Mean, spread, range and histogram of number columns, streamed over row groups.

Mean and variance by merging blocks: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm
for computing sample variances" (1979), formulas 2.1a and 2.1b.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

BINS = 20


@dataclass
class Moments:
    """Running count, mean, sum of squared deviations, least and greatest value."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = np.inf
    greatest: float = -np.inf

    def add(self, values: NDArray[np.float64]) -> None:
        """Merge the next values, none of them missing."""
        if not len(values):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            squares = float(np.square(values - mean).sum())
            total = self.count + len(values)
            shift = mean - self.mean
            self.squares += squares + shift * shift * self.count * len(values) / total
            self.mean += shift * len(values) / total
        self.count = total
        self.least = min(self.least, float(values.min()))
        self.greatest = max(self.greatest, float(values.max()))

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation (n − 1), ``None`` for fewer than two values or beyond float range."""
        if self.count < 2 or not np.isfinite(self.squares):
            return None
        return float(np.sqrt(self.squares / (self.count - 1)))


def numbers(column: pa.Array) -> NDArray[np.float64]:
    """Present values of a number, boolean or time column; times as microseconds."""
    present = column.drop_null()
    if pa.types.is_timestamp(present.type):
        present = present.cast(pa.int64())
    if pa.types.is_boolean(present.type):
        present = present.cast(pa.int8())
    return np.asarray(present.to_numpy(zero_copy_only=False), dtype=np.float64)


def of_column(file: pq.ParquetFile, name: str, *, integer: bool) -> dict[str, Any]:
    """Mean, deviation, least, greatest and histogram of one column, in two passes over it.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        The canonical copy.
    name : str
        Column of numbers or times.
    integer : bool
        Whether values are whole, so that few of them get one bin each.

    Returns
    -------
    dict
        ``mean``, ``std``, ``min``, ``max`` (``None`` without values) and ``histogram`` with ``edges``
        (n + 1) and ``counts`` (n), or ``None``.
    """
    moments = Moments()
    for part in parts(file, name):
        moments.add(numbers(part))
    if not moments.count:
        return {"mean": None, "std": None, "min": None, "max": None, "histogram": None}
    edges = bin_edges(moments.least, moments.greatest, integer=integer)
    counts = np.zeros(max(0, len(edges) - 1), dtype=np.int64)
    for part in parts(file, name) if len(edges) else ():
        counts += np.histogram(numbers(part), bins=edges)[0]
    finite = np.isfinite(moments.mean)
    return {
        "mean": moments.mean if finite else None,
        "std": moments.deviation,
        "min": moments.least,
        "max": moments.greatest,
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()} if len(edges) else None,
    }


def parts(file: pq.ParquetFile, name: str) -> Iterator[pa.Array]:
    """Arrays of one column, batch by batch.

    The library takes ``a`` to mean ``a.b`` as well, so the column is picked from each batch by its exact name.
    """
    for batch in file.iter_batches(batch_size=65_536, columns=[name]):
        yield batch.column(batch.schema.get_field_index(name))


def bin_edges(least: float, greatest: float, *, integer: bool) -> NDArray[np.float64]:
    """Edges of equal bins; the last bin holds its right edge. Empty when the range overflows."""
    with np.errstate(over="ignore"):
        width = np.float64(greatest) - np.float64(least)
    if not np.isfinite(width):
        return np.empty(0)
    if integer and width < BINS:
        return np.arange(least - 0.5, greatest + 1.0, 1.0)
    if width == 0 or least + width / BINS == least:
        pad = max(0.5, abs(least) * 1e-9)
        return np.array([least - pad, greatest + pad])
    # where floats lie further apart than a bin is wide, several edges are one
    return np.unique(np.linspace(least, greatest, BINS + 1))


def null_counts(file: pq.ParquetFile) -> list[int]:
    """Missing values of each column, from the pages (statistics may be absent)."""
    counts = [0] * len(file.schema_arrow)
    metadata = file.metadata
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            statistics = metadata.row_group(group).column(at).statistics
            if statistics is None or not statistics.has_null_count:
                return _counted_nulls(file)
            counts[at] += statistics.null_count
    return counts


def _counted_nulls(file: pq.ParquetFile) -> list[int]:
    counts = np.zeros(len(file.schema_arrow), dtype=np.int64)
    for batch in file.iter_batches():
        counts += [column.null_count for column in batch.columns]
    return [int(count) for count in counts]
