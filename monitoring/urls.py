"""Pages of the monitoring app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from monitoring.views import predictions
from monitoring.views.alerts import AlertAction, AlertDetail, AlertList
from monitoring.views.overview import Overview
from monitoring.views.rules import MonitorPace, RuleCreate, RuleEdit, RuleList

app_name = "monitoring"
urlpatterns: list[URLPattern | URLResolver] = [
    path("monitoring/", Overview.as_view(), name="monitor-overview"),
    path("monitoring/rules/", RuleList.as_view(), name="rule-list"),
    path("monitoring/rules/new/", RuleCreate.as_view(), name="rule-create"),
    path("monitoring/rules/<int:number>/", RuleEdit.as_view(), name="rule-edit"),
    path("monitoring/monitors/<int:number>/", MonitorPace.as_view(), name="monitor-pace"),
    path("monitoring/predictions/", predictions.Predictions.as_view(), name="predictions"),
    path("monitoring/predictions/<uuid:prediction>/", predictions.PredictionDetail.as_view(), name="prediction-detail"),
    path("alerts/", AlertList.as_view(), name="alert-list"),
    path("alerts/<int:number>/", AlertDetail.as_view(), name="alert-detail"),
    path("alerts/<int:number>/<slug:action>/", AlertAction.as_view(), name="alert-action"),
]
