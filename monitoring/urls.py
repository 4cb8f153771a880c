"""Pages of the monitoring app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from monitoring.views import elsewhere, labels, performance, predictions, routes
from monitoring.views.alerts import AlertAction, AlertDetail, AlertList
from monitoring.views.incidents import IncidentAction, IncidentDetail, IncidentList
from monitoring.views.overview import Overview
from monitoring.views.rules import MonitorPace, RuleCreate, RuleEdit, RuleList

app_name = "monitoring"
urlpatterns: list[URLPattern | URLResolver] = [
    path("monitoring/", Overview.as_view(), name="monitor-overview"),
    path("monitoring/performance/", performance.Performance.as_view(), name="monitor-performance"),
    path("monitoring/quality/", performance.Quality.as_view(), name="monitor-quality"),
    path("monitoring/fairness/", performance.Fairness.as_view(), name="monitor-fairness"),
    path("monitoring/window/", performance.AnyWindow.as_view(), name="monitor-window"),
    path("monitoring/new/", elsewhere.MonitorCreate.as_view(), name="monitor-create"),
    path("monitoring/monitors/<int:number>/predictions/", elsewhere.Upload.as_view(), name="monitor-upload"),
    path("monitoring/labels/", labels.Labels.as_view(), name="label-upload"),
    path("monitoring/monitors/<int:number>/watch/", labels.MonitorWatch.as_view(), name="monitor-watch"),
    path("monitoring/rules/", RuleList.as_view(), name="rule-list"),
    path("monitoring/rules/new/", RuleCreate.as_view(), name="rule-create"),
    path("monitoring/rules/<int:number>/", RuleEdit.as_view(), name="rule-edit"),
    path("monitoring/monitors/<int:number>/", MonitorPace.as_view(), name="monitor-pace"),
    path("monitoring/predictions/", predictions.Predictions.as_view(), name="predictions"),
    path("monitoring/predictions/export/", predictions.PredictionExport.as_view(), name="prediction-export"),
    path("monitoring/predictions/<uuid:prediction>/", predictions.PredictionDetail.as_view(), name="prediction-detail"),
    path("monitoring/routes/", routes.RouteList.as_view(), name="route-list"),
    path("monitoring/routes/new/", routes.RouteCreate.as_view(), name="route-create"),
    path("monitoring/routes/<int:number>/", routes.RouteEdit.as_view(), name="route-edit"),
    path("monitoring/silences/new/", routes.SilenceCreate.as_view(), name="silence-create"),
    path("monitoring/silences/<int:number>/end/", routes.SilenceEnd.as_view(), name="silence-end"),
    path("incidents/", IncidentList.as_view(), name="incident-list"),
    path("incidents/<int:number>/", IncidentDetail.as_view(), name="incident-detail"),
    path("incidents/<int:number>/<slug:action>/", IncidentAction.as_view(), name="incident-action"),
    path("alerts/", AlertList.as_view(), name="alert-list"),
    path("alerts/<int:number>/", AlertDetail.as_view(), name="alert-detail"),
    path("alerts/<int:number>/<slug:action>/", AlertAction.as_view(), name="alert-action"),
]
