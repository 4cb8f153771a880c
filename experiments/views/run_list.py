"""Page: runs of an experiment, of a folder or of a project as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from experiments import metricstore, queries
from experiments.metricstore import COUNT_CAP, NEWEST_FIRST, FilterError, Order, Question, Reading
from experiments.models import Experiment, LoggedModel
from experiments.queries import Place, RunFacts, RunPage, groups, tokens, versions
from experiments.queries.folders import path_of
from experiments.queries.groups import By
from experiments.queries.tokens import Token
from experiments.views import address_faults, cells, columns, filters, saved, selection
from experiments.views.cells import Numbers
from experiments.views.columns import Column
from experiments.views.run_groups import GroupTable
from experiments.views.runs_of import PAGE_SIZES, Addresses, Asked, RunsOf, asked_columns, numbers
from mlportal.lib.errors import Invalid
from projects.models import Somewhere

OPEN_FAMILIES = 20
SHOWN_TAGS = 6


class RunList(RunsOf):
    """Runs as a table: of one experiment, or without one of all."""

    # What is still being read of values at a step; the page asks again by itself.
    reading: Reading | None = None

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponseBase:
        """Show the page that the address describes."""
        asked, found = Asked.of(request), self.place(experiment)
        if view := saved.opened(request, self.actor, found):
            return redirect(view)
        if not isinstance(found, Experiment):
            # ``can`` offers what a role on some folder gives; the service asks each folder of the runs chosen.
            cast(Any, request).place = found.folder or Somewhere(self.project)
        wrong = self._fault(found, asked.typed) if asked.typed else None
        if asked.typed and wrong is None:
            return redirect(filters.address(request, filters.joined(asked.text, asked.typed)))
        if change := request.GET.get("change", ""):
            return redirect(_with_change(request, change))
        by, shape_fault = _grouping(request)
        try:
            context = self._rows(request, found, asked, by)
        except Reading as reading:  # of the groups: the runs alone do not raise it
            self.reading, by = reading, []
            context = self._rows(request, found, replace(asked, order_text=""), by)
        context["address_faults"] += [fault for fault in (shape_fault, self.order_fault) if fault]
        context["fault"] = wrong or context["fault"]
        context["reading"] = self.reading or context["reading"]
        context |= filters.field(request, asked, context["fault"])
        if not by and not context["lines"] and context["chips"]:
            context["empty"] = filters.remedies(request, self.actor, found, asked)
        context["counts"] = queries.state_counts(found)
        context |= _about(found) | saved.context(request, self.actor, found)
        context |= {"place": found, "at": Addresses.of(found), "charts": _charts(found, asked, grouped=bool(by))}
        context["charts_of_all"] = _charts(found, asked, grouped=bool(by), every=True)
        context |= selection.context(self, found, request)
        part = "_run_groups.html" if by else "_run_table.html"
        template = f"experiments/{part if request.headers.get('HX-Target') == 'runs' else 'run_list.html'}"
        return render(request, template, context)

    def _fault(self, found: Place, text: str) -> FilterError | None:
        try:
            metricstore.count(queries.question(self.actor, found, text, NEWEST_FIRST))
        except FilterError as fault:
            return fault
        return None

    def _rows(self, request: HttpRequest, found: Place, asked: Asked, by: list[By]) -> dict[str, Any]:
        """The runs or their groups, and what is wrong with the filter."""
        order = NEWEST_FIRST if by else self.order(found, asked.order_text, asked.agg)
        place = {"after": request.GET.get("cursor", ""), "before": request.GET.get("before", "")}
        page, question, fault = self._search(found, replace(asked, limit=1) if by else asked, order, place)
        table = _Table(request, found, page, question, marks=not by and self.reading is None)
        wrong = address_faults.of_table(request, found, order)
        context = {**table.context(), "fault": fault, "address_faults": wrong, "reading": table.reading}
        if not by:
            return context
        grouped = GroupTable(request, question, by, table.chosen)
        wrong += address_faults.of_groups(request, grouped.page)
        return context | grouped.context()

    def _search(
        self, found: Place, asked: Asked, order: Order, place: dict[str, str]
    ) -> tuple[RunPage, Question, FilterError | None]:
        try:
            question = queries.question(self.actor, found, asked.text, order, "deleted" if asked.deleted else "active")
            return queries.page_of_runs(question, limit=asked.limit, names=(), **place), question, None
        except FilterError as fault:
            page, question, _ = self._search(found, replace(asked, text=""), order, {})
            return page, question, fault
        except Reading as reading:
            self.reading = reading
            return self._search(found, asked, NEWEST_FIRST, {})
        except Invalid:
            if place:  # a cursor of another order: start from the first page
                self.order_fault, place = "cursor: it is of another order or filter. This is the first page.", {}
            else:
                raise
            return self._search(found, asked, order, place)


def _grouping(request: HttpRequest) -> tuple[list[By], str]:
    """What runs are grouped by, and what is wrong about it."""
    try:
        return groups.read_by(",".join(request.GET.getlist("group"))), ""
    except Invalid as fault:
        return [], address_faults.said(fault)


def _about(place: Place) -> dict[str, Any]:
    """What the head of the page says, and what it watches: note, tags and logged models are an experiment's."""
    if not isinstance(place, Experiment):
        pk = place.project.pk
        return {
            "folder_path": place.path, "folder": place.folder, "experiment_count": len(place.scope.ids),
            "live_topic": f"all-runs:{pk}", "live_version": versions.of_project_runs(pk),
        }  # fmt: skip
    experiment = place
    tags = queries.tags_of([experiment.pk])[experiment.pk]
    return {
        "experiment": experiment, "live_topic": f"runs:{experiment.pk}",
        "live_version": versions.of_runs(experiment.pk), "note": queries.note_of_experiment(experiment, tags),
        "folder_path": path_of(experiment),
        "experiment_tags": list(queries.own_tags(tags).items())[:SHOWN_TAGS],
        "model_count": LoggedModel.objects.active().filter(experiment=experiment).count(),
    }  # fmt: skip


class _Table:
    """Everything the table's template reads; with ``marks`` it reads on for the best values at a step."""

    def __init__(self, request: HttpRequest, place: Place, page: RunPage, question: Question, *, marks: bool) -> None:
        self.request, self.place, self.page, self.question = request, place, page, question
        self.asked = Asked.of(request)
        self.metrics = queries.leading_metrics(place)
        self.chosen: list[Token] = []
        self.reading: Reading | None = None
        self.marks = marks

    def context(self) -> dict[str, Any]:
        """Template context."""
        opened = numbers(self.request.GET.get("open", ""))[:OPEN_FAMILIES]
        families = cells.families(self.page.rows, opened, self.request.GET)
        self.chosen = chosen = self._chosen(families.rows)
        shown = columns.made(chosen, families.rows, self.asked.agg, self.page.order)
        found = self._numbers(families.rows, shown)
        if not asked_columns(self.request):  # nobody asked for a curve that no run of the page has
            drawn = {name for (_, name), values in found.curves.items() if len(values) > 1}
            self.chosen = chosen = [t for t in chosen if not t.curve or t.name in drawn]
            shown = [c for c in shown if c.token in chosen]
        if self.asked.only:
            shown = cells.without_constant(shown, families.rows, found)
        primary = self.metrics[0] if self.metrics else ""
        return {
            "columns": shown, "groups": columns.groups_of(shown),
            "lines": cells.lines(shown, found, families), "page": self.page, "asked": self.asked,
            "only_diff": self.asked.only,
            "cols_text": tokens.written(chosen), "primary": primary, "sizes": PAGE_SIZES,
            "agg_text": columns.agg_text(self.asked.agg) if self.asked.agg != "last" else "",
            "primary_label": queries.label_of(primary) if primary else "",
            "primary_arrow": queries.arrow_of(primary) if primary else "",
            "total_text": "10,000+" if self.page.total > COUNT_CAP else f"{self.page.total:,}",
            "order_text": _order_text(self.page.order),
            "name_sort": columns.made([Token("c", "name")], [], "last", self.page.order)[0],
            "next": _page_link(self.request, cursor=self.page.after) if self.page.after else "",
            "previous": _page_link(self.request, before=self.page.before) if self.page.before else "",
        }  # fmt: skip

    def _chosen(self, rows: list[RunFacts]) -> list[Token]:
        if found := tokens.read(asked_columns(self.request)):
            return found
        usual = columns.defaults(self.metrics, queries.varying_params(rows), self.question)
        return usual if isinstance(self.place, Experiment) else [columns.EXPERIMENT, *usual]

    def _numbers(self, rows: list[RunFacts], shown: list[Column]) -> Numbers:
        metrics = [c for c in shown if c.is_metric]
        queries.fill_metrics(rows, list(dict.fromkeys(c.token.name for c in metrics)))
        judged = {
            c.text: metricstore.Top(c.token.name, tokens.settled(c.agg, c.token.name), c.better)
            for c in metrics if c.better
        }  # fmt: skip
        steps: dict[int, list[str]] = {}
        for column in metrics:
            if (step := tokens.step_of(column.agg)) is not None:
                steps.setdefault(step, []).append(column.token.name)
        at_step: dict[tuple[int, str, int], float] = {}
        for step, names in steps.items():
            at_step |= queries.values_at(rows, names, step)
        curves = list(dict.fromkeys(c.token.name for c in shown if c.token.curve))
        try:
            if self.marks:
                metricstore.read_on_for_tops(self.question, list(judged.values()), self.page.total)
        except Reading as reading:
            self.reading = reading
        return Numbers(
            queries.best_values(self.question, judged, self.page.total),
            metricstore.sparks([row.run.pk for row in rows], curves), at_step,
        )  # fmt: skip


def _with_change(request: HttpRequest, change: str) -> str:
    """Return the address with one column shown, hidden, pinned or moved."""
    query = request.GET.copy()
    chosen = tokens.changed(tokens.read(asked_columns(request)), change)
    for old in ("change", "col", "cols", "find"):
        query.pop(old, None)
    if chosen:
        query["cols"] = tokens.written(chosen)
    return f"{request.path}?{query.urlencode()}"


def _charts(place: Place, asked: Asked, *, grouped: bool, every: bool = False) -> str:
    """The query that compares what the table shows: its filter, its order, archived runs or not.

    ``every`` compares all of it, also where there is no filter.
    """
    folder = Addresses.of(place).folder_id
    agg = "" if grouped or asked.agg == "last" else asked.agg
    said = {"folder": folder, "q": asked.text, "sort": "" if grouped else asked.order_text, "agg": agg,
            "deleted": "1" if asked.deleted else "", "all": "1" if every else ""}  # fmt: skip
    query = urlencode({name: value for name, value in said.items() if value})
    return f"?{query}" if query else ""


def _page_link(request: HttpRequest, **cursor: str) -> str:
    query = request.GET.copy()
    for old in ("cursor", "before", "add"):
        query.pop(old, None)
    query.update(cursor)
    return f"?{query.urlencode()}"


def _order_text(order: Order) -> str:
    if order.kind == "metric":
        best = order.descending == queries.higher_is_better(order.key)
        agg = "" if order.agg == "last" else f" ({columns.agg_text(order.agg)})"
        return f"{queries.label_of(order.key)}{agg}, {'best' if best else 'worst'} first"
    if order == NEWEST_FIRST:
        return "start, newest first"
    return f"{order.key}, {'highest' if order.descending else 'lowest'} first"
