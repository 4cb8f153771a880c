"""Pages of one run."""

from __future__ import annotations

import math

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from experiments import metricstore, queries
from experiments.models import Run
from experiments.services import runs
from experiments.views.metrics import MOST, POINTS
from experiments.views.run_page import curve_data, page_context
from mlportal.lib.errors import DomainError, Invalid
from projects.access import ProjectView
from projects.permissions import Permission


class RunPage(ProjectView):
    """Base of the pages of one run."""

    abstract = True
    reads = Run
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_EDIT

    def load(self, number: int) -> Run:
        """The run of the address, or 404."""
        return self.find(self.rows().in_project(self.project).with_context(), pk=number)


class RunShow(RunPage):
    """Everything about a run."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Show it."""
        facts = queries.facts(self.load(run))
        return render(request, "experiments/run_show.html", page_context(facts, curves=request.GET.get("curves", "")))


class RunSeries(RunPage):
    """The curves of a run that is still working, for its open page."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Send the asked metrics, thinned, and the run's state."""
        found = self.load(run)
        names = request.GET.getlist("key")
        if len(names) > MOST:
            raise Invalid(f"At most {MOST} metrics.", field="key", limit=MOST, got=len(names))
        series = metricstore.many_series([found.pk], names, at_most=POINTS)
        latest = metricstore.latest([found.pk], names)[found.pk]
        body = {
            "state": found.state,
            "settled": found.is_settled,
            "latest": {n: p.value if math.isfinite(p.value) else None for n, p in latest.items()},
            **curve_data(found, {name: s for (_, name), s in series.items()}),
        }
        return HttpResponse(orjson.dumps(body), content_type="application/json")


class RunNotes(RunPage):
    """Name and notes of a run."""

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Save them, or show the page again with what is wrong."""
        found = self.load(run)
        try:
            runs.annotate(self.actor, run=found, name=request.POST.get("name"), notes=request.POST.get("notes"))
        except DomainError as error:
            context = page_context(queries.facts(found), error=error, given=request.POST)
            return render(request, "experiments/run_show.html", context, status=422)
        return redirect("experiments:run-show", self.project.slug, found.pk)


class RunTags(RunPage):
    """Tags of a run."""

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Add or remove one tag."""
        found = self.load(run)
        try:
            if drop := request.POST.get("drop", ""):
                runs.drop_tag(self.actor, run=found, key=drop)
            else:
                name, _, value = request.POST.get("tag", "").strip().partition("=")
                runs.set_tags(self.actor, run=found, tags={name.strip(): value.strip()})
        except DomainError as error:
            return render(
                request, "experiments/run_show.html", page_context(queries.facts(found), error=error), status=422
            )
        return redirect("experiments:run-show", self.project.slug, found.pk)


class RunArchive(RunPage):
    """Hide a run from lists, or show it again."""

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Archive an active run; restore an archived one."""
        found = self.load(run)
        if found.lifecycle == "deleted":
            runs.restore(self.actor, run=found)
            messages.success(request, f"Run {found.pk} restored.")
        else:
            runs.delete(self.actor, run=found)
            messages.success(request, f"Run {found.pk} archived. It can be restored here.")
        return redirect("experiments:run-show", self.project.slug, found.pk)
