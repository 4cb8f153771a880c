"""What happens by itself after an alert: retrain and ask. Never deploy."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from projects.models import Project

if TYPE_CHECKING:
    from projects.actor import Actor


class AutomationQuerySet(models.QuerySet["Automation"]):
    """Reads of automations."""

    def visible_to(self, actor: "Actor") -> Self:
        """Automations of the actor's projects."""
        return self.filter(project__in=Project.objects.visible_to(actor))

    def in_project(self, project: Project) -> Self:
        """Automations of one project."""
        return self.filter(project=project)


class Automation(models.Model):
    """Retrain a live model when an alert of one kind fires, with the rights of its owner."""

    class Trigger(models.TextChoices):
        DRIFT = "drift", "drift"
        PERFORMANCE = "performance", "performance"

    project = models.ForeignKey(Project, models.PROTECT, related_name="automations")
    endpoint = models.ForeignKey("deployments.Endpoint", models.CASCADE, related_name="automations")
    trigger = models.CharField(max_length=12, choices=Trigger)
    enabled = models.BooleanField(default=True)
    cooldown_hours = models.PositiveSmallIntegerField(default=24)
    dataset_name = models.CharField(max_length=100, blank=True, help_text="Empty: the live version's own dataset.")
    owner = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Failed retrainings in a row.")
    stopped_at = models.DateTimeField(null=True)
    stop_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AutomationQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["endpoint", "trigger"], name="one_automation_a_trigger")
        ]

    def __str__(self) -> str:
        return f"retrain {self.endpoint.name} on {self.trigger}"


class RetrainTrigger(models.Model):
    """One alert that reached an automation, and what came of it."""

    class State(models.TextChoices):
        SKIPPED = "skipped", "skipped"
        TRAINING = "training", "training"
        REQUESTED = "requested", "promotion requested"
        FAILED = "failed", "failed"

    automation = models.ForeignKey(Automation, models.CASCADE, related_name="triggers")
    model = models.ForeignKey("deployments.RegisteredModel", models.PROTECT, related_name="+")
    alert_id = models.BigIntegerField()
    rule_id = models.BigIntegerField()
    window = models.CharField(max_length=60)
    state = models.CharField(max_length=10, choices=State)
    reason = models.TextField(blank=True)
    run = models.ForeignKey("experiments.Run", models.PROTECT, null=True, related_name="+")
    request = models.ForeignKey("deployments.PromotionRequest", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["automation", "rule_id", "window"], name="one_trigger_a_window"),
            models.UniqueConstraint(fields=["automation", "alert_id"], name="one_trigger_an_alert"),
            models.UniqueConstraint(fields=["model"], condition=Q(state="training"), name="one_retraining_a_model"),
            models.UniqueConstraint(fields=["run"], condition=Q(run__isnull=False), name="one_trigger_a_run"),
        ]

    def __str__(self) -> str:
        return f"{self.automation} for alert {self.alert_id}"
