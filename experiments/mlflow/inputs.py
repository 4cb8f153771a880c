"""Endpoints that record what a run read, and which models clients before MLflow 3 logged."""

from __future__ import annotations

from typing import Any

import orjson

from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import Fields, required, wrong
from experiments.mlflow.lookup import active_run
from experiments.models import Run
from experiments.services import inputs
from experiments.services.inputs import Described
from mlportal.lib.errors import Invalid
from projects.permissions import Permission

DATASETS = 1000
_LIMITS = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}
_TAG_KEY, _TAG_VALUE = 255, 500
_OF_MODEL = ("artifact_path", "flavors", "utc_time_created", "run_id")


@endpoint(Run, Permission.RUN_LOG)
def log_inputs(call: Call) -> dict[str, Any]:
    """Record the datasets and models that a run read."""
    run = active_run(call, strict=True)
    datasets = [_described(item) for item in call.fields.items("datasets", limit=DATASETS)]
    models = [item.needed("model_id") for item in call.fields.items("models", limit=DATASETS)]
    inputs.record(call.actor, run=run, datasets=datasets, models=models)
    return {}


@endpoint(Run, Permission.RUN_LOG)
def log_model(call: Call) -> dict[str, Any]:
    """Remember a model that a client before MLflow 3 logged to a run."""
    run = active_run(call)
    model = _model(call.fields.needed("model_json"))
    entry = {name: model[name] for name in (*_OF_MODEL, "model_uuid") if name in model and name != "flavors"}
    inputs.remember_model(call.actor, run=run, entry={**entry, "flavors": _flavors(model["flavors"])})
    return {}


def _described(item: Fields) -> Described:
    dataset = item.inner("dataset")
    given = {name: dataset.text(name, limit=limit) for name, limit in _LIMITS.items()}
    for name in ("name", "digest"):
        dataset.needed(name)
    for name in ("source_type", "source"):
        if dataset.values.get(name) is None:
            raise required(dataset.named(name))
    return Described(source_type=dataset.text("source_type"), tags=_tags(item), **given)


def _tags(item: Fields) -> dict[str, str]:
    found = {}
    for tag in item.items("tags"):
        if tag.values.get("value") is None:
            raise required(tag.named("value"))
        found[tag.needed("key", limit=_TAG_KEY)] = tag.text("value", limit=_TAG_VALUE)
    return found


def _model(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Invalid(f"Malformed model info. \n {text[:200]} \n is not a valid JSON.", field="model_json") from None
    if not isinstance(found, dict):
        raise wrong("model_json", text, "it must be a JSON object")
    if lacking := sorted(set(_OF_MODEL) - found.keys()):
        raise Invalid(f"Model json is missing mandatory fields: {set(lacking)}", field="model_json")
    return found


def _flavors(flavors: object) -> dict[str, Any]:
    """Leave out what a flavor keeps in its ``config``, as MLflow does: it may be long."""
    if not isinstance(flavors, dict):
        raise wrong("model_json", flavors, "its flavors must be an object")
    return {
        name: {key: value for key, value in facts.items() if key != "config"} if isinstance(facts, dict) else facts
        for name, facts in flavors.items()
    }
