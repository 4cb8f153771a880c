"""REST routes of the deployments app, below ``/api/v1/projects/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from deployments.api import predict

urlpatterns: list[URLPattern | URLResolver] = [
    path("endpoints/<str:endpoint>/predict/", predict.Predict.as_view(), name="api-endpoint-predict"),
]
