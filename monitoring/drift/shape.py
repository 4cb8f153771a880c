"""What a grid and its counts look like; merging them. Plain Python, so pages may import it."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NotRequired, TypedDict

PREDICTION = "__prediction__"
SCORE = "__score__"
TARGET = "__target__"
TRAFFIC = "__traffic__"
ROWS = "__rows__"  # keys of whole rows, for repeated ones
SCHEMA = "__schema__"  # requests refused for their schema, beside all others as nulls
DROPPED = "__dropped__"  # rows that were answered without a line in the log
ERROR = "__error__"  # what the error model expects of each row, for estimated performance
QUALITY = (ROWS, SCHEMA, DROPPED)
NOT_ROWS = (TRAFFIC, SCHEMA, DROPPED)
SCHEMA_CODES = {
    "column_missing": 0, "column_unknown": 1, "value_invalid": 2, "null_not_allowed": 2, "category_unknown": 2,
    "record_not_an_object": 2,
}  # fmt: skip
OUTPUTS = (SCORE, PREDICTION)
DISPLAY = {SCORE: "Prediction score", PREDICTION: "Prediction"}
LATENCY_EDGES_US = [1.15**power for power in range(129)]  # 1 us to 60 s
LARGEST = 1e300
MOST_LEVELS = 50
MOST_OTHERS = 20
MOST_KEYS = 512


class Counts(TypedDict):
    """One column of one stretch of time: a count (and for numbers a sum) a bin, and how many were empty."""

    counts: list[int]
    nulls: int
    sums: NotRequired[list[float]]
    others: NotRequired[dict[str, int]]
    keys: NotRequired[dict[str, int]]


class Grid(Counts):
    """The reference of one column: where its bins lie and what the training data had in them.

    ``kind`` is ``numeric`` (``edges``, ``cuts``), ``categorical`` or ``boolean`` (``levels``) or ``text``
    (``edges`` of the length). Bin ``i`` of an edged grid holds ``edges[i-1] < value <= edges[i]``; the first and
    the last bin of a numeric grid hold what lies outside the training range. The last count of a levelled grid is
    "any other value". ``estimate``, of the score only, is what `monitoring.drift.estimate` learned.
    """

    kind: str
    role: str
    edges: NotRequired[list[float]]
    cuts: NotRequired[list[int]]
    levels: NotRequired[list[str]]
    mean: NotRequired[float]
    sd: NotRequired[float]
    weight: NotRequired[float]
    estimate: NotRequired[dict[str, Any]]


class GridMismatch(ValueError):
    """Counts that were not made on this grid."""


def empty(grid: Grid) -> Counts:
    """Return counts of nothing on this grid."""
    counts: Counts = {"counts": [0] * len(grid["counts"]), "nulls": 0}
    if "sums" in grid:
        counts["sums"] = [0.0] * len(grid["counts"])
    return counts


def size(counts: Counts) -> int:
    """How many values, empty ones included."""
    return filled(counts) + counts["nulls"]


def filled(counts: Counts) -> int:
    """How many values that were not empty."""
    return sum(counts["counts"])


def merge(parts: Iterable[Counts]) -> Counts:
    """Add counts of the same grid.

    Parameters
    ----------
    parts : iterable of Counts
        At least one; all of the same length.

    Returns
    -------
    Counts
        Counts and nulls are exactly those of filling once with all values; sums agree to rounding. ``others``
        keeps the 20 commonest, so a rare value may be undercounted there (never in ``counts``).

    Raises
    ------
    GridMismatch
        When the parts differ in length, that is, come from different grids.
    """
    total = add_up(parts)
    if "others" in total:
        total["others"] = commonest(total["others"])
    return total


def add_up(parts: Iterable[Counts]) -> Counts:
    """Add as `merge` does and keep all of ``others``, so that sums may be merged again as if they were their parts."""
    parts = list(parts)
    if len({len(part["counts"]) for part in parts}) != 1:
        raise GridMismatch("The counts come from different grids.")
    total: Counts = {
        "counts": [sum(column) for column in zip(*(part["counts"] for part in parts), strict=True)],
        "nulls": sum(part["nulls"] for part in parts),
    }
    if all("sums" in part for part in parts):
        total["sums"] = [sum(column) for column in zip(*(part["sums"] for part in parts), strict=True)]
    others = _summed(part.get("others", {}) for part in parts)
    if others:
        total["others"] = others
    if any("keys" in part for part in parts):
        total["keys"] = smallest_keys(_summed(part.get("keys", {}) for part in parts))
    return total


def smallest_keys(keys: dict[str, int]) -> dict[str, int]:
    """Keep the 512 smallest keys: a sample of the distinct rows in which each count stays exact.

    A key that is among the smallest of the whole was among the smallest of every part, so merging loses nothing.
    Source: bottom-k sampling, Cohen and Kaplan, PODC 2007.
    """
    return dict(sorted(keys.items())[:MOST_KEYS])


def repeated_share(counts: Counts) -> float | None:
    """Share (0 to 1) of rows that came before in the same stretch; exact up to 512 distinct rows, else a sample."""
    keys = counts.get("keys", {})
    return 1 - len(keys) / sum(keys.values()) if keys else None


def commonest(others: dict[str, int]) -> dict[str, int]:
    """Keep the 20 commonest values, ties by name, so that the result does not depend on order."""
    if len(others) > MOST_OTHERS:
        least = sorted(others.values(), reverse=True)[MOST_OTHERS - 1]
        others = {name: count for name, count in others.items() if count >= least}
    ranked = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:MOST_OTHERS])


def _summed(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total


def fits(grid: Grid, counts: Counts) -> bool:
    """Whether these counts were made on a grid of this size."""
    return len(grid["counts"]) == len(counts["counts"])


def coarse(grid: Grid, counts: Counts) -> list[int]:
    """Return counts in the few bins that PSI and the pictures use: reference deciles, or levels as they are."""
    if grid["kind"] != "numeric":
        return list(counts["counts"])
    bounds = [0, *(cut + 1 for cut in grid["cuts"]), len(counts["counts"])]
    return [sum(counts["counts"][low:high]) for low, high in pairwise(bounds)]


def traffic(latencies_us: Iterable[float], *, errors: int) -> Counts:
    """Count requests for the pseudo-column ``__traffic__``.

    Parameters
    ----------
    latencies_us : iterable of float
        How long each answered request took, in microseconds.
    errors : int
        Requests that were refused or failed.

    Returns
    -------
    Counts
        Answered requests by latency (bins grow by 15 %, so a percentile is within 7 %); ``nulls`` are the errors.
    """
    counts = [0] * (len(LATENCY_EDGES_US) + 1)
    for latency in latencies_us:
        counts[latency_bin(latency)] += 1
    return {"counts": counts, "nulls": errors}


def latency_bin(latency_us: float) -> int:
    """Bin of a latency: 130 of them, each 15 % longer."""
    return bisect_left(LATENCY_EDGES_US, latency_us)


def latency_us(counts: Counts, share: float) -> float | None:
    """Return the latency in microseconds that this share (0 to 1) of the answered requests stays under."""
    total, seen = filled(counts), 0
    for place, count in enumerate(counts["counts"]):
        seen += count
        if count and seen >= share * total:
            return _middle_of(place)
    return None


def _middle_of(place: int) -> float:
    last = len(LATENCY_EDGES_US) - 1
    low, high = LATENCY_EDGES_US[max(place - 1, 0)], LATENCY_EDGES_US[min(place, last)]
    return (low * high) ** 0.5


def display(column: str) -> str:
    """Return the name that people read of a column; only outputs have another one."""
    return DISPLAY.get(column, column)
