"""Rollouts: a version takes over an endpoint step by step, judged at each."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from deployments.models.registry import ModelVersion

OPEN = ("validating", "shadow", "canary", "paused")


class RolloutQuerySet(ProjectScoped["Rollout"]):
    """Reads of rollouts."""

    project_path = "endpoint__project"

    def open(self) -> Self:
        """Those that move traffic now."""
        return self.filter(state__in=OPEN)

    def with_subject(self) -> Self:
        """Join what every line about a rollout shows."""
        return self.select_related(
            "endpoint__project", "endpoint__environment__project", "endpoint__model", "promotion__version__model",
            "stable", "started_by", "planned_by",
        )  # fmt: skip


class Rollout(models.Model):
    """One plan to put an approved version live by steps, and where it stands."""

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        VALIDATING = "validating", "validating"
        SHADOW = "shadow", "shadow"
        CANARY = "canary", "canary"
        PAUSED = "paused", "paused"
        PROMOTED = "promoted", "promoted"
        ABORTED = "aborted", "aborted"

    endpoint = models.ForeignKey("deployments.Endpoint", models.PROTECT, related_name="rollouts")
    promotion = models.ForeignKey("deployments.PromotionRequest", models.PROTECT, related_name="rollouts")
    stable = models.ForeignKey("deployments.ModelVersion", models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    paused_in = models.CharField(max_length=10, blank=True, help_text="State that a pause holds.")
    steps = models.JSONField(help_text="Rows of share (0 to 1), minutes and requests, in their order.")
    step = models.PositiveSmallIntegerField(default=0, help_text="Place of the present step.")
    shadow = models.BooleanField(default=False, help_text="Whether the version first answers beside, unheard.")
    label_margin = models.FloatField(default=0.0, help_text="How much worse the labelled metric may be.")
    salt = models.CharField(max_length=64)
    accepted = models.JSONField(default=list, help_text="Keys of criteria that a person looked at and went on.")
    reason = models.TextField()
    note = models.TextField(blank=True, help_text="Why it was paused or how it ended.")
    planned_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    planned_at = models.DateTimeField(default=timezone.now)
    started_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField(null=True)
    entered_at = models.DateTimeField(null=True, help_text="When the present state or step began.")
    judged_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = RolloutQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["endpoint"], condition=Q(state__in=OPEN), name="one_open_rollout_an_endpoint"
            ),
            models.UniqueConstraint(
                fields=["promotion"], condition=~Q(state="aborted"), name="one_rollout_a_promotion"
            ),
            models.CheckConstraint(
                condition=Q(state="draft") | Q(started_at__isnull=False) | Q(state="aborted"),
                name="a_rollout_that_moves_has_started",
            ),
        ]
        indexes: ClassVar = [
            # serves the clock, which looks at the open ones
            models.Index(fields=["judged_at"], condition=Q(state__in=OPEN), name="rollout_open")
        ]

    def __str__(self) -> str:
        return f"rollout {self.pk}"

    @property
    def version(self) -> "ModelVersion":
        """What is rolled out."""
        return self.promotion.version

    @property
    def is_open(self) -> bool:
        """Whether it moves traffic now."""
        return self.state in OPEN

    @property
    def present(self) -> dict[str, Any]:
        """The step it stands at."""
        row: dict[str, Any] = self.steps[min(self.step, len(self.steps) - 1)]
        return row

    @property
    def share(self) -> float:
        """Share of the requests that the version gets now."""
        moving = self.paused_in if self.state == self.State.PAUSED else self.state
        return float(self.present["share"]) if moving == self.State.CANARY else 0.0

    @property
    def step_ends_at(self) -> Any:
        """When the present step has lasted long enough."""
        return self.entered_at + timedelta(minutes=self.present["minutes"]) if self.entered_at else None


class RolloutCheck(models.Model):
    """One evaluation of a rollout with its numbers. Never changed."""

    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="checks")
    at = models.DateTimeField()
    state = models.CharField(max_length=10)
    step = models.PositiveSmallIntegerField()
    verdict = models.CharField(max_length=10, help_text="ok, waiting, pause or abort.")
    requests = models.PositiveIntegerField(help_text="Of the version in the present step.")
    criteria = models.JSONField(help_text="As deployments.traffic.criteria wrote them.")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["rollout", "at"], name="one_check_a_moment")]

    def __str__(self) -> str:
        return f"{self.rollout} at {self.at:%F %T}"
