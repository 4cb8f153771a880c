"""Pages: experiments of a project, runs of an experiment."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from experiments import charts, metricstore, queries
from experiments.metricstore import COUNT_CAP, NEWEST_FIRST, FilterError, Order, Question
from experiments.models import Experiment, LoggedModel, Run
from experiments.queries import RunFacts, RunPage
from experiments.services import experiments, runs
from experiments.views import columns
from mlportal.lib.errors import DomainError, Invalid
from projects.access import ProjectView
from projects.permissions import Permission

PAGE_SIZES = (50, 100, 200)
EXPORT_LIMIT = 10_000
BULK_LIMIT = 200
LISTED = 500
OPEN_FAMILIES = 20
SHOWN_TAGS = 6
PICKED = (("m", "Metrics", False), ("p", "Parameters", False), ("c", "Context", False), ("m", "System metrics", True))


class ExperimentList(ProjectView):
    """Experiments of a project."""

    reads = Experiment
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_LOG

    def get(self, request: HttpRequest) -> HttpResponse:
        """List them, the most recently used first."""
        return self._page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Create one and open it."""
        try:
            made = experiments.ensure(
                self.actor, project=self.project,
                name=request.POST.get("name", "").strip(), description=request.POST.get("description", ""),
            )  # fmt: skip
        except DomainError as error:
            return self._page(request, error)
        return redirect("experiments:run-list", self.project.slug, made.address)

    def _page(self, request: HttpRequest, error: DomainError | None = None) -> HttpResponse:
        lines = queries.experiment_lines(self.actor, self.project, limit=LISTED)
        context = {"lines": lines, "error": error, "given": request.POST}
        return render(request, "experiments/experiment_list.html", context, status=error.status if error else 200)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of a runs table asks for."""

    text: str
    typed: str
    order_text: str
    limit: int
    deleted: bool

    @classmethod
    def of(cls, request: HttpRequest) -> Asked:
        """Read the address; what is wrong falls back to the default."""
        given = request.GET
        size = given.get("limit", "")
        limit = int(size) if size in {str(n) for n in PAGE_SIZES} else 100
        return cls(
            given.get("q", "").strip(),
            given.get("add", "").strip(),
            given.get("sort", ""),
            limit,
            given.get("deleted") == "1",
        )


class RunsOf(ProjectView):
    """Base of the pages of one experiment's runs."""

    abstract = True
    reads = Experiment
    permission = Permission.RUN_VIEW

    def experiment(self, address: str) -> Experiment:
        """The experiment of the address, or 404."""
        rows = self.rows().in_project(self.project).active().select_related("project")
        return self.find(rows.addressed(address))

    def order(self, experiment: Experiment, text: str, known: dict[str, list[str]]) -> Order:
        """The order asked for, or best first by the primary metric."""
        if text:
            try:
                found = metricstore.parse_order(text, set(known["metric"]), set(known["param"]))
            except FilterError:
                found = NEWEST_FIRST
            return Order(found.kind, found.key, found.descending, settled_first=found.kind != "attribute")
        metrics = queries.default_metrics(experiment, known["metric"])
        if not metrics:
            return NEWEST_FIRST
        return Order("metric", metrics[0], queries.higher_is_better(metrics[0]), settled_first=True)


class RunList(RunsOf):
    """Runs of one experiment as a table."""

    def get(self, request: HttpRequest, experiment: str) -> HttpResponseBase:
        """Show the page that the address describes."""
        asked, found = Asked.of(request), self.experiment(experiment)
        joined = f"{asked.text} {asked.typed}".strip()
        wrong = self._fault(found, joined) if asked.typed else None
        if asked.typed and wrong is None:
            return redirect(_with_filter(request, joined))
        known = metricstore.known_keys(found.pk)
        order = self.order(found, asked.order_text, known)
        page, question, fault = self._search(request, found, asked, order)
        context = _Table(request, found, known, page, question).context()
        context["fault"] = wrong or fault
        context["typed"] = asked.typed or (asked.text if fault else "")
        context["counts"] = queries.state_counts(found)
        context |= _about(found)
        template = (
            "experiments/_run_table.html" if request.headers.get("HX-Target") == "runs" else "experiments/run_list.html"
        )
        return render(request, template, context)

    def _fault(self, found: Experiment, text: str) -> FilterError | None:
        try:
            metricstore.count(queries.question(self.actor, found, text, NEWEST_FIRST))
        except FilterError as fault:
            return fault
        return None

    def _search(
        self, request: HttpRequest, found: Experiment, asked: Asked, order: Order
    ) -> tuple[RunPage, Question, FilterError | None]:
        lifecycle = "deleted" if asked.deleted else "active"
        place = {"after": request.GET.get("cursor", ""), "before": request.GET.get("before", "")}
        try:
            question = queries.question(self.actor, found, asked.text, order, lifecycle)
            return queries.page_of_runs(question, limit=asked.limit, **place), question, None
        except FilterError as fault:
            question = queries.question(self.actor, found, "", order, lifecycle)
            return queries.page_of_runs(question, limit=asked.limit), question, fault
        except Invalid:  # a cursor of another order: start from the first page
            question = queries.question(self.actor, found, asked.text, order, lifecycle)
            return queries.page_of_runs(question, limit=asked.limit), question, None


def _about(experiment: Experiment) -> dict[str, Any]:
    """Note, tags and logged models of an experiment, for the head of its page."""
    tags = queries.tags_of([experiment.pk])[experiment.pk]
    return {
        "note": queries.note_of_experiment(experiment, tags),
        "experiment_tags": list(queries.own_tags(tags).items())[:SHOWN_TAGS],
        "model_count": LoggedModel.objects.active().filter(experiment=experiment).count(),
    }  # fmt: skip


class _Table:
    """Everything the table's template reads."""

    def __init__(
        self,
        request: HttpRequest,
        experiment: Experiment,
        known: dict[str, list[str]],
        page: RunPage,
        question: Question,
    ) -> None:
        self.request, self.experiment, self.page, self.question = request, experiment, page, question
        self.asked = Asked.of(request)
        self.metrics = queries.default_metrics(experiment, known["metric"])
        self.params = known["param"]

    def context(self) -> dict[str, Any]:
        """Template context."""
        asked = _numbers(self.request.GET.get("open", ""))[:OPEN_FAMILIES]
        families = columns.families(self.page.rows, asked, self.request.GET)
        rows = families.rows
        every = columns.available(self.metrics, self.params)
        varying = queries.varying_params(rows)
        picked = self.request.GET.getlist("col")
        wanted = ",".join(picked) if picked else self.request.GET.get("cols", "")
        shown = columns.chosen(every, wanted, varying, self.page.order)
        if only_diff := self.request.GET.get("diff") == "1":
            shown = columns.without_constant(shown, rows)
        names = [c.name for c in shown if c.group == "m" and c.token != "m~"]
        best = {name: queries.best_value(self.question, name) for name in names if queries.arrow_of(name)}
        sparks = metricstore.sparks([r.run.pk for r in rows], self.metrics[0]) if self.metrics else {}
        tokens = {c.token for c in shown}
        return {
            "experiment": self.experiment, "columns": shown, "groups": columns.groups_of(shown),
            "lines": columns.lines(rows, shown, best, sparks, families), "page": self.page, "asked": self.asked,
            "chips": _chips(self.request, self.asked.text), "only_diff": only_diff,
            "column_groups": _picker(every, tokens, rows), "column_count": len(every),
            "primary": self.metrics[0] if self.metrics else "", "sizes": PAGE_SIZES,
            "primary_label": queries.label_of(self.metrics[0]) if self.metrics else "",
            "primary_arrow": queries.arrow_of(self.metrics[0]) if self.metrics else "",
            "total_text": "10,000+" if self.page.total > COUNT_CAP else f"{self.page.total:,}",
            "order_text": _order_text(self.page.order),
            "next": _page_link(self.request, cursor=self.page.after) if self.page.after else "",
            "previous": _page_link(self.request, before=self.page.before) if self.page.before else "",
        }  # fmt: skip


class RunExport(RunsOf):
    """The runs of a filter as a file."""

    def get(self, request: HttpRequest, experiment: str, form: str) -> HttpResponseBase:
        """Send at most 10,000 runs in the table's order, as CSV or JSON."""
        found, asked = self.experiment(experiment), Asked.of(request)
        order = self.order(found, asked.order_text, metricstore.known_keys(found.pk))
        try:
            question = queries.question(self.actor, found, asked.text, order, "deleted" if asked.deleted else "active")
            rows = list(_all_rows(question))
        except FilterError as fault:
            raise Invalid(fault.message, code="bad_filter", field="q") from fault
        body = _csv(rows) if form == "csv" else _json(rows)
        kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"
        response = StreamingHttpResponse(body, content_type=kind)
        response["Content-Disposition"] = f'attachment; filename="{found.address}-runs.{form}"'
        return response


class RunBulk(RunsOf):
    """One change to several chosen runs."""

    write_permission = Permission.RUN_EDIT

    def post(self, request: HttpRequest, experiment: str) -> HttpResponse:
        """Archive, restore or tag the chosen runs."""
        found = self.experiment(experiment)
        numbers = _numbers(",".join(request.POST.getlist("run")[:BULK_LIMIT]))
        chosen = Run.objects.visible_to(self.actor).filter(experiment=found, pk__in=numbers).select_related("project")
        action, tag = request.POST.get("action", ""), request.POST.get("tag", "").strip()
        done = 0
        for run in chosen:
            if action == "archive":
                runs.delete(self.actor, run=run)
            elif action == "restore":
                runs.restore(self.actor, run=run)
            elif action == "tag" and tag:
                name, _, value = tag.partition("=")
                runs.set_tags(self.actor, run=run, tags={name.strip(): value.strip()})
            else:
                raise Invalid("Choose archive, restore, or a tag.", field="action")
            done += 1
        words = {"archive": "archived", "restore": "restored", "tag": f"tagged {tag}"}[action or "tag"]
        messages.success(request, f"{done} {'run' if done == 1 else 'runs'} {words}.")
        back = request.POST.get("back", "")
        query = back if back.startswith("?") else ""
        return redirect(reverse("experiments:run-list", args=[self.project.slug, found.address]) + query)


def _numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",") if n.isascii() and n.isdigit() and len(n) < 19]


def _chips(request: HttpRequest, text: str) -> list[dict[str, str]]:
    """One chip a condition, with the address without it."""
    try:
        found = metricstore.parse(text)
    except FilterError:
        return []
    pieces = [text[c.span[0] : c.span[1]] for c in found]
    return [
        {"text": piece, "remove": _with_filter(request, " ".join(p for j, p in enumerate(pieces) if j != i))}
        for i, piece in enumerate(pieces)
    ]


def _with_filter(request: HttpRequest, text: str) -> str:
    query = {k: v for k, v in request.GET.dict().items() if k not in ("q", "add", "cursor", "before", "col")}
    if text:
        query["q"] = text
    if picked := request.GET.getlist("col"):
        query["cols"] = ",".join(picked)
    return f"{request.path}?{urlencode(query)}" if query else request.path


def _page_link(request: HttpRequest, **cursor: str) -> str:
    query = request.GET.copy()
    for old in ("cursor", "before", "add"):
        query.pop(old, None)
    query.update(cursor)
    return f"?{query.urlencode()}"


def _picker(every: dict[str, columns.Column], tokens: set[str], rows: list[RunFacts]) -> list[dict[str, Any]]:
    """Choices of the columns popover, by group."""
    out = []
    for group, heading, system in PICKED:
        members = [c for c in every.values() if c.group == group and c.name.startswith(queries.SYSTEM) == system]
        choices = [
            {"token": c.token, "label": c.label, "shown": c.token in tokens, "note": _values_note(c, rows)}
            for c in members
        ]
        out.append({"heading": heading, "choices": choices})
    return [g for g in out if g["choices"]]


def _values_note(column: columns.Column, rows: list[RunFacts]) -> str:
    if column.group != "p":
        return ""
    count = len({row.params.get(column.name) for row in rows if column.name in row.params})
    return f"{count} value{'' if count == 1 else 's'}"


def _order_text(order: Order) -> str:
    if order.kind == "metric":
        best = order.descending == queries.higher_is_better(order.key)
        return f"{queries.label_of(order.key)}, {'best' if best else 'worst'} first"
    if order == NEWEST_FIRST:
        return "start, newest first"
    return f"{order.key}, {'highest' if order.descending else 'lowest'} first"


def _all_rows(question: Question) -> Iterator[RunFacts]:
    cursor, left = "", EXPORT_LIMIT
    while left > 0:
        found = metricstore.search(question, limit=min(1000, left), after=cursor)
        yield from queries.facts_of(found.run_ids)
        cursor, left = found.after, left - len(found.run_ids)
        if not cursor:
            return


def _csv(rows: list[RunFacts]) -> Iterator[str]:
    metrics = sorted({name for r in rows for name in r.metrics})
    params = sorted({name for r in rows for name in r.params})
    head = ["run", "name", "state", "user", "dataset", "started_at", "took_seconds"]
    yield _csv_line([*head, *(f"metrics.{m}" for m in metrics), *(f"params.{p}" for p in params)])
    for row in rows:
        run = row.run
        facts = [
            run.pk, run.name, run.state, run.created_by.username if run.created_by else "",
            queries.dataset_label(run) or "", run.started_at.isoformat() if run.started_at else "", run.took_seconds,
        ]  # fmt: skip
        yield _csv_line([*facts, *(row.value(m) for m in metrics), *(row.params.get(p, "") for p in params)])


def _csv_line(values: list[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(["" if v is None else _harmless(v) for v in values])
    return out.getvalue()


def _harmless(value: object) -> object:
    """A text that a spreadsheet would run as a formula gets a quote in front."""
    if (
        not isinstance(value, str)
        or value[:1] not in ("=", "+", "-", "@", "\t", "\r")
        or charts.number(value) is not None
    ):
        return value
    return f"'{value}"


def _json(rows: list[RunFacts]) -> Iterator[str]:
    yield "["
    for at, row in enumerate(rows):
        metrics = {name: p.value if math.isfinite(p.value) else repr(p.value) for name, p in row.metrics.items()}
        item = {
            "run": row.run.pk, "name": row.run.name, "state": row.run.state, "dataset": queries.dataset_label(row.run),
            "metrics": metrics, "params": row.params, "tags": row.tags,
        }  # fmt: skip
        yield ("," if at else "") + json.dumps(item)
    yield "]"
