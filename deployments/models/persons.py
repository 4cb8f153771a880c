"""Searches for one person whose data somebody asked about."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from mlportal.lib.lease import LeasedWork
from projects.models import Project
from projects.models.scoped import ProjectScoped


class PersonSearch(LeasedWork):
    """Where the data of a project tell of one person; with ``erase`` the prediction log forgets them.

    Who it is about is sealed and goes when the work ends: what stays is the number of the letter, places and counts.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="person_searches")
    ticket = models.CharField(max_length=100, help_text="Number of the letter or case.")
    sealed = models.TextField(blank=True, help_text="Who is looked for, until the work ends.")
    erase = models.BooleanField(default=False)
    asked_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    result = models.JSONField(null=True)

    objects = ProjectScoped.as_manager()

    class Meta:
        verbose_name = "search for a person"
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="person_open"
            )  # sweeper
        ]

    def __str__(self) -> str:
        return f"search {self.pk} for {self.ticket}"
