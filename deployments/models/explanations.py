"""Explanations: of held-out rows of a version, and of one prediction of the log."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from deployments.models.registry import ModelVersion
from mlportal.lib.lease import LeasedWork


class Explanation(LeasedWork):
    """Work of a worker for one version: what each column adds to predictions on its held-out rows."""

    version = models.OneToOneField(ModelVersion, models.CASCADE, related_name="explanation")
    result = models.JSONField(null=True)
    asked_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="explanation_open"
            )  # sweeper
        ]

    def __str__(self) -> str:
        return f"explanation of {self.version}"


class PredictionExplanation(LeasedWork):
    """Work of a worker for one logged prediction: what each column added to its answer."""

    prediction = models.OneToOneField("monitoring.Prediction", models.CASCADE, related_name="+")
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="+")
    result = models.JSONField(null=True)
    asked_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="told_open"
            )  # sweeper
        ]

    def __str__(self) -> str:
        return f"explanation of prediction {self.prediction_id}"
