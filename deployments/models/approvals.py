"""What surrounds a decision: rights handed to somebody else, and conditions under which an approval holds."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import F, Q

from projects.models import Project
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from datetime import datetime


class DelegationQuerySet(ProjectScoped["Delegation"]):
    """Reads of delegations."""

    def active(self, now: "datetime") -> Self:
        """Delegations that hold at a moment."""
        return self.filter(revoked_at=None, valid_from__lte=now, until__gt=now)

    def standing(self, start: "datetime", end: "datetime") -> Self:
        """Delegations that held at some time from ``start`` to ``end``."""
        return self.filter(Q(revoked_at=None) | Q(revoked_at__gt=start), valid_from__lte=end, until__gt=start)

    def with_people(self) -> Self:
        """Join what every line about a delegation shows."""
        return self.select_related("project", "giver", "taker", "revoked_by")


class Delegation(models.Model):
    """One member's right to decide, handed to another until a date. It gives no more than the giver has."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="delegations")
    giver = models.ForeignKey("projects.User", models.PROTECT, related_name="delegations_given")
    taker = models.ForeignKey("projects.User", models.PROTECT, related_name="delegations_taken")
    reason = models.TextField()
    valid_from = models.DateTimeField()
    until = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")

    objects = DelegationQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(giver=F("taker")), name="a_delegation_goes_to_another"),
            models.CheckConstraint(condition=Q(until__gt=F("valid_from")), name="a_delegation_ends_after_its_start"),
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_by=None) | Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="a_revoked_delegation_names_who",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["taker", "until"], condition=Q(revoked_at=None), name="delegation_of_taker")  # inbox
        ]

    def __str__(self) -> str:
        return f"delegation {self.pk}"


class Condition(models.Model):
    """One limit an approver bound to their approval. What it says never changes; a breach suspends the approval."""

    class Kind(models.TextChoices):
        UNTIL = "until", "holds until a date"
        TRAFFIC = "traffic", "requests an hour at most"
        SHARE = "share", "share of the requests at most"
        METRIC = "metric", "metric within a limit"
        DRIFT = "drift", "drift at most"

    class Action(models.TextChoices):
        NOTIFY = "notify", "notify"
        FREEZE = "freeze", "freeze the endpoint"
        ROLLBACK = "rollback", "roll back"

    class Op(models.TextChoices):
        ABOVE = "above", "above"
        BELOW = "below", "below"

    class State(models.TextChoices):
        BOUND = "bound", "bound"
        WATCHED = "watched", "watched"
        BREACHED = "breached", "breached"
        ENDED = "ended", "ended"

    request = models.ForeignKey("deployments.PromotionRequest", models.PROTECT, related_name="conditions")
    decision = models.ForeignKey("deployments.Decision", models.PROTECT, related_name="conditions")
    kind = models.CharField(max_length=8, choices=Kind)
    action = models.CharField(max_length=8, choices=Action, default=Action.NOTIFY)
    until = models.DateTimeField(null=True)
    metric = models.CharField(max_length=30, blank=True)
    column = models.CharField(max_length=500, blank=True)
    op = models.CharField(max_length=5, choices=Op, default=Op.ABOVE, help_text="Side of the limit that is a breach.")
    limit = models.FloatField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.BOUND)
    rule_id = models.BigIntegerField(null=True, help_text="Alert rule that watches it.")
    breached_at = models.DateTimeField(null=True)
    found = models.TextField(blank=True, help_text="What was seen at the breach.")
    done = models.TextField(blank=True, help_text="What was done about it.")

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind="until", until__isnull=False) | (~Q(kind="until") & Q(limit__isnull=False)),
                name="a_condition_has_a_date_or_a_limit",
            ),
            models.CheckConstraint(
                condition=~Q(state="breached") | Q(breached_at__isnull=False), name="a_breach_says_when"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["rule_id"], condition=Q(state="watched"), name="condition_by_rule"),  # alert.firing
            models.Index(fields=["until"], condition=Q(state__in=["bound", "watched"]), name="condition_due"),  # beat
        ]

    def __str__(self) -> str:
        return self.words

    @property
    def words(self) -> str:
        """The condition as a person would say it."""
        if self.kind == self.Kind.UNTIL:
            return f"until {self.until:%Y-%m-%d %H:%M} UTC"
        if self.kind == self.Kind.SHARE:
            return f"at most {self.limit:g} % of the requests"
        side = "at most" if self.op == self.Op.ABOVE else "at least"
        of = f" of {self.column}" if self.column else ""
        known: dict[str, str] = {self.Kind.TRAFFIC: "requests an hour", self.Kind.DRIFT: "drift (PSI)"}
        name = known.get(self.kind, self.metric)
        return f"{name}{of} {side} {self.limit:g}"
