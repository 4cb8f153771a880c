"""What was predicted, where its features lie, and what turned out to be true."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from monitoring.models.windows import Monitor
from projects.models.scoped import ProjectScoped


class IngestedSegment(models.Model):
    """A segment of the spool that was taken over; its name is what makes each line count once."""

    name = models.CharField(max_length=80, unique=True)
    rows = models.PositiveIntegerField(default=0)
    damaged = models.PositiveIntegerField(default=0, help_text="Lines dropped because they were torn or changed.")
    ingested_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class PredictionChunk(models.Model):
    """Predictions of one revision in one segment; features and full outputs are a Parquet file."""

    segment = models.ForeignKey(IngestedSegment, models.PROTECT, related_name="chunks")
    project = models.ForeignKey("projects.Project", models.PROTECT, related_name="+")
    source = models.BigIntegerField(help_text="Id of the endpoint's revision.")
    endpoint = models.CharField(max_length=210)
    model = models.CharField(max_length=256)
    version = models.PositiveIntegerField()
    label = models.CharField(max_length=200, help_text="The version as people read it.")
    revision = models.PositiveIntegerField()
    variant = models.CharField(max_length=40, default="champion", help_text="Which route of the revision answered.")
    backend = models.CharField(max_length=20)
    columns = models.JSONField(default=list, help_text="Names of the features in the file.")
    sha256 = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["segment", "source", "variant"], name="one_chunk_a_segment_and_source")
        ]
        indexes: ClassVar = [
            # serves the outcomes of a rollout and of a trial
            models.Index(fields=["source", "variant"], name="chunk_by_source")
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.label}: {self.segment_id}"


class PredictionQuerySet(ProjectScoped["Prediction"]):
    """Reads of predictions."""

    def with_origin(self) -> Self:
        """Join what a line about a prediction shows."""
        return self.select_related("chunk")


class Prediction(models.Model):
    """One answered row, thin. Ids are UUIDv7, so their order is that of time."""

    class Protocol(models.TextChoices):
        UNKNOWN = "", "not recorded"
        PREDICT = "predict", "the portal's own"
        V2 = "v2", "Open Inference v2"
        V1 = "v1", "KServe v1"
        INVOCATIONS = "invocations", "MLflow and SageMaker"

    id = models.UUIDField(primary_key=True, editable=False)
    project = models.ForeignKey("projects.Project", models.PROTECT, related_name="+", db_index=False)
    endpoint = models.CharField(max_length=210)
    chunk = models.ForeignKey(PredictionChunk, models.PROTECT, related_name="predictions")
    row = models.PositiveIntegerField(help_text="Place in the chunk's file.")
    at = models.DateTimeField()
    latency_us = models.PositiveIntegerField()
    value = models.CharField(max_length=200, help_text="The answer as text.")
    score = models.FloatField(null=True, help_text="Probability of the last class, or the predicted number.")
    external_id = models.CharField(max_length=200, null=True, help_text="The caller's own id.")
    segments = models.JSONField(null=True, help_text="Its value in each column that is counted apart.")
    unit = models.BigIntegerField(null=True, help_text="Hash of the unit that a split assigned it by.")
    protocol = models.CharField(
        max_length=11, choices=Protocol, default=Protocol.UNKNOWN, blank=True, help_text="In which words it was asked."
    )

    objects = PredictionQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            # serves the list of an endpoint and of a project, newest first
            models.Index(fields=["project", "endpoint", "-id"], name="prediction_by_endpoint"),
            models.Index(fields=["project", "-id"], name="prediction_by_project"),
            # serves ground truth and the search by the caller's id
            models.Index(
                fields=["project", "external_id"],
                condition=Q(external_id__isnull=False),
                name="prediction_by_external_id",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class GroundTruth(models.Model):
    """What turned out to be true for a prediction; waits for its prediction when it comes first."""

    project = models.ForeignKey("projects.Project", models.PROTECT, related_name="+")
    prediction = models.ForeignKey(Prediction, models.SET_NULL, null=True, related_name="truths")
    prediction_key = models.UUIDField(null=True, help_text="Id the caller sent, when it was ours.")
    external_id = models.CharField(max_length=200, null=True, help_text="Id the caller sent, when it was theirs.")
    label = models.CharField(max_length=200, help_text="The truth as text.")
    number = models.FloatField(null=True, help_text="The truth as a number, when it is one.")
    observed_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now=True)
    recorded_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")

    objects = ProjectScoped.as_manager()

    class Meta:
        verbose_name = "label"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "prediction_key"],
                condition=Q(prediction_key__isnull=False),
                name="one_truth_a_prediction_id",
            ),
            models.UniqueConstraint(
                fields=["project", "external_id"],
                condition=Q(external_id__isnull=False),
                name="one_truth_an_external_id",
            ),
            models.CheckConstraint(
                condition=Q(prediction_key__isnull=True, external_id__isnull=False)
                | Q(prediction_key__isnull=False, external_id__isnull=True),
                name="truth_has_exactly_one_id",
            ),
        ]
        indexes: ClassVar = [
            # serves the sweep of labels that found no prediction
            models.Index(fields=["recorded_at"], condition=Q(prediction=None), name="truth_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.label} for {self.prediction_key or self.external_id}"


class Backfill(models.Model):
    """Counts what is stored already on a new reference, or by new segments; chunk by chunk, each exactly once.

    A row exists while there is something left to do: the worker deletes it with the last chunk.
    """

    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="backfills")
    columns = models.JSONField(default=list, help_text="Columns whose segments are counted.")
    whole = models.BooleanField(default=False, help_text="Also the counts of all requests, on a new reference.")
    until_chunk = models.BigIntegerField(help_text="Newest chunk that was shipped before.")
    done_chunk = models.BigIntegerField(default=0)
    failure = models.TextField(blank=True, help_text="Chunks that could not be read.")
    asked_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"backfill of {self.monitor_id} to chunk {self.until_chunk}"

    @property
    def progress(self) -> float:
        """Share done, 0 to 1, as the numbers of the chunks tell."""
        return min(self.done_chunk / self.until_chunk, 1.0) if self.until_chunk else 1.0


class PredictionUpload(models.Model):
    """Predictions of a model that is served elsewhere, as a file; a worker takes them in piece by piece."""

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        SUCCEEDED = "succeeded", "taken in"
        FAILED = "failed", "failed"

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        PARQUET = "parquet", "Parquet"
        LINES = "jsonl", "JSON lines"

    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="uploads")
    sha256 = models.CharField(max_length=64)
    format = models.CharField(max_length=7, choices=Format)
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    rows = models.PositiveIntegerField(default=0, help_text="Taken in so far.")
    failure = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["monitor", "sha256"], name="one_upload_a_content")]

    def __str__(self) -> str:
        return f"upload {self.pk} to {self.monitor_id}"
