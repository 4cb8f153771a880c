"""REST routes of comparisons and parameter importance: the same answers as the compare page."""

from __future__ import annotations

import math
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api.runs import place_of
from experiments.models import Experiment, ImportanceStudy
from experiments.queries import compared, difference_table, evaluations, panels
from experiments.queries.compared import Comparison, View
from experiments.services import importance
from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.permissions import Permission

PARTS = ("series", "facts", "differences", "evaluations")
ASKED = [
    OpenApiParameter("runs", str, description="Run numbers, parted by commas; at most 1,000."),
    OpenApiParameter("q", str, description="A filter instead: its first 1,000 runs are compared, best first."),
    OpenApiParameter("sort", str, description="The order of the filter's runs, as in a search of runs."),
    OpenApiParameter("agg", str, description="What a metric in `sort` is ordered by, as in a search of runs."),
    OpenApiParameter("base", int, description="The run others are measured against."),
    OpenApiParameter("m", str, description="Metrics of the curves, parted by commas; at most 8."),
]
DRAWN = [
    OpenApiParameter("part", str, enum=PARTS, description="What to answer; series by default."),
    *ASKED,
    OpenApiParameter("dpage", int, description="Page of the differences: the baseline and 15 other runs."),
    OpenApiParameter("x", str, enum=["step", "rel", "time"], description="The x axis of the curves."),
    OpenApiParameter("from", float, description="First place on the x axis; together with to."),
    OpenApiParameter("to", float),
]
STUDIED = [OpenApiParameter("im", str, description="The metric; the primary one by default."), *ASKED]
FOLDER = OpenApiParameter("folder", int, description="Only runs of experiments of this folder and those in it.")


class _Compared(ScopedAPIView):
    abstract = True
    reads = Experiment

    def made(self, request: Request, experiment: str) -> Comparison:
        """The comparison that the query asks for, of an experiment or without one of several."""
        rows = self.rows().in_project(self.project).active().select_related("project")
        view = View(request._request.GET)
        place = self.find(rows.addressed(experiment)) if experiment else place_of(self, request.query_params)
        if view.unread:
            name, word = view.unread[0]
            raise Invalid(f"{name} names runs by number; {word[:40]!r} is none.", field=name, got=word[:40])
        made = compared.compare(self.actor, place, view)
        if made.fault is not None:
            raise Invalid(made.fault.message, code="bad_filter", field="q")
        for fault in compared.faults(made):
            raise fault
        return made


class Compare(_Compared):
    """Runs compared."""

    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(operation_id="runs_compare", parameters=DRAWN, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, experiment: str = "") -> Response:
        """Read curves, single values, the difference table, or evaluations of runs."""
        return self.answer(request, experiment)

    def answer(self, request: Request, experiment: str) -> Response:
        """The part that is asked for."""
        part = request.query_params.get("part", "series")
        if part not in PARTS:
            raise Invalid(f"part is one of {', '.join(PARTS)}.", field="part", got=part[:80], limit=PARTS)
        made = self.made(request, experiment)
        if part == "series":
            low, high = _bound(request, "from"), _bound(request, "to")
            return Response(panels.series(made, panels.curve_names(made), low=low, high=high))
        makers = {"facts": panels.facts, "differences": _differences, "evaluations": evaluations.read}
        return Response(makers[part](made))


class AllCompare(Compare):
    """Runs of several experiments compared."""

    @extend_schema(operation_id="runs_compare_all", parameters=[FOLDER, *DRAWN], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, experiment: str = "") -> Response:
        """Read the same of runs of a project or of a folder."""
        return self.answer(request, experiment)


def _differences(made: Comparison) -> dict[str, Any]:
    """Rows of a page of the difference table, baseline first; whether one differs is asked of all compared runs."""
    found = difference_table.table(made)
    return {
        "runs": [f.run.pk for f in found.heads], "page": found.page, "pages": found.pages, "compared": found.runs,
        "rows": [
            {"section": d.section, "name": d.name, "differs": d.differs, "values": [_plain(v) for v in d.values]}
            for d in found.rows
        ],
    }  # fmt: skip


def _plain(value: object) -> object:
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _bound(request: Request, name: str) -> float | None:
    text = request.query_params.get(name, "")
    try:
        found = float(text) if text else None
    except ValueError:
        found = math.nan
    if found is not None and not math.isfinite(found):
        raise Invalid(f"{name} must be a number.", field=name, got=text[:80])
    return found


class Importance(_Compared):
    """Which parameters matter for a metric."""

    permissions = {"GET": Permission.RUN_VIEW, "POST": Permission.RUN_EDIT}

    @extend_schema(operation_id="importance_get", parameters=STUDIED, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, experiment: str = "") -> Response:
        """Read the study of exactly these runs and values, if it was asked for."""
        asked = self._asked(request, experiment)
        study = None if asked.refusal else importance.found(self.actor, asked=asked)
        return Response({"refusal": asked.refusal, "runs": len(asked.dots), "study": _body(study) if study else None})

    @extend_schema(
        operation_id="importance_ask", parameters=STUDIED, request=None, responses={202: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request, experiment: str = "") -> Response:
        """Have it computed by a worker; the same question again answers the same study."""
        study = importance.ask(self.actor, asked=self._asked(request, experiment))
        return Response(_body(study), status=status.HTTP_202_ACCEPTED)

    def _asked(self, request: Request, experiment: str) -> importance.Question:
        made = self.made(request, experiment)
        metric = made.view.get("im")
        if metric and metric not in made.metrics:
            raise Invalid("None of these runs has this metric.", field="im", got=metric[:250])
        return importance.question_of(made, metric or made.primary)


class AllImportance(Importance):
    """Which parameters matter for a metric over runs of several experiments."""

    @extend_schema(operation_id="importance_get_all", parameters=[FOLDER, *STUDIED], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, experiment: str = "") -> Response:
        """Read the study of exactly these runs and values, if it was asked for."""
        return super().get(request, experiment)

    @extend_schema(
        operation_id="importance_ask_all", parameters=[FOLDER, *STUDIED], request=None,
        responses={202: OpenApiTypes.OBJECT},
    )  # fmt: skip
    def post(self, request: Request, experiment: str = "") -> Response:
        """Have it computed by a worker; the same question again answers the same study."""
        return super().post(request, experiment)


def _body(study: ImportanceStudy) -> dict[str, Any]:
    return {"id": study.pk, "metric": study.metric, "state": study.state, "progress": study.progress,
            "failure": study.failure, "result": study.result}  # fmt: skip
