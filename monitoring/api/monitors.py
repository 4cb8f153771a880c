"""REST routes of monitors, their windows and scores."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring.api import shapes
from monitoring.models import Monitor, Window
from monitoring.services import monitors
from projects.access import ScopedAPIView
from projects.permissions import Permission


class Monitors(ScopedAPIView):
    """Monitors of a project, of versions that answer now and of earlier ones."""

    reads = Monitor
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(operation_id="monitors_list", responses=shapes.MonitorOut(many=True))
    def get(self, request: Request) -> Response:
        """List monitors, newest first."""
        return self.page(self.rows().in_project(self.project).defer("reference"), shapes.MonitorOut)


class MonitorDetail(ScopedAPIView):
    """One monitor."""

    reads = Monitor
    permissions = {"GET": Permission.MONITOR_VIEW, "PATCH": Permission.MONITOR_EDIT}

    @extend_schema(operation_id="monitors_get", responses=shapes.MonitorOut)
    def get(self, request: Request, number: int) -> Response:
        """Read a monitor."""
        return Response(shapes.MonitorOut(self.monitor(number)).data)

    @extend_schema(operation_id="monitors_update", request=shapes.PaceIn, responses=shapes.MonitorOut)
    def patch(self, request: Request, number: int) -> Response:
        """Change how often and over how much it judges."""
        given = shapes.body(request, shapes.PaceIn)
        changed = monitors.update_pace(self.actor, monitor=self.monitor(number), **given)
        return Response(shapes.MonitorOut(changed).data)

    def monitor(self, number: int) -> Monitor:
        """Return the monitor of the address."""
        found: Monitor = self.find(self.rows().in_project(self.project).select_related("project"), pk=number)
        return found


class Windows(ScopedAPIView):
    """Judged windows of a monitor."""

    reads = Window
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(operation_id="windows_list", responses=shapes.WindowOut(many=True))
    def get(self, request: Request, number: int) -> Response:
        """List windows, newest first."""
        rows = self.rows().in_project(self.project).filter(monitor=number)
        return self.page(rows, shapes.WindowOut, ordering="-ends_at")


class WindowDetail(ScopedAPIView):
    """One window with the scores of its columns."""

    reads = Window
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(operation_id="windows_get", responses=shapes.WindowDetailOut)
    def get(self, request: Request, number: int, window: int) -> Response:
        """Read a window."""
        rows = self.rows().in_project(self.project).prefetch_related("scores")
        return Response(shapes.WindowDetailOut(self.find(rows, monitor=number, pk=window)).data)
