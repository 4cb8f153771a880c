"""What an endpoint's version is compared with, what came in, and what the comparison said."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from monitoring.drift.shape import PREDICTION
from projects.models.scoped import ProjectScoped

Q_VALUE = 0.05
HOUR = 3600
DAY = 24 * HOUR
# Requests, errors and latency are counted finer than values: whoever is woken by them must not wait for an hour.
TRAFFIC_SECONDS = 300


def spoken(seconds: int) -> str:
    """Return a time in its largest whole unit: "hour", "5 minutes"."""
    for size, unit in ((DAY, "day"), (HOUR, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            count = seconds // size
            return unit if count == 1 else f"{count} {unit}s"
    return ""


class MonitorQuerySet(ProjectScoped["Monitor"]):
    """Reads of monitors."""

    def live(self) -> Self:
        """Monitors of the versions that answer now."""
        return self.filter(valid_to=None)

    def main(self) -> Self:
        """Monitors of what is live on an endpoint, without those of the variants that share its requests."""
        return self.filter(variant="")

    def of(self, project_id: int, endpoint: str, version: str) -> "Monitor | None":
        """Return the newest monitor of a version on an endpoint, live or not: late predictions belong to it."""
        found = self.filter(project_id=project_id, endpoint=endpoint, version=version)
        return found.order_by("-valid_from", "-pk").first()


class Monitor(models.Model):
    """One version on one endpoint, from going live to being replaced, with the reference it is measured against.

    Counts are kept in buckets of ``bucket_seconds``; every ``step_seconds`` the last ``window_seconds`` are judged.
    """

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="monitors")
    endpoint = models.CharField(max_length=210)
    version = models.CharField(max_length=200, help_text="Label of the model version, as people read it.")
    variant = models.CharField(
        max_length=40, blank=True, help_text="Of a divided endpoint, whose share it is; empty: of what is live."
    )
    reference = models.JSONField(default=dict, help_text="Grid of each column, from monitoring.drift.reference.")
    bucket_seconds = models.PositiveIntegerField(default=HOUR, validators=[MinValueValidator(1)])
    step_seconds = models.PositiveIntegerField(default=HOUR, validators=[MinValueValidator(1)])
    window_seconds = models.PositiveIntegerField(default=DAY, validators=[MinValueValidator(1)])
    min_samples = models.PositiveIntegerField(default=200, validators=[MinValueValidator(1)])
    task = models.CharField(max_length=14, blank=True, help_text="classification or regression; empty: not said.")
    classes = models.JSONField(default=list, help_text="What it can answer, the class selected for last.")
    segment_columns = models.JSONField(default=list, help_text="Columns whose values are also counted apart.")
    sensitive_columns = models.JSONField(default=list, help_text="Columns whose groups are compared for fairness.")
    label_delay_seconds = models.PositiveIntegerField(default=0, help_text="How long labels usually take.")
    links = models.JSONField(default=dict, help_text="Plain data for next steps: run, model, dataset.")
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, blank=True)
    rolled_to = models.DateTimeField(null=True, help_text="End of the newest window that was judged.")

    objects = MonitorQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "endpoint", "variant"], condition=Q(valid_to=None), name="one_live_monitor_a_variant"
            ),
            models.CheckConstraint(
                condition=Q(bucket_seconds__gt=0, step_seconds__gt=0, window_seconds__gte=F("step_seconds")),
                name="monitor_window_at_least_a_step",
            ),
        ]
        indexes: ClassVar = [
            # serves the shipper, which looks a monitor up for every segment
            models.Index(fields=["project", "endpoint", "version", "-valid_from"], name="monitor_by_version")
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.version}"

    @property
    def step(self) -> timedelta:
        """How often it is judged."""
        return timedelta(seconds=self.step_seconds)

    @property
    def step_words(self) -> str:
        """How often, for a sentence: "hour", "5 minutes"."""
        return spoken(self.step_seconds)

    @property
    def window_words(self) -> str:
        """How much, for a sentence: "day", "5 minutes"."""
        return spoken(self.window_seconds)

    @property
    def window(self) -> timedelta:
        """How much is judged at a time."""
        return timedelta(seconds=self.window_seconds)

    @property
    def is_regression(self) -> bool:
        """Whether it answers numbers: as said when it was bound, else as the reference's answers are."""
        if self.task or not self.reference:
            return self.task == "regression"
        return bool(self.reference.get(PREDICTION, {}).get("kind") == "numeric")

    @property
    def watched_columns(self) -> list[str]:
        """Columns that are counted apart, those for fairness included."""
        return list(dict.fromkeys([*self.segment_columns, *self.sensitive_columns]))

    @property
    def traffic_seconds(self) -> int:
        """Length of the buckets of requests: five minutes where hours are made of the monitor's, and those of five."""
        is_coarse = self.bucket_seconds % TRAFFIC_SECONDS == 0 and HOUR % self.bucket_seconds == 0
        return TRAFFIC_SECONDS if is_coarse else self.bucket_seconds

    def bucket_of(self, at: datetime, seconds: int | None = None) -> datetime:
        """Start of the bucket that this moment falls into; ``seconds`` long, or as its values are counted."""
        moment = int(at.timestamp())
        return datetime.fromtimestamp(moment - moment % (seconds or self.bucket_seconds), tz=at.tzinfo)


class Bucket(models.Model):
    """Counts of one column in one stretch of time; written by the shipper only, added to, never taken from."""

    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="buckets")
    hour = models.DateTimeField(help_text="Start of the stretch; an hour unless the monitor says otherwise.")
    column = models.CharField(max_length=500)
    counts = models.JSONField()
    rows = models.PositiveIntegerField(help_text="Values counted, empty ones included.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["monitor", "hour", "column"], name="one_bucket_a_column_and_hour")
        ]

    def __str__(self) -> str:
        return f"{self.column} {self.hour:%Y-%m-%d %H:%M}"


class SegmentBucket(models.Model):
    """Counts of one column in one stretch of time of one segment only, such as ``region=north``; as `Bucket`."""

    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="segment_buckets")
    hour = models.DateTimeField()
    segment = models.CharField(max_length=710, help_text="Column and value: region=north.")
    column = models.CharField(max_length=500)
    counts = models.JSONField()
    rows = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["monitor", "hour", "segment", "column"], name="one_segment_bucket_a_column_and_hour"
            )
        ]

    def __str__(self) -> str:
        return f"{self.segment}: {self.column} {self.hour:%Y-%m-%d %H:%M}"


class LabelBucket(models.Model):
    """Cells of the labelled predictions of one stretch of time: the prediction's own time, not the label's.

    ``segment`` is empty for all of them. Changed whenever a label arrives or is corrected.
    """

    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="label_buckets")
    hour = models.DateTimeField(help_text="Start of the stretch, as in Bucket.")
    segment = models.CharField(max_length=710, blank=True)
    cells = models.JSONField(default=dict, help_text="As monitoring.drift.performance makes them.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["monitor", "hour", "segment"], name="one_label_bucket_a_segment_and_hour")
        ]

    def __str__(self) -> str:
        return f"{self.segment or 'all'} {self.hour:%Y-%m-%d %H:%M}"


class Verdict(models.TextChoices):
    """What a window, or one column of it, says."""

    OK = "ok", "stable"
    WARN = "warn", "some drift"
    ALERT = "alert", "drift"
    TOO_FEW = "too_few", "too few requests"
    CANNOT_COMPUTE = "cannot_compute", "cannot compute"
    NO_DATA = "no_data", "no requests"
    UNSCORED = "unscored", "not scored"


class WindowQuerySet(ProjectScoped["Window"]):
    """Reads of windows."""

    project_path = "monitor__project"


class Window(models.Model):
    """One judged stretch of one monitor. Judged once; ``starts_at`` reaches further back when requests were few."""

    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="windows")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    rows = models.PositiveIntegerField()
    verdict = models.CharField(max_length=14, choices=Verdict)
    reasons = models.JSONField(default=list)
    drifted = models.PositiveIntegerField(default=0)
    weighted_share = models.FloatField(default=0.0)
    requests = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)
    latency_p50_us = models.FloatField(null=True)
    latency_p95_us = models.FloatField(null=True)
    latency_p99_us = models.FloatField(null=True)
    computed_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, help_text="When the alert rules had been applied.")

    objects = WindowQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["monitor", "ends_at"], name="one_window_an_end")]
        indexes: ClassVar = [
            # serves the pipeline, which finishes what a crash left between judging and settling
            models.Index(fields=["monitor", "ends_at"], condition=Q(settled_at=None), name="window_unsettled")
        ]

    def __str__(self) -> str:
        return f"{self.monitor_id} until {self.ends_at:%Y-%m-%d %H:%M}"

    @property
    def error_share(self) -> float:
        """Share of requests that were refused or failed, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0


class DriftScoreQuerySet(ProjectScoped["DriftScore"]):
    """Reads of scores."""

    project_path = "window__monitor__project"


class DriftScore(models.Model):
    """How one column of one window compares with the reference; fields as in ``monitoring.drift.score.Score``."""

    window = models.ForeignKey(Window, models.CASCADE, related_name="scores")
    column = models.CharField(max_length=500)
    kind = models.CharField(max_length=11)
    role = models.CharField(max_length=10)
    weight = models.FloatField(default=0.0)
    state = models.CharField(max_length=14, choices=Verdict)
    reason = models.CharField(max_length=200, blank=True)
    measure = models.CharField(max_length=5)
    samples = models.PositiveIntegerField(default=0)
    value = models.FloatField(null=True)
    floor = models.FloatField(default=0.0, help_text="What chance alone explains at this sample size.")
    psi = models.FloatField(null=True)
    ks = models.FloatField(null=True)
    wasserstein = models.FloatField(null=True)
    js = models.FloatField(null=True)
    chi2_p = models.FloatField(null=True)
    share = models.FloatField(null=True)
    mean = models.FloatField(null=True)
    p_value = models.FloatField(null=True)
    q_value = models.FloatField(null=True)
    null_share = models.FloatField(default=0.0)
    null_excess = models.FloatField(default=0.0)
    unseen_share = models.FloatField(default=0.0)
    outside_share = models.FloatField(default=0.0)
    others = models.JSONField(default=dict, help_text="Commonest values that the reference does not have.")

    objects = DriftScoreQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["window", "column"], name="one_score_a_column")]

    def __str__(self) -> str:
        return f"{self.column} {self.state}"

    @property
    def significant(self) -> bool:
        """Whether chance does not explain it; as in ``Score.significant``."""
        return self.value is not None and self.value > self.floor and (self.q_value or 0.0) <= Q_VALUE
