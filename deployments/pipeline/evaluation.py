"""What a worker does for a promotion: evaluate the candidate, describe its reference, then have it judged."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction

from deployments import gates
from deployments.models import Evaluation, ModelVersion, PromotionRequest
from deployments.pipeline import held_out, retrained, seen
from deployments.services import conversions, explanations, promotions
from mlportal.lib import blobs, lease
from mlportal.lib.errors import DomainError, Unprocessable
from mlportal.lib.lease import Claim, WorkState
from monitoring import drift
from projects.actor import Actor
from projects.models import Project

# Workers that only sweep stay small: pandas and the engine are loaded by those that evaluate.
if TYPE_CHECKING:
    import pandas as pd

    from deployments.proof.evaluation import Asked

SEED = 20_261_121


class LeaseLost(Exception):
    """The work was given to another worker or cancelled; nothing more may be written."""


@dataclass(frozen=True)
class Measured:
    """What one evaluation found: the result to store, and the drift grids of the held-out rows."""

    result: dict[str, Any]
    grids: dict[str, Any]


def evaluate_request(evaluation_id: int, *, worker: str) -> bool:
    """Evaluate one request. Returns whether this call did the work."""
    held = lease.claim(Evaluation.objects.all(), evaluation_id, worker=worker)
    if held is None:
        return False
    try:
        measured = _measure(held)
    except LeaseLost:
        return False
    except DomainError as error:
        return _end(held, WorkState.FAILED, failure=error.message)
    except (ValueError, TypeError, KeyError, OSError, MemoryError, ArithmeticError) as error:
        return _end(held, WorkState.FAILED, failure=f"{type(error).__name__}: {error}")
    return _end(held, WorkState.SUCCEEDED, measured=measured)


def sweep_evaluations() -> int:
    """Give lost evaluations to another worker, or judge without them after the last attempt."""
    moved = lease.sweep(Evaluation.objects.all(), on_end=_settle_lost, on_requeue=lambda row: None)
    return moved + lease.republish(Evaluation.objects.all(), task="deployments.evaluate_request")


def portal(project: Project) -> Actor:
    """Return the worker as an actor: it judges and seals, and holds no right of a person."""
    return Actor.system("evaluation", project=project)


def _settle_lost(row: Evaluation) -> None:
    promotions.complete_evaluation(row.pk, actor=portal(row.request.project))


def _end(held: Claim, state: str, *, failure: str = "", measured: Measured | None = None) -> bool:
    """Write the result and have it judged in one transaction, if this attempt still owns the row."""
    with transaction.atomic():
        row = Evaluation.objects.select_related("request__project", "request__version").get(pk=held.pk)
        changes: dict[str, Any] = {}
        if measured is not None:
            changes = {"result": measured.result, "inputs_sha256": gates.inputs_sha256(row.request)}
            _keep_grids(row.request.version, measured.grids)
        if not lease.finish(Evaluation.objects.all(), held, state=state, failure=failure, **changes):
            transaction.set_rollback(True)
            return False
        promotions.complete_evaluation(held.pk, actor=portal(row.request.project))
        if measured is not None:
            explanations.queued(row.request.version, asked_by=portal(row.request.project))
            conversions.queued(row.request.version, asked_by=portal(row.request.project))
    return True


def _keep_grids(version: ModelVersion, grids: dict[str, Any]) -> None:
    if version.reference_grids is None:
        ModelVersion.objects.filter(pk=version.pk, reference_grids__isnull=True).update(reference_grids=grids)


def _measure(held: Claim) -> Measured:
    request = PromotionRequest.objects.select_related(
        "version__run", "version__model", "version__dataset_version__dataset", "baseline__run", "baseline__model",
        "project", "policy",
    ).get(evaluation=held.pk)  # fmt: skip
    beat = _beat(held)
    if unfit := gates.cargo(request.version):
        raise Unprocessable(unfit, code="not_servable")
    beat("Load the models", 0.02)
    candidate = _model(request.version)
    if request.version.is_of_client:
        _describe(request.version, candidate)
    frame = held_out.reference(request.version)
    production = _model(request.baseline) if request.baseline else None
    beat("Leave out what production was trained on", 0.05)
    fair = seen.leave_out(frame, request.version, request.baseline)
    beat("Compare on the held-out rows", 0.1)
    from deployments.proof import evaluation as engine

    found = engine.evaluate(
        fair.frame,
        candidate,
        None if fair.note else production,
        _asked(request),
        on_phase=lambda phase, share: beat(phase, 0.1 + 0.75 * share),
    )
    beat("Compare on what production was approved on, and on the newest labels", 0.87)
    again = retrained.measure(request, candidate, production, _asked(request))
    beat("Describe the reference", 0.9)
    size = {
        "candidate_bytes": _model_bytes(request.version),
        "baseline_bytes": _model_bytes(request.baseline) if request.baseline else None,
    }
    marked = _marked(request.version, "personal", "sensitive")
    result = _told({**found.plain(), "size": size, "seen": fair.plain(), "marked": marked, **again}, fair)
    return Measured(finite(result), _grids(request.version, frame))


def _told(result: dict[str, Any], fair: seen.Seen) -> dict[str, Any]:
    """Say in the evidence what the rows are worth; without fair ones there is no comparison."""
    if fair.note:
        parts = [row for row in result["missing"] if row["part"] != "comparison"]
        return {**result, "note": fair.note, "missing": [{"part": "comparison", "why": fair.note}, *parts]}
    if fair.why:
        return {**result, "missing": [{"part": seen.PART, "why": fair.why}, *result["missing"]]}
    return result


def _asked(request: PromotionRequest) -> "Asked":
    from deployments.proof.evaluation import Asked

    version = request.version
    return Asked(
        task=version.task,
        metrics=gates.metric_keys(version),
        columns=columns(version),
        production_columns=columns(request.baseline) if request.baseline else [],
        sensitive=_marked(version, "personal", "sensitive"),
        secret=_marked(version, "secret"),
        segments=_named_segments(request),
        seed=SEED,
    )


def _marked(version: ModelVersion, *kinds: str) -> list[str]:
    """List the columns of the dataset that carry one of these marks."""
    dataset = version.dataset_version.dataset if version.dataset_version else None
    return sorted(name for name, mark in dataset.marks.items() if mark in kinds) if dataset else []


def _named_segments(request: PromotionRequest) -> list[str]:
    """List the columns that gates of the policy name, whatever their kind."""
    return sorted({str(gate["column"]) for gate in request.policy.gates if gate.get("column")})


def _model_bytes(version: ModelVersion) -> int | None:
    path = gates.model_file(version)
    return next((int(row["size_bytes"]) for row in version.manifest if row["path"] == path), None)


def _beat(held: Claim) -> Callable[[str, float], None]:
    def beat(phase: str, progress: float) -> None:
        if not lease.heartbeat(Evaluation.objects.all(), held, phase=phase, progress=progress):
            raise LeaseLost

    return beat


def _model(version: ModelVersion) -> Any:
    digest = version.file(gates.model_file(version) or gates.MODEL_FILE)
    if digest is None:
        raise Unprocessable(f"{version} has no {gates.MODEL_FILE}.", code="no_model")
    from mlportal.lib import modelfile

    blobs.verify(digest)
    return modelfile.load(blobs.local_path(digest))


def _describe(version: ModelVersion, model: Any) -> None:
    """Write down what a client's model is, which only a look into it tells: its task and its classes.

    Nobody decided anything on the version before: this is part of its first evaluation.
    """
    classes = getattr(model, "classes_", None)
    task = "regression" if classes is None else "classification"
    kind = (version.signature.get("outputs") or [{"kind": "numeric"}])[0]["kind"]
    outputs: list[dict[str, Any]] = [{"name": "prediction", "kind": kind}]
    if classes is not None and hasattr(model, "predict_proba"):
        outputs.append({"name": "probability", "classes": classes.tolist()})
    version.task, version.signature = task, {**version.signature, "task": task, "outputs": outputs}
    version.save(update_fields=["task", "signature"])


def columns(version: ModelVersion) -> list[str]:
    """List the input columns of a version."""
    return [str(row["name"]) for row in version.signature["inputs"]]


def _grids(version: ModelVersion, frame: "pd.DataFrame") -> dict[str, Any]:
    kinds = {str(row["name"]): str(row.get("kind", "")) for row in version.signature["inputs"]}
    kinds["__prediction__"] = "categorical" if version.task == "classification" else "numeric"
    kinds["__score__"] = "numeric"
    importance = {
        str(row["feature"]): max(float(row.get("mean") or 0.0), 0.0)
        for row in version.importance
        if isinstance(row, dict) and "feature" in row
    }
    return finite(json.loads(json.dumps(drift.reference(frame, kinds, importance), default=float)))


def finite(value: Any) -> Any:
    """Replace numbers that JSON does not know by None."""
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
