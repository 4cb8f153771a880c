"""The route table: includes only."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from mlportal import health, metrics
from mlportal.lib.public import public
from mlportal.views import ApiDocs

handler404 = "mlportal.views.not_found"

api = [
    path("schema/", public(SpectacularAPIView.as_view()), name="api-schema"),
    path("docs/", public(ApiDocs.as_view()), name="api-docs"),
    path("", include("projects.api_urls")),
    path("projects/<slug:project>/", include("experiments.api_urls")),
    path("projects/<slug:project>/", include("deployments.api_urls")),
    path("projects/<slug:project>/", include("monitoring.api_urls")),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", health.live, name="livez"),
    path("healthz", health.healthy, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("api/v1/", include(api)),
    path("", include("projects.urls")),
    path("p/<slug:project>/", include("experiments.urls")),
    path("p/<slug:project>/", include("deployments.urls")),
    path("p/<slug:project>/", include("monitoring.urls")),
]
