"""REST routes of exports: all runs of a filter as a file."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from experiments import queries
from experiments.api.runs import place_of
from experiments.metricstore import NEWEST_FIRST, FilterError
from experiments.models import Experiment
from experiments.queries import Place, exports, tokens
from experiments.services.exports import FORMS, begin
from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.permissions import Permission

AGG = "Which value of each metric: last (default), best, min, max or step:<number>."
_PARAMETERS = [
    OpenApiParameter("form", str, enum=list(FORMS), description="csv by default."),
    OpenApiParameter("q", str, description="A filter; all runs without one."),
    OpenApiParameter("sort", str),
    OpenApiParameter("agg", str, description=AGG),
    OpenApiParameter("deleted", bool, description="Export archived runs."),
    OpenApiParameter("count", bool, description="Only say how many runs these are."),
]
_FILE = {(200, "application/octet-stream"): OpenApiTypes.BINARY}


class _Export(ScopedAPIView):
    abstract = True
    reads = Experiment
    permissions = {"GET": Permission.RUN_VIEW}

    def answer(self, place: Place, asked: QueryDict) -> Any:
        """The file, or how many runs it would hold."""
        try:
            wanted = self._wanted(place, asked)
            if asked.get("count", "").lower() in ("1", "true"):
                return Response({"runs": exports.count(wanted)})
            form = asked.get("form", "csv")
            body = begin(self.actor, place=place, wanted=wanted, form=form)
        except FilterError as fault:
            field = "q" if asked.get("q") else "sort"
            raise Invalid(
                fault.message, code="bad_filter", field=field, got={"start": fault.start, "stop": fault.stop}
            ) from fault
        return StreamingHttpResponse(body, content_type=FORMS[form])

    def _wanted(self, place: Place, asked: QueryDict) -> exports.Wanted:
        order = queries.order_of(place, asked["sort"]) if asked.get("sort") else NEWEST_FIRST
        lifecycle = "deleted" if asked.get("deleted", "").lower() in ("1", "true") else "active"
        question = queries.question(self.actor, place, asked.get("q", ""), order, lifecycle)
        return exports.Wanted(question, None, tokens.aggregate(asked.get("agg", "")))


class RunExport(_Export):
    """All runs of a filter as a file."""

    @extend_schema(operation_id="runs_export", parameters=_PARAMETERS, responses=_FILE)
    def get(self, request: Request, experiment: str) -> Any:
        """Send everything these runs of an experiment recorded, written while it is read."""
        rows = self.rows().in_project(self.project).active().select_related("project")
        return self.answer(self.find(rows.addressed(experiment)), request.query_params)


class AllRunsExport(_Export):
    """All runs of a filter over several experiments as a file."""

    @extend_schema(
        operation_id="runs_export_all",
        parameters=[OpenApiParameter("folder", int, description="Only of this folder and those in it."), *_PARAMETERS],
        responses=_FILE,
    )
    def get(self, request: Request) -> Any:
        """Send everything the runs of a project or of a folder recorded, written while it is read."""
        return self.answer(place_of(self, request.query_params), request.query_params)
