"""REST routes for predictions of models that are served elsewhere."""

import io
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib.api import StrictJSONParser
from mlportal.lib.errors import Invalid
from monitoring.models import Monitor, PredictionUpload
from monitoring.services import elsewhere
from projects.access import ScopedAPIView
from projects.permissions import Permission

PARQUET = "application/vnd.apache.parquet"


class StreamParser(BaseParser):
    """Leaves the body where it is, so that it is stored while it arrives."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the stream."""
        return stream


class ParquetParser(StreamParser):
    """The same for Parquet."""

    media_type = PARQUET


class UploadOut(serializers.ModelSerializer):
    """A file of predictions and how far it is."""

    class Meta:
        model = PredictionUpload
        fields = ("id", "format", "state", "rows", "failure", "created_at")


class Uploads(ScopedAPIView):
    """Predictions for a monitor of a model that is served elsewhere."""

    reads = Monitor
    permissions = {"GET": Permission.MONITOR_VIEW, "POST": Permission.MONITOR_EDIT}
    parser_classes: ClassVar = [StrictJSONParser, StreamParser, ParquetParser]

    @extend_schema(operation_id="monitor_predictions_list", responses=UploadOut(many=True))
    def get(self, request: Request, number: int) -> Response:
        """List what was sent, newest first."""
        monitor = self.find(self.rows().in_project(self.project).defer("reference"), pk=number)
        return self.page(PredictionUpload.objects.filter(monitor=monitor), UploadOut)

    @extend_schema(
        operation_id="monitor_predictions_send",
        request={
            "application/json": OpenApiTypes.OBJECT,
            "text/csv": OpenApiTypes.BINARY,
            PARQUET: OpenApiTypes.BINARY,
        },
        responses={202: UploadOut},
    )
    def post(self, request: Request, number: int) -> Response:
        """Send predictions as {"items": [...]}, CSV or Parquet; the same content again counts once."""
        monitor = self.find(self.rows().in_project(self.project).select_related("project"), pk=number)
        body: Any = request.data
        kind = (request.content_type or "").partition(";")[0]
        if kind == "application/json":
            if not isinstance(body, dict) or set(body) != {"items"}:
                raise Invalid('Send an object such as {"items": [{"prediction": "yes"}]}.', field="items")
            file, form = io.BytesIO(elsewhere.lines(body["items"])), "jsonl"
        else:
            file, form = body, "parquet" if kind == PARQUET else "csv"
        made = elsewhere.take(self.actor, monitor=monitor, file=file, format=form)
        return Response(UploadOut(made).data, status=202)
