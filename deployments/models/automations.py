"""What happens by itself after an alert: retrain and ask. Never deploy."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from projects.models import Project
from projects.models.scoped import ProjectScoped


class Automation(models.Model):
    """Retrain a live model when an alert of one kind fires, with the rights of its owner."""

    class Trigger(models.TextChoices):
        DRIFT = "drift", "drift"
        PERFORMANCE = "performance", "performance"

    class Rows(models.TextChoices):
        REQUIRED = "required", "always"
        AFTER_FIRST = "after_first", "from the second retraining on"
        IGNORED = "ignored", "no"

    class Severity(models.TextChoices):
        CRITICAL = "critical", "critical"
        HIGH = "high", "high"
        MEDIUM = "medium", "medium"
        LOW = "low", "low"

    project = models.ForeignKey(Project, models.PROTECT, related_name="automations")
    endpoint = models.ForeignKey("deployments.Endpoint", models.CASCADE, related_name="automations")
    trigger = models.CharField(max_length=12, choices=Trigger)
    enabled = models.BooleanField(default=True)
    cooldown_hours = models.PositiveSmallIntegerField(default=24)
    dataset_name = models.CharField(max_length=100, blank=True, help_text="Empty: the live version's own dataset.")
    least_severity = models.CharField(max_length=8, choices=Severity, default=Severity.LOW)
    labelled_rows = models.CharField(
        max_length=11, choices=Rows, default=Rows.IGNORED, help_text="Whether enough new labelled rows are needed."
    )
    monthly_runs = models.PositiveSmallIntegerField(null=True, help_text="Empty: no limit.")
    monthly_cpu_minutes = models.PositiveIntegerField(null=True, help_text="Empty: no limit.")
    owner = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Failed retrainings in a row.")
    stopped_at = models.DateTimeField(null=True)
    stop_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectScoped.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["endpoint", "trigger"], name="one_automation_a_trigger")
        ]

    def __str__(self) -> str:
        return f"retrain {self.endpoint.name} on {self.trigger}"


class RetrainTriggerQuerySet(ProjectScoped["RetrainTrigger"]):
    """Reads of triggers."""

    project_path = "automation__project"

    def began(self) -> Self:
        """Triggers that no guard held back."""
        return self.exclude(state=RetrainTrigger.State.SKIPPED)

    def with_story(self) -> Self:
        """Join what a line about a trigger shows."""
        return self.select_related(
            "automation__endpoint", "model", "run", "request__version__model", "request__decided_by", "version"
        )


class RetrainTrigger(models.Model):
    """One alert that reached an automation, what came of it, what it cost and what it brought."""

    class State(models.TextChoices):
        SKIPPED = "skipped", "held back"
        TRAINING = "training", "training"
        REQUESTED = "requested", "promotion requested"
        FAILED = "failed", "failed"

    class Effect(models.TextChoices):
        BETTER = "better", "better"
        SAME = "same", "no difference"
        WORSE = "worse", "worse"
        UNKNOWN = "unknown", "not known"

    automation = models.ForeignKey(Automation, models.CASCADE, related_name="triggers")
    model = models.ForeignKey("deployments.RegisteredModel", models.PROTECT, related_name="retrainings")
    alert_id = models.BigIntegerField()
    rule_id = models.BigIntegerField()
    window = models.CharField(max_length=60)
    state = models.CharField(max_length=10, choices=State)
    guard = models.CharField(max_length=13, blank=True, help_text="What held it back, in one word.")
    reason = models.TextField(blank=True)
    facts = models.JSONField(default=dict, help_text="What the guards looked at.")
    report = models.JSONField(default=dict, help_text="The alert, the drift and the labelled performance of its time.")
    version = models.ForeignKey("deployments.ModelVersion", models.PROTECT, null=True, related_name="+")
    run = models.ForeignKey("experiments.Run", models.PROTECT, null=True, related_name="+")
    request = models.ForeignKey("deployments.PromotionRequest", models.PROTECT, null=True, related_name="retrainings")
    cpu_seconds = models.FloatField(null=True, help_text="Processor time of the training.")
    trained_at = models.DateTimeField(null=True, help_text="When the training ended.")
    live_at = models.DateTimeField(null=True, help_text="When its version first answered at the endpoint.")
    before = models.JSONField(default=dict, help_text="Drift and performance when the alert fired.")
    after = models.JSONField(default=dict, help_text="The same of its version, up to a week after it went live.")
    effect = models.CharField(max_length=7, choices=Effect, blank=True)
    measured_at = models.DateTimeField(null=True, help_text="When nothing more will be measured.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RetrainTriggerQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "rule_id", "window"], name="one_trigger_a_window"),
            models.UniqueConstraint(fields=["automation", "alert_id"], name="one_trigger_an_alert"),
            models.UniqueConstraint(fields=["model"], condition=Q(state="training"), name="one_retraining_a_model"),
            models.UniqueConstraint(fields=["run"], condition=Q(run__isnull=False), name="one_trigger_a_run"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["model", "-id"], name="trigger_by_model"),  # the ledger, newest first
            # serves the worker that measures what a retraining brought
            models.Index(fields=["id"], condition=Q(state="requested", measured_at=None), name="trigger_unmeasured"),
        ]

    def __str__(self) -> str:
        return f"{self.automation} for alert {self.alert_id}"
