"""Places a model can be promoted to; the rules of each are in policies.py."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from projects.models import Project
from projects.models.scoped import ProjectScoped


class EnvironmentQuerySet(ProjectScoped["Environment"]):
    """Reads of environments."""

    def open(self) -> Self:
        """Environments that take promotions."""
        return self.filter(archived_at=None)


class Environment(models.Model):
    """A place that serves, such as staging or production. Archived ones take no promotion and keep their name."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="environments")
    name = models.CharField(max_length=100)
    position = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    archived_at = models.DateTimeField(null=True)

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="one_environment_a_name"),
            models.UniqueConstraint("project", Lower("name"), name="one_environment_a_folded_name"),
        ]

    def __str__(self) -> str:
        return self.name


class EnvironmentMove(models.Model):
    """A way into an environment, for a span of time. Where no way leads from, no promotion is asked for."""

    class Origin(models.TextChoices):
        ANYWHERE = "anywhere", "from anywhere"
        NOTHING = "nothing", "from no environment"
        ENVIRONMENT = "environment", "from an environment"

    project = models.ForeignKey(Project, models.PROTECT, related_name="environment_moves")
    origin = models.CharField(max_length=11, choices=Origin, default=Origin.ANYWHERE)
    environment_from = models.ForeignKey(Environment, models.PROTECT, null=True, related_name="moves_out")
    environment_to = models.ForeignKey(Environment, models.PROTECT, related_name="moves_in")
    set_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["environment_from", "environment_to"], condition=Q(valid_to=None), name="one_open_move_a_pair"
            ),
            models.UniqueConstraint(
                fields=["environment_to", "origin"],
                condition=Q(valid_to=None, environment_from=None),
                name="one_open_move_an_origin",
            ),
            models.CheckConstraint(
                condition=Q(origin="environment", environment_from__isnull=False)
                | (~Q(origin="environment") & Q(environment_from=None)),
                name="move_names_its_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.environment_from or self.get_origin_display()} → {self.environment_to}"
