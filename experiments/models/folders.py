"""Folders that experiments lie in."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.runs import ProjectScoped


class Folder(models.Model):
    """A named place for experiments and further folders; the tree of a project."""

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="folders")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    name = models.CharField(max_length=100)
    # Folded form: two names that differ only in case are one.
    name_key = models.CharField(max_length=100)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    objects = ProjectScoped.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "parent", "name_key"], name="folder_name_once_in_folder"),
            models.UniqueConstraint(
                fields=["project", "name_key"], condition=Q(parent=None), name="folder_name_once_at_top"
            ),
        ]

    def __str__(self) -> str:
        return self.name
