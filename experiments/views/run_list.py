"""Page: runs of one experiment as a table."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from experiments import metricstore, queries
from experiments.metricstore import COUNT_CAP, NEWEST_FIRST, FilterError, Order, Question
from experiments.models import Experiment, LoggedModel
from experiments.queries import RunFacts, RunPage
from experiments.views import columns
from experiments.views.runs_of import PAGE_SIZES, Asked, RunsOf, numbers
from mlportal.lib.errors import Invalid

OPEN_FAMILIES = 20
SHOWN_TAGS = 6
PICKED = (("m", "Metrics", False), ("p", "Parameters", False), ("c", "Context", False), ("m", "System metrics", True))


class RunList(RunsOf):
    """Runs of one experiment as a table."""

    def get(self, request: HttpRequest, experiment: str) -> HttpResponseBase:
        """Show the page that the address describes."""
        asked, found = Asked.of(request), self.experiment(experiment)
        wrong = self._fault(found, asked.typed) if asked.typed else None
        if asked.typed and wrong is None:
            return redirect(_with_filter(request, _joined(asked.text, asked.typed)))
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
        asked = numbers(self.request.GET.get("open", ""))[:OPEN_FAMILIES]
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


def _joined(*texts: str) -> str:
    """One filter of several that all must hold; what cannot be read is left out."""
    return " ".join(piece for text in texts for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    try:
        return metricstore.pieces(text)
    except FilterError:
        return []


def _chips(request: HttpRequest, text: str) -> list[dict[str, str]]:
    """One chip a condition, with the address without it."""
    pieces = _pieces(text)
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
