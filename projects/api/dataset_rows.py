"""REST routes of the rows of a dataset version: pages of them, and all of them as a file."""

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib.errors import Invalid
from projects.api.datasets import InProject, P, ready
from projects.models import DatasetVersion
from projects.services import grid
from projects.views.dataset_rows import attachment

MAX_ROWS = 1_000


class RowsSerializer(serializers.Serializer[dict[str, Any]]):
    """Some rows."""

    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.ListField())
    numbers = serializers.ListField(child=serializers.IntegerField(), help_text="Number of each row in the file.")
    offset = serializers.IntegerField()
    total = serializers.IntegerField(help_text="Rows that pass the filter.")
    masked = serializers.ListField(child=serializers.CharField(), help_text="Columns whose values are left out.")
    next_after = serializers.IntegerField(allow_null=True)


class RowsWantedSerializer(serializers.Serializer[dict[str, Any]]):
    """Which rows, in which order. ``column`` may be given several times."""

    q = serializers.CharField(default="", allow_blank=True, max_length=2_000, help_text="age>30 plan:basic|pro")
    sort = serializers.CharField(default="", allow_blank=True, max_length=201, help_text="A column; -column descends.")
    column = serializers.CharField(required=False, help_text="A column to show; repeat it for more.")


class RowsAskedSerializer(RowsWantedSerializer):
    """Which page of the rows."""

    offset = serializers.IntegerField(default=0, min_value=0, max_value=10**12)
    limit = serializers.IntegerField(default=50, min_value=1, max_value=MAX_ROWS)
    after = serializers.IntegerField(required=False, min_value=0, max_value=10**12, help_text="next_after of a page.")


class DatasetVersionRows(InProject):
    """Rows of a version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(
        operation_id="dataset_versions_preview",
        tags=["datasets"],
        responses=RowsSerializer,
        parameters=[RowsAskedSerializer],
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read some rows, sorted and filtered; long text is cut, and values of marked columns may be masked."""
        words = RowsAskedSerializer(data=request.query_params)
        words.is_valid(raise_exception=True)
        given = words.validated_data
        if given["offset"] and (given["q"] or given["sort"]):
            raise Invalid("offset counts rows of the file; with q or sort go on with after.", field="offset")
        version = ready(self.version(name, number))
        asked = _rows_asked(request, given)
        page = grid.rows(self.actor, version=version, asked=asked)
        more = len(page.numbers) == asked.limit
        return Response(
            {
                "columns": page.columns, "rows": page.rows, "numbers": page.numbers, "offset": asked.start,
                "total": page.total, "masked": sorted(page.masked), "next_after": page.numbers[-1] if more else None,
            }
        )  # fmt: skip


class DatasetVersionRowsExport(InProject):
    """Rows of a version as a file."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(
        operation_id="dataset_versions_rows_export",
        tags=["datasets"],
        responses={200: OpenApiTypes.BINARY},
        parameters=[RowsWantedSerializer, OpenApiParameter("format", str, enum=["csv", "parquet"])],
    )
    def get(self, request: Request, name: str, number: int) -> HttpResponseBase:
        """Download all rows that pass the filter, as CSV that is safe in a spreadsheet or as Parquet."""
        words = RowsWantedSerializer(data=request.query_params)
        words.is_valid(raise_exception=True)
        version = ready(self.version(name, number))
        form = request.query_params.get("format", "csv")
        asked = _rows_asked(request, words.validated_data)
        return attachment(version, grid.export(self.actor, version=version, asked=asked, form=form), form)


def _rows_asked(request: Request, given: dict[str, Any]) -> grid.Asked:
    return grid.Asked(
        q=given["q"],
        sort=given["sort"],
        columns=tuple(request.query_params.getlist("column")),
        limit=given.get("limit", 100),
        start=given.get("offset", 0),
        after=given.get("after"),
    )
