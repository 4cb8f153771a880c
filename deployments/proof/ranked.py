"""AUC and F1 of two variants, judged once by a bootstrap over units. Needs numpy: workers only.

Neither is a mean over units, so the interval that holds at every look is none of theirs. Rows of one unit come
together, so units are drawn and not rows. What is kept of the rows are counts: by group of units, place of the score
and truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deployments.proof.scorers import SCORERS, Answers, Floats, Scorer

# Units are hashes, so their remainders are groups by chance. To draw groups instead of units is as right, and the
# standard error of 2,048 groups is known to 1.6 %: relative, sqrt(1 / (2 * groups)).
GROUPS = 2_048
# Neighbouring scores share one of as many places once there are more; a tie counts one half.
PLACES = 512
ROUNDS = 2_000
CHUNK = 50


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found, treatment less control, with its interval."""

    control: float
    treatment: float
    difference: float
    low: float
    high: float


def places_of(scores: Floats) -> Floats:
    """Return the edges between places: each score that occurs has its own, or as many scores fall in each.

    Parameters
    ----------
    scores
        Some of those to be counted, of both variants.
    """
    found = np.unique(scores)
    if len(found) > PLACES:
        found = np.unique(np.quantile(scores, np.linspace(0, 1, PLACES)))
    return found[1:]


class Tally:
    """Labelled rows of one variant as counts; it does not grow with the rows.

    Parameters
    ----------
    edges
        Between the places of scores, as :func:`places_of` gives them.
    """

    def __init__(self, edges: Floats) -> None:
        self._edges = edges
        self._counts = np.zeros((GROUPS, 2, len(edges) + 1))
        self._units: dict[int, NDArray[np.int64]] = {truth: np.array([], dtype=np.int64) for truth in (0, 1)}

    def add(self, units: NDArray[np.int64], scores: Floats, truths: NDArray[np.int64]) -> None:
        """Count rows: the hash of each one's unit, its score, and 1 where the truth is the positive class."""
        places = np.searchsorted(self._edges, scores, side="right")
        np.add.at(self._counts, (units % GROUPS, truths, places), 1)
        for truth, held in self._units.items():
            self._units[truth] = np.union1d(held, units[truths == truth])

    @property
    def units(self) -> int:
        """Different units that have a row."""
        return len(np.union1d(self._units[0], self._units[1]))

    def suffices(self, least: int) -> bool:
        """Whether as many units have either truth."""
        return all(len(held) >= least for held in self._units.values())

    def draws(self, metric: str, *, rounds: int, seed: Sequence[int]) -> tuple[float, Floats]:
        """Return the metric of all rows, and of samples of the groups with replacement."""
        groups = self._counts.reshape(GROUPS, -1)
        groups = groups[groups.any(axis=1)]
        filled = np.asarray(groups.any(axis=0))
        groups, score = groups[:, filled], self._scorer(metric, filled)
        random = np.random.default_rng(seed)
        drawn = []
        for start in range(0, rounds, CHUNK):
            picks = random.integers(0, len(groups), size=(min(CHUNK, rounds - start), len(groups)))
            times = np.stack([np.bincount(row, minlength=len(groups)) for row in picks]).astype(np.float64)
            drawn.append(score(times @ groups))
        return float(score(groups.sum(axis=0)[None, :])[0]), np.concatenate(drawn)

    def _scorer(self, metric: str, filled: NDArray[np.bool_]) -> Scorer:
        """The metric over the filled cells; for F1 the score is the answer, 0 or 1."""
        truths, places = np.indices(self._counts.shape[1:]).reshape(2, -1)[:, filled]
        shown = places / max(len(self._edges), 1)
        answers = Answers(np.round(shown).astype(np.int64), np.column_stack([1 - shown, shown]))
        made = SCORERS[metric](truths, answers, 2)
        assert made is not None  # there are probabilities
        return made


def judge(control: Tally, treatment: Tally, metric: str, *, alpha: float, seed: int, rounds: int = ROUNDS) -> Judged:
    """Compare two variants by percentiles of the bootstrap; their units are drawn apart, as they were divided.

    Parameters
    ----------
    metric
        ``roc_auc`` or ``f1``.
    seed
        The same counts and seed give the same interval.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), sections 8.3 (two samples) and 13.3 (percentiles).
    """
    base, controls = control.draws(metric, rounds=rounds, seed=(seed, 0))
    ours, treatments = treatment.draws(metric, rounds=rounds, seed=(seed, 1))
    found = treatments - controls
    low, high = np.quantile(found[np.isfinite(found)], [alpha / 2, 1 - alpha / 2])
    return Judged(base, ours, ours - base, float(low), float(high))
