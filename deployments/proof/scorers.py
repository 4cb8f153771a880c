"""Metrics as functions of row weights: what the bootstrap draws again, and what explanations and gates ask for.

A scorer takes weights of shape ``(rounds, rows)`` and returns one value a round, shape ``(rounds,)``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scorer = Callable[[Floats], Floats]
# Beyond as many distinct scores, neighbours share a bin: an AUC moves by less than 1 / (2 * bins) = 8e-6.
MOST_BINS = 65_536


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
    ranked: list[tuple[NDArray[np.generic], list["Ranking"]]] = field(default_factory=list, repr=False, compare=False)

    def take(self, rows: NDArray[np.generic]) -> "Answers":
        """Return the answers on some rows: positions or a mask."""
        return Answers(self.values[rows], None if self.probabilities is None else self.probabilities[rows])


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


class Ranking:
    """Weights of the negatives and of the positives per score, lowest score first; counted once a draw.

    Parameters
    ----------
    positive, scores
        Of each row, shape ``(n,)``.
    """

    def __init__(self, positive: NDArray[np.bool_], scores: Floats) -> None:
        values, place = np.unique(scores, return_inverse=True)
        if len(values) > MOST_BINS:
            place = place * MOST_BINS // len(values)
        self._bins = int(place.max()) + 1
        self._code = place + self._bins * positive
        self._drawn: tuple[Floats, Floats] | None = None

    def counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return downs and ups per bin, each of shape ``(rounds, bins)``."""
        if self._drawn is None or self._drawn[0] is not weights:
            both = [np.bincount(self._code, weights=row, minlength=2 * self._bins) for row in weights]
            self._drawn = (weights, np.stack(both))
        return self._drawn[1][:, : self._bins], self._drawn[1][:, self._bins :]

    def auc(self, weights: Floats) -> Floats:
        """Area under the ROC curve: pairs in the right order, ties by half (Mann and Whitney 1947)."""
        downs, ups = self.counts(weights)
        below = np.cumsum(downs, axis=1)
        total = ups.sum(axis=1) * below[:, -1]
        below -= downs / 2
        return np.where(total > 0, np.einsum("ij,ij->i", ups, below) / np.maximum(total, 1), np.nan)

    def average_precision(self, weights: Floats) -> Floats:
        """Mean precision over the positives, as scikit-learn's ``average_precision_score``."""
        downs, ups = (side[:, ::-1] for side in self.counts(weights))
        hits = np.cumsum(ups, axis=1)
        total = hits[:, -1]
        area = (ups * _ratio(hits, hits + np.cumsum(downs, axis=1))).sum(axis=1)
        return np.where(total > 0, area / np.maximum(total, 1), np.nan)


def _rankings(truth: NDArray[np.generic], answers: Answers, classes: int) -> list[Ranking]:
    """Rank by the last class for two classes, by each one for more; shared by the metrics that read them."""
    assert answers.probabilities is not None
    if answers.ranked and answers.ranked[0][0] is truth:
        return answers.ranked[0][1]
    shown = [1] if classes == 2 else range(classes)
    made = [Ranking(truth == index, answers.probabilities[:, index]) for index in shown]
    answers.ranked[:] = [(truth, made)]
    return made


def _ranked(of: Callable[[Ranking, Floats], Floats]) -> Callable[..., Scorer | None]:
    """Build a ranking scorer: of the last class for two classes, one against the rest and averaged for more."""

    def build(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer | None:
        if answers.probabilities is None:
            return None
        parts = _rankings(truth, answers, classes)
        return lambda weights: np.mean([of(part, weights) for part in parts], axis=0)

    return build


def _log_loss(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer | None:
    if answers.probabilities is None:
        return None
    eps = np.finfo(np.float64).eps
    chosen = np.clip(answers.probabilities[np.arange(len(truth)), truth.astype(int)], eps, 1 - eps)
    loss = -np.log(chosen)
    return lambda weights: weights @ loss / weights.sum(axis=1)


def _brier(truth: NDArray[np.generic], answers: Answers, classes: int) -> Scorer | None:
    if answers.probabilities is None:
        return None
    squares = squared_errors(truth, answers.probabilities, classes)
    return lambda weights: weights @ squares / weights.sum(axis=1)


def squared_errors(truth: NDArray[np.generic], probabilities: Floats, classes: int) -> Floats:
    """Return what the Brier score is the mean of: of the last class for two classes, over all classes for more.

    References
    ----------
    Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78 (1950).
    """
    if classes == 2:
        return (probabilities[:, 1] - (truth == 1)) ** 2
    return ((probabilities - np.eye(classes)[truth.astype(int)]) ** 2).sum(axis=1)


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
    "roc_auc": _ranked(Ranking.auc),
    "average_precision": _ranked(Ranking.average_precision),
    "log_loss": _log_loss,
    "brier": _brier,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "median_ae": _median_ae,
}
# Metrics that read nothing but true and predicted class.
OF_LABELS = frozenset({"accuracy", "balanced_accuracy", "precision", "recall", "f1"})
