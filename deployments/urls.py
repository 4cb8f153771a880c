"""Pages of the deployments app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from deployments.views import tries

app_name = "deployments"
urlpatterns: list[URLPattern | URLResolver] = [
    path("endpoints/<str:endpoint>/try/", tries.EndpointTry.as_view(), name="endpoint-try"),
]
