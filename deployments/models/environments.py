"""Places a model can be promoted to, and the rules of each place."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models
from django.db.models import Q

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


class PolicyQuerySet(models.QuerySet["Policy"]):
    """Reads of policies."""

    def visible_to(self, actor: "Actor") -> Self:
        """Policies of the actor's projects."""
        return self.filter(environment__project__in=Project.objects.visible_to(actor))

    def in_project(self, project: Project) -> Self:
        """Policies of one project."""
        return self.filter(environment__project=project)


class Policy(models.Model):
    """One version of the rules of an environment. A change is a new version; the rules of a version never change."""

    class State(models.TextChoices):
        PROPOSED = "proposed", "waits for a second admin"
        ACTIVE = "active", "in force"
        REPLACED = "replaced", "replaced"
        DROPPED = "dropped", "dropped"

    environment = models.ForeignKey(Environment, models.PROTECT, related_name="policies")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    min_approvals = models.PositiveSmallIntegerField(default=1)
    expiry_days = models.PositiveSmallIntegerField(default=7)
    four_eyes = models.BooleanField(default=True)
    switch_at_approval = models.BooleanField(default=True)
    gates = models.JSONField()
    proposed_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    confirmed_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    valid_from = models.DateTimeField(null=True)
    valid_to = models.DateTimeField(null=True)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["environment", "number"], name="one_policy_a_number"),
            models.UniqueConstraint(fields=["environment"], condition=Q(state="active"), name="one_active_policy"),
            models.UniqueConstraint(fields=["environment"], condition=Q(state="proposed"), name="one_proposed_policy"),
            models.CheckConstraint(condition=Q(min_approvals__gte=1), name="policy_needs_an_approval"),
            models.CheckConstraint(condition=Q(expiry_days__range=(1, 90)), name="policy_expiry_1_to_90_days"),
        ]

    def __str__(self) -> str:
        return f"{self.environment.name} policy {self.number}"

    @property
    def expiry(self) -> timedelta:
        """How long a request stays open."""
        return timedelta(days=self.expiry_days)

    def plain(self) -> dict[str, Any]:
        """Return the rules as plain data, as they are copied into a request."""
        return {
            "number": self.number,
            "min_approvals": self.min_approvals,
            "expiry_days": self.expiry_days,
            "four_eyes": self.four_eyes,
            "switch_at_approval": self.switch_at_approval,
        }
