"""Where datasets are fetched from: stored connections, and each fetch as leased work."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from mlportal.lib.lease import LeasedWork
from projects.models.datasets import Dataset, DatasetVersion
from projects.models.projects import Project
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from projects.actor import Actor


class ConnectionQuerySet(ProjectScoped["Connection"]):
    """Reads of stored connections."""

    def visible_to(self, actor: "Actor") -> Self:
        """Connections of projects the actor may see, without removed ones."""
        return super().visible_to(actor).filter(removed_at=None)

    def in_project(self, project: Project) -> Self:
        """Connections of one project, without removed ones."""
        return super().in_project(project).filter(removed_at=None)


class Connection(models.Model):
    """How to reach a PostgreSQL database or an S3 store. Its secret is sealed and never shown again."""

    class Kind(models.TextChoices):
        """What it reaches."""

        POSTGRES = "postgres", "PostgreSQL"
        S3 = "s3", "S3"

    project = models.ForeignKey(Project, models.CASCADE, related_name="connections")
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=100, editable=False)
    kind = models.CharField(max_length=8, choices=Kind)
    facts = models.JSONField(default=dict, help_text="Host, port, database, user; or endpoint, region, key id.")
    sealed_secret = models.TextField(blank=True)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    removed_at = models.DateTimeField(null=True)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "name_key"], condition=Q(removed_at=None), name="connection_name_once_a_project"
            )
        ]

    def __str__(self) -> str:
        return self.name


class DatasetImport(LeasedWork):
    """One fetch of a dataset from elsewhere. It makes a version when it has all of the content, or none."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="dataset_imports")
    name = models.CharField(max_length=100, help_text="Dataset that gets the version.")
    kind = models.CharField(max_length=10, choices=DatasetVersion.Source)
    spec = models.JSONField(default=dict, help_text="Address, query, folder; never a secret.")
    sealed_spec = models.TextField(blank=True, help_text="The part of the source that may hold a secret.")
    description = models.TextField(blank=True)
    connection = models.ForeignKey(Connection, models.PROTECT, null=True, related_name="imports")
    refreshes = models.ForeignKey(DatasetVersion, models.SET_NULL, null=True, related_name="+")
    fetched_bytes = models.BigIntegerField(default=0)
    fetched_rows = models.BigIntegerField(default=0)
    total_bytes = models.BigIntegerField(null=True)
    outcome = models.CharField(max_length=10, blank=True, help_text="created or unchanged.")
    version = models.ForeignKey(DatasetVersion, models.SET_NULL, null=True, related_name="imports")
    dataset = models.ForeignKey(Dataset, models.SET_NULL, null=True, related_name="imports")
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectScoped.as_manager()

    class Meta:
        indexes: ClassVar = [
            # serves the sweeper, which looks for queued and active rows every few seconds
            models.Index(
                fields=["state", "queued_at"],
                condition=Q(state__in=["queued", "starting", "running"]),
                name="dataset_import_open",
            )
        ]

    def __str__(self) -> str:
        return f"import {self.pk} of {self.name}"
