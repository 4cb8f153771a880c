"""How well answers matched what turned out to be true, from cells that add up. Plain Python.

Cells are the sufficient statistics of labelled rows: kept for each stretch of time and added for any window, and
taken away again when a label is corrected. Plain JSON values; every number may be negative while it is a difference.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

from monitoring.drift import shape

Cells = dict[str, Any]
BINS_A_UNIT = 10
FARTHEST = 10.0
SMALLEST = 1e-15
WHOLE = 1e15


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled prediction; ``score`` is the probability of the last class, or the predicted number."""

    truth: str
    predicted: str
    score: float | None
    classes: tuple[str, ...]
    lag_seconds: float


def canonical(text: str) -> str:
    """One spelling a value, so that "1.0" of a file matches the answer 1 and "True" matches true."""
    folded = text.strip()
    if folded.casefold() in ("true", "false"):
        return folded.casefold()
    number = as_number(folded)
    if number is None:
        return folded
    return str(int(number)) if number.is_integer() and abs(number) < WHOLE else repr(number)


def as_number(text: str) -> float | None:
    """Return the finite number that a text is, None for every other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < shape.LARGEST else None


def count(rows: Iterable[Row], *, regression: bool) -> Cells:
    """Count labelled rows into cells; rows without a usable number are left out of a regression."""
    cells: Cells = {}
    for row in rows:
        added = _number_cells(row) if regression else _class_cells(row)
        if added:
            lag = shape.latency_bin(max(row.lag_seconds, 0.0))
            _add_to(cells, {**added, "lags": {str(lag): 1}}, 1)
    return cells


def add(cells: Cells, other: Cells, sign: int = 1) -> Cells:
    """Add cells, or take them away with ``sign`` -1; what comes to 0 disappears."""
    total = deepcopy(cells)
    _add_to(total, other, sign)
    return total


def merge(parts: Iterable[Cells]) -> Cells:
    """Add up cells of several stretches of time."""
    total: Cells = {}
    for part in parts:
        _add_to(total, part, 1)
    return total


def _add_to(total: Cells, other: Cells, sign: int) -> None:
    for name, value in other.items():
        if isinstance(value, dict):
            held = total.setdefault(name, {})
            _add_to(held, value, sign)
        elif isinstance(value, list):
            held = [a + sign * b for a, b in zip(total.get(name, [0] * len(value)), value, strict=True)]
        else:
            held = total.get(name, 0) + sign * value
        total[name] = held
        if not (any(held) if isinstance(held, list) else held):
            del total[name]


def figures(cells: Cells) -> dict[str, float]:
    """Return performance by name, as in `monitoring.drift.measures.PERFORMANCE`; what cannot be told is left out.

    Notes
    -----
    With two classes precision, recall and F1 are those of the last class; with more they are means over the classes
    that occur (macro). ROC AUC comes from 201 bins of the score's log-odds, a tie within a bin counting one half.
    A precision or recall of nothing is 0, as in scikit-learn.
    """
    if not cells.get("n"):
        return {}
    return _classes(cells) if "confusion" in cells else _number_figures(cells)


def size(cells: Cells) -> int:
    """How many labelled rows."""
    return int(cells.get("n", 0))


def lag_hours(cells: Cells) -> float | None:
    """Median wait for a label in hours, within 7 %."""
    counts = [0] * (len(shape.LATENCY_EDGES_US) + 1)
    for place, held in cells.get("lags", {}).items():
        counts[int(place)] = held
    seconds = shape.latency_us({"counts": counts, "nulls": 0}, 0.5) if any(counts) else None
    return None if seconds is None else seconds / 3600


# --- classes ---------------------------------------------------------------------------------------


def _class_cells(row: Row) -> Cells:
    truth, predicted = canonical(row.truth), canonical(row.predicted)
    cells: Cells = {"n": 1, "confusion": {truth: {predicted: 1}}}
    if len(row.classes) != 2:
        return cells
    negative, positive = (canonical(name) for name in row.classes)
    cells["positive"] = {positive: 1}
    if row.score is None or truth not in (negative, positive):
        return cells
    hit = truth == positive
    p = min(max(row.score, SMALLEST), 1 - SMALLEST)
    loss = -log(p if hit else 1 - p)
    scores = {str(score_bin(row.score)): [int(not hit), int(hit)]}
    return cells | {"scored": 1, "scores": scores, "log_loss": loss, "brier": (row.score - hit) ** 2}


def score_bin(score: float) -> int:
    """Bin of a probability: tenths of its log-odds, -100 to 100."""
    p = min(max(score, SMALLEST), 1 - SMALLEST)
    return round(max(-FARTHEST, min(FARTHEST, log(p / (1 - p)))) * BINS_A_UNIT)


def bin_score(place: int) -> float:
    """Probability in the middle of a bin."""
    return 1 / (1 + exp(-place / BINS_A_UNIT))


def _classes(cells: Cells) -> dict[str, float]:
    confusion: Mapping[str, Mapping[str, int]] = cells["confusion"]
    hits = sum(row.get(name, 0) for name, row in confusion.items())
    found = {
        "accuracy": hits / cells["n"],
        **from_confusion(confusion, positive=next(iter(cells.get("positive", {})), None)),
    }
    if scored := cells.get("scored"):
        found |= {"log_loss": cells.get("log_loss", 0.0) / scored, "brier": cells.get("brier", 0.0) / scored}
        bins = ((int(place), *pair) for place, pair in cells["scores"].items())
        area = auc((negative, positive) for _place, negative, positive in sorted(bins))
        found |= {} if area is None else {"roc_auc": area}
    return found


def from_confusion(confusion: Mapping[str, Mapping[str, float]], *, positive: str | None) -> dict[str, float]:
    """Return balanced accuracy, precision, recall and F1 of counts by truth and answer."""
    names = sorted({*confusion, *(name for row in confusion.values() for name in row)})
    truths = {name: sum(confusion.get(name, {}).values()) for name in names}
    hits = {name: confusion.get(name, {}).get(name, 0) for name in names}
    answers = {name: sum(row.get(name, 0) for row in confusion.values()) for name in names}
    recalls = {name: _ratio(hits[name], truths[name]) for name in names}
    precisions = {name: _ratio(hits[name], answers[name]) for name in names}
    f1s = {name: _ratio(2 * hits[name], truths[name] + answers[name]) for name in names}
    known = [recalls[name] for name in names if truths[name]]
    chosen = names if positive is None else [positive]
    return {
        "balanced_accuracy": sum(known) / len(known),
        "precision": sum(precisions.get(name, 0.0) for name in chosen) / len(chosen),
        "recall": sum(recalls.get(name, 0.0) for name in chosen) / len(chosen),
        "f1": sum(f1s.get(name, 0.0) for name in chosen) / len(chosen),
    }


def auc(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Area under the ROC curve from (negatives, positives) by rising score; None when there is only one class."""
    below = won = positives = 0.0
    for negative, positive in pairs:
        won += positive * (below + negative / 2)
        below, positives = below + negative, positives + positive
    return won / (below * positives) if below > 0 and positives > 0 else None


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


# --- numbers ---------------------------------------------------------------------------------------


def _number_cells(row: Row) -> Cells:
    truth = as_number(row.truth)
    answer = row.score if row.score is not None else as_number(row.predicted)
    if truth is None or answer is None:
        return {}
    error = answer - truth
    return {"n": 1, "abs": abs(error), "square": error * error, "y": truth, "y2": truth * truth}


def _number_figures(cells: Cells) -> dict[str, float]:
    n, square = cells["n"], max(cells.get("square", 0.0), 0.0)
    found = {"mae": max(cells.get("abs", 0.0), 0.0) / n, "rmse": sqrt(square / n)}
    spread = cells.get("y2", 0.0) - cells.get("y", 0.0) ** 2 / n
    if n > 1 and spread > SMALLEST * cells.get("y2", 0.0):
        found["r2"] = 1 - square / spread
    return found


def groups_of(cells_by_group: Mapping[str, Cells]) -> Iterator[tuple[str, list[float]]]:
    """Yield each group with its true negatives, false positives, false negatives and true positives."""
    for name, cells in cells_by_group.items():
        positive = next(iter(cells.get("positive", {})), None)
        if positive is None:
            continue
        held = [0.0, 0.0, 0.0, 0.0]
        for truth, row in cells.get("confusion", {}).items():
            for answer, amount in row.items():
                held[2 * (truth == positive) + (answer == positive)] += amount
        yield name, held
