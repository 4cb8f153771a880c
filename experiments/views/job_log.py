"""The log of a training: on its job's page and on its run's, followed, searched, downloaded."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render

from experiments.models import JobAttempt, TrainingJob
from experiments.queries import joblog
from mlportal.lib.errors import Invalid
from projects.access import ProjectView
from projects.permissions import Permission

LOG_LINES = 1_000
AROUND = 40
MAX_FIND = 200
LEVELS = {"": ("info", "warning", "error"), "warning": ("warning",), "error": ("error",)}


class OfJob(ProjectView):
    """Base of the pages of one job's log."""

    abstract = True
    reads = TrainingJob
    permission = Permission.RUN_VIEW

    def load(self, job: int) -> TrainingJob:
        """The job of the address, or 404."""
        return self.find(TrainingJob.objects.visible_to(self.actor).in_project(self.project).with_context(), pk=job)


class JobLog(OfJob):
    """Log lines from a line on."""

    def get(self, request: HttpRequest, job: int) -> HttpResponse:
        """Return the lines, and the number of the next one."""
        return render(request, "experiments/_job_log_lines.html", log_context(self.load(job), request))


class JobLogText(OfJob):
    """The stored log as a file."""

    def get(self, request: HttpRequest, job: int) -> StreamingHttpResponse:
        """Send it as an attachment."""
        found = self.load(job)
        attempt = _attempt(found, request)
        lines = joblog.text(attempt) if attempt else iter(())
        answer = StreamingHttpResponse(lines, content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="job-{found.pk}.log"'
        return answer


def log_context(job: TrainingJob, request: HttpRequest) -> dict[str, Any]:
    """Return what the log shows: the newest lines, those after one, those around one, or those that were asked for."""
    attempt = _attempt(job, request)
    level, words = request.GET.get("level", ""), request.GET.get("find", "")[:MAX_FIND]
    level = level if level in LEVELS else ""
    after, around = number(request, "after"), number(request, "line")
    lines = _lines(attempt, after, around, level, words) if attempt else []
    return {
        "job": job, "attempt": attempt, "lines": lines, "level": level, "find": words, "around": around,
        "next": attempt.log_lines if attempt else after, "levels": _level_links(attempt),
        "first_error": _first_error(attempt), "follows": not job.is_terminal and not around,
    }  # fmt: skip


def _lines(attempt: JobAttempt, after: int, around: int, level: str, words: str) -> list[joblog.LogLine]:
    wanted = words.lower()
    if after:
        found = joblog.lines(attempt, after=after, limit=LOG_LINES)
        return [line for line in found if line.level in LEVELS[level] and wanted in line.text.lower()]
    if around:
        return joblog.lines(attempt, after=max(0, around - 1 - AROUND), limit=LOG_LINES)
    if level or words:
        return joblog.matching(attempt, levels=LEVELS[level], words=words, limit=LOG_LINES)
    return joblog.last(attempt, limit=LOG_LINES)


def _first_error(attempt: JobAttempt | None) -> int | None:
    """Number of the first error as people count, None when there is none."""
    if attempt is None or not attempt.log_errors:
        return None
    found = joblog.first_of(attempt, "error")
    return None if found is None else found + 1


def _level_links(attempt: JobAttempt | None) -> list[tuple[str, str]]:
    warnings, errors = (attempt.log_warnings, attempt.log_errors) if attempt else (0, 0)
    return [("", "All"), ("warning", f"Warnings {warnings:,}"), ("error", f"Errors {errors:,}")]


def _attempt(job: TrainingJob, request: HttpRequest) -> JobAttempt | None:
    asked, tries = number(request, "attempt"), job.attempts.order_by("-pk")
    return (tries.filter(number=asked) if asked else tries).first()


def number(request: HttpRequest, field: str) -> int:
    """Read a whole number of the address; 0 when it is not there."""
    text = request.GET.get(field, "")
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(f"{field} must be a whole number.", field=field, got=text[:50])
    return int(text)
