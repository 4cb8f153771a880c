"""REST routes of the monitoring app, below ``/api/v1/projects/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from monitoring.api import alerts, elsewhere, incidents, monitors, predictions, routes, rules

urlpatterns: list[URLPattern | URLResolver] = [
    path("monitors/", monitors.Monitors.as_view(), name="api-monitors"),
    path("monitors/<int:number>/", monitors.MonitorDetail.as_view(), name="api-monitor"),
    path("monitors/<int:number>/predictions/", elsewhere.Uploads.as_view(), name="api-monitor-predictions"),
    path("monitors/<int:number>/watch/", monitors.MonitorWatch.as_view(), name="api-monitor-watch"),
    path("monitors/<int:number>/measures/", monitors.Measures.as_view(), name="api-monitor-measures"),
    path("monitors/<int:number>/windows/", monitors.Windows.as_view(), name="api-windows"),
    path("monitors/<int:number>/windows/<int:window>/", monitors.WindowDetail.as_view(), name="api-window"),
    path("alert-rules/", rules.Rules.as_view(), name="api-alert-rules"),
    path("alert-rules/backtest/", incidents.RuleBacktest.as_view(), name="api-alert-rule-backtest"),
    path("incidents/", incidents.Incidents.as_view(), name="api-incidents"),
    path("incidents/<int:number>/", incidents.IncidentDetail.as_view(), name="api-incident"),
    path("incidents/<int:number>/close/", incidents.IncidentClose.as_view(), name="api-incident-close"),
    path("alert-rules/<int:number>/", rules.RuleDetail.as_view(), name="api-alert-rule"),
    path("alerts/", alerts.Alerts.as_view(), name="api-alerts"),
    path("alerts/<int:number>/", alerts.AlertDetail.as_view(), name="api-alert"),
    path("alerts/<int:number>/acknowledge/", alerts.Acknowledge.as_view(), name="api-alert-acknowledge"),
    path("alerts/<int:number>/unacknowledge/", alerts.Unacknowledge.as_view(), name="api-alert-unacknowledge"),
    path("alerts/<int:number>/silence/", alerts.SilenceIt.as_view(), name="api-alert-silence"),
    path("alerts/<int:number>/unsilence/", alerts.Unsilence.as_view(), name="api-alert-unsilence"),
    path("alerts/<int:number>/resolve/", alerts.Resolve.as_view(), name="api-alert-resolve"),
    path("alerts/<int:number>/assign/", alerts.Assign.as_view(), name="api-alert-assign"),
    path("alerts/<int:number>/comments/", alerts.Comments.as_view(), name="api-alert-comments"),
    path("alerts/<int:number>/judge/", alerts.Judge.as_view(), name="api-alert-judge"),
    path("alerts/times/", alerts.AlertTimes.as_view(), name="api-alert-times"),
    path("alerts/alertmanager/", routes.FromAlertmanager.as_view(), name="api-alertmanager"),
    path("alert-routes/", routes.AlertRoutes.as_view(), name="api-alert-routes"),
    path("alert-routes/<int:route>/", routes.AlertRouteDetail.as_view(), name="api-alert-route"),
    path("silences/<int:silence>/end/", alerts.SilenceEnd.as_view(), name="api-silence-end"),
    path("silences/", alerts.Silences.as_view(), name="api-silences"),
    path("predictions/", predictions.Predictions.as_view(), name="api-predictions"),
    path("predictions/<str:prediction>/", predictions.PredictionDetail.as_view(), name="api-prediction"),
    path("ground-truth/", predictions.GroundTruths.as_view(), name="api-ground-truth"),
]
