"""Turn dates into numbers a model can use."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

PARTS = ("days", "year", "month", "day", "day_of_week", "hour")


class DateParts(TransformerMixin, BaseEstimator):
    """Six numbers for each date column: days since 1970, year, month, day, day of week, hour.

    Texts are read as ISO 8601; what is no date, or missing, becomes NaN. It holds no
    fitted state beyond the column names, so a stored model needs no other code.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: N803 (scikit-learn's names)
        """Remember the column names."""
        self.feature_names_in_ = np.asarray([str(name) for name in X.columns], dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return float64 numbers, shape (rows, 6 x columns)."""
        return np.hstack([_parts(X[name]) for name in X.columns])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return ``<column>_<part>`` for each number."""
        return np.asarray([f"{name}_{part}" for name in self.feature_names_in_ for part in PARTS], dtype=object)


def _parts(column: pd.Series) -> np.ndarray:
    moments = pd.to_datetime(column, utc=True, errors="coerce")
    days = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    calendar = [getattr(moments.dt, part) for part in PARTS[1:]]
    return np.column_stack([np.asarray(part, dtype="float64") for part in (days, *calendar)])
