"""Data for the engine's tests: scikit-learn's own sets, as typed frames with a schema."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from experiments.training.spec import TrainingSpec, validate_spec

Schema = list[dict[str, Any]]


def schema_of(frame: pd.DataFrame, **kinds: str) -> Schema:
    return [{"name": name, "kind": kinds.get(name) or kind_of(frame[name]), "nullable": True} for name in frame]


def kind_of(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column):
        return "boolean"
    if pd.api.types.is_integer_dtype(column):
        return "integer"
    if pd.api.types.is_numeric_dtype(column):
        return "numeric"
    return "datetime" if pd.api.types.is_datetime64_any_dtype(column) else "categorical"


@pytest.fixture
def iris() -> pd.DataFrame:
    bunch = datasets.load_iris()
    frame = pd.DataFrame(bunch.data, columns=["sepal_l", "sepal_w", "petal_l", "petal_w"])
    return frame.assign(species=bunch.target_names[bunch.target].astype(object))


@pytest.fixture
def cancer() -> pd.DataFrame:
    bunch = datasets.load_breast_cancer()
    frame = pd.DataFrame(bunch.data[:, :6], columns=[f"m{n}" for n in range(6)])
    return frame.assign(benign=bunch.target)


@pytest.fixture
def diabetes() -> pd.DataFrame:
    bunch = datasets.load_diabetes()
    return pd.DataFrame(bunch.data, columns=bunch.feature_names).assign(progress=bunch.target)


@pytest.fixture
def mixed() -> pd.DataFrame:
    """120 rows with every kind of column, blanks in each, and a learnable target."""
    random = np.random.default_rng(7)
    rows = 120
    amount = random.normal(size=rows)
    frame = pd.DataFrame(
        {
            "amount": amount,
            "count": random.integers(0, 9, rows),
            "vip": pd.array(random.random(rows) > 0.5, dtype="boolean"),
            "plan": random.choice(["basic", "plus", "pro"], rows),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 900, rows), "D"),
            "left": np.where(amount + random.normal(size=rows) / 4 > 0, "yes", "no"),
        }
    )
    for place, name in enumerate(("amount", "vip", "plan", "since")):
        frame.loc[place, name] = None
    return frame


@pytest.fixture
def spec_for() -> Callable[..., TrainingSpec]:
    def make(frame: pd.DataFrame, *, kinds: dict[str, str] | None = None, **fields: Any) -> Any:
        return validate_spec(fields, schema_of(frame, **(kinds or {})))

    return make
