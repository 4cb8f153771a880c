"""REST routes of experiments and runs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, QueryDict
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments import metricstore, queries
from experiments.api import run_table, shapes
from experiments.api.batch import RunLog
from experiments.metricstore import NEWEST_FIRST, FilterError, Order
from experiments.models import Experiment, Folder, Run
from experiments.queries import Place, tokens
from experiments.queries.folders import Tree, tree_of
from experiments.services import experiments, runs
from mlportal.lib import names
from mlportal.lib.api import CursorPages
from mlportal.lib.errors import Invalid, Missing
from projects.access import ScopedAPIView
from projects.models import DatasetVersion
from projects.permissions import Permission
from projects.services import datasets

__all__ = ["RunLog"]
MAX_SERIES_KEYS = 20
MAX_POINTS = 10_000
FILTER = "Conditions such as auc>0.87 algorithm:ridge|svm -tag:old, or MLflow syntax."
COLS = "Columns, at most 40: m~metric, m~metric@max, m~metric@step:100, m~metric~ (its curve), p~parameter, t~tag, "
COLS += "c~state."
AGG = "What metrics show and are sorted by: last (default), best, min, max or step:<number>. Of more than 2,000 runs "
AGG += "the values at a step are read when they are first asked for: the answer is 503 with Retry-After until they are."
GROUP = "One or two of p~parameter, t~tag, e (experiment): groups of all runs in place of runs, sorted by "
GROUP += "`group ASC`, `runs DESC`, `best metrics.auc DESC` or `mean metrics.auc DESC`."
SORT = "A metric, parameter or attribute; a leading - or DESC for descending."


class Experiments(ScopedAPIView):
    """Experiments of a project."""

    reads = Experiment
    permissions = {"GET": Permission.RUN_VIEW, "POST": Permission.RUN_LOG}

    @extend_schema(
        operation_id="experiments_list",
        parameters=[
            OpenApiParameter("folder", int, description="Only those in this folder; with q also in the folders in it."),
            OpenApiParameter("q", str, description="A part of the name or the description."),
            OpenApiParameter("limit", int, description="1 to 1,000; 100 by default."),
            OpenApiParameter("cursor", str),
            OpenApiParameter("before", str),
            OpenApiParameter("sort", str, enum=[f"{way}{key}" for key in queries.SORTS for way in ("", "-")],
                             description="-created by default: newest first. A leading - for descending."),
        ],
        responses=shapes.ExperimentOut(many=True),
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List experiments: those that the caller starred, then the others, each newest first or as `sort` says."""
        asked = request.query_params
        folder = _whole(asked["folder"], "folder", 1, 999_999_999) if asked.get("folder") else None
        tree = Tree([]) if folder is None else tree_of(self.project, counted=False)
        if folder is not None and folder not in tree.by_id:
            raise Missing("There is no such folder here.", field="folder")
        text = names.exact(asked.get("q", ""), field="q", limit=200).strip()
        listing = queries.Listing(folder, text, asked.get("sort") or "-created", everywhere=folder is None)
        place = {"after": asked.get("cursor", ""), "before": asked.get("before", "")}
        size = CursorPages().get_page_size(request)
        page = queries.in_order(self.actor, self.project, listing, tree, limit=size, **place)
        counted = queries.experiments_of(self.actor, self.project).in_bulk([each.pk for each in page.found])
        for each in page.found:
            counted[each.pk].starred = each.rank == 0
        return Response({
            "next": _link(request._request, cursor=page.after),
            "previous": _link(request._request, before=page.before),
            "results": shapes.ExperimentOut([counted[each.pk] for each in page.found], many=True).data,
        })  # fmt: skip

    @extend_schema(
        operation_id="experiments_create", request=shapes.ExperimentIn, responses={201: shapes.ExperimentOut}
    )
    def post(self, request: Request) -> Response:
        """Create an experiment; an existing name gives the existing one."""
        given = _valid(shapes.ExperimentIn, request)
        number = given.pop("folder", None)
        place = self.find(Folder.objects.in_project(self.project), pk=number) if number is not None else None
        found = experiments.ensure(self.actor, project=self.project, folder=place, **given)
        return Response(shapes.ExperimentOut(queries.recounted(found)).data, status=status.HTTP_201_CREATED)


class ExperimentDetail(ScopedAPIView):
    """One experiment."""

    reads = Experiment
    permissions = {"GET": Permission.RUN_VIEW, "PATCH": Permission.RUN_EDIT}

    @extend_schema(operation_id="experiments_get", responses=shapes.ExperimentOut)
    def get(self, request: Request, experiment: str) -> Response:
        """Read an experiment."""
        found = self.find(queries.experiments_of(self.actor, self.project).addressed(experiment))
        return Response(shapes.ExperimentOut(found).data)

    @extend_schema(operation_id="experiments_update", request=shapes.ExperimentChange, responses=shapes.ExperimentOut)
    def patch(self, request: Request, experiment: str) -> Response:
        """Change an experiment's name, description or the metric its runs are ranked by; what is not sent stays."""
        found = self.find(self.rows().in_project(self.project).active().addressed(experiment))
        given = _valid(shapes.ExperimentChange, request)
        values = {
            "name": found.name, "description": found.description, "primary_metric": found.primary_metric, **given
        }  # fmt: skip
        changed = experiments.edit(self.actor, experiment=found, folder=found.folder, **values)
        return Response(shapes.ExperimentOut(queries.recounted(changed)).data)


def place_of(view: ScopedAPIView, asked: QueryDict) -> Place:
    """Return the experiment that an address names, else all of the project or of the folder it names.

    Raises
    ------
    Invalid
        If it names both, or the folder is no number.
    Missing
        If there is no such experiment or folder.
    """
    named, folder = asked.get("experiment", ""), asked.get("folder", "")
    if named and folder:
        raise Invalid("Name an experiment or a folder, not both.", field="folder", got=folder[:40])
    if named:
        seen = Experiment.objects.visible_to(view.actor).in_project(view.project).active()
        found: Experiment = view.find(seen.select_related("project").addressed(named))
        return found
    number = _whole(folder, "folder", 1, 999_999_999) if folder else None
    return queries.run_set(view.actor, view.project, number)


class Runs(ScopedAPIView):
    """Runs of a project."""

    reads = Run
    permissions = {"GET": Permission.RUN_VIEW, "POST": Permission.RUN_LOG}

    @extend_schema(
        operation_id="runs_search",
        parameters=[
            OpenApiParameter("experiment", str, description="Its number or exact name; without it, all experiments."),
            OpenApiParameter("folder", int, description="Only experiments in this folder and the folders in it."),
            OpenApiParameter("q", str, description=FILTER),
            OpenApiParameter("sort", str, description=SORT),
            OpenApiParameter("cols", str, description=COLS),
            OpenApiParameter("agg", str, description=AGG),
            OpenApiParameter("group", str, description=GROUP),
            OpenApiParameter("deleted", bool, description="Search deleted runs."),
            OpenApiParameter("limit", int, description="1 to 1,000; 100 by default."),
            OpenApiParameter("cursor", str),
            OpenApiParameter("before", str),
        ],
        responses=shapes.RunPageOut,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Search runs by filter and order, page by cursor."""
        asked = request.query_params
        found = place_of(self, asked)
        try:
            return Response(self._grouped(found, request) if asked.get("group") else self._listed(found, request))
        except FilterError as fault:
            raise Invalid(
                fault.message, code="bad_filter", field="q", got={"start": fault.start, "stop": fault.stop}
            ) from fault

    def _listed(self, found: Place, request: Request) -> dict[str, Any]:
        asked = request.query_params
        agg, columns = tokens.aggregate(asked.get("agg", "")), tokens.checked(asked.get("cols", ""))
        page = queries.page_of_runs(
            self._question(found, asked, _order(found, asked, agg)), limit=CursorPages().get_page_size(request),
            after=asked.get("cursor", ""), before=asked.get("before", ""), names=() if columns else None,
        )  # fmt: skip
        cells = run_table.fill(page.rows, columns, agg) if columns else []
        bodies = [shapes.run_body(row) for row in page.rows]
        for body, shown in zip(bodies, cells, strict=False):
            body["columns"] = shown
        return {
            "next": _link(request._request, cursor=page.after),
            "previous": _link(request._request, before=page.before),
            "total": min(page.total, 10_000),
            "total_is_exact": page.total <= 10_000,
            "results": bodies,
        }

    def _grouped(self, found: Place, request: Request) -> dict[str, Any]:
        asked = request.query_params
        columns = tokens.checked(asked.get("cols", "")) or queries.leading_columns(found)
        question = self._question(found, asked, NEWEST_FIRST)
        page = run_table.group_page(question, asked, columns, CursorPages().get_page_size(request))
        before = f"g{max(0, page.skip - page.limit)}" if page.skip else ""
        return {
            "next": _link(request._request, cursor=f"g{page.next}" if page.next is not None else ""),
            "previous": _link(request._request, cursor=before),
            "total": page.found.total,
            "total_is_exact": True,
            "results": [],
            "groups": run_table.groups_body(page),
        }

    def _question(self, found: Place, asked: QueryDict, order: Order) -> metricstore.Question:
        lifecycle = "deleted" if asked.get("deleted", "").lower() in ("1", "true") else "active"
        return queries.question(self.actor, found, asked.get("q", ""), order, lifecycle)

    @extend_schema(operation_id="runs_create", request=shapes.RunIn, responses={201: shapes.RunOut})
    def post(self, request: Request) -> Response:
        """Create a run; its experiment is created when it is new."""
        given = _valid(shapes.RunIn, request)
        parent = self._parent(given["parent"])
        experiment = experiments.ensure(self.actor, project=self.project, name=given["experiment"], field="experiment")
        version = self._dataset(given["dataset"], given.get("dataset_version"))
        run = runs.create(
            self.actor,
            dataset_version=version,
            experiment=experiment,
            name=given["name"],
            params=given["params"],
            tags=given["tags"],
            parent=parent,
        )
        if given["start"]:
            run = runs.start(self.actor, run=run)
        return Response(shapes.run_body(queries.facts(run)), status=status.HTTP_201_CREATED)

    def _dataset(self, name: str, number: int | None) -> DatasetVersion | None:
        return datasets.ready_version(self.actor, project=self.project, name=name, number=number) if name else None

    def _parent(self, number: int | None) -> Run | None:
        return None if number is None else self.find(self.rows().in_project(self.project), pk=number)


class _OneRun(ScopedAPIView):
    abstract = True
    reads = Run

    def load(self, number: int) -> Run:
        """The run of the address, or 404."""
        return self.find(self.rows().in_project(self.project).with_context(), pk=number)

    def answer(self, run: Run) -> Response:
        """The run as it is now."""
        return Response(shapes.run_body(queries.facts(run)))


class RunDetail(_OneRun):
    """One run."""

    permissions = {"GET": Permission.RUN_VIEW, "PATCH": Permission.RUN_EDIT, "DELETE": Permission.RUN_EDIT}

    @extend_schema(operation_id="runs_get", responses=shapes.RunOut)
    def get(self, request: Request, run: int) -> Response:
        """Read a run."""
        return self.answer(self.load(run))

    @extend_schema(operation_id="runs_update", request=shapes.RunChange, responses=shapes.RunOut)
    def patch(self, request: Request, run: int) -> Response:
        """Change a run's name or notes."""
        return self.answer(runs.annotate(self.actor, run=self.load(run), **_valid(shapes.RunChange, request)))

    @extend_schema(operation_id="runs_delete", responses={204: None})
    def delete(self, request: Request, run: int) -> Response:
        """Hide a run; it can be restored."""
        runs.delete(self.actor, run=self.load(run))
        return Response(status=status.HTTP_204_NO_CONTENT)


class RunRestore(_OneRun):
    """Show a deleted run again."""

    permissions = {"POST": Permission.RUN_EDIT}

    @extend_schema(operation_id="runs_restore", request=None, responses=shapes.RunOut)
    def post(self, request: Request, run: int) -> Response:
        """Restore a run."""
        return self.answer(runs.restore(self.actor, run=self.load(run)))


class RunStart(_OneRun):
    """Start a queued run."""

    permissions = {"POST": Permission.RUN_LOG}

    @extend_schema(operation_id="runs_start", request=None, responses=shapes.RunOut)
    def post(self, request: Request, run: int) -> Response:
        """Mark a queued run as running."""
        return self.answer(runs.start(self.actor, run=self.load(run)))


class RunFinish(_OneRun):
    """End a run."""

    permissions = {"POST": Permission.RUN_LOG}

    @extend_schema(operation_id="runs_finish", request=shapes.RunEnd, responses=shapes.RunOut)
    def post(self, request: Request, run: int) -> Response:
        """End a run as finished, failed or cancelled."""
        return self.answer(runs.finish(self.actor, run=self.load(run), **_valid(shapes.RunEnd, request)))


class RunTags(_OneRun):
    """Tags of a run."""

    permissions = {"POST": Permission.RUN_EDIT}

    @extend_schema(operation_id="runs_set_tags", request=shapes.TagsIn, responses=shapes.RunOut)
    def post(self, request: Request, run: int) -> Response:
        """Set tags; the last value wins."""
        return self.answer(runs.set_tags(self.actor, run=self.load(run), **_valid(shapes.TagsIn, request)))


class RunTag(_OneRun):
    """One tag of a run."""

    permissions = {"DELETE": Permission.RUN_EDIT}

    @extend_schema(operation_id="runs_drop_tag", responses={204: None})
    def delete(self, request: Request, run: int, tag: str) -> Response:
        """Remove a tag."""
        if not runs.drop_tag(self.actor, run=self.load(run), key=tag):
            raise Missing(f"The run has no tag {tag[:100]!r}.", field="tag")
        return Response(status=status.HTTP_204_NO_CONTENT)


class RunSeries(_OneRun):
    """Metric points of a run."""

    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(
        operation_id="runs_series",
        parameters=[
            OpenApiParameter("key", str, many=True, required=True, description="Metric names, at most 20."),
            OpenApiParameter("points", int, description="Thin to this many points, 3 to 10,000; 500 by default."),
        ],
        responses=shapes.SeriesOut(many=True),
    )  # fmt: skip
    def get(self, request: Request, run: int) -> Response:
        """Read metric points, thinned so that ends and spikes stay."""
        found = self.load(run)
        names = request.query_params.getlist("key")
        if not 1 <= len(names) <= MAX_SERIES_KEYS:
            raise Invalid(
                f"Name 1 to {MAX_SERIES_KEYS} metrics by key.", field="key", limit=MAX_SERIES_KEYS, got=len(names)
            )
        points = _whole(request.query_params.get("points", "500"), "points", 3, MAX_POINTS)
        series = metricstore.many_series([found.pk], names, at_most=points)
        return Response([series_body(name, s) for (_, name), s in sorted(series.items())])


def series_body(name: str, series: metricstore.Series) -> dict[str, Any]:
    """Return a series as the API writes it."""
    return {
        "key": name,
        "total": series.total,
        "steps": series.steps.tolist(),
        "timestamps": series.stamps.tolist(),
        "values": [shapes.number(v) for v in series.values.tolist()],
    }


def _order(place: Place, asked: QueryDict, agg: str) -> Order:
    try:
        return queries.checked_order(place, asked["sort"], agg) if asked.get("sort") else NEWEST_FIRST
    except FilterError as fault:
        raise Invalid(fault.message, code="bad_filter", field="sort", got=asked["sort"][:100]) from fault


def _valid(shape: type[shapes.Strict], request: Request) -> dict[str, Any]:
    found = shape(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


def _whole(text: str, field: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not low <= int(text) <= high:
        raise Invalid(f"{field} must be a whole number from {low} to {high:,}.", field=field, limit=high, got=text[:40])
    return int(text)


def _link(request: HttpRequest, **cursor: str) -> str | None:
    ((name, value),) = cursor.items()
    if not value:
        return None
    query = request.GET.copy()
    for old in ("cursor", "before"):
        query.pop(old, None)
    query[name] = value
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
