"""Linear models without scikit-learn's checks around each call.

For one row the checks cost ten times the arithmetic. The sums are made in the same order as the library makes
them, so the bits are the same; `exact.choose` verifies that before one of these is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float64]

CLASSIFIERS = frozenset({"LogisticRegression"})
REGRESSORS = frozenset({"Ridge", "LinearSVR"})
# The running sum keeps rows x outputs x columns numbers; beyond this the library itself is the faster way.
MOST_ROWS = 64


class LinearScores:
    """Scores of a fitted linear model.

    Parameters
    ----------
    estimator : fitted scikit-learn estimator
        Has ``coef_`` and ``intercept_``.
    sparse : bool
        Whether the library gets a sparse matrix: then it sums from the first column to the last, one by one;
        a dense product is left to the same BLAS call.
    """

    def __init__(self, estimator: Any, *, sparse: bool) -> None:
        self._coefficients = np.ascontiguousarray(np.atleast_2d(estimator.coef_), dtype=np.float64)
        self._intercept = estimator.intercept_
        self._sparse = sparse
        # One after the other is how plain numbers are added as well; BLAS has an order of its own.
        self.by_row = sparse and len(self._coefficients) == 1
        self.plain: list[float] = self._coefficients[0].tolist()
        self.term = float(np.ravel(self._intercept)[0])

    def of(self, rows: Array) -> Array:
        """Scores, shape (rows, outputs)."""
        if not self._sparse:
            scores: Array = rows @ self._coefficients.T + self._intercept
            return scores
        running = np.cumsum(rows[:, None, :] * self._coefficients[None, :, :], axis=2)
        summed: Array = running[:, :, -1] + self._intercept
        return summed


class LinearClassifier:
    """Probabilities of a logistic regression."""

    def __init__(self, estimator: Any, *, sparse: bool) -> None:
        self.classes_ = estimator.classes_
        self._estimator = estimator
        self._sparse = sparse
        self.scores = LinearScores(estimator, sparse=sparse)

    def of_score(self, score: float) -> float:
        """Probability of the second of two classes."""
        return float(expit(score))

    def predict_proba(self, rows: Array) -> Array:
        """Probabilities, shape (rows, classes)."""
        if len(rows) > MOST_ROWS:
            found: Array = self._estimator.predict_proba(as_library(rows, sparse=self._sparse))
            return found
        scores = self.scores.of(rows)
        if scores.shape[1] == 1:
            share = expit(scores[:, 0])
            return np.stack([1 - share, share], axis=1)
        scores -= scores.max(axis=1)[:, None]
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1)[:, None]
        return scores


class LinearRegressor:
    """Predictions of a linear regression."""

    def __init__(self, estimator: Any, *, sparse: bool) -> None:
        self._estimator = estimator
        self._sparse = sparse
        self.scores = LinearScores(estimator, sparse=sparse)

    def of_score(self, score: float) -> float:
        """Return the number, which is the score."""
        return score

    def predict(self, rows: Array) -> Array:
        """Numbers, shape (rows,)."""
        if len(rows) > MOST_ROWS:
            found: Array = self._estimator.predict(as_library(rows, sparse=self._sparse))
            return found
        return self.scores.of(rows)[:, 0]


def as_library(rows: Array, *, sparse: bool) -> Any:
    """The matrix in the form that the estimator was fitted on."""
    if not sparse:
        return rows
    from scipy.sparse import csr_matrix

    return csr_matrix(rows)


def compile_linear(estimator: Any, *, sparse: bool) -> LinearClassifier | LinearRegressor | None:
    """Return the bare form of a linear model, None for anything else."""
    name = type(estimator).__name__
    if name in CLASSIFIERS:
        return LinearClassifier(estimator, sparse=sparse)
    return LinearRegressor(estimator, sparse=sparse) if name in REGRESSORS else None
