"""How far a figure of labelled predictions may be off: 95 % bounds from its cells. Plain Python.

Classes: each count of the cells is drawn anew (Poisson bootstrap), so one way serves every figure. Numbers: cells hold
sums only, so the stretches of time they come from are left out one after the other (jackknife).
"""

from collections.abc import Callable, Sequence
from math import exp, log, sqrt
from random import Random

from monitoring.drift import performance
from monitoring.drift.performance import Cells

ROUNDS = 200
SEED = 20_261_122
LEAST_ROWS = 30
LEAST_PARTS = 8
NORMAL_FROM = 50
WIDE = 1.96
Bounds = tuple[float, float]


def bounds(parts: Sequence[Cells], metric: str) -> Bounds | None:
    """Return the bounds of a figure over all parts; None with fewer than 30 rows, or of too few stretches of time."""
    total = performance.merge(parts)
    if performance.size(total) < LEAST_ROWS or metric not in performance.figures(total):
        return None
    return _of_classes(total, metric) if "confusion" in total else _of_numbers(total, parts, metric)


def _of_classes(total: Cells, metric: str) -> Bounds | None:
    luck = Random(SEED)  # noqa: S311 - bounds of a figure, not a secret
    drawn = (performance.figures(_again(total, luck)).get(metric) for _round in range(ROUNDS))
    values = sorted(value for value in drawn if value is not None)
    if len(values) < ROUNDS // 2:
        return None
    cut = len(values) // 40  # 2.5 % on each side
    return values[cut], values[-cut - 1]


def _again(cells: Cells, luck: Random) -> Cells:
    """Draw the counts anew; losses change by what their bins say."""
    confusion = {
        truth: {answer: _poisson(luck, count) for answer, count in row.items()}
        for truth, row in cells["confusion"].items()
    }
    drawn = dict(cells) | {"confusion": confusion, "n": sum(sum(row.values()) for row in confusion.values())}
    if scored := cells.get("scored"):
        scores = {place: [_poisson(luck, count) for count in pair] for place, pair in cells["scores"].items()}
        size = sum(map(sum, scores.values()))
        drawn |= {"scores": scores, "scored": size}
        for name, loss in (("log_loss", _log_loss), ("brier", _square)):
            shift = cells.get(name, 0.0) / scored - _mean(cells["scores"], loss, scored)
            drawn[name] = (_mean(scores, loss, size) + shift) * size
    return drawn


def _mean(scores: dict[str, list[int]], loss: Callable[[float, int], float], size: int) -> float:
    total = 0.0
    for place, (negative, positive) in scores.items():
        p = performance.bin_score(int(place))
        total += negative * loss(p, 0) + positive * loss(p, 1)
    return total / size if size else 0.0


def _log_loss(p: float, hit: int) -> float:
    return -log(max(p if hit else 1 - p, performance.SMALLEST))


def _square(p: float, hit: int) -> float:
    return (p - hit) ** 2


def _poisson(luck: Random, mean: float) -> int:
    if mean <= 0:
        return 0
    if mean > NORMAL_FROM:
        return max(round(luck.gauss(mean, sqrt(mean))), 0)
    limit, count, product = exp(-mean), 0, luck.random()
    while product > limit:
        count += 1
        product *= luck.random()
    return count


def _of_numbers(total: Cells, parts: Sequence[Cells], metric: str) -> Bounds | None:
    filled = [part for part in parts if performance.size(part)]
    if len(filled) < LEAST_PARTS:
        return None
    without = (performance.figures(performance.add(total, part, -1)).get(metric) for part in filled)
    values = [value for value in without if value is not None]
    if len(values) < LEAST_PARTS:
        return None
    mean = sum(values) / len(values)
    error = sqrt(sum((value - mean) ** 2 for value in values) * (len(values) - 1) / len(values))
    value = performance.figures(total)[metric]
    return value - WIDE * error, value + WIDE * error
