"""Removals of whole projects: asked for, waiting out their days, done."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from projects.models.projects import Project

if TYPE_CHECKING:
    from projects.actor import Actor


class ProjectRemovalQuerySet(models.QuerySet["ProjectRemoval"]):
    """Reads of removals."""

    def visible_to(self, actor: "Actor") -> Self:
        """All of them for a site administrator: nobody else sees a project that is going."""
        return self if actor.user is not None and actor.user.is_site_admin else self.none()

    def waiting(self) -> Self:
        """Removals that are neither called off nor done."""
        return self.filter(called_off_at=None, done_at=None)


class ProjectRemoval(models.Model):
    """A project that goes for good. Its row stays, without its name, so that the audit log has what to refer to."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="removals")
    name = models.CharField(max_length=100, help_text="What the project was called.")
    reason = models.TextField()
    asked_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    called_off_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    called_off_at = models.DateTimeField(null=True)
    begun_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    waits_for = models.CharField(max_length=300, blank=True, help_text="What kept it back at the last look.")
    rows = models.JSONField(default=dict, help_text="How many rows of each kind went so far.")
    record_sha256 = models.CharField(max_length=64, blank=True, help_text="The stored zip of approvals and manifests.")
    record_until = models.DateTimeField(null=True, help_text="Until when the zip is kept.")

    objects = ProjectRemovalQuerySet.as_manager()

    class Meta:
        verbose_name = "removal of a project"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project"], condition=Q(called_off_at=None), name="one_removal_a_project"),
            models.CheckConstraint(condition=Q(begun_at=None) | Q(called_off_at=None), name="begun_is_not_called_off"),
        ]

    def __str__(self) -> str:
        return f"removal of {self.name}"

    @property
    def state(self) -> str:
        """``waiting``, ``running``, ``removed`` or ``called off``."""
        if self.called_off_at:
            return "called off"
        if self.done_at:
            return "removed"
        return "running" if self.begun_at else "waiting"

    @property
    def total(self) -> int:
        """How many rows went so far."""
        return sum(self.rows.values())
