"""Saved views: named addresses of a runs table or a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.runs import Experiment
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from projects.actor import Actor


class SavedViewQuerySet(ProjectScoped):
    """Reads of saved views."""

    def visible_to(self, actor: Actor) -> Self:
        """Views that are shared in the actor's projects, and the actor's own."""
        mine = Q(shared=True)
        if actor.user is not None:
            mine |= Q(owner=actor.user)
        return super().visible_to(actor).filter(mine)

    def on(self, page: str, experiment: Experiment | None) -> Self:
        """Views of one page: those of the experiment, and of tables those of all experiments.

        A comparison over several experiments names runs that one of them does not have.
        """
        shown = Q(experiment=experiment)
        return self.filter(shown if page == SavedView.Page.COMPARE else shown | Q(experiment=None), page=page)


class SavedView(models.Model):
    """A named query string of a page, for its owner or for the whole project."""

    class Page(models.TextChoices):
        RUNS = "runs"
        COMPARE = "compare"

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="saved_views")
    # Empty: for every experiment of the project.
    experiment = models.ForeignKey(Experiment, null=True, on_delete=models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=8, choices=Page, default=Page.RUNS)
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    query = models.TextField(blank=True, default="")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    shared = models.BooleanField(default=False)
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="view_number_once_a_project"),
            models.UniqueConstraint(
                fields=["experiment", "page"], condition=Q(is_default=True), name="one_default_view_an_experiment"
            ),
            models.CheckConstraint(condition=Q(is_default=False) | Q(shared=True), name="default_view_is_shared"),
            models.CheckConstraint(condition=Q(page__in=["runs", "compare"]), name="view_page_known"),
        ]
        indexes = [
            # Serves the tabs of a page.
            models.Index(fields=["project", "experiment", "page"], name="view_by_page")
        ]

    def __str__(self) -> str:
        return self.name
