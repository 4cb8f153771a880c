"""What the evaluation of an approved request promised of a version."""

from typing import Any

from deployments import gates
from deployments.models import EndpointRevision, ModelVersion, PromotionRequest
from monitoring.drift.measures import PERFORMANCE

USUAL = {"classification": ("roc_auc", "accuracy"), "regression": ("mae", "rmse")}


def metric_of(version: ModelVersion) -> str:
    """Return the metric a version is judged by that labelled predictions can tell as well; empty without one."""
    first = gates.primary(version)
    return first if first in PERFORMANCE else next(iter(USUAL.get(version.task, ())), "")


def figures_of(request: PromotionRequest | None, metric: str) -> dict[str, Any]:
    """Return the candidate's value of a metric with its interval and rows, as the approver saw it; empty without."""
    work = getattr(request, "evaluation", None)
    result = (work.result if work else None) or {}
    row = next((one for one in result.get("metrics", []) if one["metric"] == metric), None)
    if row is None or row.get("candidate") is None:
        return {}
    return {
        "metric": metric, "value": row["candidate"], "low": row.get("candidate_low"), "high": row.get("candidate_high"),
        "rows": result.get("rows"), "promotion": request.pk if request else None,
    }  # fmt: skip


def of_version(version: ModelVersion, metric: str) -> dict[str, Any]:
    """Return what the newest approval that put a version live promised."""
    rows = EndpointRevision.objects.filter(version=version, promotion__isnull=False).order_by("-pk")
    revision = rows.select_related("promotion__evaluation").first()
    return figures_of(revision.promotion, metric) if revision else {}
