"""Places a model can be promoted to; the rules of each are in policies.py."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models

from projects.models import Project

if TYPE_CHECKING:
    from projects.actor import Actor


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    """Reads of environments."""

    def visible_to(self, actor: "Actor") -> Self:
        """Environments of the actor's projects."""
        return self.filter(project__in=Project.objects.visible_to(actor))

    def in_project(self, project: Project) -> Self:
        """Environments of one project."""
        return self.filter(project=project)


class Environment(models.Model):
    """A place that serves: staging or production."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="environments")
    name = models.CharField(max_length=100)
    position = models.PositiveSmallIntegerField(default=0)

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="one_environment_a_name")]

    def __str__(self) -> str:
        return self.name
