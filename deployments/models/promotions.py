"""Requests to put a version into an environment, what was measured for them, and who decided."""

import copy
from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property

from mlportal.lib.lease import LeasedWork
from projects.models import Project
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from deployments.proof.rules import Outcome


class PromotionRequestQuerySet(ProjectScoped["PromotionRequest"]):
    """Reads of requests."""

    def pending(self) -> Self:
        """Requests that wait for a decision."""
        return self.filter(state=PromotionRequest.State.PENDING)

    def unused(self) -> Self:
        """Approvals that no switch has used yet."""
        return self.filter(state=PromotionRequest.State.APPROVED, revisions=None)

    def suspended(self) -> Self:
        """Approvals that broke a condition and that no newer approval has lifted."""
        return self.filter(state=PromotionRequest.State.SUSPENDED, lifted_by=None)

    def with_subject(self) -> Self:
        """Join what every line about a request shows."""
        return self.select_related(
            "project", "version__model__project", "environment__project", "policy", "requested_by", "decided_by",
            "ended_by", "baseline",
        )  # fmt: skip

    def in_brief(self) -> Self:
        """Join and read what one line among other things shows: no sealed text, no manifest, no rules."""
        rows = self.select_related("project", "version__model", "environment", "policy", "requested_by", "decided_by")
        return rows.only(
            "state", "reason", "requested_at", "expires_at", "decided_at", "ended_at", "closing_note", "break_glass",
            "single_person", "seal", "project__name", "project__slug", "version__number", "version__model__name",
            "version__model__risk_class", "environment__name", "policy__timeout_hours", "policy__approval_days",
            "requested_by__username", "requested_by__display_name", "decided_by__username", "decided_by__display_name",
        )  # fmt: skip


class PromotionRequest(models.Model):
    """One question to the approvers: may this version go there? Sealed over everything they are shown."""

    class State(models.TextChoices):
        PENDING = "pending", "waiting"
        APPROVED = "approved", "approved"
        REJECTED = "rejected", "rejected"
        CHANGES = "changes_requested", "changes requested"
        WITHDRAWN = "withdrawn", "withdrawn"
        EXPIRED = "expired", "expired"
        STALE = "stale", "stale"
        SUSPENDED = "suspended", "suspended"
        LAPSED = "lapsed", "lapsed"

    project = models.ForeignKey(Project, models.PROTECT, related_name="promotion_requests")
    version = models.ForeignKey("deployments.ModelVersion", models.PROTECT, related_name="promotion_requests")
    environment = models.ForeignKey("deployments.Environment", models.PROTECT, related_name="promotion_requests")
    policy = models.ForeignKey("deployments.Policy", models.PROTECT, related_name="promotion_requests")
    baseline = models.ForeignKey("deployments.ModelVersion", models.PROTECT, null=True, related_name="+")
    endpoint_name = models.CharField(max_length=210)
    state = models.CharField(max_length=20, choices=State, default=State.PENDING)
    reason = models.TextField()
    requested_by = models.ForeignKey("projects.User", models.PROTECT, related_name="promotion_requests")
    requested_at = models.DateTimeField(auto_now_add=True)
    by_automation = models.BooleanField(default=False)
    alert_id = models.BigIntegerField(null=True, help_text="Alert that led to this request.")
    expires_at = models.DateTimeField()
    snapshot = models.TextField(blank=True, help_text="Canonical text of everything the approver is shown.")
    seal = models.CharField(max_length=64, blank=True)
    sealed_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    closing_note = models.TextField(blank=True, help_text="Why it closed, for the states no person chose.")
    ended_at = models.DateTimeField(null=True, help_text="When an approval lapsed or was suspended.")
    ended_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    lifted_by = models.ForeignKey("self", models.PROTECT, null=True, related_name="lifts")
    single_person = models.BooleanField(default=False)
    break_glass = models.BooleanField(default=False, help_text="Went live without an approval; looked at afterwards.")
    step = models.PositiveSmallIntegerField(default=0, help_text="Place of the step of the policy that is asked now.")
    asked_roles = models.CharField(max_length=100, blank=True, help_text="Roles of that step, as ',manager,ops,'.")
    reminded_at = models.DateTimeField(null=True)
    escalated_at = models.DateTimeField(null=True)

    objects = PromotionRequestQuerySet.as_manager()

    class Meta:
        verbose_name = "promotion request"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["version", "environment"], condition=Q(state="pending"), name="one_open_request_a_version"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "changes_requested", "suspended", "lapsed"])
                | Q(decided_by__isnull=False),
                name="a_decided_request_names_who",
            ),
            models.CheckConstraint(
                condition=~Q(state="rejected") | Q(decided_by__isnull=False) | ~Q(closing_note=""),
                name="a_rejected_request_names_who_or_why",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "suspended", "lapsed"]) | ~Q(seal=""),
                name="an_approved_request_is_sealed",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["project", "-id"], name="request_by_project"),  # promotions list
            models.Index(fields=["expires_at"], condition=Q(state="pending"), name="request_open"),  # inbox, expiry
        ]

    def __str__(self) -> str:
        return f"promotion {self.pk} of {self.version}"

    @property
    def is_pending(self) -> bool:
        """Whether a decision is still possible."""
        return self.state == self.State.PENDING


class Evaluation(LeasedWork):
    """Work of a worker for one request: candidate and production on the same rows, latency, drift grids."""

    request = models.OneToOneField(PromotionRequest, models.CASCADE, related_name="evaluation")
    result = models.JSONField(null=True)
    inputs_sha256 = models.CharField(max_length=64, blank=True, help_text="Hash of what was evaluated.")

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="evaluation_open"
            )  # sweeper
        ]

    def __str__(self) -> str:
        return f"evaluation for {self.request}"


class GateResult(models.Model):
    """Verdict of one rule of the policy, as it was when the request was sealed or decided."""

    class Phase(models.TextChoices):
        REQUEST = "request", "at the request"
        DECISION = "decision", "at the decision"
        SWITCH = "switch", "at the switch"

    request = models.ForeignKey(PromotionRequest, models.CASCADE, related_name="gate_results")
    phase = models.CharField(max_length=10, choices=Phase)
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=130)
    title = models.CharField(max_length=200)
    level = models.CharField(max_length=10)
    passed = models.BooleanField()
    rule = models.TextField()
    found = models.TextField()
    metric = models.CharField(max_length=100, blank=True)
    detail = models.TextField(blank=True)
    evidence = models.BooleanField(default=True, help_text="False: there was nothing to judge, so it did not pass.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "phase", "name"], name="one_result_a_gate_and_phase")
        ]

    def __str__(self) -> str:
        return f"{self.title}: {'pass' if self.passed else 'fail'}"

    @cached_property
    def sealed_name(self) -> str:
        """Name that ticks and overrides are kept under; a reader may be told another one."""
        return self.name

    def told_as(self, outcome: "Outcome", *, otherwise: str) -> "GateResult":
        """Return a copy to be read, not to be saved, in the words of an outcome that says the same, else in others."""
        shown = copy.copy(self)
        shown.sealed_name = self.name
        shown.name, shown.title, shown.rule = outcome.name, outcome.title[:200], outcome.rule
        same = (self.passed, self.evidence) == (outcome.passed, outcome.evidence)
        shown.found, shown.detail = (outcome.found, outcome.detail) if same else (otherwise, "")
        return shown

    @property
    def status(self) -> str:
        """One word: pass, advisory or fail."""
        if self.passed:
            return "pass"
        return "advisory" if self.level == "advisory" else "fail"


class GateOverride(models.Model):
    """A person's written reason to let one failed blocking gate pass; somebody else still has to approve."""

    request = models.ForeignKey(PromotionRequest, models.CASCADE, related_name="overrides")
    gate = models.CharField(max_length=130)
    reason = models.TextField()
    user = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["request", "gate"], name="one_override_a_gate")]

    def __str__(self) -> str:
        return f"{self.gate} of {self.request}"


class Decision(models.Model):
    """What one person said about one request. Never changed, never deleted."""

    class Verdict(models.TextChoices):
        APPROVE = "approve", "approved"
        REJECT = "reject", "rejected"
        CHANGES = "changes", "asked for changes"

    request = models.ForeignKey(PromotionRequest, models.PROTECT, related_name="decisions")
    user = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=10, choices=Verdict)
    comment = models.TextField(blank=True)
    acknowledged = models.JSONField(default=list, help_text="Advisory failures the person ticked.")
    seal = models.CharField(max_length=64)
    step = models.PositiveSmallIntegerField(default=0, help_text="Place of the step of the policy it was given in.")
    role = models.CharField(max_length=20, blank=True, help_text="Role that gave the right to decide.")
    delegation = models.ForeignKey("deployments.Delegation", models.PROTECT, null=True, related_name="decisions")
    token_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "user"], name="one_decision_a_person"),
            models.UniqueConstraint(fields=["request"], condition=~Q(verdict="approve"), name="one_refusal_a_request"),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.get_verdict_display()} {self.request}"
