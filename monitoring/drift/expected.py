"""Estimated performance of a window from its score counts alone. Plain Python; learned by `monitoring.drift.estimate`.

It assumes that the truth given the features is as it was in the reference: concept drift is invisible to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from monitoring.drift import performance, shape
from monitoring.drift.shape import Counts, Grid

SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class Band:
    """Where a figure lies in windows like the reference: its mean there, and 3 standard deviations to both sides."""

    mean: float
    low: float
    high: float


def figures(grids: Mapping[str, Grid], counts: Mapping[str, Counts]) -> dict[str, float]:
    """Estimate performance by name; empty when nothing was learned or nothing came in.

    Parameters
    ----------
    grids : mapping of column name to Grid
        The reference.
    counts : mapping of column name to Counts
        A window, with ``__score__`` for two classes, ``__error__`` for numbers.

    Notes
    -----
    Two classes: expected confusion cells and ROC AUC from the calibrated share of positives of each score bin (CBPE,
    NannyML documentation, "Confidence-based performance estimation"). Numbers: the mean of the errors that a model of
    the error expects (DLE, "Direct loss estimation").
    """
    learned = grids[shape.SCORE].get("estimate") if shape.SCORE in grids else None
    if not learned:
        return {}
    if learned["kind"] == "number":
        return _error(counts.get(shape.ERROR))
    held = counts.get(shape.SCORE)
    if held is None or len(held["counts"]) != len(learned["rates"]) or not shape.filled(held):
        return {}
    return _classes(learned, held["counts"])


def band(learned: Mapping[str, Any], name: str, rows: int) -> Band | None:
    """Return the band of a figure for a window of this many rows."""
    spread = learned.get("band", {}).get(name)
    if spread is None or rows < 1:
        return None
    mean, of_one = spread
    half = SIGMAS * of_one / sqrt(rows)
    return Band(mean, mean - half, mean + half)


def _classes(learned: Mapping[str, Any], counts: list[int]) -> dict[str, float]:
    bins = list(zip(counts, learned["rates"], learned["selected"], strict=True))
    total = sum(counts)
    hit = sum(n * rate * chosen for n, rate, chosen in bins)
    false = sum(n * (1 - rate) * chosen for n, rate, chosen in bins)
    missed = sum(n * rate * (1 - chosen) for n, rate, chosen in bins)
    right = total - hit - false - missed
    confusion = {"yes": {"yes": hit, "no": missed}, "no": {"yes": false, "no": right}}
    found = {"accuracy": (hit + right) / total, **performance.from_confusion(confusion, positive="yes")}
    area = performance.auc((counts[place] * (1 - rate), counts[place] * rate) for place, rate in _rising(learned))
    return found if area is None else found | {"roc_auc": area}


def _rising(learned: Mapping[str, Any]) -> list[tuple[int, float]]:
    order = learned.get("order") or range(len(learned["rates"]))
    return [(place, learned["rates"][place]) for place in order]


def _error(held: Counts | None) -> dict[str, float]:
    rows = shape.filled(held) if held else 0
    return {"mae": sum(held["sums"]) / rows} if held and rows else {}
