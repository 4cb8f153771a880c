"""Addresses of the tracking protocol, without a trailing slash, as the client writes them."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from experiments.mlflow import server
from experiments.mlflow.door import unknown

tracking: list[URLPattern | URLResolver] = []
files: list[URLPattern | URLResolver] = []
urlpatterns: list[URLPattern | URLResolver] = [
    path("health", server.health),
    path("version", server.version),
    path("api/3.0/mlflow/server-info", server.info),
    path("api/2.0/mlflow/", include(tracking)),
    path("api/2.0/mlflow-artifacts/", include(files)),
]
# After all other addresses of the door.
nothing_else: list[URLPattern | URLResolver] = [
    path("api/2.0/<path:rest>", unknown),
    path("api/3.0/<path:rest>", unknown),
]
