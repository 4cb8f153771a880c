"""Versions of models: the endpoints below ``model-versions/``."""

from __future__ import annotations

from deployments.mlflow import shapes
from deployments.models import ModelVersion
from deployments.services import sources, versions
from experiments.mlflow.door import Answer, Call, endpoint
from projects.permissions import Permission

P = Permission


@endpoint(ModelVersion, P.MODEL_REGISTER)
def create(call: Call) -> Answer:
    """Make the next version of a model from a source."""
    fields = call.fields
    tags = fields.pairs("tags")
    claim = sources.Claim(
        source=fields.needed("source"), run_id=fields.text("run_id", limit=256),
        model_id=fields.text("model_id", limit=256),
        is_prompt=tags.get(sources.PROMPT_TAG, "").lower() == "true",
    )  # fmt: skip
    model = shapes.find_model(call)
    made = versions.create(
        call.actor, model=model, source=sources.resolve(call.project, claim), tags=tags,
        description=fields.text("description"), run_link=fields.text("run_link"),
    )  # fmt: skip
    return {"model_version": shapes.version(made)}


@endpoint(ModelVersion, P.MODEL_VIEW)
def get(call: Call) -> Answer:
    """Show a version."""
    return {"model_version": shapes.version(shapes.find_version(call))}


@endpoint(ModelVersion, P.MODEL_REGISTER)
def update(call: Call) -> Answer:
    """Change the text about a version."""
    found = shapes.find_version(call)
    text = call.fields.text("description")
    return {"model_version": shapes.version(versions.describe(call.actor, version=found, description=text))}


@endpoint(ModelVersion, P.MODEL_REGISTER)
def delete(call: Call) -> Answer:
    """Delete a version; its number is not used again."""
    versions.delete(call.actor, version=shapes.find_version(call))
    return {}


@endpoint(ModelVersion, P.MODEL_VIEW)
def download_uri(call: Call) -> Answer:
    """Say where the files of a version are fetched."""
    found = shapes.find_version(call)
    return {"artifact_uri": found.location or found.source}


@endpoint(ModelVersion, P.MODEL_REGISTER)
def set_tag(call: Call) -> Answer:
    """Set a tag of a version."""
    fields = call.fields
    versions.set_tag(
        call.actor, version=shapes.find_version(call), key=fields.needed("key"), value=fields.text("value")
    )  # fmt: skip
    return {}


@endpoint(ModelVersion, P.MODEL_REGISTER)
def delete_tag(call: Call) -> Answer:
    """Take a tag off a version; one that is not there is fine."""
    versions.remove_tag(call.actor, version=shapes.find_version(call), key=call.fields.needed("key"))
    return {}
