"""Which rows an actor may see: those of the projects the actor belongs to, wherever a row keeps its project."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from django.db import models

from projects.models.projects import Project

if TYPE_CHECKING:
    from projects.actor import Actor

Row_co = TypeVar("Row_co", bound=models.Model, covariant=True)


class ProjectScoped(models.QuerySet[Row_co]):
    """Reads of rows that belong to a project; ``project_path`` leads to it."""

    project_path: ClassVar[str] = "project"

    def visible_to(self, actor: Actor) -> Self:
        """Rows of projects that the actor may see."""
        return self.filter(**{f"{self.project_path}__in": Project.objects.visible_to(actor).values("pk")})

    def in_project(self, project: Project) -> Self:
        """Rows of one project."""
        return self.filter(**{self.project_path: project})
