"""Addresses of the registry protocol, without a trailing slash, as the client writes them."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from deployments.mlflow import aliases, models, search, stages, versions, webhooks
from experiments.mlflow.door import door

registry: list[URLPattern | URLResolver] = [
    path("registered-models/create", door(POST=models.create)),
    path("registered-models/get", door(GET=models.get)),
    path("registered-models/update", door(PATCH=models.update)),
    path("registered-models/rename", door(POST=models.rename)),
    path("registered-models/delete", door(DELETE=models.delete)),
    path("registered-models/get-latest-versions", door(GET=models.latest_versions, POST=models.latest_versions)),
    path("registered-models/search", door(GET=search.models)),
    path("registered-models/set-tag", door(POST=models.set_tag)),
    path("registered-models/delete-tag", door(DELETE=models.delete_tag)),
    path("registered-models/alias", door(POST=aliases.point, GET=aliases.get, DELETE=aliases.end)),
    path("model-versions/create", door(POST=versions.create)),
    path("model-versions/get", door(GET=versions.get)),
    path("model-versions/update", door(PATCH=versions.update)),
    path("model-versions/delete", door(DELETE=versions.delete)),
    path("model-versions/search", door(GET=search.versions)),
    path("model-versions/get-download-uri", door(GET=versions.download_uri)),
    path("model-versions/set-tag", door(POST=versions.set_tag)),
    path("model-versions/delete-tag", door(DELETE=versions.delete_tag)),
    path("webhooks", door(POST=webhooks.create, GET=webhooks.listing)),
    path("webhooks/<str:webhook>", door(GET=webhooks.get, PATCH=webhooks.update, DELETE=webhooks.delete)),
    path("webhooks/<str:webhook>/test", door(POST=webhooks.test)),
    path("model-versions/transition-stage", door(POST=stages.transition)),
]
urlpatterns: list[URLPattern | URLResolver] = [path("api/2.0/mlflow/", include(registry))]
