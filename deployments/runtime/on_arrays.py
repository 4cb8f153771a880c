"""A column transformer taken apart: each of its steps gets the columns it was fitted on as an array.

Taking columns out of a DataFrame and checking its names, in each step anew, is two thirds of the time of a prediction.
Without names scikit-learn computes the same from the same numbers. Whether it does is not believed but tried: such a
backend is taken only when it gives the pipeline's own bits (see ``exact``).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from deployments.runtime.backends import Answer, answer
from deployments.runtime.frames import NUMBERS, plain_array
from deployments.runtime.signature import Columns, Signature


@dataclass(frozen=True, slots=True)
class _Part:
    """One step: the fitted transformer without names, the places of its columns, and what kind they are."""

    transformer: Any
    places: tuple[int, ...]
    numeric: bool

    def transform(self, columns: Columns) -> Any:
        held = [columns[place] for place in self.places]
        return self.transformer.transform(plain_array(held, numeric=self.numeric))


class ArrayBackend:
    """The steps of a stored pipeline, called by scikit-learn on arrays.

    Parameters
    ----------
    parts : sequence of _Part
        In the order of their output.
    estimator : object
        The fitted last step.
    is_sparse : bool
        Whether the column transformer gave it a sparse matrix.
    """

    name = "sklearn"

    def __init__(self, parts: Sequence[_Part], estimator: Any, *, is_sparse: bool) -> None:
        self.parts = tuple(parts)
        self.estimator = estimator
        self.is_sparse = is_sparse
        self.batched = False

    def predict(self, columns: Columns) -> Answer:
        """Predict rows given as columns in signature order."""
        made = [part.transform(columns) for part in self.parts]
        if self.is_sparse:
            return answer(self.estimator, sparse.hstack(made).tocsr())
        return answer(self.estimator, np.hstack([each.toarray() if sparse.issparse(each) else each for each in made]))


def on_arrays(model: Any, signature: Signature) -> ArrayBackend | None:
    """Take a pipeline of a column transformer and an estimator apart.

    None where it is another pipeline, or a step asks for more than columns of one kind.
    """
    steps = [step for _, step in getattr(model, "steps", [])]
    if len(steps) != 2 or type(steps[0]).__name__ != "ColumnTransformer" or steps[0].transformer_weights:
        return None
    prepare, estimator = steps
    parts = []
    for _, transformer, chosen in prepare.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        part = _part(transformer, chosen, signature)
        if part is None:
            return None
        parts.append(part)
    if not parts or hasattr(estimator, "feature_names_in_"):
        return None
    return ArrayBackend(parts, estimator, is_sparse=bool(prepare.sparse_output_))


def _part(transformer: Any, chosen: Any, signature: Signature) -> _Part | None:
    names = list(chosen) if isinstance(chosen, list) else []
    if isinstance(transformer, str) or not names or not set(names) <= set(signature.names):
        return None
    places = tuple(signature.names.index(name) for name in names)
    kinds = {signature.columns[place].kind in NUMBERS for place in places}
    if len(kinds) != 1 or any(signature.columns[place].kind == "datetime" for place in places):
        return None
    return _Part(_without_names(transformer), places, kinds == {True})


def _without_names(transformer: Any) -> Any:
    """Return a copy that was fitted on no names, so that it does not warn of an array."""
    made = copy.deepcopy(transformer)
    for step in [made, *(step for _, step in getattr(made, "steps", []))]:
        vars(step).pop("feature_names_in_", None)
    return made
