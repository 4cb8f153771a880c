"""REST routes of alert routing: the ordered list, and alerts that an Alertmanager sends."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring.api import shapes
from monitoring.models import Alert, AlertRoute
from monitoring.services import external, routes
from projects.access import ScopedAPIView
from projects.permissions import Permission


class AlertRoutes(ScopedAPIView):
    """Routes of a project."""

    reads = AlertRoute
    permissions = {"GET": Permission.MONITOR_VIEW, "POST": Permission.MONITOR_EDIT}

    @extend_schema(operation_id="alert_routes_list", responses=shapes.RouteOut(many=True))
    def get(self, request: Request) -> Response:
        """List routes, newest first; ``position`` is their order."""
        rows = self.rows().in_project(self.project).filter(removed_at=None).select_related("channel")
        return self.page(rows, shapes.RouteOut)

    @extend_schema(operation_id="alert_routes_create", request=shapes.RouteIn, responses={201: shapes.RouteOut})
    def post(self, request: Request) -> Response:
        """Add a route."""
        made = routes.create(self.actor, project=self.project, **shapes.body(request, shapes.RouteIn))
        return Response(shapes.RouteOut(made).data, status=status.HTTP_201_CREATED)


class AlertRouteDetail(ScopedAPIView):
    """One route."""

    reads = AlertRoute
    permissions = {"PATCH": Permission.MONITOR_EDIT, "DELETE": Permission.MONITOR_EDIT}

    @extend_schema(operation_id="alert_routes_update", request=shapes.RouteChange, responses=shapes.RouteOut)
    def patch(self, request: Request, route: int) -> Response:
        """Change a route."""
        given = shapes.body(request, shapes.RouteChange)
        return Response(shapes.RouteOut(routes.update(self.actor, route=self.held(route), **given)).data)

    @extend_schema(operation_id="alert_routes_remove", responses={204: None})
    def delete(self, request: Request, route: int) -> Response:
        """Take a route away."""
        routes.remove(self.actor, route=self.held(route))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def held(self, route: int) -> AlertRoute:
        """Return the route of the address."""
        rows = self.rows().in_project(self.project).filter(removed_at=None).select_related("project", "channel")
        found: AlertRoute = self.find(rows, pk=route)
        return found


class FromAlertmanager(ScopedAPIView):
    """What an Alertmanager's ``webhook_config`` calls."""

    reads = Alert
    permissions = {"POST": Permission.ALERT_HANDLE}
    idempotent = False  # Alertmanager sends no key; a repeated body changes nothing by itself

    @extend_schema(operation_id="alerts_receive", request=shapes.AlertmanagerIn, responses=shapes.ReceivedOut)
    def post(self, request: Request) -> Response:
        """Open or resolve an alert for each one that is told."""
        moved = external.receive(self.actor, project=self.project, body=request.data)
        body: Any = request.data
        told = {"received": len(body["alerts"]), "changed": [alert.pk for alert in moved]}
        return Response(shapes.ReceivedOut(told).data)
