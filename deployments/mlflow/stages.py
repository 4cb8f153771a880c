"""Stages of versions: MLflow's labels. What answers in an environment is moved by promotions only."""

from __future__ import annotations

from deployments.mlflow import shapes
from deployments.models import ModelVersion
from deployments.services import versions
from experiments.mlflow.door import Answer, Call, endpoint
from projects.permissions import Permission


@endpoint(ModelVersion, Permission.MODEL_REGISTER)
def transition(call: Call) -> Answer:
    """Label a version with a stage, or say who decides on it."""
    fields = call.fields
    stage, archive = fields.needed("stage"), fields.flag("archive_existing_versions")
    labelled = versions.label(
        call.actor, version=shapes.find_version(call), stage=stage, archive_others=archive
    )  # fmt: skip
    return {"model_version": shapes.version(labelled)}
