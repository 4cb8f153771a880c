"""Experiments, runs and what they record.

A run keeps its parameters and tags as one ready JSON document. The narrow tables below answer
questions ("which runs have auc > 0.9"); their rows are written by `experiments.metricstore` only.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.folders import FolderRole
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from projects.models import User


# Names that need no quoting in an address and cannot be taken for a step up in it.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


def new_uuid() -> str:
    """Return a fresh run id of 32 hex digits, the form the MLflow client knows."""
    return uuid.uuid4().hex


class Lifecycle(models.TextChoices):
    """Whether lists show it."""

    ACTIVE = "active"
    DELETED = "deleted"


class ExperimentQuerySet(ProjectScoped):
    """Reads of experiments."""

    def active(self) -> Self:
        """Leave out deleted experiments."""
        return self.filter(lifecycle=Lifecycle.ACTIVE)

    def addressed(self, text: str) -> Self:
        """Keep the experiment an address means: digits are its number, anything else its exact name."""
        if text.isascii() and text.isdigit():
            return self.filter(pk=int(text)) if len(text) < 19 else self.none()
        return self.filter(name=text)


class Experiment(models.Model):
    """A named set of runs that answer one question."""

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="experiments")
    name = models.CharField(max_length=500)
    # The experiment that takes runs which name none; the MLflow door calls it "0".
    is_default = models.BooleanField(default=False)
    description = models.TextField(blank=True, default="")
    # Where clients say they keep files of their own; a label that is never opened here. Empty: in the portal.
    artifact_location = models.CharField(max_length=1000, blank=True, default="")
    primary_metric = models.CharField(max_length=250, blank=True, default="")
    folder = models.ForeignKey("Folder", null=True, on_delete=models.PROTECT, related_name="experiments")
    lifecycle = models.CharField(max_length=8, choices=Lifecycle, default=Lifecycle.ACTIVE)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    # Also the mark of the runs that went to the trash with it and come back with it.
    deleted_at = models.DateTimeField(null=True)
    deleted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        indexes = [
            # Serves the trash: few rows.
            models.Index(
                fields=["project", "-deleted_at"], name="experiment_in_trash", condition=Q(lifecycle="deleted")
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="experiment_name_once_per_project"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(is_default=True), name="one_default_experiment_per_project"
            ),
            models.CheckConstraint(condition=Q(lifecycle__in=Lifecycle.values), name="experiment_lifecycle_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def roles_here(self, user: User) -> list[str]:
        """Roles of the person on the folders it lies in."""
        return FolderRole.objects.at(self.folder_id, user)

    @property
    def address(self) -> str:
        """What stands for it in an address: a plain name, else its number, since a name may hold anything."""
        plain = _PLAIN_NAME.fullmatch(self.name) and not self.name.isdigit()
        return self.name if plain else str(self.pk)


class ExperimentTag(models.Model):
    """One tag of one experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="tag_rows", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["experiment", "key"], name="experiment_tag_once")]

    def __str__(self) -> str:
        return f"{self.key}: {self.value[:80]}"


class RunQuerySet(ProjectScoped):
    """Reads of runs."""

    def active(self) -> Self:
        """Leave out deleted runs."""
        return self.filter(lifecycle=Lifecycle.ACTIVE)

    def with_context(self) -> Self:
        """Load what a run's line on a page shows, without further queries."""
        rows = self.select_related("project", "experiment", "created_by", "dataset_version__dataset")
        unread = (f"dataset_version__{name}" for name in ("profile", "warnings", "schema", "facts"))
        return rows.defer("latest", *unread)


class Run(models.Model):
    """One training or evaluation with its document of parameters and tags."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Source(models.TextChoices):
        JOB = "job"
        MLFLOW = "mlflow"
        API = "api"

    TERMINAL = (State.FINISHED, State.FAILED, State.CANCELLED)

    # Each index is one more thing that creating a run writes, so there is none that another one begins with,
    # and what is mostly empty has one without the empty ones.
    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="runs", db_index=False)
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="runs", db_index=False)
    uuid = models.CharField(max_length=32, unique=True, default=new_uuid)
    name = models.CharField(max_length=250)
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    source = models.CharField(max_length=6, choices=Source, default=Source.API)
    lifecycle = models.CharField(max_length=8, choices=Lifecycle, default=Lifecycle.ACTIVE)
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="children", db_index=False)
    dataset_version = models.ForeignKey(
        "projects.DatasetVersion", null=True, on_delete=models.PROTECT, related_name="runs", db_index=False
    )
    primary_metric = models.CharField(max_length=250, blank=True, default="")
    params = models.TextField(default="{}")
    tags = models.TextField(default="{}")
    # The latest point of each metric, ready as MLflow's JSON list; null without one. Written by each fold.
    latest = models.TextField(null=True, editable=False)
    notes = models.TextField(blank=True, default="")
    failure = models.TextField(blank=True, default="")
    # The name a tracking client gave for whoever ran it; `created_by` is who the portal knows it was.
    user_name = models.CharField(max_length=250, blank=True, default="")
    digest = models.CharField(max_length=64, blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # Milliseconds as given, because clients may send any: the sort column. Creation time until started.
    started_ms = models.BigIntegerField()
    ended_ms = models.BigIntegerField(null=True)
    deleted_at = models.DateTimeField(null=True)
    deleted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = [
            # Serves a page of runs, newest first.
            models.Index(
                "experiment", "lifecycle", models.F("started_ms").desc(), models.F("id").desc(), name="run_newest_first"
            ),
            # Serves the order by name, and by all else a run is: its entries are read and sorted, no run is touched.
            models.Index(
                fields=[
                    "experiment",
                    "lifecycle",
                    "name",
                    "id",
                    "state",
                    "ended_ms",
                    "started_ms",
                    "created_by",
                    "dataset_version",
                ],
                name="run_facts",
            ),
            # Serves home, palette and the page of all runs: the project's newest runs.
            models.Index(
                "project",
                "lifecycle",
                models.F("started_ms").desc(),
                models.F("id").desc(),
                name="run_newest_in_project",
            ),
            # Serves the counts of a page head and of the list of experiments. Not of working runs only: SQLite binds
            # the states of a question as values and cannot tell that they are those of a partial index.
            models.Index(fields=["experiment", "state", "lifecycle", "started_ms", "source"], name="run_by_state"),
            models.Index(fields=["parent"], name="run_by_parent", condition=Q(parent__isnull=False)),
            models.Index(fields=["dataset_version"], name="run_by_dataset", condition=Q(dataset_version__isnull=False)),
            models.Index(fields=["deleted_by"], name="run_by_deleter", condition=Q(deleted_by__isnull=False)),
            # Serves the trash and its emptying: only what is in it.
            models.Index(fields=["project", "-deleted_at"], name="run_in_trash", condition=Q(lifecycle="deleted")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "finished", "failed", "cancelled"]), name="run_state_known"
            ),
            models.CheckConstraint(condition=Q(lifecycle__in=Lifecycle.values), name="run_lifecycle_known"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.name}"

    def roles_here(self, user: User) -> list[str]:
        """Roles of the person on the folders its experiment lies in."""
        return self.experiment.roles_here(user)

    @property
    def is_settled(self) -> bool:
        """Whether the run has ended, in any way."""
        return self.state in self.TERMINAL

    @property
    def took_seconds(self) -> float | None:
        """Seconds from start to end, None before the end."""
        if self.started_at is None or self.ended_at is None:
            return None
        if self.ended_ms is None:  # a client said that it ended, not when
            return max(0.0, (self.ended_at - self.started_at).total_seconds())
        return max(0, self.ended_ms - self.started_ms) / 1000


class Key(models.Model):
    """The name of a metric, parameter or tag, stored once."""

    name = models.CharField(max_length=250, unique=True)

    def __str__(self) -> str:
        return self.name


class RunMetric(models.Model):
    """The latest point of one metric of one run, and the least and greatest number it ever had."""

    pk = models.CompositePrimaryKey("run_id", "key_id")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, db_index=False, related_name="metric_rows")
    key = models.ForeignKey(Key, on_delete=models.PROTECT, db_index=False, related_name="+")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False, related_name="+")
    value = models.FloatField()
    is_nan = models.BooleanField()
    step = models.BigIntegerField()
    stamp_ms = models.BigIntegerField()
    # Over all points but NaN; null when there is no other.
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)

    class Meta:
        indexes = [
            # Walks runs by a metric, and finds the runs in a range of it, without reading the table.
            models.Index(fields=["experiment", "key", "is_nan", "value", "run"], name="runmetric_by_value"),
            # The same by the least and by the greatest value a metric had.
            models.Index(fields=["experiment", "key", "low", "run"], name="runmetric_by_low"),
            models.Index(fields=["experiment", "key", "high", "run"], name="runmetric_by_high"),
        ]

    def __str__(self) -> str:
        return f"metric {self.key_id} of run {self.run_id}"


class RunParam(models.Model):
    """One parameter of one run, with its number if it spells one."""

    pk = models.CompositePrimaryKey("run_id", "key_id")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, db_index=False, related_name="param_rows")
    key = models.ForeignKey(Key, on_delete=models.PROTECT, db_index=False, related_name="+")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False, related_name="+")
    value = models.TextField()
    number = models.FloatField(null=True)

    class Meta:
        indexes = [models.Index(fields=["experiment", "key", "number", "run"], name="runparam_by_number")]

    def __str__(self) -> str:
        return f"parameter {self.key_id} of run {self.run_id}"


class RunTag(models.Model):
    """One tag of one run."""

    pk = models.CompositePrimaryKey("run_id", "key_id")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, db_index=False, related_name="tag_rows")
    key = models.ForeignKey(Key, on_delete=models.PROTECT, db_index=False, related_name="+")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False, related_name="+")
    value = models.TextField()

    def __str__(self) -> str:
        return f"tag {self.key_id} of run {self.run_id}"


class MetricChunk(models.Model):
    """Metric points as bytes: the block of one call (no key), or a folded segment of one key."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", db_index=False)
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.ForeignKey(Key, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    points = models.IntegerField()
    first_step = models.BigIntegerField()
    last_step = models.BigIntegerField()
    data = models.BinaryField()

    class Meta:
        indexes = [
            # Finds what is not folded yet, before a read.
            models.Index(fields=["experiment", "run"], name="chunk_not_folded", condition=Q(key__isnull=True)),
            # Reads one series; also finds the tail that folding extends.
            models.Index(fields=["run", "key", "first_step"], name="chunk_of_series"),
        ]

    def __str__(self) -> str:
        return f"{self.points} points of run {self.run_id}"
