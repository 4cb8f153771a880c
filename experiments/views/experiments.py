"""Pages: experiments of a project, and what of one can be changed."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from experiments import queries
from experiments.models import Experiment
from experiments.queries import DEFAULT_SORT, SORTS, ExperimentPage, Listing
from experiments.queries.folders import Tree, tree_of
from experiments.services import experiments, folders
from experiments.views.folders import address, chosen
from experiments.views.runs_of import RunsOf
from mlportal.lib import addresses
from mlportal.lib.errors import DomainError, Invalid, Missing
from projects.access import ProjectView
from projects.permissions import Permission

PAGE = 50
OFFERED_METRICS = 500


class ExperimentList(ProjectView):
    """Experiments of a project, folder by folder."""

    reads = Experiment
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_LOG

    def get(self, request: HttpRequest) -> HttpResponse:
        """List those of a folder, the most recently used first."""
        return self._page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Create one and open it."""
        try:
            place = chosen(self, request.POST.get("folder", ""), "folder")
            made = experiments.ensure(
                self.actor, project=self.project,
                name=request.POST.get("name", "").strip(), description=request.POST.get("description", ""),
            )  # fmt: skip
            if place is not None:
                folders.place(self.actor, experiment=made, folder=place)
        except DomainError as error:
            return self._page(request, error)
        return redirect("experiments:run-list", self.project.slug, made.address)

    def _page(self, request: HttpRequest, error: DomainError | None = None) -> HttpResponse:
        tree = tree_of(self.project)
        asked = _asked(request, tree)
        wrong = addresses.order_fault(request.GET.get("sort", ""), SORTS)
        page = self._found(request, asked, tree, wrong)
        context = {
            "address_faults": wrong,
            "asked": asked, "page": page, "lines": page.lines, "path": tree.path(asked.folder_id), "error": error,
            "folders": [] if asked.text else tree.lines(asked.folder_id), "given": request.POST,
            "heads": [_head(asked, key) for key in SORTS], "sort_words": SORTS[asked.key],
            "narrowed": bool(asked.text or asked.folder_id or request.GET.get("cursor")),
        }  # fmt: skip
        return render(request, "experiments/experiment_list.html", context, status=error.status if error else 200)

    def _found(self, request: HttpRequest, asked: Listing, tree: Tree, wrong: list[str]) -> ExperimentPage:
        place = {"after": request.GET.get("cursor", ""), "before": request.GET.get("before", "")}
        try:
            return queries.experiment_page(self.actor, self.project, asked, tree, limit=PAGE, **place)
        except Invalid:  # a cursor of another order: start from the first page
            wrong.append("cursor: it is of another order or filter. This is the first page.")
            return queries.experiment_page(self.actor, self.project, asked, tree, limit=PAGE)


def _asked(request: HttpRequest, tree: Tree) -> Listing:
    number, sort = request.GET.get("folder", ""), request.GET.get("sort", "")
    folder = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None
    if number and folder not in tree.by_id:
        raise Missing("There is no such folder here.", field="folder")
    known = sort.removeprefix("-") in SORTS
    return Listing(folder, request.GET.get("q", "").strip()[:200], sort if known else DEFAULT_SORT)


def _head(asked: Listing, key: str) -> dict[str, str]:
    """How a column is sorted now, and what a click on its head asks for."""
    if asked.key != key:
        return {"key": key, "aria": "", "next": key if key == "name" else f"-{key}"}
    aria = "descending" if asked.descending else "ascending"
    return {"key": key, "aria": aria, "next": key if asked.descending else f"-{key}"}


class ExperimentEdit(RunsOf):
    """Name, description, primary metric and folder of an experiment."""

    write_permission = Permission.RUN_EDIT

    def get(self, request: HttpRequest, experiment: str) -> HttpResponse:
        """Show them."""
        found = self.experiment(experiment)
        given = {
            "name": found.name, "description": found.description, "primary_metric": found.primary_metric,
            "folder": str(found.folder_id or ""),
        }  # fmt: skip
        return self._page(request, found, given)

    def post(self, request: HttpRequest, experiment: str) -> HttpResponse:
        """Save what changed, all of it or nothing."""
        found = self.experiment(experiment)
        given = {key: request.POST.get(key, "") for key in ("name", "description", "primary_metric", "folder")}
        try:
            place = chosen(self, given["folder"], "folder")
            experiments.edit(
                self.actor, experiment=found, name=given["name"].strip(), description=given["description"],
                primary_metric=given["primary_metric"].strip(), folder=place,
            )  # fmt: skip
        except DomainError as error:
            return self._page(request, self.experiment(experiment), given, error)
        messages.success(request, "Saved.")
        return redirect("experiments:run-list", self.project.slug, found.address)

    def _page(
        self, request: HttpRequest, found: Experiment, given: dict[str, Any], error: DomainError | None = None
    ) -> HttpResponse:
        tree = tree_of(self.project, counted=False)
        context = {
            "experiment": found, "given": given, "error": error, "places": tree.every(),
            "folder_path": tree.path(found.folder_id), "metrics": queries.metric_names(found)[:OFFERED_METRICS],
        }  # fmt: skip
        return render(request, "experiments/experiment_edit.html", context, status=error.status if error else 200)


class ExperimentArchive(RunsOf):
    """Put an experiment with its runs into the trash."""

    write_permission = Permission.RUN_EDIT

    def post(self, request: HttpRequest, experiment: str) -> HttpResponse:
        """Archive it; the trash has it until it is restored or removed."""
        found = self.experiment(experiment)
        experiments.delete(self.actor, experiment=found)
        messages.success(request, f"{found.name} is in the trash with its runs. It can be restored there.")
        return redirect(address(self.project.slug, found.folder_id))
