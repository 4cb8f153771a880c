"""REST routes of the deployments app, below ``/api/v1/projects/<project>/``."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
