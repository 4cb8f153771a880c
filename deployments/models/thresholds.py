"""Decision thresholds that people chose on the review of a binary classifier."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from deployments.models.promotions import PromotionRequest


class ThresholdChoice(models.Model):
    """One choice, kept with the evidence of its request. Never changed; the newest counts.

    ``found`` is what the evaluation said there with those costs, see :func:`deployments.proof.threshold.at`.
    """

    request = models.ForeignKey(PromotionRequest, models.PROTECT, related_name="thresholds")
    threshold = models.FloatField()
    false_positive = models.FloatField(help_text="Cost of a false positive.")
    false_negative = models.FloatField(help_text="Cost of a false negative.")
    found = models.JSONField()
    chosen_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    chosen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(threshold__range=(0, 1)), name="a_threshold_is_a_share"),
            models.CheckConstraint(
                condition=Q(false_positive__gte=0, false_negative__gte=0), name="a_mistake_costs_nothing_or_more"
            ),
        ]

    def __str__(self) -> str:
        return f"threshold {self.threshold:g} for {self.request}"
