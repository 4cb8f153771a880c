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
from projects.permissions import Permission
from projects.services import projects

PAGE = 100


class TrashPage(ProjectView):
    """Base of the pages of the trash."""

    abstract = True
    reads = Run
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_EDIT

    def page(self, request: HttpRequest, error: DomainError | None = None) -> HttpResponse:
        """Show what is in the trash."""
        number = request.GET.get("before", "")
        before = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None
        context = {"trash": trash_of(self.actor, self.project, limit=PAGE, before=before), "error": error}
        return render(request, "experiments/trash.html", context, status=error.status if error else 200)

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
