"""Alerts that rules open, what happened to each, and silences."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.db.models.expressions import Combinable

from mlportal.lib import matchers
from monitoring.models.rules import SEVERITY_RANK, AlertRule, Severity, kind_of_metric
from monitoring.models.windows import Monitor
from projects.models.scoped import ProjectScoped


class AlertState(models.TextChoices):
    """States of an alert and the words shown for them."""

    INACTIVE = "inactive", "inactive"
    PENDING = "pending", "pending"
    FIRING = "firing", "firing"
    RECOVERING = "recovering", "recovering"
    RESOLVED = "resolved", "resolved"
    NO_DATA = "no_data", "no data"
    ERROR = "error", "cannot evaluate"


OPEN = (AlertState.PENDING, AlertState.FIRING, AlertState.RECOVERING, AlertState.NO_DATA, AlertState.ERROR)
SHOWN = (AlertState.FIRING, AlertState.RECOVERING, AlertState.NO_DATA, AlertState.ERROR)


class AlertQuerySet(ProjectScoped["Alert"]):
    """Reads of alerts."""

    def open(self) -> Self:
        """Alerts that are not over, pending ones included."""
        return self.filter(state__in=OPEN)

    def shown(self) -> Self:
        """Alerts that somebody should look at: not pending, not over."""
        return self.filter(state__in=SHOWN)

    def with_silence(self, at: datetime) -> Self:
        """Add ``silenced``: whether a silence covers the alert at this moment."""
        return self.annotate(silenced=Silence.objects.condition(at))

    def worst_first(self) -> Self:
        """Severity, then newest change."""
        return self.order_by("severity_rank", "-changed_at", "-pk")


class Alert(models.Model):
    """One thing that is wrong, however often it is seen. At most one is open for a fingerprint."""

    class Nature(models.TextChoices):
        VALUE = "value", "a limit was passed"
        NO_DATA = "no_data", "no data"
        ERROR = "error", "evaluation failed"
        EXTERNAL = "external", "sent by Alertmanager"

    class Judgement(models.TextChoices):
        REAL = "real", "real"
        FALSE = "false", "false alarm"

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="alerts")
    rule = models.ForeignKey(AlertRule, models.PROTECT, related_name="alerts")
    monitor = models.ForeignKey(Monitor, models.PROTECT, related_name="alerts", null=True)
    nature = models.CharField(max_length=8, choices=Nature, default=Nature.VALUE)
    fingerprint = models.CharField(max_length=64)
    labels = models.JSONField(default=dict)
    endpoint = models.CharField(max_length=210, blank=True)
    version = models.CharField(max_length=200, blank=True)
    column = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=10, choices=AlertState, default=AlertState.INACTIVE)
    level = models.CharField(max_length=8, blank=True)
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.LOW)
    severity_rank = models.PositiveSmallIntegerField(default=SEVERITY_RANK[Severity.LOW])
    title = models.CharField(max_length=300)
    detail = models.CharField(max_length=1000, blank=True)
    value = models.FloatField(null=True)
    limit = models.FloatField(null=True)
    recent = models.JSONField(default=list)
    history = models.JSONField(default=list, help_text="Values of the newest windows, for the small line.")
    clears = models.PositiveSmallIntegerField(default=0)
    quiet = models.BooleanField(default=False, help_text="Resolved by hand; silent until cleared once.")
    age = models.PositiveIntegerField(default=0, help_text="Windows since it was resolved.")
    changes = models.JSONField(default=list, help_text="Windows since each change between firing and resolved.")
    flapping = models.BooleanField(default=False, help_text="Held as firing until it is quiet for six windows.")
    seen = models.PositiveIntegerField(default=0)
    reopened = models.PositiveIntegerField(default=0)
    last_seq = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    acknowledged_until = models.DateTimeField(null=True)
    critical_since = models.DateTimeField(null=True, help_text="Escalation counts from here.")
    muted_until = models.DateTimeField(null=True, help_text="Within the cooldown of its rule.")
    judgement = models.CharField(max_length=5, choices=Judgement, blank=True)
    judged_at = models.DateTimeField(null=True)
    judged_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    incident = models.ForeignKey("monitoring.Incident", models.PROTECT, related_name="alerts", null=True)
    assigned_to = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=Q(state__in=OPEN), name="one_open_alert_a_fingerprint"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["project", "state", "severity_rank", "-changed_at"], name="alert_list"),
            models.Index(fields=["fingerprint", "-id"], name="alert_latest"),  # settle: newest of a fingerprint
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.state in OPEN

    @property
    def kind(self) -> str:
        """Sort of trouble: drift, quality, performance, errors, latency, traffic, no_data, evaluator or external."""
        natures = {"no_data": "no_data", "error": "evaluator", "external": "external"}
        return natures.get(self.nature) or kind_of_metric(self.rule.metric)

    @property
    def all_labels(self) -> dict[str, str]:
        """What matchers are held against: its own labels, those of its rule, and its fields."""
        fields = {
            "alertname": self.labels.get("alertname", self.rule.name), "severity": self.severity,
            "endpoint": self.endpoint, "version": self.version,
            "kind": self.kind, "metric": self.rule.metric, "op": self.rule.op,
        }  # fmt: skip
        column = {"column": self.column} if self.column else {}
        return self.rule.labels | self.labels | fields | column


class AlertTransition(models.Model):
    """One line of an alert's timeline: a change of state, or something a person did. Never changed."""

    class Kind(models.TextChoices):
        STATE = "state", "state"
        LEVEL = "level", "level"
        ACKNOWLEDGED = "acknowledged", "acknowledged"
        UNACKNOWLEDGED = "unacknowledged", "acknowledgement dropped"
        SILENCED = "silenced", "silenced"
        UNSILENCED = "unsilenced", "silence ended"
        ASSIGNED = "assigned", "assigned"
        JUDGED = "judged", "judged"

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="transitions")
    seq = models.PositiveIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=14, choices=Kind)
    before = models.CharField(max_length=10, blank=True)
    after = models.CharField(max_length=10, blank=True)
    level = models.CharField(max_length=8, blank=True)
    value = models.FloatField(null=True)
    text = models.TextField(blank=True)
    by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    window_end = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["alert", "seq"], name="one_transition_a_seq")]

    def __str__(self) -> str:
        return f"{self.alert_id}:{self.seq} {self.kind}"


class RuleEvaluation(models.Model):
    """That a rule was applied to one window, and what came out: the same window is never applied twice."""

    class Outcome(models.TextChoices):
        OK = "ok", "ok"
        BREACH = "breach", "limit passed"
        TOO_FEW = "too_few", "too few"
        NO_DATA = "no_data", "no data"
        ERROR = "error", "failed"

    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="evaluations")
    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="+")
    window_end = models.DateTimeField()
    outcome = models.CharField(max_length=7, choices=Outcome)
    detail = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rule", "monitor", "window_end"], name="one_evaluation_a_window")
        ]

    def __str__(self) -> str:
        return f"rule {self.rule_id} at {self.window_end:%Y-%m-%d %H:%M}: {self.outcome}"


class SilenceQuerySet(ProjectScoped["Silence"]):
    """Reads of silences."""

    def active(self, at: datetime) -> Self:
        """Silences in force at this moment."""
        return self.filter(starts_at__lte=at, ends_at__gt=at, ended_at=None)

    def covering(self, at: datetime) -> Self:
        """Silences in force for the alert of an outer query."""
        return self.active(at).filter(
            Q(fingerprint="") | Q(fingerprint=OuterRef("fingerprint")),
            Q(endpoint="") | Q(endpoint=OuterRef("endpoint")),
            Q(rule=None) | Q(rule=OuterRef("rule")),
            project=OuterRef("project"),
            matchers="",
        )

    def condition(self, at: datetime) -> Combinable:
        """Expression that says whether an alert is silenced; matchers are held against the few alerts that are open."""
        broad = list(self.active(at).exclude(matchers=""))
        if not broad:
            return Exists(self.covering(at))
        rows = Alert.objects.shown().filter(project__in={one.project_id for one in broad}).select_related("rule")
        hidden = [row.pk for row in rows if any(one.covers(row) for one in broad)]
        return Case(
            When(Exists(self.covering(at)), then=Value(True)),
            When(pk__in=hidden, then=Value(True)),
            default=Value(False),
        )


class Silence(models.Model):
    """No notifications for what it matches, for at most 30 days. Evaluation goes on."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="silences")
    fingerprint = models.CharField(max_length=64, blank=True)
    endpoint = models.CharField(max_length=210, blank=True)
    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="+", null=True)
    matchers = models.CharField(max_length=500, blank=True, help_text="name=value, all must hold.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, help_text="When somebody ended it early.")
    author = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500, blank=True)

    objects = SilenceQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="silence_ends_after_start"),
            models.CheckConstraint(
                condition=~Q(fingerprint="") | ~Q(endpoint="") | Q(rule__isnull=False) | ~Q(matchers=""),
                name="silence_matches_something",
            ),
        ]

    def __str__(self) -> str:
        return f"until {self.ends_at:%Y-%m-%d %H:%M}"

    def covers(self, alert: Alert) -> bool:
        """Whether it silences an alert by its labels."""
        return alert.project_id == self.project_id and matchers.hold(self.matchers, alert.all_labels)
