"""Batch scorings: a dataset version scored by a model version, chunk by chunk."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from deployments.models.endpoints import Endpoint
from deployments.models.registry import ModelVersion
from mlportal.lib.lease import ACTIVE, LeasedWork, WorkState
from projects.models import Project
from projects.models.scoped import ProjectScoped


class BatchQuerySet(ProjectScoped["Batch"]):
    """Reads of batch scorings."""

    def open(self) -> Self:
        """Those that wait or work."""
        return self.filter(state__in=[WorkState.QUEUED, *ACTIVE])

    def with_subject(self) -> Self:
        """Join what a line about one shows, without the wide columns of datasets."""
        rows = self.select_related(
            "project", "version__model__project", "endpoint", "dataset_version__dataset__project", "created_by",
            "output__dataset__project",
        )  # fmt: skip
        wide = ("profile", "warnings", "schema", "manifest", "facts")
        return rows.defer(*(f"{place}__{name}" for place in ("dataset_version", "output") for name in wide))


class Batch(LeasedWork):
    """One dataset version scored by one model version. The row is the queue; finished chunks outlive an attempt."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="batches")
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="batches")
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, null=True, related_name="batches")
    dataset_version = models.ForeignKey("projects.DatasetVersion", models.CASCADE, related_name="batches")
    keep = models.JSONField(default=list, help_text="Columns of the data that are passed through, in order.")
    name = models.CharField(max_length=100, help_text="Dataset that gets the result.")
    chunk_rows = models.PositiveIntegerField(default=10_000)
    most_refused = models.PositiveIntegerField(default=0, help_text="Rows that may have no answer.")
    rows = models.PositiveBigIntegerField(default=0, help_text="Rows of the data.")
    rows_done = models.PositiveBigIntegerField(default=0)
    rows_refused = models.PositiveBigIntegerField(default=0)
    errors = models.JSONField(default=list, help_text="First rows without an answer: row, column, message.")
    backend = models.CharField(max_length=20, blank=True)
    distribution = models.JSONField(default=dict, help_text="Counts of scores in bins, and of labels.")
    output = models.ForeignKey("projects.DatasetVersion", models.SET_NULL, null=True, related_name="+")
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name = "batch scoring"
        indexes: ClassVar = [
            models.Index(fields=["project", "-id"], name="batch_newest_first"),  # the list
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="batch_open"
            ),  # sweeper
        ]

    def __str__(self) -> str:
        return f"batch {self.pk}"


class BatchChunk(models.Model):
    """Answers for some consecutive rows, kept until the whole result is."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField(help_text="From 0, without a gap.")
    sha256 = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    refused = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["batch", "number"], name="batch_chunk_once")]

    def __str__(self) -> str:
        return f"chunk {self.number} of batch {self.batch_id}"
