"""Rules of an environment: what a version must show, who has to agree in which order, and what happens in time."""

from datetime import timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from deployments.models.environments import Environment
from projects.models.scoped import ProjectScoped


class PolicyQuerySet(ProjectScoped["Policy"]):
    """Reads of policies."""

    project_path = "environment__project"


def one_step() -> list[dict[str, Any]]:
    """Return the sequence of a new policy: one manager."""
    return [{"name": "Approval", "roles": ["manager"], "needed": 1}]


class Policy(models.Model):
    """One version of the rules of an environment. A change is a new version; the rules of a version never change.

    Attributes
    ----------
    gates
        What a version must show, in the form of :class:`deployments.proof.rules.Gate`.
    steps
        Who has to agree, in this order: ``[{"name": "Approval", "roles": ["manager"], "needed": 1}, ...]``. A step
        starts when the one before it is complete; ``needed`` distinct people, each with one of ``roles``.
    expiry_days, approval_days
        How long a request waits for a decision, and how long an approval may stay unused.
    reminder_hours, timeout_hours, timeout_action
        When the people who are asked are reminded, and what happens when they do not answer; 0 is never.
    card_sections
        Parts of the model card that a person must have written.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        PROPOSED = "proposed", "waits for a second admin"
        ACTIVE = "active", "in force"
        REPLACED = "replaced", "replaced"
        DROPPED = "dropped", "dropped"

    class Timeout(models.TextChoices):
        EXPIRE = "expire", "the request expires"
        REJECT = "reject", "the request is rejected"
        ESCALATE = "escalate", "the admins are asked to find somebody"

    environment = models.ForeignKey(Environment, models.PROTECT, related_name="policies")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    gates = models.JSONField()
    steps = models.JSONField(default=one_step)
    four_eyes = models.BooleanField(default=True)
    exclude_trainer = models.BooleanField(default=True)
    switch_at_approval = models.BooleanField(default=True)
    expiry_days = models.PositiveSmallIntegerField(default=7)
    approval_days = models.PositiveSmallIntegerField(default=7)
    reminder_hours = models.PositiveSmallIntegerField(default=0)
    timeout_hours = models.PositiveSmallIntegerField(default=0)
    timeout_action = models.CharField(max_length=10, choices=Timeout, default=Timeout.EXPIRE)
    allow_break_glass = models.BooleanField(default=False)
    card_sections = models.JSONField(default=list)
    based_on = models.PositiveIntegerField(null=True, help_text="Number of the version in force when it was written.")
    proposed_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    confirmed_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    valid_from = models.DateTimeField(null=True)
    valid_to = models.DateTimeField(null=True)

    objects = PolicyQuerySet.as_manager()

    # What the version says. The triggers of 0002_frozen_rows name the same columns.
    RULES: ClassVar = (
        "steps", "four_eyes", "exclude_trainer", "switch_at_approval", "expiry_days", "approval_days",
        "reminder_hours", "timeout_hours", "timeout_action", "allow_break_glass", "card_sections",
    )  # fmt: skip

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["environment", "number"], name="one_policy_a_number"),
            models.UniqueConstraint(fields=["environment"], condition=Q(state="active"), name="one_active_policy"),
            models.UniqueConstraint(fields=["environment"], condition=Q(state="proposed"), name="one_proposed_policy"),
            models.UniqueConstraint(
                fields=["environment", "proposed_by"], condition=Q(state="draft"), name="one_draft_a_person"
            ),
            models.CheckConstraint(condition=Q(expiry_days__range=(1, 90)), name="policy_expiry_1_to_90_days"),
            models.CheckConstraint(condition=Q(approval_days__range=(1, 365)), name="policy_approval_1_to_365_days"),
            models.CheckConstraint(
                condition=Q(timeout_action__in=["expire", "reject", "escalate"]), name="policy_timeout_action_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.environment.name} policy {self.number}"

    @property
    def min_approvals(self) -> int:
        """How many people have to approve, over all steps."""
        return sum(int(step["needed"]) for step in self.steps)

    @property
    def expiry(self) -> timedelta:
        """How long a request stays open."""
        return timedelta(days=self.expiry_days)

    @property
    def approval_life(self) -> timedelta:
        """How long an approval may stay unused before it expires."""
        return timedelta(days=self.approval_days)

    def plain(self) -> dict[str, Any]:
        """Return the rules without the gates as plain data, as they are copied into a request."""
        return {"number": self.number, **{name: getattr(self, name) for name in self.RULES}}
