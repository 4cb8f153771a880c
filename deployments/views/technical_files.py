"""Pages of the technical file: read it, write what no record tells, issue it, compare issues."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.cards import annex
from deployments.cards.writing import own, written
from deployments.models import ModelVersion, TechnicalFile
from deployments.proof import papers
from deployments.services import technical_files, writings
from deployments.views.answers import see
from deployments.views.models import OneVersion
from deployments.views.papers import MENDABLE, TextForm, file_name, text_form
from mlportal.lib.errors import DomainError
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


class TechnicalFileEdit(OneVersion):
    """Write what no record can tell, with a preview of the Markdown."""

    reads = ModelVersion
    permission = Permission.MODEL_REGISTER

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        return self._show(request, version, self._form(request, version))

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        form = self._form(request, version)
        if form.preview:
            return self._show(request, version, form)
        try:
            made = technical_files.write(
                self.actor, version=version, texts=form.texts(), level=form.level, seen=form.seen
            )
        except DomainError as error:
            if error.status not in MENDABLE:
                raise
            form.refuse(error)
            return self._show(request, version, form, status=409 if error.status == 409 else 422)
        messages.success(request, "The technical file is saved." if made else "Nothing was changed.")
        return see(address(version))

    def _form(self, request: HttpRequest, version: ModelVersion) -> TextForm:
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

    def _show(self, request: HttpRequest, version: ModelVersion, form: TextForm, *, status: int = 200) -> HttpResponse:
        subject = version if form.level == "version" else version.model.name
        words = {
            "version": version, "form": form, "paper_words": "technical file", "back": address(version),
            "heading": f"Edit the technical file of {subject}",
        }  # fmt: skip
        return render(request, "deployments/paper_edit.html", words, status=status)


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
