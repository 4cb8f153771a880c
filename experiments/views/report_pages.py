"""Pages of reports: the list, one report, its blocks, its editor, its file."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from experiments.models import Experiment, Report
from experiments.queries import blocks
from experiments.queries.compared import View
from experiments.services import reports
from experiments.views import standalone
from mlportal.lib.errors import DomainError, Invalid, Missing
from projects.access import ProjectView
from projects.models import Project
from projects.permissions import Permission

LISTED = 200
EVERY = "all"  # of the experiments to ask: all of the project
CHART_KINDS = {
    "curves": "bundle", "scatter": "scatter", "boxes": "box", "contour": "contour", "importance": "bars",
    "roc": "lines", "precision_recall": "lines", "calibration": "lines",
}  # fmt: skip
Json = dict[str, Any]


class ReportList(ProjectView):
    """Reports of the project."""

    reads = Report
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        """List them, newest change first."""
        rows = self.rows().in_project(self.project).select_related("created_by").defer("frozen", "blocks")
        found = rows.order_by("-updated_at", "-pk")[:LISTED]
        return render(request, "experiments/report_list.html", {"reports": found})

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Begin one."""
        try:
            made = reports.create(self.actor, project=self.project, title=request.POST.get("title", ""))
        except DomainError as error:
            messages.error(request, error.message)
            return redirect("experiments:report-list", self.project.slug)
        return redirect(f"{_address(made)}?edit=1")


class _OneReport(ProjectView):
    abstract = True
    reads = Report
    permission = Permission.RUN_VIEW

    def load(self, number: int) -> Report:
        """The report of the address, or 404."""
        rows = self.rows().in_project(self.project).select_related("project", "created_by")
        found: Report = self.find(rows, pk=number)
        return found


class ReportShow(_OneReport):
    """One report; ``edit=1`` shows the tools of its blocks."""

    def get(self, request: HttpRequest, report: int) -> HttpResponse:
        """Show its blocks: charts ask for their points when they are drawn."""
        found = self.load(report)
        editing = request.GET.get("edit") == "1"
        context = {
            "report": found, "editing": editing,
            "blocks": _with_studies(self.project, _parts(self.actor, found), editing),
            "experiments": Experiment.objects.in_project(self.project).active().order_by("name")[:LISTED],
            "chart_kinds": blocks.CHARTS,
        }  # fmt: skip
        return render(request, "experiments/report_show.html", context)


def _with_studies(project: Project, parts: list[Json], editing: bool) -> list[Json]:  # noqa: FBT001 - one word for one flag
    """Give blocks of importance the studies they may show, while the report is edited."""
    shown = [part for part in parts if part.get("chart") == "importance"] if editing else []
    found = blocks.studies_of(project, [part["experiment"] for part in shown]) if shown else {}
    for part in shown:
        part["studies"] = [(each.pk, blocks.study_label(each)) for each in found[part["experiment"]]]
    return parts


def _parts(by: Any, report: Report) -> list[Json]:
    """Blocks with what the server draws; charts come by their own address."""
    if report.is_frozen:
        return [prepared(block) for block in blocks.shown(by, report)]
    drawn = (b if b["kind"] == "chart" else blocks.resolve(by, report.project, b) for b in report.blocks)
    return [prepared(block) for block in drawn]


def prepared(block: Json) -> Json:
    """A block with what its template needs: the kind of drawing, a title, how its curves are looked at."""
    view = View.of_text(block.get("state", ""))
    look = [(name, view.get(name)) for name in ("x", "y", "smooth", "clip") if view.get(name)]
    return {**block, "draws": CHART_KINDS.get(block.get("chart", ""), ""), "title": heading(block), "look": look}


def heading(block: Json) -> str:
    """What stands above a block."""
    words = {"text": "", "table": "Differences", "runs": "Runs", "matrices": "Confusion matrices"}
    return str(block["heading"] or words.get(block["kind"], "") or blocks.CHARTS.get(block.get("chart", ""), ""))


class ReportBlock(_OneReport):
    """What one block shows, as JSON."""

    def get(self, request: HttpRequest, report: int, block: str) -> JsonResponse:
        """Answer its values now, or those that were frozen."""
        found = blocks.one(self.actor, self.load(report), block)
        if found is None:
            raise Missing("This report has no such block.")
        return JsonResponse({"data": None, **found})


class ReportChange(_OneReport):
    """Everything that changes a report; ``do`` says what."""

    write_permission = Permission.RUN_EDIT

    def post(self, request: HttpRequest, report: int) -> HttpResponseBase:
        """Do it and show the report again."""
        found, given = self.load(report), request.POST
        doing = getattr(self, f"do_{given.get('do', '')}", None)
        if doing is None:
            raise Invalid("do must name what to change.", field="do", got=given.get("do", "")[:80])
        try:
            shown, anchor = doing(found, given)
        except DomainError as error:
            messages.error(request, error.message)
            shown, anchor = found, ""
        if shown is None:
            return redirect("experiments:report-list", self.project.slug)
        editing = "" if shown.is_frozen else "?edit=1"
        return redirect(f"{_address(shown)}{editing}{f'#b-{anchor}' if anchor else ''}")

    def do_rename(self, report: Report, given: Any) -> tuple[Report, str]:
        """Give another title."""
        return reports.change(self.actor, report=report, title=given.get("title", ""), what="renamed"), ""

    def do_text(self, report: Report, given: Any) -> tuple[Report, str]:
        """Append a block of text."""
        return _added(reports.add(self.actor, report=report, content=[{"kind": "text", "text": given.get("text", "")}]))

    def do_ask(self, report: Report, given: Any) -> tuple[Report, str]:
        """Append a chart, table or run set that asks a filter of an experiment."""
        what, number = given.get("what", ""), given.get("experiment", "")
        block = {
            "kind": what if what in ("table", "runs", "matrices") else "chart", "heading": given.get("heading", ""),
            "experiment": None if number == EVERY else _whole(number),
            "state": View.of_text("").text(q=given.get("q", "")), "chart": what,
        }  # fmt: skip
        if block["kind"] != "chart":
            del block["chart"]
        return _added(reports.add(self.actor, report=report, content=[block]))

    def do_edit(self, report: Report, given: Any) -> tuple[Report, str]:
        """Change the words of a block."""
        changes: Json = {name: given[name] for name in ("text", "heading") if name in given}
        if number := given.get("study", ""):
            changes["study"] = _whole(number) or number
        return reports.edit(self.actor, report=report, block=given.get("block", ""), changes=changes), given["block"]

    def do_up(self, report: Report, given: Any) -> tuple[Report, str]:
        """Move a block up."""
        block = given.get("block", "")
        return reports.move(self.actor, report=report, block=block, by_places=-1), block

    def do_down(self, report: Report, given: Any) -> tuple[Report, str]:
        """Move a block down."""
        block = given.get("block", "")
        return reports.move(self.actor, report=report, block=block, by_places=1), block

    def do_remove(self, report: Report, given: Any) -> tuple[Report, str]:
        """Take a block out."""
        return reports.remove(self.actor, report=report, block=given.get("block", "")), ""

    def do_freeze(self, report: Report, given: Any) -> tuple[Report, str]:
        """Keep the values of now."""
        return reports.freeze(self.actor, report=report), ""

    def do_copy(self, report: Report, given: Any) -> tuple[Report, str]:
        """Go on with a live copy."""
        return reports.copy(self.actor, report=report), ""

    def do_delete(self, report: Report, given: Any) -> tuple[None, str]:
        """Remove it."""
        reports.delete(self.actor, report=report)
        return None, ""


class ReportExport(_OneReport):
    """One report as a file that needs no network."""

    def get(self, request: HttpRequest, report: int) -> HttpResponse:
        """Send a self-contained HTML file."""
        found = self.load(report)
        parts = [prepared(block) for block in blocks.shown(self.actor, found)]
        return standalone.download(standalone.page(found.title, parts, report=found), f"report-{found.pk}")


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _added(report: Report) -> tuple[Report, str]:
    return report, report.blocks[-1]["id"]


def _address(report: Report) -> str:
    return reverse("experiments:report-show", args=[report.project.slug, report.pk])
