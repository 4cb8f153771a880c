"""Short texts that change when what a page shows may have changed: read every second, so one cheap query each."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db.models import F, Max, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import MD5

from experiments.models import Artifact, Experiment, JobAttempt, MetricChunk, Run, TrainingJob
from projects.models import DatasetVersion, Event, Project

GONE = "gone"
# Clients leave runs behind that work for ever; only the newest are looked at for new points.
WATCHED = 200
# What projects log most and no table of runs shows, and how far back others are looked for.
UNSEEN = ("alert", "datasetversion", "endpoint", "monitor", "promotionrequest", "rollout")
RECENT = 500


def of_run(number: int) -> str:
    """Version of a run: its state, words, metrics, files, and its job."""
    rows = Run.objects.filter(pk=number).annotate(
        said=MD5("tags"), given=MD5("params"), noted=MD5("notes"), file=_newest_file("pk"),
        lines=_log_lines("job__pk"), points=_points(MetricChunk.objects.filter(run=OuterRef("pk")), "run"),
    )  # fmt: skip
    job = (f"job__{name}" for name in ("state", "progress", "phase", "fence", "cancel_requested_at"))
    fields = ("state", "lifecycle", "name", "said", "given", "noted", "file", "lines", "points", *job)
    return _hash(rows.values_list(*fields))


def of_job(number: int) -> str:
    """Version of a job: its progress, log and metrics."""
    points = _points(MetricChunk.objects.filter(run=OuterRef("run")), "run")
    rows = TrainingJob.objects.filter(pk=number).annotate(lines=_log_lines("pk"), points=points)
    fields = ("state", "progress", "phase", "fence", "cancel_requested_at", "run__name", "lines", "points")
    return _hash(rows.values_list(*fields))


def of_runs(experiment: int) -> str:
    """Version of an experiment's runs: those that work, their newest points, and what was done to any.

    Tags of a run that has ended change nothing here: they write no event.
    """
    working = Run.objects.filter(experiment=experiment, state__in=[Run.State.QUEUED, Run.State.RUNNING])
    rows = Experiment.objects.filter(pk=experiment).annotate(event=_event("project"), **_work(working))
    return _hash(rows.values_list("updated_at", "work", "event", "points"))


def of_project_runs(project: int) -> str:
    """Version of all runs of a project, as of those of one experiment."""
    working = Run.objects.filter(project=project, state__in=[Run.State.QUEUED, Run.State.RUNNING])
    rows = Project.objects.filter(pk=project).annotate(event=_event("pk"), **_work(working))
    return _hash(rows.values_list("work", "event", "points"))


def _event(project: str) -> Subquery:
    """The newest event that a table of runs may show; an old one passes out of sight, which renews it once."""
    newest = Event.objects.order_by("-seq").annotate(from_seq=F("seq") - RECENT).values("from_seq")[:1]
    recent = Event.objects.filter(project=OuterRef(project), seq__gt=Subquery(newest)).exclude(target_type__in=UNSEEN)
    return Subquery(recent.order_by("-seq").values("seq")[:1])


def _work(working: QuerySet[Run]) -> dict[str, Subquery]:
    """Which runs work, and how many points the newest of them have."""
    newest = working.order_by("-started_ms").values("pk")[:WATCHED]
    return {
        "work": Subquery(working.order_by().values("project").annotate(n=Sum("pk")).values("n")),
        "points": _points(MetricChunk.objects.filter(run__in=newest), "run__project"),
    }


def of_dataset_version(number: int) -> str:
    """Version of a dataset version: how far its profile is."""
    rows = DatasetVersion.objects.filter(pk=number)
    return _hash(rows.values_list("state", "progress", "phase", "fence"))


def _points(rows: QuerySet[MetricChunk], group: str) -> Subquery:
    """How many points are stored: reading a run puts them together anew, and their number stays."""
    return Subquery(rows.order_by().values(group).annotate(n=Sum("points")).values("n"))


def _newest_file(run: str) -> Subquery:
    rows = Artifact.objects.filter(run=OuterRef(run)).order_by()
    return Subquery(rows.values("run").annotate(n=Max("pk")).values("n"))


def _log_lines(job: str) -> Subquery:
    rows = JobAttempt.objects.filter(job=OuterRef(job)).order_by()
    return Subquery(rows.values("job").annotate(n=Sum("log_lines")).values("n"))


def _hash(rows: QuerySet[Any, tuple[Any, ...]]) -> str:
    row = rows.first()
    return GONE if row is None else hashlib.sha256(repr(row).encode()).hexdigest()[:12]
