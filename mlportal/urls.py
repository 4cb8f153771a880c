"""The route table: includes only."""

from django.urls import URLPattern, URLResolver, include, path

from experiments.mlflow.urls import nothing_else
from mlportal import health, metrics
from mlportal.lib.public import public
from mlportal.views import (
    ApiDocs,
    ApiSchema,
    ClientLink,
    Example,
    Home,
    Inbox,
    Live,
    Ops,
    Overview,
    Search,
    ShellBadges,
)
from mlportal.views.handover import DelegationGive, DelegationRevoke, WaitingForMe
from mlportal.views.removals import (
    RemovalCallOff,
    RemovalCallsOff,
    RemovalList,
    RemovalPreview,
    RemovalRecord,
    RemovalRecords,
    Removals,
)

handler400 = "mlportal.views.bad_request"
handler403 = "mlportal.views.forbidden"
handler404 = "mlportal.views.not_found"
handler500 = "mlportal.views.server_error"

api = [
    path("schema/", public(ApiSchema.as_view()), name="api-schema"),
    path("inbox/", WaitingForMe.as_view(), name="api-inbox"),
    path("removals/", Removals.as_view(), name="api-removals"),
    path("removals/preview/", RemovalPreview.as_view(), name="api-removal-preview"),
    path("removals/<int:number>/call-off/", RemovalCallsOff.as_view(), name="api-removal-call-off"),
    path("removals/<int:number>/record/", RemovalRecords.as_view(), name="api-removal-record"),
    path("docs/", public(ApiDocs.as_view()), name="api-docs"),
    path("", include("projects.api_urls")),
    path("projects/<slug:project>/", include("experiments.api_urls")),
    path("projects/<slug:project>/", include("deployments.api_urls")),
    path("projects/<slug:project>/", include("monitoring.api_urls")),
]
# The MLflow client keeps a path prefix, so a tracking address can name the project.
mlflow = [
    path("", include("experiments.mlflow.urls")),
    path("", include("deployments.mlflow.urls")),
    path("", include(nothing_else)),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", health.live, name="livez"),
    path("healthz", health.healthy, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("api/v1/", include(api)),
    path("", include(mlflow)),
    path("p/<slug:project>/", include(mlflow)),
    path("", Home.as_view(), name="home"),
    path("example/", Example.as_view(), name="example"),
    path("ops/", Ops.as_view(), name="ops"),
    path("inbox/", Inbox.as_view(), name="inbox"),
    path("inbox/delegations/", DelegationGive.as_view(), name="delegation-give"),
    path("inbox/delegations/<int:number>/revoke/", DelegationRevoke.as_view(), name="delegation-revoke"),
    path("admin/removals/", RemovalList.as_view(), name="removal-list"),
    path("admin/removals/<int:number>/call-off/", RemovalCallOff.as_view(), name="removal-call-off"),
    path("admin/removals/<int:number>/record/", RemovalRecord.as_view(), name="removal-record"),
    path("search/", Search.as_view(), name="search"),
    path("from-client/<str:uuid>/", ClientLink.as_view(), name="client-link"),
    path("shell/", ShellBadges.as_view(), name="shell"),
    path("p/<slug:project>/", Overview.as_view(), name="overview"),
    path("p/<slug:project>/live/", Live.as_view(), name="live"),
    path("", include("projects.urls")),
    path("p/<slug:project>/", include("experiments.urls")),
    path("p/<slug:project>/", include("deployments.urls")),
    path("p/<slug:project>/", include("monitoring.urls")),
]
