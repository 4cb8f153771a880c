"""REST routes of monitors, their windows and scores."""

from datetime import datetime, timedelta

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import moments
from mlportal.lib.errors import Invalid
from monitoring import history, shadows
from monitoring.api import shapes
from monitoring.models import Monitor, Window
from monitoring.services import elsewhere, marked, monitors
from projects.access import ScopedAPIView
from projects.permissions import Permission


class ElsewhereIn(serializers.Serializer):
    """A model that is served elsewhere."""

    endpoint = serializers.CharField(max_length=210)
    version = serializers.CharField(max_length=200)
    task = serializers.ChoiceField(choices=["classification", "regression"])
    classes = serializers.ListField(child=serializers.CharField(), required=False)


class Monitors(ScopedAPIView):
    """Monitors of a project, of versions that answer now and of earlier ones."""

    reads = Monitor
    permissions = {"GET": Permission.MONITOR_VIEW, "POST": Permission.MONITOR_EDIT}

    @extend_schema(operation_id="monitors_list", responses=shapes.MonitorOut(many=True))
    def get(self, request: Request) -> Response:
        """List monitors, newest first."""
        return self.page(self.rows().in_project(self.project).defer("reference"), shapes.MonitorOut)

    @extend_schema(operation_id="monitors_create", request=ElsewhereIn, responses={201: shapes.MonitorOut})
    def post(self, request: Request) -> Response:
        """Watch a model that is served elsewhere; asked again for the same version it is the same monitor."""
        given = shapes.body(request, ElsewhereIn)
        made = elsewhere.create(self.actor, project=self.project, **given)
        return Response(shapes.MonitorOut(made).data, status=201)


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


class WatchIn(serializers.Serializer):
    """What a monitor counts apart."""

    segment_columns = serializers.ListField(child=serializers.CharField(), required=False)
    sensitive_columns = serializers.ListField(child=serializers.CharField(), required=False)
    label_delay_seconds = serializers.IntegerField(required=False, min_value=0)


class MonitorWatch(ScopedAPIView):
    """Segments, groups and the label delay of a monitor."""

    reads = Monitor
    permissions = {"PATCH": Permission.MONITOR_EDIT}

    @extend_schema(operation_id="monitors_watch", request=WatchIn, responses=shapes.MonitorOut)
    def patch(self, request: Request, number: int) -> Response:
        """Choose which columns are counted apart and compared; what is stored follows."""
        given = shapes.body(request, WatchIn)
        monitor = self.find(self.rows().in_project(self.project).select_related("project"), pk=number)
        changed = monitors.update_watch(self.actor, monitor=monitor, **given)
        return Response(shapes.MonitorOut(changed).data)


class MeasureOut(serializers.Serializer):
    """One figure."""

    value = serializers.FloatField(allow_null=True)
    samples = serializers.IntegerField()
    detail = serializers.CharField()


_MEASURE = {
    "value": {"type": ["number", "null"]}, "samples": {"type": "integer"}, "detail": {"type": "string"},
}  # fmt: skip
MEASURES = {
    "type": "object",
    "description": "Figures by the name of the metric.",
    "additionalProperties": {"type": "object", "properties": _MEASURE, "required": [*_MEASURE]},
}


class Measures(ScopedAPIView):
    """Figures of a monitor between two moments."""

    reads = Monitor
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(
        operation_id="monitors_measures",
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="24 hours before the end when missing."),
            OpenApiParameter("to", OpenApiTypes.DATETIME, description="Now when missing."),
        ],
        responses={200: MEASURES},
    )
    def get(self, request: Request, number: int) -> Response:
        """Read performance, estimates, fairness, label coverage, quality and a shadow's figures by metric."""
        end = _moment(request, "to", timezone.now())
        start = _moment(request, "from", end - timedelta(days=1))
        if not start < end <= start + timedelta(days=90):
            raise Invalid("to comes after from, at most 90 days later.", field="to")
        monitor = self.find(self.rows().in_project(self.project), pk=number)
        found = history.measured(monitor, start, end) | shadows.measures(monitor, start, end)
        return Response({name: MeasureOut(held).data for name, held in found.items()})


def _moment(request: Request, name: str, usual: datetime) -> datetime:
    text = request.query_params.get(name)
    return usual if text is None else moments.read(text, field=name).start


class Windows(ScopedAPIView):
    """Judged windows of a monitor."""

    reads = Window
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(operation_id="windows_list", responses=shapes.WindowOut(many=True))
    def get(self, request: Request, number: int) -> Response:
        """List windows, newest first."""
        monitor = self.find(Monitor.objects.visible_to(self.actor).in_project(self.project), pk=number)
        rows = self.rows().in_project(self.project).filter(monitor=monitor)
        return self.page(rows, shapes.WindowOut, ordering="-ends_at")


class WindowDetail(ScopedAPIView):
    """One window with the scores of its columns."""

    reads = Window
    permissions = {"GET": Permission.MONITOR_VIEW}

    @extend_schema(operation_id="windows_get", responses=shapes.WindowDetailOut)
    def get(self, request: Request, number: int, window: int) -> Response:
        """Read a window."""
        rows = self.rows().in_project(self.project).prefetch_related("scores")
        found: Window = self.find(rows.select_related("monitor"), monitor=number, pk=window)
        hidden = marked.hidden_from(self.actor, monitor=found.monitor)
        return Response(shapes.WindowDetailOut(found, context={"hidden": hidden}).data)
