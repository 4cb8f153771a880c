"""Legal holds: what must not be removed for good, whatever the days of the trash and of the prediction log say."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from projects.models.datasets import Dataset
from projects.models.projects import Project
from projects.models.scoped import ProjectScoped


class LegalHoldQuerySet(ProjectScoped["LegalHold"]):
    """Reads of legal holds."""

    def standing(self) -> Self:
        """Holds that nobody has lifted."""
        return self.filter(lifted_at=None)


class LegalHold(models.Model):
    """A project, or one dataset of it, must be kept. A lifted hold stays as a row, so that its time can be told."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="legal_holds")
    # Empty: all of the project. A hold that stands keeps the dataset; a lifted one goes with it, the audit log stays.
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="legal_holds", null=True)
    reason = models.TextField()
    placed_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    placed_at = models.DateTimeField(auto_now_add=True)
    lifted_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    lifted_at = models.DateTimeField(null=True)
    lift_reason = models.TextField(blank=True)

    objects = LegalHoldQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project"], condition=Q(lifted_at=None, dataset=None), name="one_hold_on_a_project"
            ),
            models.UniqueConstraint(fields=["dataset"], condition=Q(lifted_at=None), name="one_hold_on_a_dataset"),
        ]
        indexes: ClassVar = [
            # asked before each removal
            models.Index(fields=["project"], condition=Q(lifted_at=None), name="hold_standing")
        ]

    def __str__(self) -> str:
        return f"legal hold on {self.scope}"

    @property
    def scope(self) -> str:
        """What it keeps, in words."""
        return f"dataset {self.dataset.name}" if self.dataset else f"project {self.project.slug}"
