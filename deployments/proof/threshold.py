"""What a decision threshold costs: from counts per threshold that an evaluation kept, never from the rows again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]
Floats = NDArray[np.float64]
STEPS: Final = 100
GRID: Final = np.linspace(0.0, 1.0, STEPS + 1)
# One row says positive of: nobody, the candidate, production, both; first among true negatives, then true positives.
CELLS: Final = 8
ROUNDS: Final = 1000
USUAL: Final = 0.5


@dataclass(frozen=True)
class Costs:
    """What one mistake costs, in any unit."""

    false_positive: float
    false_negative: float


def cells(truth: NDArray[np.bool_], ours: Floats, theirs: Floats | None) -> list[list[int]]:
    """Count, for each threshold of 0.00, 0.01 to 1.00, who says positive: the whole evidence for any cost.

    Parameters
    ----------
    truth
        Whether a row is of the positive class, shape ``(n,)``.
    ours, theirs
        Probability of the positive class by candidate and production, shape ``(n,)``; production may be None.

    Returns
    -------
    list of list of int
        101 rows of 8 counts: nobody, candidate, production, both; among negatives, then among positives. A model says
        positive where its probability is at least the threshold.
    """
    size = STEPS + 1
    first = _levels(ours)
    second = np.zeros_like(first) if theirs is None else _levels(theirs)
    places = (truth.astype(np.int64) * size + first) * size + second
    joint = np.bincount(places, minlength=2 * size * size).reshape(2, size, size)
    # above[y, k, l]: rows whose first level is at least k and whose second is at least l.
    above = joint[:, ::-1, ::-1].cumsum(axis=1).cumsum(axis=2)[:, ::-1, ::-1]
    out = []
    for step in range(size):
        row: list[int] = []
        for side in above:
            total, both = int(side[0, 0]), 0 if theirs is None else int(side[step, step])
            mine, other = int(side[step, 0]), 0 if theirs is None else int(side[0, step])
            row += [total - mine - other + both, mine - both, other - both, both]
        out.append(row)
    return out


def curve(kept: Sequence[Sequence[int]], costs: Costs, *, production: bool) -> list[float]:
    """Return the mean cost of a row at each threshold, by one of the models."""
    found = np.asarray(kept, dtype=np.float64)
    return [float(value) for value in found @ _weights(costs)[1 if production else 0] / found.sum(axis=1)]


def place(threshold: float) -> int:
    """Return which row of the cells belongs to a threshold."""
    return round(threshold * STEPS)


def at(row: Sequence[int], costs: Costs, *, compared: bool, seed: int, rounds: int = ROUNDS) -> Json:
    """Return cost and errors at one threshold, with 95 % intervals by a bootstrap over the cells.

    Drawing n rows with replacement and counting them is drawing n times from the cells, so the counts are enough.

    Parameters
    ----------
    row
        Eight counts, of :func:`cells`.
    compared
        Whether production answered too.

    Returns
    -------
    dict
        ``candidate``, ``baseline`` and ``difference``, each with ``value``, ``low``, ``high``; the last two None
        without production. The sides have ``false_positives`` and ``false_negatives`` as counts.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3 (percentile interval).
    """
    counts = np.asarray(row, dtype=np.int64)
    total = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(total, counts / total, size=rounds)
    ours, theirs = _weights(costs)
    sides: Json = {"candidate": _told(counts, drawn, ours) | _errors(row, 1, 3), "baseline": None, "difference": None}
    if compared:
        sides |= {"baseline": _told(counts, drawn, theirs) | _errors(row, 2, 3)}
        sides |= {"difference": _told(counts, drawn, ours - theirs)}
    return sides


def _levels(probabilities: Floats) -> NDArray[np.int64]:
    """Return the highest threshold that each probability reaches."""
    found: NDArray[np.int64] = np.searchsorted(GRID, probabilities, side="right") - 1
    return np.clip(found, 0, STEPS)


def _weights(costs: Costs) -> tuple[Floats, Floats]:
    """Return what a row of each cell costs, by the candidate and by production."""
    up, down = costs.false_positive, costs.false_negative
    ours = np.array([0.0, up, 0.0, up, down, 0.0, down, 0.0])
    theirs = np.array([0.0, 0.0, up, up, down, down, 0.0, 0.0])
    return ours, theirs


def _told(counts: NDArray[np.int64], drawn: NDArray[np.int64], weights: Floats) -> Json:
    total = counts.sum()
    low, high = np.quantile(drawn @ weights / total, [0.025, 0.975])
    return {"value": float(counts @ weights / total), "low": float(low), "high": float(high)}


def _errors(row: Sequence[int], alone: int, both: int) -> Json:
    """Count the mistakes of one model: cells where it says positive are ``alone`` and ``both``."""
    half = CELLS // 2
    positives = sum(row[half:])
    return {
        "false_positives": int(row[alone] + row[both]),
        "false_negatives": int(positives - row[half + alone] - row[half + both]),
    }
