"""REST routes of the monitoring app, below ``/api/v1/projects/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from monitoring.api import predictions

urlpatterns: list[URLPattern | URLResolver] = [
    path("predictions/", predictions.Predictions.as_view(), name="api-predictions"),
    path("predictions/<str:prediction>/", predictions.PredictionDetail.as_view(), name="api-prediction"),
    path("ground-truth/", predictions.GroundTruths.as_view(), name="api-ground-truth"),
]
