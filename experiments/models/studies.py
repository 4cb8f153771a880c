"""Answers that take a worker: kept by what was asked, so that the same runs are never computed twice."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from experiments.models.runs import Experiment
from mlportal.lib.lease import LeasedWork
from projects.models.scoped import ProjectScoped


class ImportanceStudy(LeasedWork):
    """Which parameters matter for a metric over a set of runs.

    ``key`` is the digest of the runs' parameters and values: it changes as soon as the answer might.
    """

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="+")
    # Empty: over runs of several experiments.
    experiment = models.ForeignKey(Experiment, null=True, on_delete=models.CASCADE, related_name="importance_studies")
    key = models.CharField(max_length=64)
    metric = models.CharField(max_length=250)
    run_ids = models.JSONField()
    result = models.JSONField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    objects = ProjectScoped.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "key"], name="importance_study_once"),
        ]

    def __str__(self) -> str:
        return f"importance for {self.metric}"
