"""Values that the plan of a trial may have."""

import math
from typing import Any

from deployments.models import ModelVersion, Trial
from deployments.services import judging
from mlportal.lib import names
from mlportal.lib.errors import Invalid

Metric = Trial.Metric
MOST_DAYS, MOST_UNITS = 365, 1_000_000_000
LEAST_UNITS = 200
TWO = 2
JUDGED = (Metric.AUC, Metric.F1)
MIN_HYPOTHESIS = 10
# Of fewer draws further out a percentile of the bootstrap says nothing.
LEAST_ALPHA_JUDGED = 0.01
DEFAULTS = {"alpha": 0.05, "share": 0.5, "minimum_days": 7, "minimum_units": 2_000, "positive": ""}


def checked(wanted: dict[str, Any], *, version: ModelVersion) -> dict[str, Any]:
    """Return a whole plan.

    Parameters
    ----------
    wanted
        ``name``, ``hypothesis``, ``metric``, ``minimum_effect``; and where the usual does not fit ``positive``,
        ``alpha``, ``share``, ``minimum_days``, ``minimum_units``.
    version
        The treatment.

    Raises
    ------
    Invalid
        Naming the field and its limit.
    """
    given = DEFAULTS | {name: value for name, value in wanted.items() if value is not None}
    hypothesis = names.clean_text(given.get("hypothesis"), field="hypothesis", limit=4000)
    if len(hypothesis) < MIN_HYPOTHESIS:
        raise Invalid(
            f"hypothesis needs at least {MIN_HYPOTHESIS} characters.", field="hypothesis", got=len(hypothesis)
        )
    return {
        "name": names.clean_text(given.get("name"), field="name", limit=200, required=True), "hypothesis": hypothesis,
        **_metric(given, version), "minimum_effect": _number(given, "minimum_effect", 0.0, 1e9),
        "alpha": _alpha(given), "share": _number(given, "share", 0.0, 0.99),
        "minimum_days": _whole(given, "minimum_days", 1, MOST_DAYS),
        "minimum_units": _whole(given, "minimum_units", LEAST_UNITS, MOST_UNITS),
    }  # fmt: skip


def metrics_of(version: ModelVersion) -> list[Metric]:
    """Return what a version can be tried for."""
    shared = [Metric.CONVERSION, Metric.LATENCY]
    if version.task == "regression":
        return [Metric.ERROR, *shared]
    return [Metric.CORRECT, *shared, *(JUDGED if len(judging.classes_of(version)) == TWO else ())]


def _metric(given: dict[str, Any], version: ModelVersion) -> dict[str, str]:
    metric, allowed = given.get("metric"), metrics_of(version)
    if metric not in allowed:
        words = f"metric must be one of {', '.join(allowed)}."
        if metric in JUDGED:
            words += f" {metric} is for classifiers that tell the probabilities of two classes."
        raise Invalid(words, field="metric", limit=allowed, got=str(metric)[:50])
    positive = names.clean_text(given["positive"], field="positive", limit=200)
    if (metric == Metric.CONVERSION) != bool(positive):
        raise Invalid("positive, the ground truth that counts, belongs to conversion and to nothing else.",
                      field="positive", got=positive[:50])  # fmt: skip
    if metric in JUDGED:
        positive = judging.classes_of(version)[-1][:200]
    return {"metric": str(metric), "positive": positive}


def _alpha(given: dict[str, Any]) -> float:
    alpha = _number(given, "alpha", 0.0, 0.2)
    if given.get("metric") in JUDGED and alpha < LEAST_ALPHA_JUDGED:
        raise Invalid(
            f"alpha must be at least {LEAST_ALPHA_JUDGED:g} for {given['metric']}.", field="alpha",
            limit=LEAST_ALPHA_JUDGED, got=alpha,
        )  # fmt: skip
    return alpha


def _number(given: dict[str, Any], name: str, above: float, most: float) -> float:
    value = given.get(name)
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not math.isfinite(value) or not above < value <= most:  # type: ignore[arg-type,operator]
        raise Invalid(f"{name} must be over {above:g} and at most {most:g}.", field=name, limit=most,
                      got=str(value)[:50])  # fmt: skip
    return float(value)  # type: ignore[arg-type]


def _whole(given: dict[str, Any], name: str, least: int, most: int) -> int:
    value = given.get(name)
    if type(value) is not int or not least <= value <= most:
        raise Invalid(f"{name} must be {least:,} to {most:,}.", field=name, limit=most, got=str(value)[:50])
    return value
