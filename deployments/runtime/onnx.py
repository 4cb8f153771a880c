"""The estimator as an ONNX graph behind the compiled encoder: a forest in tens of microseconds.

Only the estimator goes through ONNX. The preparation is our own encoder, which handles nulls and unseen categories
bit for bit; converted, it would lose both. What comes out is float32 and near the pipeline, not equal: a version is
served so only if its conversion passed the parity gate (`conversion`).
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from deployments.runtime.backends import Answer, ModelFailed
from deployments.runtime.encoder import Encoder
from deployments.runtime.signature import Columns

# Else onnxruntime tells its maker of each process and session, and keeps an id of this machine. It looks once, when it
# is imported, so this stands before that.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
INPUT = "x"


class OnnxBackend:
    """A session of onnxruntime on one thread."""

    name = "onnx"
    batched = False

    def __init__(self, encoder: Encoder, graph: Path | bytes, classes: list[Any] | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = graph if isinstance(graph, bytes) else str(graph)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._outputs = [self._session.get_outputs()[-1].name]
        self._encoder = encoder
        self._classes = classes

    def predict(self, columns: Columns) -> Answer:
        """Predict rows given as columns in signature order."""
        if len(columns[0]) == 1:
            return self._of_row(columns)
        rows = self._encoder.encode(columns).astype(np.float32)
        (found,) = self._session.run(self._outputs, {INPUT: rows})
        if not np.isfinite(found).all():
            raise ModelFailed("The model gave no finite number.", code="answer_not_finite")
        if self._classes is None:
            numbers = found.reshape(-1).tolist()
            return Answer(numbers, None, numbers)
        classes = self._classes
        return Answer([classes[place] for place in found.argmax(axis=1)], found.tolist(), found[:, -1].tolist())

    def _of_row(self, columns: Columns) -> Answer:
        """Answer one row on plain numbers: array functions cost more than what they would do here."""
        rows = np.zeros((1, self._encoder.width), dtype=np.float32)
        places, values = self._encoder.row(columns)
        rows[0, places] = values
        (found,) = self._session.run(self._outputs, {INPUT: rows})
        shares = found.reshape(-1).tolist()
        if not math.isfinite(sum(shares)):
            raise ModelFailed("The model gave no finite number.", code="answer_not_finite")
        if self._classes is None:
            return Answer(shares, None, shares)
        return Answer([self._classes[shares.index(max(shares))]], [shares], [shares[-1]])


def classes_of(estimator: Any) -> list[Any] | None:
    """Classes of a classifier that gives probabilities, None for a regressor."""
    return list(estimator.classes_.tolist()) if hasattr(estimator, "predict_proba") else None
