"""Pages of imports: ask for one, watch it, stop it, ask again."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib.errors import Conflict, Missing
from projects.access import ProjectView
from projects.forms.sources import IMPORTS
from projects.models import Connection, DatasetImport, DatasetVersion
from projects.permissions import Permission
from projects.services import imports
from projects.tabular import folder
from projects.views.accounts import see_other
from projects.views.datasets import OneVersion

HEADINGS = {
    "url": "From an address",
    "s3": "From an S3 store",
    "postgres": "From a PostgreSQL query",
    "folder": "From a folder, by reference",
}


def import_url(found: DatasetImport) -> str:
    """Address of an import's page."""
    return reverse("projects:dataset-import", args=[found.project.slug, found.pk])


class DatasetImportNew(ProjectView):
    """Ask for an import of one kind."""

    reads = DatasetImport
    permission = Permission.DATASET_CREATE

    def get(self, request: HttpRequest, source: str) -> HttpResponse:
        """The empty form; ``name`` fills in the dataset that gets a new version."""
        return self._show(request, source, self._form(source, initial={"name": request.GET.get("name", "")[:100]}))

    def post(self, request: HttpRequest, source: str) -> HttpResponse:
        """Start it, or show what is wrong."""
        form = self._form(source, request.POST)
        found = form.attempt(lambda: self._start(source, form)) if form.is_valid() else None
        if found is None:
            return self._show(request, source, form, status=422)
        return see_other(import_url(found))

    def _start(self, source: str, form: Any) -> DatasetImport:
        try:
            return imports.start(self.actor, project=self.project, kind=source, **form.values())
        except Missing as error:  # a name in the form, not of this page
            raise Conflict(error.message, field=error.field) from error

    def _form(self, source: str, *args: Any, **kwargs: Any) -> Any:
        if source not in IMPORTS:
            raise Missing(f"There is no source {source[:40]!r}. Sources: {', '.join(IMPORTS)}.")
        known = Connection.objects.visible_to(self.actor).in_project(self.project).filter(kind=source)
        names = list(known.order_by("name").values_list("name", flat=True)) if source in ("s3", "postgres") else []
        return IMPORTS[source](*args, connections=names, roots=list(folder.roots(settings.DATA_ROOTS)), **kwargs)

    def _show(self, request: HttpRequest, source: str, form: Any, *, status: int = 200) -> HttpResponse:
        lacks = ""
        if "connection" in form.fields and not form.fields["connection"].choices:
            lacks = "connection"
        elif "root" in form.fields and not form.fields["root"].choices:
            lacks = "root"
        values = {"form": form, "source": source, "heading": HEADINGS[source], "headings": HEADINGS, "lacks": lacks}
        return render(request, "projects/dataset_import_new.html", values, status=status)


class _OneImport(ProjectView):
    abstract = True
    reads = DatasetImport
    permission = Permission.DATASET_VIEW

    def found(self, number: int) -> DatasetImport:
        """The import of the address."""
        rows = self.rows().in_project(self.project)
        rows = rows.select_related("project", "connection", "created_by", "version__dataset", "refreshes__dataset")
        found: DatasetImport = self.find(rows, pk=number)
        return found


class DatasetImportDetail(_OneImport):
    """One import: how far it is, or how it ended."""

    reads = DatasetImport
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the page."""
        return render(request, "projects/dataset_import.html", _context(self.found(number)))


class DatasetImportProgress(_OneImport):
    """The progress card alone, for polling; the page reloads itself once when the import ends."""

    reads = DatasetImport
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """The card, or the order to reload."""
        found = self.found(number)
        response = render(request, "projects/_dataset_import_progress.html", _context(found))
        if found.is_terminal:
            response["HX-Refresh"] = "true"
        return response


class DatasetImportCancel(_OneImport):
    """Stop an import."""

    reads = DatasetImport
    permission = Permission.DATASET_CREATE
    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Stop it and go back to its page."""
        found = self.found(number)
        try:
            imports.cancel(self.actor, found=found)
            messages.success(request, "The import is being stopped. Nothing of it is kept.")
        except Conflict as error:
            messages.info(request, error.message)
        return see_other(import_url(found))


class DatasetVersionRefresh(OneVersion):
    """Ask the source of a version again."""

    reads = DatasetVersion
    permission = Permission.DATASET_CREATE
    http_method_names = ["post"]

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Start, and go to the import's page."""
        return see_other(import_url(imports.refresh(self.actor, version=self.version(name, number))))


def _context(found: DatasetImport) -> dict[str, Any]:
    return {
        "found": found,
        "heading": HEADINGS[found.kind],
        "source_words": imports.words(found.kind, found.spec),
        "query": found.spec.get("query", ""),
    }
