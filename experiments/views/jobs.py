"""Pages of training jobs: the list, one job live, its log, stop and retry."""

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from experiments import metricstore
from experiments.forms import as_text
from experiments.models import TrainingJob
from experiments.models.jobs import TrainingJobQuerySet
from experiments.queries import versions
from experiments.services import jobs
from experiments.training import catalogue
from experiments.views import baselines
from experiments.views.job_log import log_context, number
from experiments.views.progress import progress_context
from mlportal.lib.lease import WorkState
from projects.access import ProjectView
from projects.permissions import Permission

PER_PAGE = 50
SHOWN_METRICS = 12


def _rows(view: ProjectView) -> TrainingJobQuerySet:
    return TrainingJob.objects.visible_to(view.actor).in_project(view.project).with_context()


def _state_fault(state: str) -> list[str]:
    if state in ("", "active") or state in WorkState.values:
        return []
    return [f"state: there is no state {state[:40]!r} of a job. All are shown."]


class Jobs(ProjectView):
    """The jobs of a project, newest first; the table renews itself."""

    reads = TrainingJob
    permission = Permission.RUN_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the page, or the table alone to htmx."""
        state = request.GET.get("state", "")
        rows = _rows(self)
        if state == "active":
            rows = rows.active()
        elif state in WorkState.values:
            rows = rows.filter(state=state)
        before = number(request, "before")
        if before:
            rows = rows.filter(pk__lt=before)
        found = list(rows.order_by("-pk")[: PER_PAGE + 1])
        page = {
            "jobs": found[:PER_PAGE],
            "older": found[PER_PAGE - 1].pk if len(found) > PER_PAGE else None,
            "state": state,
            "address_faults": _state_fault(state),
            "before": before,
            "filters": [("", "All"), ("active", "Active"), ("succeeded", "Succeeded"), ("failed", "Failed")],
            "lively": any(not job.is_terminal for job in found),
            "labels": {name: entry.label for name, entry in catalogue.ALGORITHMS.items()},
        }
        alone = request.headers.get("HX-Target") == "jobs-table"
        return render(request, "experiments/_job_rows.html" if alone else "experiments/job_list.html", page)


class Job(ProjectView):
    """One job with its progress, metrics and log."""

    reads = TrainingJob
    permission = Permission.RUN_VIEW

    def get(self, request: HttpRequest, job: int) -> HttpResponse:
        """Show the whole page."""
        found = self.find(_rows(self).select_related("baseline"), pk=job)
        page = job_context(found) | log_context(found, request)
        page["live_version"] = versions.of_job(found.pk)
        page["stop_url"] = reverse("experiments:job-cancel", args=[self.project.slug, found.pk])
        return render(request, "experiments/job_detail.html", page)


class JobLive(ProjectView):
    """What of a job changes by itself."""

    reads = TrainingJob
    permission = Permission.RUN_VIEW

    def get(self, request: HttpRequest, job: int) -> HttpResponse:
        """Return the fragment; once the job has ended it no longer asks for itself."""
        found = self.find(_rows(self).select_related("baseline"), pk=job)
        return render(request, "experiments/_job_live.html", job_context(found) | {"alone": True})


class JobCancel(ProjectView):
    """Stopping a job."""

    reads = TrainingJob
    permission = Permission.JOB_CANCEL
    http_method_names = ["post"]

    def post(self, request: HttpRequest, job: int) -> HttpResponse:
        """Stop it and show it."""
        found = jobs.cancel(self.actor, job=self.find(_rows(self), pk=job))
        word = "is stopped" if found.is_terminal else "stops within seconds"
        messages.success(request, f"Job {found.pk} {word}.")
        return redirect("experiments:job-detail", self.project.slug, found.pk)


class JobRetry(ProjectView):
    """Trying a job again."""

    reads = TrainingJob
    permission = Permission.JOB_LAUNCH
    http_method_names = ["post"]

    def post(self, request: HttpRequest, job: int) -> HttpResponse:
        """Launch a copy and show that."""
        again = jobs.retry(self.actor, job=self.find(_rows(self), pk=job))
        messages.success(request, f"Job {again.pk} is queued: the same training as job {job}.")
        return redirect("experiments:job-detail", self.project.slug, again.pk)


class JobRepeat(ProjectView):
    """The same training once more, whatever came of it."""

    reads = TrainingJob
    permission = Permission.JOB_LAUNCH
    http_method_names = ["post"]

    def post(self, request: HttpRequest, job: int) -> HttpResponse:
        """Launch a copy and show its run."""
        again = jobs.repeat(self.actor, job=self.find(_rows(self), pk=job))
        messages.success(request, f"Run {again.run_id} is queued: the same training as job {job}.")
        return redirect("experiments:run-show", self.project.slug, again.run_id)


def job_context(job: TrainingJob) -> dict[str, Any]:
    """Return what the live part of a job's page shows."""
    return {
        **progress_context(job),
        "label": catalogue.ALGORITHMS[job.algorithm].label if job.algorithm in catalogue.ALGORITHMS else job.algorithm,
        "metrics": _metrics(job),
        "changes": _changes(job),
        "asked": [(name, as_text(value)) for name, value in job.spec.get("hyper_parameters", {}).items()],
        "tries": list(job.attempts.order_by("-pk")),
        "rival": baselines.usual(job.run) if job.state == WorkState.SUCCEEDED else None,
        "files": list(job.run.artifacts.order_by("path")[:30]) if job.state == WorkState.SUCCEEDED else [],
    }


def _metrics(job: TrainingJob) -> list[dict[str, Any]]:
    """Return the newest value of each metric, the primary one first, with its line."""
    latest = metricstore.latest([job.run_id])[job.run_id]
    baseline = metricstore.latest([job.baseline_id])[job.baseline_id] if job.baseline_id else {}
    order = list(catalogue.METRICS)
    primary = catalogue.PRIMARY_METRIC.get(str(job.spec.get("task")), "")

    def rank(name: str) -> tuple[bool, bool, int, str]:
        key = name.rsplit("/", 1)[-1]
        return (name != primary, "/" in name, order.index(key) if key in order else len(order), name)

    names = sorted((name for name in latest if not name.startswith(("cv_std/", "system/"))), key=rank)[:SHOWN_METRICS]
    lines = metricstore.many_series([job.run_id], names, at_most=24)
    return [_metric(name, latest[name].value, baseline.get(name), lines.get((job.run_id, name))) for name in names]


def _metric(name: str, value: float, before: Any, line: Any) -> dict[str, Any]:
    better = catalogue.better(name)
    change = None if before is None else value - before.value
    good = change is not None and (change > 0) == (better == "higher")
    return {
        "name": name,
        "value": value,
        "better": better,
        "change": change,
        "good": good,
        "points": list(line.values) if line is not None and len(line.values) > 1 else [],
        "step": int(line.steps[-1]) if line is not None and len(line.steps) > 1 else None,
    }


def _changes(job: TrainingJob) -> list[tuple[str, list[object]]]:
    """Return (name, [baseline's value, this one's]) of parameters that differ from the baseline's."""
    if job.baseline is None:
        return []
    theirs, ours = json.loads(job.baseline.params), json.loads(job.run.params)
    return [
        (name, [theirs.get(name), ours.get(name)])
        for name in [*ours, *(name for name in theirs if name not in ours)]
        if theirs.get(name) != ours.get(name)
    ]
