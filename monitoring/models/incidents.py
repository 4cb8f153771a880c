"""What belongs together: the alerts of an endpoint while it is in trouble, and how it ended."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from monitoring.models.rules import SEVERITY_RANK, Severity
from projects.models.scoped import ProjectScoped


class IncidentQuerySet(ProjectScoped["Incident"]):
    """Reads of incidents."""

    def open(self) -> "IncidentQuerySet":
        """Incidents that nobody has closed."""
        return self.filter(closed_at=None)


class Incident(models.Model):
    """The alerts of one endpoint, from the first that fires until a person closes it with a cause."""

    class Outcome(models.TextChoices):
        REAL = "real", "real"
        FALSE = "false", "false alarm"

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="incidents")
    endpoint = models.CharField(max_length=210, help_text="Empty: trouble of no endpoint.")
    title = models.CharField(max_length=300)
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.LOW)
    severity_rank = models.PositiveSmallIntegerField(default=SEVERITY_RANK[Severity.LOW])
    opened_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, help_text="When somebody first looked at one of its alerts.")
    quiet_at = models.DateTimeField(null=True, help_text="Since when none of its alerts is open.")
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    outcome = models.CharField(max_length=5, choices=Outcome, blank=True)
    cause = models.CharField(max_length=1000, blank=True)
    cause_event = models.ForeignKey("projects.Event", models.DO_NOTHING, related_name="+", null=True)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "endpoint"], condition=Q(closed_at=None), name="one_open_incident_an_endpoint"
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None) | (~Q(outcome="") & ~Q(cause="")), name="closed_incident_has_a_cause"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["project", "-opened_at"], name="incident_list")]

    def __str__(self) -> str:
        return self.title
