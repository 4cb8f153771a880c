"""The route table: includes only."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from mlportal.lib.public import public

handler404 = "mlportal.views.not_found"

api = [
    path("schema/", public(SpectacularAPIView.as_view()), name="api-schema"),
    path("docs/", public(SpectacularSwaggerSplitView.as_view(url_name="api-schema")), name="api-docs"),
    path("", include("projects.api_urls")),
    path("projects/<slug:project>/", include("experiments.api_urls")),
    path("projects/<slug:project>/", include("deployments.api_urls")),
    path("projects/<slug:project>/", include("monitoring.api_urls")),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include(api)),
    path("", include("projects.urls")),
    path("p/<slug:project>/", include("experiments.urls")),
    path("p/<slug:project>/", include("deployments.urls")),
    path("p/<slug:project>/", include("monitoring.urls")),
]
