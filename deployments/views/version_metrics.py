"""The metrics of a version: what tells how good it is first, what else its run logged folded away."""

from typing import Any

from deployments import gates
from deployments.models import ModelVersion
from experiments.training.catalogue import METRICS

FOLDED = ("cv_", "system/")  # figures of single folds, and of the machine it was trained on
Line = tuple[dict[str, Any], float]


def of(version: ModelVersion) -> dict[str, list[Line]]:
    """Return the lines that are shown and those that are folded away, each a description and a value."""
    keys = [key for key in gates.metric_keys(version) if key in version.metrics]
    others = sorted(key for key in version.metrics if key not in keys)
    more = [key for key in others if key.startswith(FOLDED)]
    shown = keys + [key for key in others if key not in more]
    return {"metrics": _lines(version, shown), "more_metrics": _lines(version, more)}


def _lines(version: ModelVersion, keys: list[str]) -> list[Line]:
    return [(METRICS.get(key, {"label": key}), version.metrics[key]) for key in keys]
