"""Pages of the monitoring app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from monitoring.views import predictions

app_name = "monitoring"
urlpatterns: list[URLPattern | URLResolver] = [
    path("monitoring/predictions/", predictions.Predictions.as_view(), name="predictions"),
    path("monitoring/predictions/<uuid:prediction>/", predictions.PredictionDetail.as_view(), name="prediction-detail"),
]
