"""What a model goes by: importance of raw columns, partial dependence, and what each column adds to one prediction.

Everything is told per raw column: what one-hot encoding made of a column is summed up again.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deployments.proof.scorers import SCORERS, Answers

SEED = 20_261_122
IMPORTANCE_ROWS = 1_000
REPEATS = 5
DEPENDENCE_ROWS = 500
DEPENDENCE_COLUMNS = 6
POINTS = 20
LEVELS = 12
BACKGROUND_ROWS = 200
ORDERS = 10
EVERY_ORDER = 3
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae", "median_ae"})
LINEAR = frozenset({"LogisticRegression", "Ridge", "LinearSVR", "LinearRegression", "Lasso", "ElasticNet"})
TREES = frozenset(
    f"{kind}{task}" for task in ("Classifier", "Regressor")
    for kind in ("RandomForest", "ExtraTrees", "HistGradientBoosting", "GradientBoosting", "DecisionTree")
)  # fmt: skip
Json = dict[str, Any]
Floats = NDArray[np.float64]


def importance(
    answer: Callable[[pd.DataFrame], Answers],
    frame: pd.DataFrame,
    truth: NDArray[np.generic],
    metric: str,
    classes: int,
) -> list[Json]:
    """Return by how much a metric gets worse when one raw column is shuffled, the largest first.

    Parameters
    ----------
    answer
        Answers of the model on a frame with these columns.
    frame, truth
        Held-out rows and their truth, shape ``(n,)``; a seeded sample of 1,000 is used.
    metric
        A key of :data:`deployments.proof.scorers.SCORERS`.
    classes
        Number of classes, 0 for regression.

    References
    ----------
    Breiman, Random forests, Machine Learning 45 (2001), section 10; five shuffles, mean and standard deviation.
    """
    random = np.random.default_rng(SEED)
    rows = np.sort(random.permutation(len(frame))[:IMPORTANCE_ROWS])
    frame, truth, once = frame.iloc[rows].reset_index(drop=True), truth[rows], np.ones((1, len(rows)))
    turn = -1.0 if metric in LOWER_IS_BETTER else 1.0

    def score(table: pd.DataFrame) -> float:
        scorer = SCORERS[metric](truth, answer(table), classes)
        return float("nan") if scorer is None else turn * float(scorer(once)[0])

    whole = score(frame)
    out: list[Json] = []
    for name in frame:
        falls = np.array([whole - score(_shuffled(frame, str(name), random)) for _ in range(REPEATS)])
        out.append({"feature": str(name), "mean": float(falls.mean()), "std": float(falls.std())})
    return sorted((row for row in out if np.isfinite(row["mean"])), key=lambda row: -row["mean"])


def _shuffled(frame: pd.DataFrame, name: str, random: np.random.Generator) -> pd.DataFrame:
    column = frame[name].iloc[random.permutation(len(frame))]
    column.index = frame.index
    return frame.assign(**{name: column})


def dependence(output: Callable[[pd.DataFrame], Floats], frame: pd.DataFrame, columns: list[str]) -> list[Json]:
    """Return the mean output when one column is set to each of its values for all rows.

    Parameters
    ----------
    output
        Output of the model, shape ``(n,)``: probability of the last class, or the number.
    frame
        Held-out rows; a seeded sample of 500 is used.
    columns
        Raw columns to vary.

    References
    ----------
    Friedman, Greedy function approximation: a gradient boosting machine, Annals of Statistics 29 (2001), section 8.2.
    """
    rows = frame.iloc[np.random.default_rng(SEED).permutation(len(frame))[:DEPENDENCE_ROWS]]
    return [_dependence(output, rows, frame[name]) for name in columns if frame[name].notna().any()]


def _dependence(output: Callable[[pd.DataFrame], Floats], rows: pd.DataFrame, column: pd.Series) -> Json:
    grid, numeric = _grid(column)
    means = [float(output(_set(rows, column, value)).mean()) for value in grid]
    shown = [float(value) for value in grid] if numeric else [str(value) for value in grid]
    return {"feature": str(column.name), "kind": "numeric" if numeric else "categorical", "grid": shown, "mean": means}


def _grid(column: pd.Series) -> tuple[list[Any], bool]:
    known = column.dropna()
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and known.nunique() > LEVELS:
        return sorted(set(known.quantile(np.linspace(0.05, 0.95, POINTS)))), True
    if pd.api.types.is_datetime64_any_dtype(column):
        return sorted(set(known.quantile(np.linspace(0.05, 0.95, POINTS), interpolation="nearest"))), False
    levels = sorted(known.value_counts().index[:LEVELS], key=lambda value: (str(type(value)), value))
    return levels, pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _set(rows: pd.DataFrame, column: pd.Series, value: Any) -> pd.DataFrame:
    kept = pd.Series([value] * len(rows), index=rows.index)
    if not pd.api.types.is_integer_dtype(column) or float(value).is_integer():
        kept = kept.astype(column.dtype)
    return rows.assign(**{str(column.name): kept})


# --- single predictions --------------------------------------------------------------------------


@dataclass(frozen=True)
class Contributions:
    """What each raw column adds to the output of each row.

    Attributes
    ----------
    method
        ``linear``, ``tree`` or ``permutation``.
    scale
        Unit of the numbers: ``log-odds``, ``probability``, ``score`` or ``target``.
    values
        Shape ``(rows, columns)``; with ``base`` they sum to ``outputs``.
    base, outputs
        Mean output over the background, and the output of each row, shape ``(rows,)``.
    why
        Why a method that works for any model was taken, or nothing.
    """

    method: str
    scale: str
    values: Floats
    base: Floats
    outputs: Floats
    why: str = ""


def contributions(model: Any, rows: pd.DataFrame, background: pd.DataFrame) -> Contributions:
    """Explain single predictions: linear models exactly, trees by SHAP, any other by permutation of raw columns.

    Classifiers are explained for their last class.

    Parameters
    ----------
    model
        A fitted pipeline with the steps ``prepare`` and ``model``, or anything that predicts.
    rows, background
        Rows to explain, and rows that stand for "not known"; both in the raw columns.

    References
    ----------
    Lundberg and Lee, A unified approach to interpreting model predictions, NeurIPS 2017 (linear: corollary 1);
    Lundberg et al., From local explanations to global understanding with explainable AI for trees, 2020.
    """
    background = background.iloc[np.random.default_rng(SEED).permutation(len(background))[:BACKGROUND_ROWS]]
    steps = getattr(model, "named_steps", {})
    estimator = steps.get("model")
    kind = type(estimator).__name__
    if set(steps) != {"prepare", "model"} or kind not in LINEAR | TREES or len(getattr(model, "classes_", [0, 1])) > 2:
        return permutation(model, rows, background)
    encode = _encoder(steps["prepare"])
    owner = _owners(encode, background, rows)
    if kind in LINEAR:
        return _linear(estimator, encode(rows), encode(background), owner)
    try:
        return _trees(estimator, encode(rows), owner)
    except Exception as error:  # noqa: BLE001  the library refuses trees in many ways; permutation takes all
        return permutation(model, rows, background, why=f"SHAP cannot read this model: {type(error).__name__}")


def _encoder(prepare: Any) -> Callable[[pd.DataFrame], Floats]:
    def encode(frame: pd.DataFrame) -> Floats:
        found = prepare.transform(frame)
        dense: Floats = np.asarray(found.todense() if hasattr(found, "todense") else found, dtype=np.float64)
        return dense

    return encode


def _owners(
    encode: Callable[[pd.DataFrame], Floats], background: pd.DataFrame, rows: pd.DataFrame
) -> list[NDArray[np.int64]]:
    """Find which encoded columns each raw column makes: those that change when it alone is shuffled."""
    both = pd.concat([background, rows], ignore_index=True)
    before, random = encode(both), np.random.default_rng(SEED)
    return [np.flatnonzero((encode(_shuffled(both, str(name), random)) != before).any(axis=0)) for name in both]


def _linear(estimator: Any, rows: Floats, background: Floats, owner: list[NDArray[np.int64]]) -> Contributions:
    """Return ``coefficient * (value - mean)``: the Shapley value of a linear model with independent columns."""
    weights, intercept = np.ravel(estimator.coef_), float(np.ravel(estimator.intercept_)[0])
    mean = background.mean(axis=0)
    parts = (rows - mean) * weights
    base = np.full(len(rows), float(mean @ weights + intercept))
    scale = "log-odds" if hasattr(estimator, "predict_proba") else "target"
    return Contributions("linear", scale, _summed(parts, owner), base, rows @ weights + intercept)


def _trees(estimator: Any, rows: Floats, owner: list[NDArray[np.int64]]) -> Contributions:
    import shap  # type: ignore[import-untyped]  # a second to import, and only for trees

    explainer = shap.TreeExplainer(estimator, feature_perturbation="tree_path_dependent")
    found = np.asarray(explainer.shap_values(rows, check_additivity=True), dtype=np.float64)
    base = float(np.ravel(explainer.expected_value)[-1])
    parts = found[:, :, -1] if found.ndim == 3 else found
    scale = "target" if not hasattr(estimator, "classes_") else "probability" if found.ndim == 3 else "log-odds"
    return Contributions("tree", scale, _summed(parts, owner), np.full(len(rows), base), base + parts.sum(axis=1))


def _summed(parts: Floats, owner: list[NDArray[np.int64]]) -> Floats:
    return np.column_stack([parts[:, places].sum(axis=1) for places in owner])


def permutation(model: Any, rows: pd.DataFrame, background: pd.DataFrame, *, why: str = "") -> Contributions:
    """Estimate Shapley values by orders of the raw columns: five drawn ones and their reverses.

    In each order the columns of a background row are replaced one by one by those of the row; what the output gains
    at each step belongs to that column. The steps of an order add up, so the sum is exact for any number of orders.

    References
    ----------
    Castro, Gómez and Tejada, Polynomial calculation of the Shapley value based on sampling, 2009;
    Mitchell et al., Sampling permutations for Shapley value estimation, JMLR 23 (2022) (reversed orders).
    """
    output, width = output_of(model), rows.shape[1]
    random = np.random.default_rng(SEED)
    orders = _orders(width, random)
    picks = random.integers(0, len(background), size=len(orders))
    values, base = np.zeros((len(rows), width)), np.zeros(len(rows))
    for order, pick in zip(orders, picks, strict=True):
        gained, start = _walk(output, rows, background.iloc[[pick]], order)
        values[:, order] += gained / len(orders)
        base += start / len(orders)
    scale = "probability" if hasattr(model, "predict_proba") else "target"
    return Contributions("permutation", scale, values, base, output(rows), why)


def _orders(width: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return all orders of up to three columns, of more ten: five drawn ones and their reverses."""
    if width <= EVERY_ORDER:
        return [np.array(order) for order in itertools.permutations(range(width))]
    drawn = [random.permutation(width) for _ in range(ORDERS // 2)]
    return [order for one in drawn for order in (one, one[::-1])]


def _walk(
    output: Callable[[pd.DataFrame], Floats], rows: pd.DataFrame, start: pd.DataFrame, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Replace columns in one order, all rows at once; one frame for each step keeps memory at rows times columns."""
    table = pd.concat([start] * len(rows), ignore_index=True)
    before = first = output(table)
    gained = np.empty((len(rows), len(order)))
    for step, place in enumerate(order):
        name = rows.columns[place]
        table[name] = rows[name].to_numpy()
        now = output(table)
        gained[:, step], before = now - before, now
    return gained, first


def output_of(model: Any) -> Callable[[pd.DataFrame], Floats]:
    """Return the output that is explained: the probability of the last class, else the prediction as a number."""
    if hasattr(model, "predict_proba"):
        return lambda frame: np.asarray(model.predict_proba(frame)[:, -1], dtype=np.float64)
    classes = getattr(model, "classes_", None)
    if classes is not None:
        return lambda frame: (np.asarray(model.predict(frame)) == classes[-1]).astype(np.float64)
    return lambda frame: np.asarray(model.predict(frame), dtype=np.float64)
