"""What was promised of a version and what came of it while it answered."""

from typing import ClassVar

from django.db import models

from projects.models import Project
from projects.models.scoped import ProjectScoped


class VersionGap(models.Model):
    """One version at one endpoint: its metric at the approval, as estimated, and as labels told. Written by a worker.

    ``gain`` is what came less what was promised, turned so that less than zero is a loss.
    """

    class Verdict(models.TextChoices):
        BETTER = "better", "better than promised"
        SAME = "same", "as promised"
        WORSE = "worse", "worse than promised"
        UNKNOWN = "unknown", "not known"

    project = models.ForeignKey(Project, models.CASCADE, related_name="version_gaps")
    version = models.ForeignKey("deployments.ModelVersion", models.CASCADE, related_name="gaps")
    endpoint = models.CharField(max_length=210)
    metric = models.CharField(max_length=40)
    algorithm = models.CharField(max_length=60, blank=True, help_text="Of the recipe it was trained by.")
    promised = models.FloatField(null=True)
    promised_low = models.FloatField(null=True)
    promised_high = models.FloatField(null=True)
    estimated = models.FloatField(null=True, help_text="Without labels: an estimate, assumes P(y|x) unchanged.")
    value = models.FloatField(null=True, help_text="Of the predictions whose label came.")
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    gain = models.FloatField(null=True)
    gain_low = models.FloatField(null=True)
    gain_high = models.FloatField(null=True)
    verdict = models.CharField(max_length=7, choices=Verdict, default=Verdict.UNKNOWN)
    labelled = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(default=0)
    since = models.DateTimeField()
    until = models.DateTimeField()
    measured_at = models.DateTimeField()

    objects = ProjectScoped.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "endpoint"], name="one_gap_a_version_and_endpoint")
        ]
        indexes: ClassVar = [models.Index(fields=["project", "-id"], name="gap_by_project")]  # the running bias

    def __str__(self) -> str:
        return f"{self.version} at {self.endpoint}: {self.get_verdict_display()}"
