"""REST routes of reports."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api.shapes import Strict, Text
from experiments.models import Report
from experiments.queries import blocks
from experiments.services import reports
from projects.access import ScopedAPIView
from projects.permissions import Permission


class ReportIn(Strict):
    """A report as it is sent."""

    title = Text()
    blocks = serializers.ListField(child=serializers.DictField(), default=list)


class ReportChange(Strict):
    """What may change of a live report."""

    title = Text(required=False)
    blocks = serializers.ListField(child=serializers.DictField(), required=False)


class ReportOut(serializers.Serializer):
    """A report in a list."""

    id = serializers.IntegerField(source="pk")
    title = serializers.CharField()
    created_by = serializers.CharField(source="created_by.username", default="")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    frozen_at = serializers.DateTimeField(allow_null=True)
    sha256 = serializers.CharField(source="frozen_digest", help_text="Of what was frozen; empty while it is live.")


class Reports(ScopedAPIView):
    """Reports of a project."""

    reads = Report
    permissions = {"GET": Permission.RUN_VIEW, "POST": Permission.RUN_EDIT}

    @extend_schema(operation_id="reports_list", responses=ReportOut(many=True))
    def get(self, request: Request) -> Response:
        """List reports, newest first."""
        rows = self.rows().in_project(self.project).select_related("created_by").defer("frozen", "blocks")
        return self.page(rows, ReportOut)

    @extend_schema(operation_id="reports_create", request=ReportIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """Begin a report."""
        given = _valid(ReportIn, request)
        made = reports.create(self.actor, project=self.project, title=given["title"], content=given["blocks"])
        return Response(_body(made), status=status.HTTP_201_CREATED)


class _OneReport(ScopedAPIView):
    abstract = True
    reads = Report

    def load(self, number: int) -> Report:
        """The report of the address, or 404."""
        rows = self.rows().in_project(self.project).select_related("project", "created_by")
        found: Report = self.find(rows, pk=number)
        return found


class ReportDetail(_OneReport):
    """One report."""

    permissions = {"GET": Permission.RUN_VIEW, "PATCH": Permission.RUN_EDIT, "DELETE": Permission.RUN_EDIT}

    @extend_schema(operation_id="reports_get", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, report: int) -> Response:
        """Read a report; ``values=1`` with what its blocks show now, or showed when it was frozen."""
        found = self.load(report)
        body = _body(found)
        if request.query_params.get("values") == "1":
            body["values"] = blocks.shown(self.actor, found)
        return Response(body)

    @extend_schema(operation_id="reports_update", request=ReportChange, responses=OpenApiTypes.OBJECT)
    def patch(self, request: Request, report: int) -> Response:
        """Put a title or all blocks in place of the old; a frozen report refuses."""
        given = _valid(ReportChange, request)
        changed = reports.change(
            self.actor, report=self.load(report), title=given.get("title"), content=given.get("blocks")
        )
        return Response(_body(changed))

    @extend_schema(operation_id="reports_delete", responses={204: None})
    def delete(self, request: Request, report: int) -> Response:
        """Remove a report for good."""
        reports.delete(self.actor, report=self.load(report))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ReportFreeze(_OneReport):
    """Freeze a report."""

    permissions = {"POST": Permission.RUN_EDIT}

    @extend_schema(operation_id="reports_freeze", request=None, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, report: int) -> Response:
        """Keep what it shows now, with sha256 and date."""
        return Response(_body(reports.freeze(self.actor, report=self.load(report))))


def _valid(shape: type[Strict], request: Request) -> dict[str, Any]:
    given = shape(data=request.data)
    given.is_valid(raise_exception=True)
    found: dict[str, Any] = given.validated_data
    return found


def _body(report: Report) -> dict[str, Any]:
    return {**ReportOut(report).data, "blocks": report.blocks}
