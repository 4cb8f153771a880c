"""Ways to compute predictions. Each takes checked columns and gives labels, probabilities and scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deployments.runtime.encoder import Encoder, Row
from deployments.runtime.frames import frame
from deployments.runtime.linear import as_library
from deployments.runtime.signature import Columns, Signature
from deployments.runtime.weighed import compile_row
from mlportal.lib.errors import Unprocessable


@dataclass(slots=True)  # frozen would cost each request a microsecond
class Answer:
    """Predictions of one call.

    Parameters
    ----------
    labels : list, length n
        Classes or numbers, plain Python values.
    probabilities : list of list of float, shape (n, classes), or None
        For classifiers that give them.
    scores : list of float, length n
        Probability of the last class, or the predicted number; what drift looks at.
    """

    labels: list[Any]
    probabilities: list[list[float]] | None
    scores: list[float | None]

    def part(self, start: int, stop: int) -> Answer:
        """Rows ``start`` to ``stop`` of it."""
        share = self.probabilities[start:stop] if self.probabilities is not None else None
        return Answer(self.labels[start:stop], share, self.scores[start:stop])


class Backend(Protocol):
    """One loaded model. An ONNX session fits here as well."""

    name: str
    batched: bool

    def predict(self, columns: Columns) -> Answer:
        """Predict rows given as columns in signature order."""


class ModelFailed(Unprocessable):
    """The model could not compute an answer for these rows."""

    kind = "model_failed"
    title = "The model could not answer"


class PipelineBackend:
    """The stored scikit-learn pipeline as it is; some 4 ms a call, so calls are put together."""

    name = "sklearn"

    def __init__(self, model: Any, signature: Signature) -> None:
        self.model = model
        self.signature = signature
        self.batched = False

    def predict(self, columns: Columns) -> Answer:
        """Predict rows given as columns in signature order."""
        return answer(self.model, frame(columns, self.signature))


class ExactBackend:
    """Compiled encoder and the original estimator; the same bits as the pipeline, at a fraction of the time."""

    name = "exact"
    batched = False

    def __init__(self, encoder: Encoder, estimator: Any, *, sparse: bool) -> None:
        self.encoder = encoder
        self.estimator = estimator
        self.sparse = sparse
        self._score = _row_score(encoder, estimator)
        self._classes = estimator.classes_.tolist() if hasattr(estimator, "classes_") else None

    def predict(self, columns: Columns) -> Answer:
        """Predict rows given as columns in signature order."""
        if self._score is not None and len(columns[0]) == 1:
            return row_answer(self.estimator.of_score(self._score([held[0] for held in columns])), self._classes)
        encoded = self.encoder.encode(columns)
        return answer(self.estimator, as_library(encoded, sparse=self.sparse))


def _row_score(encoder: Encoder, estimator: Any) -> Callable[[Row], float] | None:
    """What scores one row on plain numbers, for the bare linear models that may."""
    scores = getattr(estimator, "scores", None)
    return compile_row(encoder, scores.plain, scores.term) if scores is not None and scores.by_row else None


def answer(estimator: Any, rows: Any) -> Answer:
    """Call an estimator.

    A classifier with probabilities answers its most probable class.

    Raises
    ------
    ModelFailed
        When scikit-learn refuses the rows or a result is not a finite number.
    """
    try:
        if hasattr(estimator, "predict_proba"):
            return _from_probabilities(estimator.predict_proba(rows), estimator.classes_)
        predicted = np.asarray(estimator.predict(rows))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelFailed("The model could not compute an answer for these values.") from error
    if predicted.dtype.kind != "f":
        return Answer(predicted.tolist(), None, [None] * len(predicted))
    _refuse_non_finite(predicted)
    numbers = predicted.tolist()
    return Answer(numbers, None, numbers)


def row_answer(found: float, classes: list[Any] | None) -> Answer:
    """Answer a single row from the number, or the probability of the second of two classes.

    Raises
    ------
    ModelFailed
        When it is not finite.
    """
    if not math.isfinite(found):
        raise ModelFailed("The model gave no finite number for row 0.", code="answer_not_finite", got=0)
    if classes is None:
        return Answer([found], None, [found])
    rest = 1 - found
    return Answer([classes[found > rest]], [[rest, found]], [found])


def _from_probabilities(probabilities: Any, classes: Any) -> Answer:
    _refuse_non_finite(probabilities)
    labels = classes[probabilities.argmax(axis=1)].tolist()
    return Answer(labels, probabilities.tolist(), probabilities[:, -1].tolist())


def _refuse_non_finite(values: Any) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise ModelFailed(f"The model gave no finite number for row {row}.", code="answer_not_finite", got=row)
