"""Pages of one run."""

from __future__ import annotations

import math
from typing import Any

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from experiments import metricstore, queries
from experiments.models import Run
from experiments.queries import panels, versions
from experiments.services import runs
from experiments.views import baselines
from experiments.views.compare_data import bound
from experiments.views.job_log import log_context
from experiments.views.metrics import MOST
from experiments.views.run_page import curve_data, live_context, page_context, points_of, with_baseline
from mlportal.lib.errors import DomainError, Invalid
from mlportal.lib.ui import markdown
from projects.access import ProjectView
from projects.permissions import Permission

NOTES_CHARS = 10_000


class RunPage(ProjectView):
    """Base of the pages of one run."""

    abstract = True
    reads = Run
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_EDIT

    def load(self, number: int) -> Run:
        """The run of the address, or 404."""
        return self.find(self.rows().in_project(self.project).with_context(), pk=number)

    def shown(self, request: HttpRequest, run: Run, *, status: int = 200, **more: Any) -> HttpResponse:
        """Answer with the whole page."""
        context = page_context(queries.facts(run), request.GET.dict(), **more)
        context["live_version"] = "" if run.is_settled else versions.of_run(run.pk)
        if (job := context["job"]) is not None:
            context |= log_context(job, request)
            context["stop_url"] = reverse("experiments:job-cancel", args=[self.project.slug, job.pk])
        return render(request, "experiments/run_show.html", context, status=status)


class RunPart(RunPage):
    """Addresses of parts of a run: all of them stand on its page."""

    def get(self, request: HttpRequest, run: int, part: str) -> HttpResponse:
        """Lead to the part."""
        found = self.load(run)
        return redirect(f"{reverse('experiments:run-show', args=[self.project.slug, found.pk])}#{part}")


class RunShow(RunPage):
    """Everything about a run."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Show it."""
        return self.shown(request, self.load(run))


class RunLive(RunPage):
    """What of a run's page changes while it works."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Return these parts alone."""
        facts = queries.facts(self.load(run))
        chosen = baselines.choose(facts, request.GET.dict())
        return render(request, "experiments/_run_live.html", live_context(facts, chosen))


class RunSeries(RunPage):
    """The curves of a run, for its open page: new points while it works, and finer ones of a range."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Send the asked metrics, thinned, and the run's state; ``from`` and ``to`` bound the axis ``x``."""
        found = self.load(run)
        names = [*request.GET.getlist("key"), *request.GET.getlist("metric")]
        if len(names) > MOST:
            raise Invalid(f"At most {MOST} metrics.", field="key", limit=MOST, got=len(names))
        axis = "rel" if request.GET.get("x") == "rel" else "step"
        window = panels.window_of(axis, bound(request, "from"), bound(request, "to"))
        latest = metricstore.latest([found.pk], names)[found.pk]
        data = curve_data(found, points_of(found, names, window))
        body = {
            "state": found.state,
            "settled": found.is_settled,
            "latest": {n: p.value if math.isfinite(p.value) else None for n, p in latest.items()},
            **with_baseline(data, self._baseline(found, request), names, window),
        }
        return HttpResponse(orjson.dumps(body), content_type="application/json")

    def _baseline(self, run: Run, request: HttpRequest) -> queries.RunFacts | None:
        given = request.GET.get("baseline", "")
        return baselines.choose(queries.facts(run), {"baseline": given}).facts if given else None


class RunNotes(RunPage):
    """Name and notes of a run."""

    def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Save them, or show the page again with what is wrong; ``preview`` shows notes as they will look."""
        found = self.load(run)
        if "preview" in request.POST:
            text = request.POST.get("notes", "")[:NOTES_CHARS]
            return HttpResponse(markdown(text) or "Nothing to show.")
        try:
            runs.annotate(self.actor, run=found, name=request.POST.get("name"), notes=request.POST.get("notes"))
        except DomainError as error:
            return self.shown(request, found, status=422, error=error, given=request.POST)
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
            return self.shown(request, found, status=422, error=error)
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
