"""A comparison as files: one HTML page that needs no network, its data as CSV; and as blocks of a report."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render

from experiments import charts, queries
from experiments.models import Experiment, Report
from experiments.queries import blocks, evaluations, panels
from experiments.queries.compared import Comparison
from experiments.services import reports
from experiments.views import compare_file, compare_importance, standalone
from experiments.views.compare import Compared, heading, where
from experiments.views.report_pages import prepared
from experiments.views.runs_of import Addresses
from projects.actor import Actor
from projects.permissions import Permission

MOST_COLUMNS = 1000
STORED = (*evaluations.CURVES, "matrices")
Json = dict[str, Any]


def blocks_of(by: Actor, made: Comparison, wanted: list[str] | None = None) -> list[Json]:
    """The parts of the compare page as blocks of a report; ``wanted`` keeps some kinds."""
    number = made.place.pk if isinstance(made.place, Experiment) else None
    base: Json = {"experiment": number, "state": made.view.text(), "heading": ""}
    curves = [{**base, "kind": "chart", "chart": "curves", "metric": m, "heading": panels.label_of(f"m.{m}")}
              for m in panels.curve_names(made)]  # fmt: skip
    others = [
        {**base, "kind": "chart", "chart": kind, "metric": "", **(_study(by, made) if kind == "importance" else {})}
        for kind in blocks.CHARTS if kind != "curves"
    ]  # fmt: skip
    every = [{**base, "kind": "runs"}, *curves, *others, {**base, "kind": "matrices"}, {**base, "kind": "table"}]
    return [b for b in every if wanted is None or b.get("chart", b["kind"]) in wanted]


def _study(by: Actor, made: Comparison) -> Json:
    """The study that the compare page shows, if it is finished: of its metric and of exactly its runs."""
    shown = compare_importance.card(by, made) if made.primary else {}
    study = shown.get("study")
    return {"study": study.pk, "metric": shown["metric"]} if study is not None and study.result else {}


class CompareExport(Compared):
    """Says how large the file is, and hands it over."""

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """Show the size, or with ``file=1`` send the file."""
        made = self.comparison(request, experiment)
        asked = [{**b, "id": f"b{at}"} for at, b in enumerate(blocks_of(self.actor, made))]
        resolved = [blocks.resolve(self.actor, self.project, block) for block in asked]
        # A chart that these runs have no values for is left out: nobody asked for it by name.
        # What runs stored beside metrics stands below the blocks, with their images and tables.
        parts = [prepared(b) for b in resolved if "data" in b and b.get("chart", b["kind"]) not in STORED]
        title = f"{heading(made)} · {made.place.name}"
        stored = compare_file.stored(made, queries.facts_of(made.coloured, ()))
        text = standalone.page(title, parts, source=request.build_absolute_uri(_page(made)), stored=stored)
        if request.GET.get("file") == "1":
            return standalone.download(text, _file_name(made))
        size, library = len(text.encode()), len(standalone.library().encode())
        return render(request, "experiments/compare_export.html", {
            **where(made), "made": made, "heading": heading(made),
            "size": size, "library": library, "parts": parts, "page": _page(made), "stored": stored,
        })  # fmt: skip


class CompareCsv(Compared):
    """The compared runs with their parameters and metrics."""

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponseBase:
        """Send a line a run, up to 1,000."""
        made = self.comparison(request, experiment, around=False)
        names = made.metrics[:MOST_COLUMNS]
        made.load(names)
        answer = StreamingHttpResponse(_lines(made, names), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{_file_name(made)}.csv"'
        return answer


def _lines(made: Comparison, names: list[str]) -> Iterator[str]:
    params = sorted({p for pk in made.compared for p in made.dots[pk].params})
    yield _line(["run", "name", "state", *(f"params.{p}" for p in params), *(f"metrics.{m}" for m in names)])
    for dot in (made.dots[pk] for pk in made.compared):
        values = [*(dot.params.get(p) for p in params), *(dot.metrics.get(m) for m in names)]
        yield _line([dot.id, dot.name, dot.state, *values])


def _line(values: list[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(["" if v is None else _harmless(v) for v in values])
    return out.getvalue()


def _harmless(value: object) -> object:
    """A text that a spreadsheet would run as a formula gets a quote in front."""
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and charts.number(value) is None
    return f"'{value}" if risky else value


class CompareReport(Compared):
    """Put parts of a comparison into a report."""

    write_permission = Permission.RUN_EDIT

    def get(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """Choose the report and the parts."""
        made = self.comparison(request, experiment)
        kinds = {"runs": "Run set", **blocks.CHARTS, "matrices": "Confusion matrices", "table": "Differences"}
        mine = Report.objects.visible_to(self.actor).in_project(self.project).filter(frozen_at=None)
        return render(request, "experiments/compare_report.html", {
            **where(made), "made": made, "heading": heading(made),
            "kinds": kinds, "reports": mine.defer("frozen").order_by("-updated_at")[:100], "page": _page(made),
        })  # fmt: skip

    def post(self, request: HttpRequest, experiment: str = "") -> HttpResponseBase:
        """Append them to a report, or begin one."""
        made = self.posted(request, experiment)
        content = blocks_of(self.actor, made, request.POST.getlist("part"))
        number = request.POST.get("report", "")
        if number.isascii() and number.isdigit() and len(number) < 19:
            mine = Report.objects.visible_to(self.actor).in_project(self.project).select_related("project")
            found = reports.add(self.actor, report=self.find(mine, pk=int(number)), content=content)
        else:
            title = request.POST.get("title", "").strip() or f"{heading(made)} of {made.place.name}"
            found = reports.create(self.actor, project=self.project, title=title[:200], content=content)
        return redirect("experiments:report-show", self.project.slug, found.pk)


def _page(made: Comparison) -> str:
    return f"{Addresses.of(made.place)['compare']}?{made.view.text()}"


def _file_name(made: Comparison) -> str:
    return f"{made.place.address if isinstance(made.place, Experiment) else 'runs'}-compare"
