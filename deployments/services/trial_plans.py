"""Values that the plan of a trial may have."""

import math
from typing import Any

from deployments.models import Trial
from mlportal.lib import names
from mlportal.lib.errors import Invalid

Metric = Trial.Metric
MOST_DAYS, MOST_UNITS = 365, 1_000_000_000
LEAST_UNITS = 200
MIN_HYPOTHESIS = 10
# No mean over units, so no interval of theirs holds at every look.
RANKED = ("auc", "roc_auc", "f1", "average_precision")
DEFAULTS = {"alpha": 0.05, "share": 0.5, "minimum_days": 7, "minimum_units": 2_000, "positive": ""}


def checked(wanted: dict[str, Any], *, task: str) -> dict[str, Any]:
    """Return a whole plan.

    Parameters
    ----------
    wanted
        ``name``, ``hypothesis``, ``metric``, ``minimum_effect``; and where the usual does not fit ``positive``,
        ``alpha``, ``share``, ``minimum_days``, ``minimum_units``.
    task
        Of the version.

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
        **_metric(given, task), "minimum_effect": _number(given, "minimum_effect", 0.0, 1e9),
        "alpha": _number(given, "alpha", 0.0, 0.2), "share": _number(given, "share", 0.0, 0.99),
        "minimum_days": _whole(given, "minimum_days", 1, MOST_DAYS),
        "minimum_units": _whole(given, "minimum_units", LEAST_UNITS, MOST_UNITS),
    }  # fmt: skip


def _metric(given: dict[str, Any], task: str) -> dict[str, str]:
    metric = given.get("metric")
    allowed = [Metric.ERROR if task == "regression" else Metric.CORRECT, Metric.CONVERSION, Metric.LATENCY]
    if metric not in allowed:
        words = f"metric must be one of {', '.join(allowed)}."
        if metric in RANKED:
            words += f" {metric} is no mean over units: compare it once, at the end, on the monitors of the variants."
        raise Invalid(words, field="metric", limit=allowed, got=str(metric)[:50])
    positive = names.clean_text(given["positive"], field="positive", limit=200)
    if (metric == Metric.CONVERSION) != bool(positive):
        raise Invalid("positive, the ground truth that counts, belongs to conversion and to nothing else.",
                      field="positive", got=positive[:50])  # fmt: skip
    return {"metric": str(metric), "positive": positive}


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
