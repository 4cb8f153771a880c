"""Two models on the same rows: metric values, differences and paired bootstrap intervals.

Every metric is written as a function of row weights. A bootstrap sample is a row of counts, so one matrix of counts
scores both models on the same resamples, which is what makes the interval a paired one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scorer = Callable[[Floats], Floats]
CHUNK_ROUNDS = 50


@dataclass(frozen=True)
class Answers:
    """What one model said about the held-out rows.

    Attributes
    ----------
    values
        Predicted class index (classification) or predicted number (regression), shape ``(n,)``.
    probabilities
        Probability per class, shape ``(n, k)``; None when the model gives none.
    """

    values: NDArray[np.generic]
    probabilities: Floats | None = None


@dataclass(frozen=True)
class Difference:
    """One metric of candidate and production; ``low`` and ``high`` bound candidate minus production at 95 %."""

    metric: str
    candidate: float
    production: float | None
    difference: float | None
    low: float | None
    high: float | None


def compare(
    truth: NDArray[np.generic],
    candidate: Answers,
    production: Answers | None,
    *,
    metrics: list[str],
    classes: int,
    rounds: int,
    seed: int,
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
    pairs = _scorers(truth, candidate, production, metrics, classes)
    once = np.ones((1, len(truth)))
    draws: dict[str, list[Floats]] = {name: [] for name in pairs}
    random = np.random.default_rng(seed)
    for start in range(0, rounds if production else 0, CHUNK_ROUNDS):
        weights = _counts(random, len(truth), min(CHUNK_ROUNDS, rounds - start))
        for name, (ours, theirs) in pairs.items():
            if theirs:
                draws[name].append(ours(weights) - theirs(weights))
        on_progress(min(1.0, (start + CHUNK_ROUNDS) / rounds))
    return [_difference(name, ours, theirs, once, draws[name]) for name, (ours, theirs) in pairs.items()]


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
    picks = random.integers(0, rows, size=(rounds, rows)) + np.arange(rounds)[:, None] * rows
    return np.bincount(picks.ravel(), minlength=rounds * rows).reshape(rounds, rows).astype(np.float64)


def _difference(name: str, ours: Scorer, theirs: Scorer | None, once: Floats, draws: list[Floats]) -> Difference:
    value = float(ours(once)[0])
    if theirs is None:
        return Difference(name, value, None, None, None, None)
    base = float(theirs(once)[0])
    found = np.concatenate(draws) if draws else np.array([])
    found = found[np.isfinite(found)]
    low, high = (float(x) for x in np.quantile(found, [0.025, 0.975])) if found.size else (None, None)
    return Difference(name, value, base, value - base, low, high)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _accuracy(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer:
    right = (answers.values == truth).astype(np.float64)
    return lambda weights: weights @ right / weights.sum(axis=1)


def _cells(truth: NDArray[np.generic], answers: Answers, classes: int) -> tuple[Floats, Floats, Floats]:
    """Return one column per class: truly it, said to be it, and both."""
    index = np.arange(classes)
    actual = (truth[:, None] == index).astype(np.float64)
    said = (answers.values[:, None] == index).astype(np.float64)
    return actual, said, actual * said


def _balanced_accuracy(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer:
    actual, _, both = _cells(truth, answers, classes)

    def score(weights: Floats) -> Floats:
        support = weights @ actual
        return _ratio(weights @ both, support).sum(axis=1) / np.maximum((support > 0).sum(axis=1), 1)

    return score


def _per_class(
    formula: Callable[[Floats, Floats, Floats], Floats],
) -> Callable[..., Scorer]:
    """Build a scorer of the positive (last) class for two classes, of the mean over classes for more."""

    def build(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer:
        actual, said, both = _cells(truth, answers, classes)

        def score(weights: Floats) -> Floats:
            support, claimed = weights @ actual, weights @ said
            values = formula(weights @ both, support, claimed)
            if classes == 2:
                return values[:, 1]
            present = (support + claimed) > 0
            return _ratio((values * present).sum(axis=1), present.sum(axis=1).astype(np.float64))

        return score

    return build


def _auc_of(positive: NDArray[np.bool_], scores: Floats) -> Scorer:
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    is_positive = positive[order].astype(np.float64)

    def score(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        ups = np.add.reduceat(sorted_weights * is_positive, starts, axis=1)
        downs = np.add.reduceat(sorted_weights * (1 - is_positive), starts, axis=1)
        below = np.cumsum(downs, axis=1) - downs
        total = ups.sum(axis=1) * downs.sum(axis=1)
        return np.where(
            total > 0,
            (ups * (below + downs / 2)).sum(axis=1) / np.maximum(total, 1),
            np.nan,
        )

    return score


def _precision_area_of(positive: NDArray[np.bool_], scores: Floats) -> Scorer:
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) < 0])
    is_positive = positive[order].astype(np.float64)

    def score(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        ups = np.add.reduceat(sorted_weights * is_positive, starts, axis=1)
        claimed = np.cumsum(np.add.reduceat(sorted_weights, starts, axis=1), axis=1)
        total = ups.sum(axis=1)
        area = (ups * _ratio(np.cumsum(ups, axis=1), claimed)).sum(axis=1)
        return np.where(total > 0, area / np.maximum(total, 1), np.nan)

    return score


def _ranked(
    of: Callable[[NDArray[np.bool_], Floats], Scorer],
) -> Callable[..., Scorer | None]:
    """Build a ranking scorer: of the last class for two classes, one against the rest and averaged for more."""

    def build(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer | None:
        if answers.probabilities is None:
            return None
        shown = [1] if classes == 2 else range(classes)
        parts = [of(truth == index, answers.probabilities[:, index]) for index in shown]
        return lambda weights: np.mean([part(weights) for part in parts], axis=0)

    return build


def _log_loss(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer | None:
    if answers.probabilities is None:
        return None
    eps = np.finfo(np.float64).eps
    chosen = np.clip(answers.probabilities[np.arange(len(truth)), truth.astype(int)], eps, 1 - eps)
    loss = -np.log(chosen)
    return lambda weights: weights @ loss / weights.sum(axis=1)


def _rmse(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer:
    squares = (answers.values.astype(np.float64) - truth.astype(np.float64)) ** 2
    return lambda weights: np.sqrt(weights @ squares / weights.sum(axis=1))


def _mae(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer:
    errors = np.abs(answers.values.astype(np.float64) - truth.astype(np.float64))
    return lambda weights: weights @ errors / weights.sum(axis=1)


def _r2(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer:
    centred = truth.astype(np.float64) - truth.astype(np.float64).mean()
    squares = (answers.values.astype(np.float64) - truth.astype(np.float64)) ** 2

    def score(weights: Floats) -> Floats:
        spread = weights @ centred**2 - (weights @ centred) ** 2 / weights.sum(axis=1)
        return np.where(
            spread > 0,
            1 - (weights @ squares) / np.where(spread > 0, spread, 1),
            np.nan,
        )

    return score


def _median_ae(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer:
    errors = np.abs(answers.values.astype(np.float64) - truth.astype(np.float64))
    order = np.argsort(errors)
    sorted_errors = errors[order]

    def score(weights: Floats) -> Floats:
        upto = np.cumsum(weights[:, order], axis=1)
        total = upto[:, -1:]
        lower = (upto > (total - 1) // 2).argmax(axis=1)
        upper = (upto > total // 2).argmax(axis=1)
        return (sorted_errors[lower] + sorted_errors[upper]) / 2

    return score


SCORERS: dict[str, Callable[..., Scorer | None]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "precision": _per_class(lambda both, support, claimed: _ratio(both, claimed)),
    "recall": _per_class(lambda both, support, claimed: _ratio(both, support)),
    "f1": _per_class(lambda both, support, claimed: _ratio(2 * both, support + claimed)),
    "roc_auc": _ranked(_auc_of),
    "average_precision": _ranked(_precision_area_of),
    "log_loss": _log_loss,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "median_ae": _median_ae,
}
