"""Registered models: the endpoints below ``registered-models/``."""

from __future__ import annotations

from deployments.mlflow import shapes
from deployments.models import RegisteredModel
from deployments.services import registered, versions
from experiments.mlflow.door import Answer, Call, endpoint
from projects.permissions import Permission

P = Permission


@endpoint(RegisteredModel, P.MODEL_REGISTER)
def create(call: Call) -> Answer:
    """Make a model."""
    fields = call.fields
    made = registered.create(
        call.actor, project=call.project, name=fields.needed("name"), description=fields.text("description"),
        tags=fields.pairs("tags"),
    )  # fmt: skip
    return {"registered_model": shapes.model(made)}


@endpoint(RegisteredModel, P.MODEL_VIEW)
def get(call: Call) -> Answer:
    """Show a model."""
    return {"registered_model": shapes.model(shapes.find_model(call))}


@endpoint(RegisteredModel, P.MODEL_REGISTER)
def update(call: Call) -> Answer:
    """Change the text about a model."""
    found = shapes.find_model(call)
    text = call.fields.text("description")
    return {"registered_model": shapes.model(registered.describe(call.actor, model=found, description=text))}


@endpoint(RegisteredModel, P.MODEL_REGISTER)
def rename(call: Call) -> Answer:
    """Give a model another name."""
    name = call.fields.needed("new_name")
    return {"registered_model": shapes.model(registered.rename(call.actor, model=shapes.find_model(call), name=name))}


@endpoint(RegisteredModel, P.MODEL_REGISTER)
def delete(call: Call) -> Answer:
    """Delete a model with its versions."""
    registered.delete(call.actor, model=shapes.find_model(call))
    return {}


@endpoint(RegisteredModel, P.MODEL_REGISTER)
def set_tag(call: Call) -> Answer:
    """Set a tag of a model."""
    fields = call.fields
    registered.set_tag(
        call.actor, model=shapes.find_model(call), key=fields.needed("key"), value=fields.text("value")
    )  # fmt: skip
    return {}


@endpoint(RegisteredModel, P.MODEL_REGISTER)
def delete_tag(call: Call) -> Answer:
    """Take a tag off a model; one that is not there is fine."""
    registered.remove_tag(call.actor, model=shapes.find_model(call), key=call.fields.needed("key"))
    return {}


@endpoint(RegisteredModel, P.MODEL_VIEW)
def latest_versions(call: Call) -> Answer:
    """List the newest version of each stage asked for, by default of all."""
    wanted = {versions.clean_stage(stage) for stage in call.fields.texts("stages", limit=100)}
    rows = shapes.latest([shapes.find_model(call).pk])
    shown = shapes.versions([row for row in rows if not wanted or row.stage in wanted])
    return {"model_versions": shown} if shown else {}
