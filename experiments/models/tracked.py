"""What tracking clients record beside metrics: the data a run read and the models it read and made."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.runs import Experiment, Lifecycle, Run
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from projects.models import User


def new_model_id() -> str:
    """Return a fresh id of a logged model in the form the MLflow client knows: ``m-`` and 32 hex digits."""
    return f"m-{uuid.uuid4().hex}"


class InputDataset(models.Model):
    """A dataset as a tracking client describes it; the bytes may be anywhere."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="input_datasets", db_index=False)
    name = models.CharField(max_length=500)
    digest = models.CharField(max_length=36)
    source_type = models.TextField(blank=True, default="")
    source = models.TextField(blank=True, default="")
    schema = models.TextField(blank=True, default="")
    profile = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name", "digest"], name="input_dataset_once_per_experiment")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.digest})"


class RunInput(models.Model):
    """That a run read a dataset, with the tags given at the time, such as its context."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="input_rows", db_index=False)
    dataset = models.ForeignKey(InputDataset, on_delete=models.CASCADE, related_name="run_rows")
    tags = models.JSONField(default=dict)
    # The tag `mlflow.data.context`, which filters ask for.
    context = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "dataset"], name="run_input_once")]

    def __str__(self) -> str:
        return f"run {self.run_id} reads dataset {self.dataset_id}"


class LoggedModelQuerySet(ProjectScoped):
    """Reads of logged models."""

    def active(self) -> LoggedModelQuerySet:
        """Leave out deleted ones."""
        return self.filter(lifecycle=Lifecycle.ACTIVE)


class LoggedModel(models.Model):
    """A model a client logged, before anybody registers it. Its files are cargo: stored and hashed, never loaded."""

    class Status(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        FAILED = "failed"

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="logged_models")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="logged_models", db_index=False)
    uuid = models.CharField(max_length=34, unique=True, default=new_model_id)
    name = models.CharField(max_length=500)
    model_type = models.CharField(max_length=500, blank=True, default="")
    source_run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="logged_models")
    status = models.CharField(max_length=7, choices=Status, default=Status.PENDING)
    lifecycle = models.CharField(max_length=8, choices=Lifecycle, default=Lifecycle.ACTIVE)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_ms = models.BigIntegerField()
    updated_ms = models.BigIntegerField()

    objects = LoggedModelQuerySet.as_manager()

    class Meta:
        verbose_name = "logged model"
        indexes = [
            # Serves a page of logged models, newest first.
            models.Index(
                "experiment", "lifecycle", models.F("created_ms").desc(), models.F("id").desc(),
                name="loggedmodel_newest_first",
            ),
        ]  # fmt: skip
        constraints = [
            models.CheckConstraint(condition=Q(status__in=["pending", "ready", "failed"]), name="loggedmodel_status"),
            models.CheckConstraint(condition=Q(lifecycle__in=Lifecycle.values), name="loggedmodel_lifecycle"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.uuid})"

    def roles_here(self, user: User) -> list[str]:
        """Roles of the person on the folders its experiment lies in."""
        return self.experiment.roles_here(user)


class LoggedModelParam(models.Model):
    """One parameter of a logged model; written once."""

    logged_model = models.ForeignKey(LoggedModel, on_delete=models.CASCADE, related_name="param_rows", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["logged_model", "key"], name="loggedmodel_param_once")]

    def __str__(self) -> str:
        return f"{self.key}: {self.value[:80]}"


class LoggedModelTag(models.Model):
    """One tag of a logged model; the last value wins."""

    logged_model = models.ForeignKey(LoggedModel, on_delete=models.CASCADE, related_name="tag_rows", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["logged_model", "key"], name="loggedmodel_tag_once")]

    def __str__(self) -> str:
        return f"{self.key}: {self.value[:80]}"


class LoggedModelMetric(models.Model):
    """A metric point measured of a logged model, and on which data."""

    logged_model = models.ForeignKey(LoggedModel, on_delete=models.CASCADE, related_name="metric_rows", db_index=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    dataset_name = models.CharField(max_length=500, blank=True, default="")
    dataset_digest = models.CharField(max_length=36, blank=True, default="")
    key = models.CharField(max_length=250)
    value = models.FloatField()
    is_nan = models.BooleanField(default=False)
    step = models.BigIntegerField()
    stamp_ms = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["logged_model", "key", "step", "stamp_ms", "run", "value", "is_nan"],
                name="loggedmodel_metric_point_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.key} of logged model {self.logged_model_id}"


class RunModel(models.Model):
    """That a run read a logged model, or made it at a step."""

    class Direction(models.TextChoices):
        INPUT = "input"
        OUTPUT = "output"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="model_rows", db_index=False)
    logged_model = models.ForeignKey(LoggedModel, on_delete=models.CASCADE, related_name="run_rows")
    direction = models.CharField(max_length=6, choices=Direction)
    step = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "logged_model", "direction"], name="run_model_once"),
            models.CheckConstraint(condition=Q(direction__in=["input", "output"]), name="run_model_direction"),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.logged_model_id} of run {self.run_id}"
