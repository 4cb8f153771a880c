"""Have one logged prediction explained; a worker computes it and it is kept."""

import re
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from deployments import gates
from deployments.models import ModelVersion, PredictionExplanation
from mlportal.lib import lease, queue
from mlportal.lib.errors import Conflict
from mlportal.lib.lease import WorkState
from monitoring.models import Prediction
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

TASK = "deployments.explain_prediction"
_HASH = re.compile(r"[0-9a-f]{16}")


def found(by: Actor, *, prediction: Prediction) -> PredictionExplanation | None:
    """Return the explanation of a prediction as far as it is, None when nobody asked."""
    require(by, Permission.PREDICTION_VIEW, prediction.project)
    rows = PredictionExplanation.objects.select_related("version__model__project", "version__dataset_version__dataset")
    return rows.filter(prediction=prediction).first()


def ask(by: Actor, *, prediction: Prediction) -> PredictionExplanation:
    """Have a prediction explained; asked again it is the same explanation, and one that failed is tried once more.

    Raises
    ------
    Conflict
        When it was made by a model served elsewhere, or by a version without a safe format.
    """
    require(by, Permission.PREDICTION_VIEW, prediction.project)
    version = version_of(prediction)
    if version is None:
        raise Conflict("The model that answered is not in the portal, so no worker can ask it.", code="not_here")
    if unfit := gates.cargo(version):
        raise Conflict(unfit, code="not_servable", field="version")
    with transaction.atomic():
        made, fresh = PredictionExplanation.objects.get_or_create(
            prediction=prediction, defaults={"version": version, "asked_by": by.user}
        )
        if not fresh and made.state in lease.TERMINAL and made.state != WorkState.SUCCEEDED:
            rows = PredictionExplanation.objects.filter(pk=made.pk, state=made.state)
            fresh = bool(
                rows.update(
                    state=WorkState.QUEUED, attempt=0, failure="", phase="", progress=0.0, ended_at=None,
                    published_at=None, queued_at=Now(),
                )
            )  # fmt: skip
            made.refresh_from_db()
        if fresh:
            queue.enqueue(TASK, made.pk)
            data = {"prediction": str(prediction.pk), "endpoint": prediction.endpoint}
            events.record(by, "prediction.explanation_asked", project=prediction.project, target=version, data=data)
    return made


def version_of(prediction: Prediction) -> ModelVersion | None:
    """Return the version that answered, None for a model that is served elsewhere."""
    chunk = prediction.chunk
    if not chunk.source:
        return None
    rows = ModelVersion.objects.select_related("model__project")
    return rows.filter(model__project=prediction.project_id, model__name=chunk.model, number=chunk.version).first()


def hidden_values(features: dict[str, Any], columns: list[str]) -> str:
    """Say why the log cannot tell what the model was given, or return an empty text."""
    if lost := [name for name in columns if name not in features]:
        return f"The log keeps no features of it ({lost[0]} is not there), so nothing can be explained."
    if hashed := [name for name in columns if isinstance(features[name], str) and _HASH.fullmatch(features[name])]:
        return f"The log keeps only a hash of {hashed[0]}, so nothing can be explained."
    if all(features[name] is None for name in columns):
        return "The log kept a sample of the features, and this prediction was not in it."
    return ""
