"""Judge a model on rows it has not seen: metrics, curves and importance.

All functions return plain JSON values, ready for the artifact files.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn import metrics as scores
from sklearn.calibration import calibration_curve

MAX_POINTS: Final = 200
MAX_CURVES: Final = 20
CALIBRATION_BINS: Final = 10
RESIDUAL_POINTS: Final = 2_000
RESIDUAL_BINS: Final = 30
IMPORTANCE_ROWS: Final = 2_000
IMPORTANCE_REPEATS: Final = 5

Json = dict[str, Any]


def classification(
    actual: np.ndarray, predicted: np.ndarray, probability: np.ndarray, classes: np.ndarray
) -> dict[str, float]:
    """Return the classification metrics.

    With two classes, precision, recall, F1 and average precision are those of the
    last class in sorted order; with more they are the mean over the classes.

    Parameters
    ----------
    actual, predicted : numpy.ndarray, shape (rows,)
        Labels.
    probability : numpy.ndarray, shape (rows, classes)
        Probabilities, each row adds to 1.
    classes : numpy.ndarray, shape (classes,)
        Labels in the order of the columns, sorted.

    Returns
    -------
    dict of str to float
        ``roc_auc`` and ``average_precision`` are left out when a class has no row.
    """
    kind: Json = {"average": "macro", "zero_division": 0, "labels": classes}
    if len(classes) == 2:
        kind = {"average": "binary", "zero_division": 0, "pos_label": classes[1]}
    out = {
        "accuracy": scores.accuracy_score(actual, predicted),
        "balanced_accuracy": _balanced(actual, predicted),
        "f1": scores.f1_score(actual, predicted, **kind),
        "precision": scores.precision_score(actual, predicted, **kind),
        "recall": scores.recall_score(actual, predicted, **kind),
        "log_loss": log_loss(actual, probability, classes),
    }
    if np.isin(classes, actual).all():
        out |= _ranking(_one_hot(actual, classes), probability)
    return {key: float(value) for key, value in out.items()}


def _balanced(actual: np.ndarray, predicted: np.ndarray) -> float:
    present = np.unique(actual)
    return float(np.mean([(predicted[actual == label] == label).mean() for label in present]))


def _one_hot(actual: np.ndarray, classes: np.ndarray) -> np.ndarray:
    # By value, not by sklearn's label_binarize: that makes one column of two classes.
    place = {label: position for position, label in enumerate(classes.tolist())}
    return np.eye(len(classes), dtype=int)[[place[label] for label in actual.tolist()]]


def _ranking(flags: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    if flags.shape[1] == 2:
        flags, probability = flags[:, 1:], probability[:, 1:]
    return {
        "roc_auc": scores.roc_auc_score(flags, probability, average="macro"),
        "average_precision": scores.average_precision_score(flags, probability, average="macro"),
    }


def log_loss(actual: np.ndarray, probability: np.ndarray, classes: np.ndarray) -> float:
    """Return the mean negative log-likelihood of the true labels, 0 or more."""
    return float(scores.log_loss(actual, probability, labels=classes))


def regression(actual: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the regression metrics; ``r2`` is left out with fewer than two rows."""
    out = {
        "rmse": scores.root_mean_squared_error(actual, predicted),
        "mae": scores.mean_absolute_error(actual, predicted),
        "median_ae": scores.median_absolute_error(actual, predicted),
    }
    if len(actual) > 1:
        out["r2"] = scores.r2_score(actual, predicted)
    return {key: float(value) for key, value in out.items()}


def confusion_matrix(actual: np.ndarray, predicted: np.ndarray, classes: np.ndarray) -> Json:
    """Return counts; ``matrix[i][j]`` are rows of class i predicted as class j."""
    matrix = scores.confusion_matrix(actual, predicted, labels=classes)
    return {"classes": plain(classes), "matrix": matrix.tolist()}


def roc(actual: np.ndarray, probability: np.ndarray, classes: np.ndarray) -> Json:
    """Return one-against-rest ROC curves, each thinned to 200 points."""
    return {
        "curves": [_roc_curve(label, flags, share) for label, flags, share in _by_class(actual, probability, classes)]
    }


def _roc_curve(label: Any, flags: np.ndarray, share: np.ndarray) -> Json:
    false_rate, true_rate, thresholds = scores.roc_curve(flags, share)
    keep = thin(len(false_rate))
    return {
        "class": label,
        "auc": float(scores.auc(false_rate, true_rate)),
        "fpr": false_rate[keep].tolist(),
        "tpr": true_rate[keep].tolist(),
        # The first threshold is infinite, which JSON cannot say.
        "thresholds": [None if np.isinf(cut) else float(cut) for cut in thresholds[keep]],
    }


def precision_recall(actual: np.ndarray, probability: np.ndarray, classes: np.ndarray) -> Json:
    """Return one-against-rest precision-recall curves, each thinned to 200 points."""
    curves = []
    for label, flags, share in _by_class(actual, probability, classes):
        precision, recall, thresholds = scores.precision_recall_curve(flags, share)
        keep = thin(len(precision))
        cuts = [*thresholds.tolist(), None]
        curves.append(
            {
                "class": label,
                "average_precision": float(scores.average_precision_score(flags, share)),
                "precision": precision[keep].tolist(),
                "recall": recall[keep].tolist(),
                "thresholds": [cuts[position] for position in keep],
            }
        )
    return {"curves": curves}


def calibration(actual: np.ndarray, probability: np.ndarray, classes: np.ndarray) -> Json:
    """Return predicted against observed shares in up to ten bins of equal width."""
    curves = []
    for label, flags, share in _by_class(actual, probability, classes):
        observed, predicted = calibration_curve(flags, share, n_bins=CALIBRATION_BINS)
        counts, _ = np.histogram(share, bins=np.linspace(0, 1, CALIBRATION_BINS + 1))
        curves.append(
            {
                "class": label,
                "predicted": predicted.tolist(),
                "observed": observed.tolist(),
                "counts": counts.tolist(),
                "brier": float(np.mean((share - flags) ** 2)),
            }
        )
    return {"curves": curves}


def _by_class(
    actual: np.ndarray, probability: np.ndarray, classes: np.ndarray
) -> list[tuple[Any, np.ndarray, np.ndarray]]:
    """Return (label, flags, probability) of classes that have rows inside and outside.

    Two classes give one curve, that of the last class.
    """
    flags = _one_hot(actual, classes)
    wanted = [1] if len(classes) == 2 else range(min(len(classes), MAX_CURVES))
    labels = plain(classes)
    return [
        (labels[place], flags[:, place], probability[:, place])
        for place in wanted
        if 0 < flags[:, place].sum() < len(actual)
    ]


def residuals(actual: np.ndarray, predicted: np.ndarray, *, seed: int) -> Json:
    """Return actual minus predicted: a histogram, quantiles and up to 2,000 points."""
    errors = actual - predicted
    counts, edges = np.histogram(errors, bins=RESIDUAL_BINS)
    chosen = np.arange(len(errors))
    if len(errors) > RESIDUAL_POINTS:
        chosen = np.random.default_rng(seed).choice(len(errors), RESIDUAL_POINTS, replace=False)
        chosen.sort()
    levels = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]
    return {
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        "quantiles": dict(zip([str(level) for level in levels], np.quantile(errors, levels).tolist(), strict=True)),
        "actual": actual[chosen].tolist(),
        "predicted": predicted[chosen].tolist(),
    }


def importance(
    score: Callable[[pd.DataFrame], float],
    frame: pd.DataFrame,
    *,
    seed: int,
    on_column: Callable[[int], None],
) -> list[Json]:
    """Return the permutation importance of each raw column, the largest first.

    How much the score falls when one column is shuffled; five times, mean and
    standard deviation (Breiman 2001, section 10; the order of random numbers is
    that of ``sklearn.inspection.permutation_importance``).

    Parameters
    ----------
    score : callable
        Score of the model on a frame with these rows; higher is better.
    frame : pandas.DataFrame
        Raw feature columns of held-out rows.
    seed : int
        Seed of the shuffles.
    on_column : callable
        Called with the number of columns done; may raise to stop.
    """
    whole = score(frame)
    shared = np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1)
    out = []
    for place, name in enumerate(frame.columns):
        falls = whole - np.asarray(_shuffled_scores(score, frame, str(name), shared))
        out.append({"feature": str(name), "mean": float(falls.mean()), "std": float(falls.std())})
        on_column(place + 1)
    return sorted(out, key=lambda row: -row["mean"])


def _shuffled_scores(score: Callable[[pd.DataFrame], float], frame: pd.DataFrame, name: str, seed: int) -> list[float]:
    random = np.random.RandomState(seed)
    order = np.arange(len(frame))
    shuffled = frame.copy()
    out = []
    for _ in range(IMPORTANCE_REPEATS):
        random.shuffle(order)
        column = shuffled[name].iloc[order]
        column.index = frame.index
        shuffled[name] = column
        out.append(score(shuffled))
    return out


def thin(count: int) -> np.ndarray:
    """Return at most 200 positions of `count`, evenly spread, first and last included."""
    if count <= MAX_POINTS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, MAX_POINTS).round().astype(int))


def plain(values: Sequence[Any] | np.ndarray) -> list[Any]:
    """Return numpy values as Python's own, for JSON."""
    return np.asarray(values).tolist()
