"""Pages of the trash: what is in it, restore, remove now, empty, how long it keeps."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from experiments.models import BulkAction, Experiment, Lifecycle, Run
from experiments.queries.trash import trash_of
from experiments.services import bulk, experiments, runs, trash
from experiments.services.bulk import Chosen
from mlportal.lib.errors import Conflict, DomainError, Invalid
from projects.access import ProjectView
from projects.permissions import Permission, allowed
from projects.services import dataset_trash, projects

PAGE, PART = 100, 20
KINDS = ("experiments", "runs", "datasets")


def _number(request: HttpRequest, name: str) -> int | None:
    given = request.GET.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None


class TrashPage(ProjectView):
    """Base of the pages of the trash."""

    abstract = True
    reads = Run
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_EDIT

    def page(self, request: HttpRequest, error: DomainError | None = None) -> HttpResponse:
        """Show what is in the trash: a little of each kind, or all of one."""
        kind, wrong = request.GET.get("kind", ""), []
        if kind and kind not in KINDS:
            wrong.append(f"kind: the trash holds {', '.join(KINDS)}; not {kind[:40]!r}.")
            kind = ""
        limit, query = PAGE if kind else PART, request.GET.get("q", "").strip()[:200]
        found = trash_of(
            self.actor, self.project, limit=limit, before=_number(request, "before"), kind=kind, query=query
        )
        datasets = self._datasets(request, kind, query, limit)
        counts = {"runs": found.run_count, "experiments": found.experiment_count, "datasets": datasets.count}
        context = {
            "trash": found, "datasets": datasets, "error": error, "kind": kind, "query": query, "counts": counts,
            "total": sum(counts.values()), "address_faults": wrong,
        }  # fmt: skip
        return render(request, "experiments/trash.html", context, status=error.status if error else 200)

    def _datasets(self, request: HttpRequest, kind: str, query: str, limit: int) -> dataset_trash.TrashPage:
        if not allowed(self.actor, Permission.DATASET_VIEW, self.project):
            return dataset_trash.TrashPage([], None, 0)
        skip = _number(request, "skip") or 0 if kind == "datasets" else 0
        shown = limit if kind in ("", "datasets") else 0
        return dataset_trash.trashed(self.actor, project=self.project, query=query, skip=skip, limit=shown)

    def back(self) -> HttpResponse:
        """Go to the trash."""
        return redirect("experiments:trash", self.project.slug)

    def told(self, action: BulkAction) -> HttpResponse:
        """Go to what says how far a removal is."""
        return redirect("experiments:bulk-show", self.project.slug, action.pk)


class TrashShow(TrashPage):
    """The trash of a project."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        return self.page(request)


class TrashEmpty(TrashPage):
    """Remove all of it for good."""

    write_permission = Permission.RUN_DELETE

    def post(self, request: HttpRequest) -> HttpResponse:
        """Begin; who typed nothing is asked to."""
        if request.POST.get("word", "").strip().lower() != "empty":
            return self.page(request, Invalid("Type the word empty to empty the trash.", field="word"))
        try:
            return self.told(trash.empty(self.actor, project=self.project))
        except Conflict as error:
            return self.page(request, error)


class TrashKeep(TrashPage):
    """How long the trash keeps."""

    write_permission = Permission.PROJECT_EDIT

    def post(self, request: HttpRequest) -> HttpResponse:
        """Save the number of days."""
        try:
            projects.keep_trash(self.actor, project=self.project, days=request.POST.get("days", ""))
        except DomainError as error:
            return self.page(request, error)
        messages.success(request, "Saved.")
        return self.back()


class TrashRun(TrashPage):
    """Bring one run back."""

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Restore it."""
        found = self.find(self.rows().in_project(self.project).select_related("project", "experiment"), pk=run)
        if found.experiment.lifecycle == Lifecycle.DELETED:
            return self.page(request, Conflict("Its experiment is in the trash; restore that first."))
        runs.restore(self.actor, run=found)
        messages.success(request, f"Run {found.pk} restored.")
        return self.back()


class TrashRunRemove(TrashPage):
    """Remove one run for good."""

    write_permission = Permission.RUN_DELETE

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Say what will happen; a run that something needs says what."""
        found = self.find(self.rows().in_project(self.project).select_related("project"), pk=run)
        action = bulk.prepare(
            self.actor, project=self.project, kind=BulkAction.Kind.REMOVE, chosen=Chosen(run_ids=[found.pk])
        )
        return render(request, "experiments/bulk_confirm.html", {"action": action, "experiment": None, "back": ""})


class TrashExperiment(TrashPage):
    """Bring an experiment back."""

    reads = Experiment

    def post(self, request: HttpRequest, experiment: int) -> HttpResponse:
        """Restore it with the runs that went with it."""
        found = self.find(self.rows().in_project(self.project).select_related("project"), pk=experiment)
        try:
            experiments.restore(self.actor, experiment=found)
        except Conflict as error:
            return self.page(request, error)
        messages.success(request, f"{found.name} restored, with the runs that went with it.")
        return self.back()


class TrashExperimentRemove(TrashPage):
    """Remove an experiment for good."""

    reads = Experiment
    write_permission = Permission.RUN_DELETE

    def post(self, request: HttpRequest, experiment: int) -> HttpResponse:
        """Remove it and its runs; it stays with those that something needs."""
        found = self.find(self.rows().in_project(self.project).select_related("project"), pk=experiment)
        if request.POST.get("sure") != "1":
            return render(request, "experiments/trash_remove.html", {"experiment": found})
        try:
            return self.told(trash.remove_experiment(self.actor, experiment=found))
        except Conflict as error:
            return self.page(request, error)
