"""The pipeline of a model: raw columns in, prediction out.

Everything but `DateParts` is a scikit-learn type, so a saved model loads with a
short list of trusted types. Unknown categories at prediction time are no error:
they become zeros (one-hot) or -1 (ordinal).
"""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from experiments.training.catalogue import ALGORITHMS, Algorithm
from experiments.training.columns import MAX_CATEGORIES, Columns
from experiments.training.dates import DateParts
from experiments.training.estimators import build
from experiments.training.spec import TrainingSpec


def pipeline(spec: TrainingSpec, columns: Columns, *, threads: int = 1) -> Pipeline:
    """Return the unfitted pipeline for a specification.

    Parameters
    ----------
    spec : TrainingSpec
        Names the algorithm, its values and the seed.
    columns : Columns
        Feature columns by encoding.
    threads : int
        Threads an estimator may use.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``prepare`` and ``model``; takes a DataFrame of the raw feature columns.
    """
    algorithm = ALGORITHMS[spec.algorithm]
    return Pipeline([("prepare", _prepare(algorithm, columns)), ("model", build(spec, threads=threads))])


def _prepare(algorithm: Algorithm, columns: Columns) -> ColumnTransformer:
    steps: list[tuple[str, Any, list[str]]] = [
        ("numbers", _numbers(algorithm), list(columns.numbers)),
        ("flags", _imputer(), list(columns.flags)),
        ("categories", _categories(algorithm), list(columns.categories)),
        ("dates", make_pipeline(DateParts(), _numbers(algorithm)), list(columns.dates)),
    ]
    return ColumnTransformer([step for step in steps if step[2]], remainder="drop")


def _imputer() -> SimpleImputer:
    # A column that is empty in the training part stays, as zeros: its name must not vanish.
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _numbers(algorithm: Algorithm) -> Pipeline:
    steps = [_imputer(), StandardScaler()] if algorithm.scaled else [_imputer()]
    return make_pipeline(*steps)


def _categories(algorithm: Algorithm) -> OneHotEncoder | OrdinalEncoder:
    if algorithm.ordinal:
        return OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-1,
            max_categories=MAX_CATEGORIES,
        )
    return OneHotEncoder(handle_unknown="ignore", max_categories=MAX_CATEGORIES)
