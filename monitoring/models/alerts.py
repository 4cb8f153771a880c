"""Rules, the alerts they open, what happened to each, and silences."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.db.models.expressions import Combinable

from mlportal.lib import matchers
from monitoring.models.windows import Monitor

if TYPE_CHECKING:
    from projects.actor import Actor


Row = TypeVar("Row", bound=models.Model)


class ProjectScoped(models.QuerySet[Row]):
    """Reads of rows that carry their project."""

    def visible_to(self, actor: "Actor") -> Self:
        """Rows of projects that the actor belongs to."""
        from projects.models import Project

        return self.filter(project__in=Project.objects.visible_to(actor))

    def in_project(self, project: models.Model) -> Self:
        """Rows of one project."""
        return self.filter(project=project)


class Metric(models.TextChoices):
    """What a rule looks at."""

    DRIFT_PSI = "drift.psi", "Feature drift (PSI)"
    DRIFT_SHARE = "drift.share", "Share of importance that drifted"
    PREDICTION_PSI = "prediction.psi", "Prediction drift (PSI)"
    NULL_SHARE = "quality.null_share", "Missing values beyond the training data (share)"
    UNSEEN = "quality.unseen", "Values never seen in training (share)"
    OUTSIDE = "quality.outside", "Values outside the training range (share)"
    DUPLICATES = "quality.duplicates", "Repeated rows (share)"
    SCHEMA = "quality.schema", "Requests with another schema (share)"
    ACCURACY = "performance.accuracy", "Accuracy"
    BALANCED_ACCURACY = "performance.balanced_accuracy", "Balanced accuracy"
    F1 = "performance.f1", "F1"
    PRECISION = "performance.precision", "Precision"
    RECALL = "performance.recall", "Recall"
    ROC_AUC = "performance.roc_auc", "ROC AUC"
    LOG_LOSS = "performance.log_loss", "Log loss"
    BRIER = "performance.brier", "Brier score"
    MAE = "performance.mae", "Mean absolute error"
    RMSE = "performance.rmse", "Root mean squared error"
    R2 = "performance.r2", "R²"
    ESTIMATED_ACCURACY = "performance.estimated.accuracy", "Estimated accuracy"
    ESTIMATED_BALANCED_ACCURACY = "performance.estimated.balanced_accuracy", "Estimated balanced accuracy"
    ESTIMATED_F1 = "performance.estimated.f1", "Estimated F1"
    ESTIMATED_PRECISION = "performance.estimated.precision", "Estimated precision"
    ESTIMATED_RECALL = "performance.estimated.recall", "Estimated recall"
    ESTIMATED_ROC_AUC = "performance.estimated.roc_auc", "Estimated ROC AUC"
    ESTIMATED_MAE = "performance.estimated.mae", "Estimated mean absolute error"
    SELECTION_DIFFERENCE = "fairness.selection_rate_difference", "Selection rate between groups (difference)"
    SELECTION_RATIO = "fairness.selection_rate_ratio", "Selection rate between groups (ratio)"
    TPR_DIFFERENCE = "fairness.tpr_difference", "True positive rate between groups (difference)"
    FPR_DIFFERENCE = "fairness.fpr_difference", "False positive rate between groups (difference)"
    ACCURACY_DIFFERENCE = "fairness.accuracy_difference", "Accuracy between groups (difference)"
    LABEL_COVERAGE = "label.coverage", "Predictions with a label (share)"
    LABEL_LAG = "label.lag", "Median wait for a label (hours)"
    ERROR_RATE = "error.rate", "Failed requests (share)"
    LATENCY_P50 = "latency.p50_ms", "Median latency (ms)"
    LATENCY_P95 = "latency.p95_ms", "95th percentile latency (ms)"
    LATENCY_P99 = "latency.p99_ms", "99th percentile latency (ms)"
    LOG_DROPPED = "log.dropped", "Predictions missing in the log"
    REQUESTS = "traffic.requests", "Requests a step"
    EXTERNAL = "external", "Sent by Alertmanager"
    RETRAINING = "retraining.stopped", "Retraining stopped by itself"


# Their alerts come from elsewhere: no window measures them, nobody makes a rule of them.
UNMEASURED = (Metric.EXTERNAL, Metric.RETRAINING)


class Severity(models.TextChoices):
    """How bad, worst first."""

    CRITICAL = "critical", "Critical"
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


KINDS = {"prediction": "drift", "error": "errors", "label": "labels"}


def kind_of_metric(metric: str) -> str:
    """Return the sort of trouble that a metric tells of, from the word before its first dot."""
    noun = metric.partition(".")[0]
    return KINDS.get(noun, noun)


SEVERITY_RANK = {Severity.CRITICAL: 0, Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3}


class RuleQuerySet(ProjectScoped["AlertRule"]):
    """Reads of rules."""


class AlertRule(models.Model):
    """When somebody must know. The severity holds at the critical level; at the warning level it is one step less."""

    class Op(models.TextChoices):
        ABOVE = "above", "above"
        BELOW = "below", "below"

    class GroupBy(models.TextChoices):
        ENDPOINT = "endpoint", "one alert an endpoint"
        COLUMN = "column", "one alert a column"

    class Compare(models.TextChoices):
        STATIC = "static", "the value itself"
        REFERENCE = "vs_reference", "its change against the first 28 windows"
        PREVIOUS = "vs_previous", "its change against the windows before"
        CUSUM = "cusum", "a lasting shift (CUSUM)"

    class NoData(models.TextChoices):
        ALERT = "alert", "open an alert"
        OK = "ok", "count as clear"
        KEEP = "keep", "keep the state"

    class Action(models.TextChoices):
        USUAL = "", "start a retraining where the endpoint has one for such alerts"
        RETRAIN = "retrain", "start the endpoint's retraining, whatever the alert is about"
        NONE = "none", "never start a retraining"
        ROLLBACK = "rollback", "roll the endpoint back once it is critical"

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=100)
    enabled = models.BooleanField(default=True)
    endpoint = models.CharField(max_length=210, blank=True, help_text="Empty: every endpoint of the project.")
    version = models.CharField(max_length=200, blank=True, help_text="Empty: every version that answers.")
    metric = models.CharField(max_length=60, choices=Metric)
    column = models.CharField(max_length=500, blank=True, help_text="Empty: every column.")
    group_by = models.CharField(max_length=8, choices=GroupBy, default=GroupBy.ENDPOINT)
    compare = models.CharField(max_length=12, choices=Compare, default=Compare.STATIC)
    over = models.PositiveSmallIntegerField(default=1, help_text="Windows whose mean is judged.")
    window_seconds = models.PositiveIntegerField(null=True, help_text="Empty: as its endpoint is judged.")
    action = models.CharField(max_length=8, choices=Action, default=Action.USUAL, blank=True)
    op = models.CharField(max_length=5, choices=Op, default=Op.ABOVE)
    warn = models.FloatField(null=True, blank=True)
    critical = models.FloatField(null=True, blank=True)
    clear = models.FloatField(null=True, blank=True, help_text="Empty: 0.8 times the lower limit.")
    needed = models.PositiveSmallIntegerField(default=2)
    of = models.PositiveSmallIntegerField(default=3)
    keep_firing = models.PositiveSmallIntegerField(default=1)
    min_samples = models.PositiveIntegerField(default=0)
    no_data_after = models.PositiveSmallIntegerField(default=3)
    no_data_then = models.CharField(max_length=5, choices=NoData, default=NoData.KEEP)
    evaluation_delay = models.PositiveIntegerField(default=0, help_text="Seconds to wait for late labels.")
    cooldown = models.PositiveIntegerField(default=0, help_text="Seconds without a notice after the last was over.")
    labels = models.JSONField(default=dict, help_text="Labels that its alerts carry beside their own.")
    inhibited_by = models.JSONField(null=True, help_text="Matchers of alerts that hide its own; null: by the metric.")
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.HIGH)
    built_in = models.BooleanField(default=False)
    revision = models.PositiveIntegerField(default=1)
    on_behalf_of = models.ForeignKey(
        "projects.User", models.PROTECT, related_name="+", null=True, help_text="In whose name its alerts roll back."
    )
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = RuleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name_key"], name="one_rule_a_name"),
            models.CheckConstraint(condition=Q(needed__gte=1, needed__lte=F("of"), of__lte=20), name="rule_n_of_m"),
        ]

    def __str__(self) -> str:
        return self.name


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
