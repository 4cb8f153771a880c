"""Two models on the same rows: metric values, differences and paired bootstrap intervals.

Every metric is written as a function of row weights. A bootstrap sample is a row of counts, so one matrix of counts
scores both models on the same resamples, which is what makes the interval a paired one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deployments.proof.scorers import OF_LABELS, SCORERS, Answers, Floats, Scorer

CHUNK_ROUNDS = 50
PERCENTILE_ROUNDS = 500
# Weights of one chunk: about this many numbers, so that they stay in the processor's cache whatever the rows.
CHUNK_CELLS = 300_000


@dataclass(frozen=True)
class Difference:
    """One metric of candidate and production; ``low`` and ``high`` bound candidate minus production at 95 %.

    ``candidate_low`` and ``candidate_high`` bound the candidate's own value, where that was asked for.
    """

    metric: str
    candidate: float
    production: float | None
    difference: float | None
    low: float | None
    high: float | None
    candidate_low: float | None = None
    candidate_high: float | None = None


def compare(
    truth: NDArray[np.generic],
    candidate: Answers,
    production: Answers | None,
    *,
    metrics: list[str],
    classes: int,
    rounds: int,
    seed: int,
    alone: bool = False,
    on_progress: Callable[[float], None] = lambda share: None,
) -> list[Difference]:
    """Score both models on the same rows and bound the difference by a paired percentile bootstrap.

    Parameters
    ----------
    truth
        True class index or number, shape ``(n,)``.
    candidate, production
        Their answers on the same rows; without production only the candidate is scored.
    metrics
        Names of :data:`SCORERS`; those that need probabilities are left out when a model gives none.
    classes
        Number of classes, 0 for regression.
    rounds
        Number of resamples.
    seed
        Seed of the resampling.
    alone
        Bound the candidate's own values too; without production that takes as many resamples.
    on_progress
        Told the finished share, 0 to 1, between chunks.

    Returns
    -------
    list of Difference
        One per metric that both models can be scored on, in the given order.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), sections 13.3 and 16.4.
    """
    labels = [name for name in metrics if name in OF_LABELS]
    found: dict[str, Difference] = {}
    if labels:
        cells = _cells_of(truth, candidate, production)
        found |= _draw(cells, labels, classes, rounds=rounds, seed=seed, alone=alone, on_progress=lambda share: None)
    others = [name for name in metrics if name not in OF_LABELS]
    if others:
        rows = Rows(*_in_order(truth, candidate, production), None)
        found |= _draw(rows, others, classes, rounds=rounds, seed=seed, alone=alone, on_progress=on_progress)
    return [found[name] for name in metrics if name in found]


@dataclass(frozen=True)
class Rows:
    """What is scored: rows, or with ``times`` one line for all rows on which truth and answers are the same."""

    truth: NDArray[np.generic]
    candidate: Answers
    production: Answers | None
    times: NDArray[np.int64] | None

    def weights(self, random: np.random.Generator, rounds: int) -> Floats:
        """Draw samples with replacement as counts per line, shape ``(rounds, lines)``.

        Drawing n of n rows and counting per line is a multinomial draw over the lines' shares.
        """
        if self.times is None:
            return _counts(random, len(self.truth), rounds)
        total = int(self.times.sum())
        return random.multinomial(total, self.times / total, size=rounds).astype(np.float64)

    @property
    def once(self) -> Floats:
        """The sample itself, shape ``(1, lines)``."""
        return (np.ones(len(self.truth)) if self.times is None else self.times.astype(np.float64))[None, :]


def _draw(
    rows: Rows,
    metrics: list[str],
    classes: int,
    *,
    rounds: int,
    seed: int,
    alone: bool,
    on_progress: Callable[[float], None],
) -> dict[str, Difference]:
    pairs = _scorers(rows.truth, rows.candidate, rows.production, metrics, classes)
    draws: dict[str, list[Floats]] = {name: [] for name in pairs}
    own: dict[str, list[Floats]] = {name: [] for name in pairs}
    random = np.random.default_rng(seed)
    step = max(1, min(CHUNK_ROUNDS, CHUNK_CELLS // len(rows.truth)))
    for start in range(0, rounds if (alone or rows.production) and pairs else 0, step):
        weights = rows.weights(random, min(step, rounds - start))
        for name, (ours, theirs) in pairs.items():
            scored = ours(weights)
            own[name].append(scored)
            if theirs:
                draws[name].append(scored - theirs(weights))
        on_progress(min(1.0, (start + step) / rounds))
    found = {name: _difference(name, ours, theirs, rows.once, draws[name]) for name, (ours, theirs) in pairs.items()}
    return {name: _bounded(item, own[name]) if alone else item for name, item in found.items()}


def _bounded(item: Difference, draws: list[Floats]) -> Difference:
    """Add the bounds of the candidate's own value."""
    own = np.concatenate(draws) if draws else np.array([])
    low, high = bounds(own[np.isfinite(own)], item.candidate)
    return replace(item, candidate_low=low, candidate_high=high)


def _cells_of(truth: NDArray[np.generic], candidate: Answers, production: Answers | None) -> Rows:
    """Fold rows into the cells (truth, candidate's class, production's class): all that metrics of labels read."""
    said = [candidate.values, candidate.values if production is None else production.values]
    cells, times = np.unique(np.column_stack([truth, *said]), axis=0, return_counts=True)
    rival = None if production is None else Answers(cells[:, 2])
    return Rows(cells[:, 0], Answers(cells[:, 1]), rival, times)


def _in_order(
    truth: NDArray[np.generic], candidate: Answers, production: Answers | None
) -> tuple[NDArray[np.generic], Answers, Answers | None]:
    """Sort rows by what was said of them, so that the order in which they came changes no draw."""
    keys: list[NDArray[np.generic]] = [truth]
    for answers in (production, candidate):
        if answers is not None:
            keys += [answers.values] if answers.probabilities is None else list(answers.probabilities.T)
    order = np.lexsort(keys)
    return truth[order], candidate.take(order), production.take(order) if production else None


def _scorers(
    truth: NDArray[np.generic],
    candidate: Answers,
    production: Answers | None,
    metrics: list[str],
    classes: int,
) -> dict[str, tuple[Scorer, Scorer | None]]:
    pairs = {}
    for name in metrics:
        ours = SCORERS[name](truth, candidate, classes)
        theirs = SCORERS[name](truth, production, classes) if production else None
        if ours is not None and (theirs is not None or production is None):
            pairs[name] = (ours, theirs)
    return pairs


def _counts(random: np.random.Generator, rows: int, rounds: int) -> Floats:
    """Draw ``rounds`` samples with replacement as counts per row, shape ``(rounds, rows)``."""
    drawn = random.integers(0, rows, size=(rounds, rows), dtype=np.uint32).astype(np.intp)
    return np.stack([np.bincount(picks, minlength=rows) for picks in drawn]).astype(np.float64)


def _difference(name: str, ours: Scorer, theirs: Scorer | None, once: Floats, draws: list[Floats]) -> Difference:
    value = float(ours(once)[0])
    if theirs is None:
        return Difference(name, value, None, None, None, None)
    base = float(theirs(once)[0])
    found = np.concatenate(draws) if draws else np.array([])
    return Difference(name, value, base, value - base, *bounds(found[np.isfinite(found)], value - base))


def bounds(draws: Floats, estimate: float) -> tuple[float, float] | tuple[None, None]:
    """Bound an estimate at 95 % by its draws: their percentiles, or 1.96 standard errors when the tails hold few.

    References
    ----------
    Efron and Tibshirani (1993): 50 to 200 draws give a standard error (section 6.4), percentiles ask for 1,000 (13.3).
    """
    if draws.size >= PERCENTILE_ROUNDS:
        low, high = np.quantile(draws, [0.025, 0.975])
        return float(low), float(high)
    if not draws.size:
        return None, None
    half = 1.96 * float(draws.std())
    return estimate - half, estimate + half
