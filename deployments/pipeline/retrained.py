"""What the request of a retraining shows besides: both models on production's own held-out rows and on new labels."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deployments.models import ModelVersion, PromotionRequest, RetrainTrigger
from deployments.pipeline import held_out, seen
from deployments.runtime.signature import Signature, parse
from mlportal.lib.errors import DomainError
from monitoring.models import GroundTruth, PredictionChunk
from monitoring.services import chunks as files

if TYPE_CHECKING:
    import pandas as pd

    from deployments.proof.evaluation import Asked

TARGET = "__target__"
MOST_LABELS = 5_000
MOST_CHUNKS = 300
ROUNDS = 500
Json = dict[str, Any]


def measure(request: PromotionRequest, candidate: Any, production: Any | None, asked: "Asked") -> Json:
    """Return what to add to the evaluation's result: nothing for a request that no alert led to."""
    trigger = RetrainTrigger.objects.filter(run=request.version.run_id).first() if request.by_automation else None
    if trigger is None or request.baseline is None or production is None:
        return {"retraining": {"report": trigger.report}} if trigger else {}
    baseline = request.baseline
    asked = replace(asked, rounds=ROUNDS, segments=[], sensitive=[])

    def compared(read: Callable[[], "pd.DataFrame"]) -> Json:
        return _compared(read, request.version, baseline, (candidate, production, asked))

    return {
        "retraining": {
            "report": trigger.report,
            "holdout": compared(lambda: held_out.reference(baseline)),
            "newest": compared(lambda: newest_labelled(request, baseline)),
        }
    }


def _compared(
    read: Callable[[], "pd.DataFrame"], version: ModelVersion, baseline: ModelVersion, models: tuple[Any, Any, "Asked"]
) -> Json:
    """Compare on rows that neither model was trained on, or say why not."""
    from deployments.proof import evaluation as engine

    candidate, production, asked = models
    try:
        ours = seen.leave_out(read(), baseline, version)
        theirs = seen.leave_out(ours.frame, version, baseline)
        told = "; ".join(part for part in (ours.note, theirs.note, ours.why, theirs.why) if part)
        if ours.note or theirs.note or len(theirs.frame) < seen.LEAST_LEFT:
            few = f"{len(theirs.frame):,} rows are too few to compare on"
            return {"rows": 0, "metrics": [], "why": told or few}
        return engine.side_by_side(theirs.frame, candidate, production, asked) | {"why": told}
    except (DomainError, KeyError, ValueError, TypeError, OSError) as error:
        text = error.message if isinstance(error, DomainError) else str(error).partition("\n")[0][:200]
        return {"rows": 0, "metrics": [], "why": text}


def newest_labelled(request: PromotionRequest, baseline: ModelVersion) -> "pd.DataFrame":
    """Read the newest predictions at the endpoint whose label came, at most 5,000: their features and the truth."""
    import pandas as pd

    rows = GroundTruth.objects.filter(
        project=request.project_id, prediction__endpoint=request.endpoint_name,
        prediction__chunk__label=baseline.label,
    )  # fmt: skip
    found = rows.order_by("-prediction_id").values_list("prediction__chunk", "prediction__row", "label")
    by_chunk: dict[int, dict[int, str]] = {}
    for chunk, row, label in found[:MOST_LABELS]:
        if chunk in by_chunk or len(by_chunk) < MOST_CHUNKS:
            by_chunk.setdefault(chunk, {})[row] = label
    signature = parse(baseline.signature)
    chunks = PredictionChunk.objects.filter(pk__in=list(by_chunk)).order_by("-pk")
    parts = [_frame(chunk, by_chunk[chunk.pk], signature) for chunk in chunks]
    parts = [part for part in parts if part is not None]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({TARGET: []})


def _frame(chunk: PredictionChunk, labels: dict[int, str], signature: Signature) -> "pd.DataFrame | None":
    """Build the rows of one chunk; None when the log did not keep their features as they were."""
    names = [column.name for column in signature.columns]
    if not set(names) <= set(chunk.columns):
        return None
    from deployments.runtime import frames

    held = files.read(chunk)
    chosen = sorted(labels)
    columns = [[held[name][row] for row in chosen] for name in names]
    try:
        frame = frames.frame(columns, signature)
    except (TypeError, ValueError):
        return None  # hashed values are no numbers
    return frame.assign(**{TARGET: [_truth(labels[row], signature) for row in chosen]})


def _truth(label: str, signature: Signature) -> Any:
    if signature.task == "regression":
        return float(label)
    return label.strip().casefold() == "true" if label.strip().casefold() in ("true", "false") else label
