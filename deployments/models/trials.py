"""Trials: pre-registered experiments between two versions on an endpoint."""

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from deployments.models.registry import ModelVersion


class TrialQuerySet(ProjectScoped["Trial"]):
    """Reads of trials."""

    project_path = "endpoint__project"

    def with_subject(self) -> Self:
        """Join what every line about a trial shows."""
        return self.select_related(
            "endpoint__project", "endpoint__environment__project", "endpoint__model", "promotion__version__model",
            "control", "planned_by", "started_by", "ended_by", "judgement",
        )  # fmt: skip


class Trial(models.Model):
    """One question with the plan of how it is answered; the plan is frozen when it starts."""

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        RUNNING = "running", "running"
        STOPPED = "stopped", "stopped"

    class Metric(models.TextChoices):
        CORRECT = "correct", "share of right predictions (ground truth)"
        ERROR = "error", "mean absolute error (ground truth)"
        CONVERSION = "conversion", "conversion (ground truth)"
        LATENCY = "latency", "mean log latency"
        AUC = "auc", "ROC AUC, judged once at the end (ground truth)"
        F1 = "f1", "F1, judged once at the end (ground truth)"

    class Decision(models.TextChoices):
        PROMOTE = "promote", "the treatment goes live"
        KEEP = "keep", "the control stays"

    endpoint = models.ForeignKey("deployments.Endpoint", models.PROTECT, related_name="trials")
    promotion = models.ForeignKey("deployments.PromotionRequest", models.PROTECT, related_name="trials")
    control = models.ForeignKey("deployments.ModelVersion", models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    name = models.CharField(max_length=200)
    hypothesis = models.TextField()
    metric = models.CharField(max_length=10, choices=Metric)
    positive = models.CharField(
        max_length=200, blank=True, help_text="The ground truth that counts: a conversion, or the last class."
    )
    minimum_effect = models.FloatField(help_text="Smallest difference worth acting on, in units of the metric.")
    alpha = models.FloatField(default=0.05)
    share = models.FloatField(default=0.5, help_text="Share of the units that the treatment gets.")
    minimum_days = models.PositiveIntegerField(default=7)
    minimum_units = models.PositiveIntegerField(default=2_000)
    plan_sha256 = models.CharField(max_length=64, blank=True, help_text="Over the plan, when it started.")
    salt = models.CharField(max_length=64)
    planned_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    planned_at = models.DateTimeField(default=timezone.now)
    started_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)
    truths_read = models.PositiveBigIntegerField(
        null=True, help_text="Changes of ground truth that its last reading of the log saw, when that found too little."
    )
    ended_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=7, choices=Decision, blank=True)
    reason = models.TextField(blank=True, help_text="Why it was decided so, or how it ended.")

    objects = TrialQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["endpoint"], condition=Q(state="running"), name="one_running_trial_an_endpoint"
            ),
            models.CheckConstraint(
                condition=Q(state="draft") | ~Q(plan_sha256=""), name="a_trial_that_started_has_a_frozen_plan"
            ),
            models.CheckConstraint(condition=Q(alpha__gt=0, alpha__lt=1), name="alpha_is_a_probability"),
            models.CheckConstraint(condition=Q(share__gt=0, share__lt=1), name="a_trial_has_two_arms"),
        ]
        indexes: ClassVar = [
            # serves the clock, which looks at the running ones
            models.Index(fields=["looked_at"], condition=Q(state="running"), name="trial_running")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def version(self) -> "ModelVersion":
        """The treatment."""
        return self.promotion.version

    @property
    def more_is_better(self) -> bool:
        """Whether a higher outcome is the better one."""
        return self.metric not in (self.Metric.ERROR, self.Metric.LATENCY)

    @property
    def is_judged_once(self) -> bool:
        """Whether its metric is no mean over units, so that no interval of it holds at every look."""
        return self.metric in (self.Metric.AUC, self.Metric.F1)

    @property
    def lasts_until(self) -> object:
        """The earliest day on which it may be decided."""
        return self.started_at + timedelta(days=self.minimum_days) if self.started_at else None


class TrialLook(models.Model):
    """One look at a trial with its numbers. Never changed.

    Means and difference are empty where the trial is judged once: a look tells how far it is and nothing to peek at.
    """

    trial = models.ForeignKey(Trial, models.PROTECT, related_name="looks")
    at = models.DateTimeField()
    control_units = models.PositiveIntegerField()
    treatment_units = models.PositiveIntegerField()
    control_mean = models.FloatField(null=True)
    treatment_mean = models.FloatField(null=True)
    difference = models.FloatField(null=True)
    low = models.FloatField(null=True, help_text="Empty while units are too few for an interval.")
    high = models.FloatField(null=True)
    assigned_control = models.PositiveIntegerField()
    assigned_treatment = models.PositiveIntegerField()
    mismatch_p = models.FloatField(help_text="Of the test that the split is the planned one.")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["trial", "at"], name="one_look_a_moment")]

    def __str__(self) -> str:
        return f"{self.trial} at {self.at:%F %T}"


class TrialJudgement(models.Model):
    """What came of a trial that is judged once, at the horizon of its plan. Never changed."""

    trial = models.OneToOneField(Trial, models.PROTECT, related_name="judgement")
    at = models.DateTimeField()
    control_units = models.PositiveIntegerField(help_text="Units with ground truth that were read.")
    treatment_units = models.PositiveIntegerField()
    control = models.FloatField(help_text="Its metric, over all rows.")
    treatment = models.FloatField()
    difference = models.FloatField()
    low = models.FloatField(help_text="Percentiles of the bootstrap over units, by the plan's alpha.")
    high = models.FloatField()
    rounds = models.PositiveIntegerField(help_text="Samples drawn; their seed is the beginning of the plan's sha256.")

    def __str__(self) -> str:
        return f"{self.trial} judged at {self.at:%F %T}"
