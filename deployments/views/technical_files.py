"""Pages of the technical file: read it, write what no record tells, issue it, compare issues."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.cards import annex
from deployments.cards.writing import own, written
from deployments.models import ModelVersion, PaperVersion, TechnicalFile
from deployments.proof import papers
from deployments.services import technical_files, writings
from deployments.views.answers import see
from deployments.views.paper_edit import PaperEdit
from deployments.views.papers import TextForm, file_name, text_form
from deployments.views.versions import OneVersion
from projects.access import ProjectView
from projects.permissions import Permission

MOST = 50


def address(version: ModelVersion) -> str:
    """Return the address of the technical file of a version."""
    model = version.model
    return reverse("deployments:technical-file", args=[model.project.slug, model.name, version.number])


class VersionTechnicalFile(OneVersion):
    """The file as the records are now, with what is missing, and its issues; a POST issues it."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW
    write_permission = Permission.FILE_ISSUE

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        paper = writings.named(technical_files.read(self.actor, version=version))
        filled, asked = papers.completeness(paper)
        context = {
            "version": version, "paper": paper, "filled": filled, "asked": asked, "gaps": papers.gaps(paper),
            "percent": 100 * filled // asked, **_issues(self, version),
        }  # fmt: skip
        return render(request, "deployments/technical_file.html", context)

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        technical_files.issue(self.actor, version=version)
        return see(address(version))


class TechnicalFileIssues(OneVersion):
    """The list of issues alone; htmx asks while a worker packs one."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        return render(request, "deployments/_issues.html", {"version": version, **_issues(self, version)})


class TechnicalFileEdit(PaperEdit):
    """Write what no record can tell."""

    reads = ModelVersion
    permission = Permission.MODEL_REGISTER
    paper = "technical file"

    def write(self, version: ModelVersion, form: TextForm) -> PaperVersion | None:
        return technical_files.write(self.actor, version=version, texts=form.texts(), level=form.level, seen=form.seen)

    def saved(self, made: PaperVersion) -> str:
        return "The technical file is saved."

    def address(self, version: ModelVersion) -> str:
        return address(version)

    def form(self, request: HttpRequest, version: ModelVersion) -> TextForm:
        level = (request.POST if request.method == "POST" else request.GET).get("level", "")
        texts = {
            each: {part: said["text"] for part, said in own(version, "file", level=each).items()}
            for each in ("model", "version")
        }
        special = level == "version"
        rows = {part: (f"{number} {label}", about) for part, (number, label, about) in annex.HAND.items()}
        stands = texts["model"] if special else {}
        seen = written(version, "file").number
        return text_form(request, rows, own=texts["version" if special else "model"], stands=stands, seen=seen)


class OneIssue(ProjectView):
    """Loads the issue that the address names."""

    abstract = True
    reads = TechnicalFile
    permission = Permission.MODEL_VIEW

    def load(self, name: str, number: int) -> TechnicalFile:
        """Return one issue of a model."""
        rows = self.rows().in_project(self.project).select_related("version__model__project", "issued_by")
        found: TechnicalFile = self.find(rows, model__name=name, number=min(number, 2**31 - 1))
        return found


class TechnicalFileIssue(OneIssue):
    """One issue as it was, and what differs from another one."""

    reads = TechnicalFile
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        issued = self.load(name, number)
        context: dict[str, Any] = {"issued": issued, "version": issued.version, "compared": None}
        if issued.document:
            context["paper"] = writings.named(technical_files.document(self.actor, issued=issued))
        since = request.GET.get("since", "")
        if since.isascii() and since.isdecimal() and len(since) < 10:
            old = self.load(name, int(since))
            context["compared"] = writings.named(technical_files.difference(self.actor, old=old, new=issued))
        ended = technical_files.issues(self.actor, version=issued.version).filter(state="succeeded")
        context["others"] = list(ended.exclude(pk=issued.pk)[:MOST])
        return render(request, "deployments/technical_file_issue.html", context)


class TechnicalFileDownload(OneIssue):
    """The zip of one issue."""

    reads = TechnicalFile
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        del request
        issued = self.load(name, number)
        return zipped(issued, technical_files.content(self.actor, issued=issued))


def zipped(issued: TechnicalFile, content: bytes) -> HttpResponse:
    """Answer with the zip of an issue."""
    answer = HttpResponse(content, content_type="application/zip")
    name = file_name(issued.version, "technical-file", issued.number)
    answer["Content-Disposition"] = f'attachment; filename="{name}.zip"'
    return answer


def _issues(page: OneVersion, version: ModelVersion) -> dict[str, Any]:
    found = list(technical_files.issues(page.actor, version=version)[:MOST])
    return {"issues": found, "working": any(not row.is_terminal for row in found)}
