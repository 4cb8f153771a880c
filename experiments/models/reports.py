"""Reports: pages of text, charts, tables and run sets that stay live until they are frozen."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from projects.models.scoped import ProjectScoped


class Report(models.Model):
    """Blocks in order. A block holds a question, not values; a frozen report holds the answers of that moment."""

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="reports")
    title = models.CharField(max_length=200)
    blocks = models.JSONField(default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    frozen_at = models.DateTimeField(null=True)
    # Canonical JSON of the answers, and its sha256: what was frozen can be checked for ever.
    frozen = models.TextField(blank=True, default="")
    # Numbers of the runs it shows: these are never removed for good.
    frozen_runs = models.JSONField(default=list)
    frozen_digest = models.CharField(max_length=64, blank=True, default="")

    objects = ProjectScoped.as_manager()

    class Meta:
        # Serves the list of a project's reports.
        indexes = [models.Index(fields=["project", "-updated_at", "-id"], name="report_newest_first")]

    def __str__(self) -> str:
        return self.title

    @property
    def is_frozen(self) -> bool:
        """Whether it holds values and never changes any more."""
        return self.frozen_at is not None
