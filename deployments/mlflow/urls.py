"""Addresses of the registry protocol, without a trailing slash, as the client writes them."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

registry: list[URLPattern | URLResolver] = []
urlpatterns: list[URLPattern | URLResolver] = [path("api/2.0/mlflow/", include(registry))]
