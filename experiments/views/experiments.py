"""Pages: experiments of a project."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from experiments import queries
from experiments.models import Experiment
from experiments.services import experiments
from mlportal.lib.errors import DomainError
from projects.access import ProjectView
from projects.permissions import Permission

LISTED = 500


class ExperimentList(ProjectView):
    """Experiments of a project."""

    reads = Experiment
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_LOG

    def get(self, request: HttpRequest) -> HttpResponse:
        """List them, the most recently used first."""
        return self._page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Create one and open it."""
        try:
            made = experiments.ensure(
                self.actor, project=self.project,
                name=request.POST.get("name", "").strip(), description=request.POST.get("description", ""),
            )  # fmt: skip
        except DomainError as error:
            return self._page(request, error)
        return redirect("experiments:run-list", self.project.slug, made.address)

    def _page(self, request: HttpRequest, error: DomainError | None = None) -> HttpResponse:
        lines = queries.experiment_lines(self.actor, self.project, limit=LISTED)
        context = {"lines": lines, "error": error, "given": request.POST}
        return render(request, "experiments/experiment_list.html", context, status=error.status if error else 200)
