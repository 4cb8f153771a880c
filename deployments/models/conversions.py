"""Conversions of versions to ONNX."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from deployments.models.registry import ModelVersion
from mlportal.lib.lease import LeasedWork


class Conversion(LeasedWork):
    """Work of a worker for one version: its estimator as ONNX, and how far its answers are from the pipeline's."""

    version = models.OneToOneField(ModelVersion, models.CASCADE, related_name="conversion")
    passed = models.BooleanField(
        default=False, help_text="Whether the parity gate let it through; only then it serves."
    )
    graph_sha256 = models.CharField(max_length=64, blank=True)
    figures = models.JSONField(null=True, help_text="Figures of the parity gate.")
    asked_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="conversion_open"
            )  # sweeper
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(passed=False) | ~Q(graph_sha256=""), name="what_passed_has_a_graph")
        ]

    def __str__(self) -> str:
        return f"conversion of {self.version}"
