"""Addresses of the tracking protocol, without a trailing slash, as the client writes them."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from experiments.mlflow import (
    experiments,
    inputs,
    logged_models,
    metrics,
    model_search,
    recording,
    runs,
    server,
    workspaces,
)
from experiments.mlflow import files as proxy
from experiments.mlflow.door import door, unknown
from experiments.mlflow.search import experiments as search_experiments
from experiments.mlflow.search import runs as search_runs

tracking: list[URLPattern | URLResolver] = [
    path("artifacts/list", door(GET=proxy.of_run)),
    path("logged-models", door(POST=logged_models.create)),
    path("logged-models/search", door(POST=model_search.search)),
    path(
        "logged-models/<str:model>",
        door(GET=logged_models.get, PATCH=logged_models.finalize, DELETE=logged_models.delete),
    ),
    path("logged-models/<str:model>/params", door(POST=logged_models.log_params)),
    path("logged-models/<str:model>/tags", door(PATCH=logged_models.set_tags)),
    path("logged-models/<str:model>/tags/<path:key>", door(DELETE=logged_models.delete_tag)),
    path("logged-models/<str:model>/artifacts/directories", door(GET=logged_models.list_files)),
    path("runs/outputs", door(POST=logged_models.outputs)),
    path("runs/log-batch", door(POST=recording.log_batch)),
    path("runs/log-metric", door(POST=recording.log_metric)),
    path("runs/log-parameter", door(POST=recording.log_parameter)),
    path("runs/set-tag", door(POST=recording.set_tag)),
    path("runs/delete-tag", door(POST=recording.delete_tag)),
    path("experiments/create", door(POST=experiments.create)),
    path("experiments/get", door(GET=experiments.get)),
    path("experiments/get-by-name", door(GET=experiments.get_by_name)),
    path("experiments/search", door(POST=search_experiments.search, GET=search_experiments.search)),
    path("experiments/update", door(POST=experiments.update)),
    path("experiments/delete", door(POST=experiments.delete)),
    path("experiments/restore", door(POST=experiments.restore)),
    path("experiments/set-experiment-tag", door(POST=experiments.set_tag)),
    path("experiments/delete-experiment-tag", door(POST=experiments.delete_tag)),
    path("runs/create", door(POST=runs.create)),
    path("runs/get", door(GET=runs.get)),
    path("runs/update", door(POST=runs.update)),
    path("runs/delete", door(POST=runs.delete)),
    path("runs/restore", door(POST=runs.restore)),
    path("metrics/get-history", door(GET=metrics.get_history)),
    path("metrics/get-history-bulk-interval", door(GET=metrics.sample_histories)),
    path("runs/search", door(POST=search_runs.search)),
    path("runs/log-inputs", door(POST=inputs.log_inputs)),
    path("runs/log-model", door(POST=inputs.log_model)),
]
files: list[URLPattern | URLResolver] = [
    path("artifacts", door(GET=proxy.listing)),
    path("artifacts/<path:file>", door(GET=proxy.download, PUT=proxy.upload, DELETE=proxy.remove)),
    path("mpu/create/<path:file>", door(POST=proxy.in_parts)),
    path("mpu/complete/<path:file>", door(POST=proxy.in_parts)),
    path("mpu/abort/<path:file>", door(POST=proxy.in_parts)),
    path("presigned/<path:file>", door(GET=proxy.in_parts)),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("health", server.health),
    path("version", server.version),
    path("api/3.0/mlflow/server-info", server.info),
    path("api/3.0/mlflow/workspaces", door(GET=workspaces.listed)),
    path("api/3.0/mlflow/workspaces/<slug:name>", door(GET=workspaces.get)),
    path("api/2.0/mlflow/", include(tracking)),
    path("api/2.0/mlflow-artifacts/", include(files)),
]
# After all other addresses of the door.
nothing_else: list[URLPattern | URLResolver] = [
    path("api/2.0/<path:rest>", unknown),
    path("api/3.0/<path:rest>", unknown),
]
