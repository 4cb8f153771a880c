"""Pages of training jobs: the list, one job live, its log, stop and retry."""

import json
import time
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from experiments import metricstore
from experiments.forms import as_text
from experiments.models import JobAttempt, TrainingJob
from experiments.models.jobs import TrainingJobQuerySet
from experiments.services import jobs
from experiments.training import catalogue
from mlportal.lib.errors import Invalid
from mlportal.lib.lease import WorkState
from projects.access import ProjectView
from projects.permissions import Permission

PER_PAGE = 50
LOG_LINES = 1_000
MAX_FIND = 200
MIN_SHARE = 0.08
LEVELS = {"": ("info", "warning", "error"), "warning": ("warning",), "error": ("error",)}
SHOWN_METRICS = 12


def _rows(view: ProjectView) -> TrainingJobQuerySet:
    return TrainingJob.objects.visible_to(view.actor).in_project(view.project).with_context()


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
        before = _whole(request.GET.get("before", ""), "before")
        if before:
            rows = rows.filter(pk__lt=before)
        found = list(rows.order_by("-pk")[: PER_PAGE + 1])
        page = {
            "jobs": found[:PER_PAGE],
            "older": found[PER_PAGE - 1].pk if len(found) > PER_PAGE else None,
            "state": state,
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
        page["stop_url"] = reverse("experiments:job-cancel", args=[self.project.slug, found.pk])
        return render(request, "experiments/job_detail.html", page)


class JobLive(ProjectView):
    """What of a job changes by itself."""

    reads = TrainingJob
    permission = Permission.RUN_VIEW

    def get(self, request: HttpRequest, job: int) -> HttpResponse:
        """Return the fragment; once the job has ended it no longer asks for itself."""
        found = self.find(_rows(self).select_related("baseline"), pk=job)
        return render(request, "experiments/_job_live.html", job_context(found) | {"oob": True})


class JobLog(ProjectView):
    """Log lines from a line on."""

    reads = TrainingJob
    permission = Permission.RUN_VIEW

    def get(self, request: HttpRequest, job: int) -> HttpResponse:
        """Return new lines, and the element that asks for the next ones."""
        found = self.find(_rows(self), pk=job)
        return render(request, "experiments/_job_log_lines.html", log_context(found, request))


class JobLogText(ProjectView):
    """The stored log as a file."""

    reads = TrainingJob
    permission = Permission.RUN_VIEW

    def get(self, request: HttpRequest, job: int) -> StreamingHttpResponse:
        """Send it as an attachment."""
        found = self.find(_rows(self), pk=job)
        attempt = _attempt(found, request)
        lines = jobs.log_text(attempt) if attempt else iter(())
        answer = StreamingHttpResponse(lines, content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="job-{found.pk}.log"'
        return answer


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


def job_context(job: TrainingJob) -> dict[str, Any]:
    """Return what the live part of a job's page shows."""
    now_ms = int(time.time() * 1000)
    elapsed = _elapsed(job, now_ms)
    return {
        "job": job,
        "label": catalogue.ALGORITHMS[job.algorithm].label if job.algorithm in catalogue.ALGORITHMS else job.algorithm,
        "phases": _phases(job, now_ms),
        "elapsed": elapsed,
        "left": _left(job, elapsed),
        "ahead": _ahead(job),
        "metrics": _metrics(job),
        "changes": _changes(job),
        "asked": [(name, as_text(value)) for name, value in job.spec.get("hyper_parameters", {}).items()],
        "tries": list(job.attempts.order_by("-pk")),
        "memory_share": _memory_share(job),
        "files": list(job.run.artifacts.order_by("path")[:30]) if job.state == WorkState.SUCCEEDED else [],
    }


def log_context(job: TrainingJob, request: HttpRequest) -> dict[str, Any]:
    """Return log lines after a line, filtered by level and text."""
    attempt = _attempt(job, request)
    level = request.GET.get("level", "")
    find = request.GET.get("find", "")[:MAX_FIND]
    after = _whole(request.GET.get("after", ""), "after")
    lines = []
    if attempt:
        lines = (
            jobs.log_lines(attempt, after=after, limit=LOG_LINES)
            if after
            else jobs.last_lines(attempt, limit=LOG_LINES)
        )
    levels = LEVELS.get(level, LEVELS[""])
    wanted = find.lower()
    return {
        "job": job,
        "attempt": attempt,
        "lines": [line for line in lines if line.level in levels and wanted in line.text.lower()],
        "next": lines[-1].number + 1 if lines else after,
        "level": level if level in LEVELS else "",
        "find": find,
        "levels": _level_links(attempt),
        "follows": not job.is_terminal,
    }


def _level_links(attempt: JobAttempt | None) -> list[tuple[str, str]]:
    warnings, errors = (attempt.log_warnings, attempt.log_errors) if attempt else (0, 0)
    return [("", "All"), ("warning", f"Warnings {warnings:,}"), ("error", f"Errors {errors:,}")]


def _attempt(job: TrainingJob, request: HttpRequest) -> JobAttempt | None:
    number = _whole(request.GET.get("attempt", ""), "attempt")
    tries = job.attempts.order_by("-pk")
    return (tries.filter(number=number) if number else tries).first()


def _whole(text: str, field: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(f"{field} must be a whole number.", field=field, got=text[:50])
    return int(text)


def _elapsed(job: TrainingJob, now_ms: int) -> float | None:
    if job.started_at is None:
        return None
    end = job.ended_at.timestamp() if job.ended_at else now_ms / 1000
    return max(0.0, end - job.started_at.timestamp())


def _left(job: TrainingJob, elapsed: float | None) -> float | None:
    """Return an honest guess of the seconds left, or nothing while too little is known."""
    if job.state != WorkState.RUNNING or elapsed is None or job.progress < MIN_SHARE:
        return None
    return elapsed * (1 - job.progress) / job.progress


def _ahead(job: TrainingJob) -> int:
    if job.state != WorkState.QUEUED:
        return 0
    return TrainingJob.objects.filter(state=WorkState.QUEUED, queued_at__lt=job.queued_at).count()


def _phases(job: TrainingJob, now_ms: int) -> list[dict[str, Any]]:
    """Return the phases with their state (done, now, stopped or nothing yet) and seconds."""
    seen = {phase["name"]: phase for phase in job.phases}
    out = []
    for name, label, _ in catalogue.phase_plan(folds=int(job.spec.get("folds", 0))):
        phase = seen.get(name)
        state, seconds = "", None
        if phase:
            ended = phase["ended_ms"]
            seconds = max(0, (ended or now_ms) - phase["started_ms"]) / 1000
            state = "done" if ended else "now"
            if job.is_terminal and job.state != WorkState.SUCCEEDED and name == job.phase:
                state = "stopped"
        out.append({"label": label, "state": state, "seconds": seconds})
    return out


def _metrics(job: TrainingJob) -> list[dict[str, Any]]:
    """Return the newest value of each metric, the primary one first, with its line."""
    latest = metricstore.latest([job.run_id])[job.run_id]
    baseline = metricstore.latest([job.baseline_id])[job.baseline_id] if job.baseline_id else {}
    order = list(catalogue.METRICS)
    primary = catalogue.PRIMARY_METRIC.get(str(job.spec.get("task")), "")

    def rank(name: str) -> tuple[bool, bool, int, str]:
        key = name.rsplit("/", 1)[-1]
        return (name != primary, "/" in name, order.index(key) if key in order else len(order), name)

    names = sorted((name for name in latest if not name.startswith(("cv_std/",))), key=rank)[:SHOWN_METRICS]
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


def _changes(job: TrainingJob) -> list[tuple[str, object, object]]:
    """Return (name, baseline, this) of parameters that differ from the baseline's."""
    if job.baseline is None:
        return []
    theirs, ours = json.loads(job.baseline.params), json.loads(job.run.params)
    return [
        (name, theirs.get(name), ours.get(name))
        for name in [*ours, *(name for name in theirs if name not in ours)]
        if theirs.get(name) != ours.get(name)
    ]


def _memory_share(job: TrainingJob) -> float | None:
    held = job.usage.get("memory_bytes")
    limit = job.limits.get("memory_mb")
    return None if not held or not limit else held / (limit * 2**20)
