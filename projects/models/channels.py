"""Where notifications go, and every message that is owed, was sent or was given up."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from projects.models.projects import Project
from projects.models.scoped import ProjectScoped


class Channel(models.Model):
    """E-mail to some addresses, a signed webhook, or another service. Its secrets are sealed and never shown again."""

    class Kind(models.TextChoices):
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook"
        MLFLOW = "mlflow", "Webhook of an MLflow client"
        SLACK = "slack", "Slack-type webhook"
        ALERTMANAGER = "alertmanager", "Webhook in Alertmanager's shape"
        PAGERDUTY = "pagerduty", "PagerDuty"
        APPRISE = "apprise", "Another service (Apprise)"

    project = models.ForeignKey(Project, models.CASCADE, related_name="channels")
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, blank=True)
    kind = models.CharField(max_length=12, choices=Kind)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=300, blank=True)
    verbs = models.JSONField(default=list, help_text="Events that are sent.")
    min_severity = models.CharField(max_length=8, blank=True, help_text="Alerts below it are not sent.")
    url = models.CharField(max_length=2000, blank=True)
    recipients = models.JSONField(default=list)
    sealed_secret = models.TextField(blank=True)
    sealed_previous = models.TextField(blank=True)
    previous_until = models.DateTimeField(null=True)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    removed_at = models.DateTimeField(null=True)

    objects = ProjectScoped.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "name_key"], condition=Q(removed_at=None), name="one_channel_a_name"
            )
        ]

    def __str__(self) -> str:
        return self.name


class DeliveryQuerySet(ProjectScoped["Delivery"]):
    """Reads of deliveries."""

    project_path = "channel__project"


class Delivery(models.Model):
    """One message to one channel. Sent at least once, always under the same ``message_id``."""

    class State(models.TextChoices):
        PENDING = "pending", "waiting"
        DELIVERED = "delivered", "delivered"
        DEAD = "dead", "given up"

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="deliveries")
    event = models.ForeignKey("projects.Event", models.DO_NOTHING, null=True, related_name="+")
    message_id = models.CharField(max_length=40, unique=True)
    verb = models.CharField(max_length=60)
    subject = models.CharField(max_length=300)
    payload = models.JSONField()
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    give_up_at = models.DateTimeField()
    tries = models.JSONField(default=list, help_text="When, status, seconds and fault of each try.")
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["channel", "event"], name="one_delivery_an_event_and_channel")
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=Q(state="pending"), name="delivery_due"),  # send_due
            models.Index(fields=["channel", "-id"], name="delivery_log"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} to {self.channel_id}"

    @property
    def last_try(self) -> dict[str, object]:
        """The newest try, or nothing."""
        return self.tries[-1] if self.tries else {}
