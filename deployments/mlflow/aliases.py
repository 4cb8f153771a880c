"""Aliases of models: the endpoints of ``registered-models/alias``."""

from __future__ import annotations

from deployments.mlflow import shapes
from deployments.models import RegisteredModel
from deployments.services import aliases
from experiments.mlflow.door import Answer, Call, endpoint
from mlportal.lib.errors import Missing
from projects.permissions import Permission

P = Permission


@endpoint(RegisteredModel, P.MODEL_REGISTER)
def point(call: Call) -> Answer:
    """Point an alias at a version."""
    aliases.point(call.actor, name=call.fields.needed("alias"), version=shapes.find_version(call))
    return {}


@endpoint(RegisteredModel, P.MODEL_VIEW)
def get(call: Call) -> Answer:
    """Show the version an alias points at."""
    found = aliases.find(shapes.find_model(call), call.fields.needed("alias"))
    return {"model_version": shapes.version(found)}


@endpoint(RegisteredModel, P.MODEL_REGISTER)
def end(call: Call) -> Answer:
    """End an alias; one that is not there is fine."""
    model, name = shapes.find_model(call), call.fields.needed("alias")
    try:
        aliases.end(call.actor, model=model, name=name)
    except Missing:
        return {}
    return {}
