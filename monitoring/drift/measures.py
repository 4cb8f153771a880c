"""Names, words and units of what is measured beside drift: performance, fairness, quality, labels. Plain Python."""

from dataclasses import dataclass

PERFORMANCE = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "roc_auc": "ROC AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r2": "R²",
}
ESTIMATED = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "roc_auc", "mae")
FAIRNESS = {
    "selection_rate_difference": "Selection rate, largest difference",
    "selection_rate_ratio": "Selection rate, smallest ratio",
    "tpr_difference": "True positive rate, largest difference",
    "fpr_difference": "False positive rate, largest difference",
    "accuracy_difference": "Accuracy, largest difference",
}
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "mae", "rmse"})
ASSUMPTION = "estimate, assumes P(y|x) unchanged"

WORDS: dict[str, str] = {
    **{f"performance.{name}": words for name, words in PERFORMANCE.items()},
    **{f"performance.estimated.{name}": f"Estimated {PERFORMANCE[name]}" for name in ESTIMATED},
    **{f"fairness.{name}": words for name, words in FAIRNESS.items()},
    "quality.duplicates": "Share of repeated rows",
    "quality.schema": "Share of requests with another schema",
    "label.coverage": "Share of predictions with a label",
    "label.lag": "Median wait for a label (hours)",
    "log.dropped": "Predictions missing in the log",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a window; ``value`` is None when there is nothing to measure, ``detail`` says more.

    ``samples`` is how many rows it rests on: labelled ones for performance, all of them for quality.
    """

    value: float | None
    samples: int = 0
    detail: str = ""


def title(metric: str, value: float) -> str:
    """Say what came out in a few words: "Accuracy is 0.912"."""
    shown = f"{value:,.0f}" if metric == "log.dropped" else f"{value:.3f}"
    estimate = f" ({ASSUMPTION})" if metric.startswith("performance.estimated.") else ""
    return f"{WORDS[metric]} is {shown}{estimate}"


def missing(metric: str) -> str:
    """Say why there is no figure."""
    if metric.startswith("performance.estimated."):
        return "The version has nothing to estimate performance from."
    if metric.startswith(("performance.", "label.lag")):
        return "No prediction of this window has a label yet."
    if metric.startswith("fairness."):
        return "No two groups of a sensitive column have enough predictions in this window."
    return "Nothing was measured in this window."
