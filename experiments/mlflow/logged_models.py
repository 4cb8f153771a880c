"""Endpoints of logged models, but for their search, and what a run made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from experiments.mlflow import experiments, places, runs, wire
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import Fields, required
from experiments.mlflow.files import listed
from experiments.mlflow.lookup import find_run
from experiments.models import (
    Lifecycle,
    LoggedModel,
    LoggedModelMetric,
    LoggedModelParam,
    LoggedModelTag,
    Run,
)
from experiments.services import logged_models
from mlportal.lib.errors import Missing
from projects.permissions import Permission

MODELS_A_CALL = 1000
# Points shown of one metric on one dataset, newest first: a training loop may log thousands.
POINTS = 100
STATUS = LoggedModel.Status
_WORDS = {
    STATUS.PENDING: "LOGGED_MODEL_PENDING",
    STATUS.READY: "LOGGED_MODEL_READY",
    STATUS.FAILED: "LOGGED_MODEL_UPLOAD_FAILED",
}
# Proto JSON also takes the number of an enum.
_FINAL = {
    "LOGGED_MODEL_READY": STATUS.READY, "2": STATUS.READY,
    "LOGGED_MODEL_UPLOAD_FAILED": STATUS.FAILED, "3": STATUS.FAILED,
}  # fmt: skip


@endpoint(LoggedModel, Permission.RUN_LOG)
def create(call: Call) -> dict[str, Any]:
    """Create a logged model; its files come through the proxy."""
    fields = call.fields
    experiment = experiments.find(call, fields.needed("experiment_id"))
    source = fields.text("source_run_id")
    made = logged_models.create(
        call.actor, experiment=experiment, name=fields.text("name") or runs.random_name(),
        model_type=fields.text("model_type", limit=500), source_run=find_run(call, source) if source else None,
        params=_pairs(fields, "params"), tags=dict(_pairs(fields, "tags")),
    )  # fmt: skip
    return _one(made)


@endpoint(LoggedModel, Permission.RUN_LOG)
def log_params(call: Call) -> dict[str, Any]:
    """Record parameters of a logged model; each is written once."""
    logged_models.add_params(call.actor, model=_active(call), params=_pairs(call.fields, "params"))
    return {}


@endpoint(LoggedModel, Permission.RUN_VIEW)
def get(call: Call) -> dict[str, Any]:
    """Read a logged model; a deleted one only when asked for."""
    found = places.find_model(call, call.words["model"])
    if found.lifecycle == Lifecycle.DELETED and not call.fields.flag("allow_deleted"):
        raise places.missing_model(found.uuid)
    return _one(found)


@endpoint(LoggedModel, Permission.RUN_LOG)
def finalize(call: Call) -> dict[str, Any]:
    """Say whether the files of a logged model arrived."""
    model = _active(call)
    status = call.fields.choice("status", _FINAL)
    if status is None:
        raise required("status")
    return _one(logged_models.finalize(call.actor, model=model, status=status))


@endpoint(LoggedModel, Permission.RUN_EDIT, raw=True)
def delete(call: Call) -> dict[str, Any]:
    """Hide a logged model."""
    logged_models.delete(call.actor, model=places.find_model(call, call.words["model"]))
    return {}


@endpoint(LoggedModel, Permission.RUN_LOG)
def set_tags(call: Call) -> dict[str, Any]:
    """Set tags of a logged model."""
    logged_models.set_tags(call.actor, model=_active(call), tags=dict(_pairs(call.fields, "tags")))
    return {}


@endpoint(LoggedModel, Permission.RUN_EDIT, raw=True)
def delete_tag(call: Call) -> dict[str, Any]:
    """Remove a tag of a logged model; its key may hold slashes."""
    model, key = _active(call), call.words["key"]
    if not logged_models.drop_tag(call.actor, model=model, key=key):
        raise Missing(f"No tag with key {key[:250]!r} found for model with ID {model.uuid!r}.", field="key")
    return {}


@endpoint(LoggedModel, Permission.RUN_VIEW)
def list_files(call: Call) -> dict[str, Any]:
    """List a folder of a logged model; paths are relative to the model."""
    model = _active(call)
    return listed(model, places.model_uri(model), call.fields.text("artifact_directory_path"))


@endpoint(Run, Permission.RUN_LOG)
def outputs(call: Call) -> dict[str, Any]:
    """Record which logged models a run made."""
    run = find_run(call)
    items = call.fields.items("models", limit=MODELS_A_CALL)
    if not items:
        raise required("models")
    steps = {item.needed("model_id"): item.whole("step", 0) or 0 for item in items}
    logged_models.add_outputs(call.actor, run=run, steps=steps)
    return {}


def written(models: Sequence[LoggedModel]) -> list[dict[str, Any]]:
    """Write logged models with their parameters, tags and metrics, by three queries for all of them.

    Their ``experiment`` and ``source_run`` must be loaded.
    """
    ids = [model.pk for model in models]
    params, tags = _by_model(LoggedModelParam, ids), _by_model(LoggedModelTag, ids)
    points = _points(ids)
    return [
        {
            "info": _info(model, tags.get(model.pk, [])),
            "data": wire.filled(
                {
                    "params": params.get(model.pk, []),
                    "metrics": [_point(model, point) for point in points.get(model.pk, [])],
                }
            ),
        }
        for model in models
    ]


def _one(model: LoggedModel) -> dict[str, Any]:
    return {"model": written([model])[0]}


def _active(call: Call) -> LoggedModel:
    found = places.find_model(call, call.words["model"])
    if found.lifecycle == Lifecycle.DELETED:
        raise places.missing_model(found.uuid)
    return found


def _pairs(fields: Fields, name: str) -> list[tuple[str, str]]:
    return [(item.needed("key"), item.text("value")) for item in fields.items(name)]


def _info(model: LoggedModel, tags: list[dict[str, str]]) -> dict[str, Any]:
    return wire.filled(
        {
            "model_id": model.uuid,
            "experiment_id": wire.wire_id(model.experiment),
            "name": model.name,
            "creation_timestamp_ms": model.created_ms,
            "last_updated_timestamp_ms": model.updated_ms,
            "artifact_uri": places.model_uri(model),
            "status": _WORDS[STATUS(model.status)],
            "model_type": model.model_type or None,
            "source_run_id": model.source_run.uuid if model.source_run else None,
            "tags": tags,
        }
    )


def _by_model(rows: type[LoggedModelParam | LoggedModelTag], ids: Sequence[int]) -> dict[int, list[dict[str, str]]]:
    found: dict[int, list[dict[str, str]]] = {}
    named = rows._default_manager.filter(logged_model__in=ids).order_by("pk")
    for model, key, value in named.values_list("logged_model", "key", "value"):
        found.setdefault(model, []).append({"key": key, "value": value})
    return found


def _points(ids: Sequence[int]) -> dict[int, list[LoggedModelMetric]]:
    """Return the newest points of each metric on each dataset, oldest first."""
    newest = Window(
        RowNumber(), partition_by=[F("logged_model"), F("key"), F("dataset_name"), F("dataset_digest")],
        order_by=[F("stamp_ms").desc(), F("step").desc(), F("pk").desc()],
    )  # fmt: skip
    rows = LoggedModelMetric.objects.filter(logged_model__in=ids).annotate(place=newest).filter(place__lte=POINTS)
    found: dict[int, list[LoggedModelMetric]] = {}
    for row in rows.select_related("run").only(
        "logged_model", "key", "value", "is_nan", "step", "stamp_ms", "dataset_name", "dataset_digest", "run__uuid"
    ):
        found.setdefault(row.logged_model_id, []).append(row)
    for points in found.values():
        points.sort(key=lambda point: (point.key, point.stamp_ms, point.step, point.pk))
    return found


def _point(model: LoggedModel, row: LoggedModelMetric) -> dict[str, Any]:
    return wire.filled(
        {
            "key": row.key,
            "value": "NaN" if row.is_nan else wire.number(row.value),
            "timestamp": row.stamp_ms,
            "step": row.step,
            "dataset_name": row.dataset_name or None,
            "dataset_digest": row.dataset_digest or None,
            "model_id": model.uuid,
            "run_id": row.run.uuid,
        }
    )
