"""Estimators of the catalogue, built from a checked specification."""

from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import LinearSVC, LinearSVR

from experiments.training.spec import TrainingSpec

CALIBRATION_PARTS = 3


def build(spec: TrainingSpec, *, threads: int = 1) -> BaseEstimator:
    """Return the unfitted estimator a specification names.

    Parameters
    ----------
    spec : TrainingSpec
        Checked, so every declared hyper-parameter has a value.
    threads : int
        Threads the estimator may use where it can use several.
    """
    maker = _MAKERS[spec.algorithm, spec.task]
    return maker(_translated(spec.hyper_parameters), spec.seed, threads)


def _translated(values: Any) -> dict[str, Any]:
    """Return the values in scikit-learn's words."""
    out = dict(values)
    if out.get("class_weight") == "none":
        out["class_weight"] = None
    if out.get("max_features") == "all":
        out["max_features"] = 1.0
    return out


def _seeded(kind: type) -> Callable[..., BaseEstimator]:
    return lambda values, seed, threads: kind(**values, random_state=seed)


def _threaded(kind: type) -> Callable[..., BaseEstimator]:
    return lambda values, seed, threads: kind(**values, random_state=seed, n_jobs=threads)


def _neighbours(kind: type) -> Callable[..., BaseEstimator]:
    # Brute force: exact, and its file holds nothing but arrays.
    return lambda values, seed, threads: kind(**values, algorithm="brute", n_jobs=threads)


def _calibrated_svm(values: dict[str, Any], seed: int, threads: int) -> BaseEstimator:
    margin = LinearSVC(**values, random_state=seed, dual="auto")
    return CalibratedClassifierCV(margin, cv=CALIBRATION_PARTS, ensemble=False)


def _svm_regressor(values: dict[str, Any], seed: int, threads: int) -> BaseEstimator:
    return LinearSVR(**values, random_state=seed, dual="auto", loss="squared_epsilon_insensitive")


_MAKERS: dict[tuple[str, str], Callable[..., BaseEstimator]] = {
    ("logistic_regression", "classification"): _seeded(LogisticRegression),
    ("ridge", "regression"): _seeded(Ridge),
    ("random_forest", "classification"): _threaded(RandomForestClassifier),
    ("random_forest", "regression"): _threaded(RandomForestRegressor),
    ("extra_trees", "classification"): _threaded(ExtraTreesClassifier),
    ("extra_trees", "regression"): _threaded(ExtraTreesRegressor),
    ("hist_gradient_boosting", "classification"): _seeded(HistGradientBoostingClassifier),
    ("hist_gradient_boosting", "regression"): _seeded(HistGradientBoostingRegressor),
    ("k_neighbors", "classification"): _neighbours(KNeighborsClassifier),
    ("k_neighbors", "regression"): _neighbours(KNeighborsRegressor),
    ("linear_svm", "classification"): _calibrated_svm,
    ("linear_svm", "regression"): _svm_regressor,
    ("dummy", "classification"): _seeded(DummyClassifier),
    ("dummy", "regression"): lambda values, seed, threads: DummyRegressor(**values),
}
