"""Files of runs and of logged models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.runs import Run
from mlportal.lib.columns import BytewiseCharField

if TYPE_CHECKING:
    from projects.actor import Actor
    from projects.models import Project, User


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    """Reads of artifacts."""

    def visible_to(self, actor: Actor) -> Self:
        """Keep the files of projects the actor may see."""
        from projects.models import Project

        mine = Project.objects.visible_to(actor)
        return self.filter(Q(run__project__in=mine) | Q(logged_model__project__in=mine))

    def in_project(self, project: Project) -> Self:
        """Keep the files of one project."""
        return self.filter(Q(run__project=project) | Q(logged_model__project=project))


class Artifact(models.Model):
    """A file of a run or of a logged model: its path is a label, its bytes live under their sha256."""

    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="artifacts", db_index=False)
    logged_model = models.ForeignKey(
        "LoggedModel", null=True, on_delete=models.CASCADE, related_name="artifacts", db_index=False
    )
    path = BytewiseCharField(max_length=1000)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    media_type = models.CharField(max_length=100)
    kind = models.CharField(max_length=30, default="file")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        indexes = [
            # Asked when a file may be removed: who else names it?
            models.Index(fields=["sha256"], name="artifact_by_content"),
        ]
        constraints = [
            # Also the index by which folders are listed.
            models.UniqueConstraint(fields=["run", "path"], name="artifact_path_once_per_run"),
            models.UniqueConstraint(fields=["logged_model", "path"], name="artifact_path_once_per_logged_model"),
            models.CheckConstraint(
                condition=Q(run__isnull=False, logged_model__isnull=True)
                | Q(run__isnull=True, logged_model__isnull=False),
                name="artifact_has_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.path

    def roles_here(self, user: User) -> list[str]:
        """Roles of the person on the folders that what holds it lies in."""
        owner = self.run or self.logged_model
        return owner.roles_here(user) if owner else []
