"""Two models on the same rows: metric values, differences and paired bootstrap intervals.

Every metric is written as a function of row weights. A bootstrap sample is a row of counts, so one matrix of counts
scores both models on the same resamples, which is what makes the interval a paired one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scorer = Callable[[Floats], Floats]
CHUNK_ROUNDS = 50
PERCENTILE_ROUNDS = 500
# Weights of one chunk: about this many numbers, so that they stay in the processor's cache whatever the rows.
CHUNK_CELLS = 300_000
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
