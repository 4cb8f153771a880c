"""Rules: when somebody must know."""

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q

from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from monitoring.models.windows import Monitor


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
    RATE = "traffic.rps", "Requests a second"
    EXTERNAL = "external", "Sent by Alertmanager"
    RETRAINING = "retraining.stopped", "Retraining stopped by itself"
    SPLIT = "experiment.srm", "Split of a trial is not the planned one"


ABOUT_REQUESTS = (
    Metric.ERROR_RATE, Metric.LATENCY_P50, Metric.LATENCY_P95, Metric.LATENCY_P99, Metric.LOG_DROPPED, Metric.REQUESTS,
    Metric.RATE, Metric.SCHEMA,
)  # fmt: skip
# Counted of all requests together, never of one segment of them.
OF_ALL = (
    *ABOUT_REQUESTS,
    Metric.DUPLICATES,
    Metric.ESTIMATED_MAE,
    *(one for one in Metric if one.startswith("fairness.")),
)
# Their alerts come from elsewhere: no window measures them, nobody makes a rule of them.
UNMEASURED = (Metric.EXTERNAL, Metric.RETRAINING, Metric.SPLIT)


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
    segment = models.CharField(max_length=710, blank=True, help_text="Such as region=north; empty: all requests.")
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

    objects = ProjectScoped.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name_key"], name="one_rule_a_name"),
            models.CheckConstraint(condition=Q(needed__gte=1, needed__lte=F("of"), of__lte=20), name="rule_n_of_m"),
        ]

    def __str__(self) -> str:
        return self.name

    def concerns(self, monitor: "Monitor") -> bool:
        """Whether it can look at a monitor at all: one segment only where its column is counted apart."""
        return not self.segment or any(self.segment.startswith(f"{name}=") for name in monitor.watched_columns)

    @property
    def is_about_requests(self) -> bool:
        """Whether it looks at requests, which are counted finer than values."""
        return self.metric in ABOUT_REQUESTS

    def reach_on(self, monitor: "Monitor") -> int:
        """Seconds that a window of its own is long there, not finer than what it looks at is counted."""
        grain = monitor.traffic_seconds if self.is_about_requests else monitor.bucket_seconds
        return max((self.window_seconds or 0) // grain, 1) * grain

    def pace_on(self, monitor: "Monitor") -> int | None:
        """Seconds after which it looks again with a window of its own; None: whenever its monitor is judged."""
        reach = self.reach_on(monitor) if self.window_seconds else monitor.step_seconds
        return reach if reach < monitor.step_seconds else None
