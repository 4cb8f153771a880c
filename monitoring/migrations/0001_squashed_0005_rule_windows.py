"""The tables of a new database."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from mlportal.lib.schema import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("monitoring", "0001_initial"),
        ("monitoring", "0002_watching"),
        ("monitoring", "0003_retrain"),
        ("monitoring", "0004_rollouts"),
        ("monitoring", "0005_rule_windows"),
    ]

    initial = True

    dependencies = [("projects", "0006_batch")]

    operations = [
        CreateModels(
            operations=[
                migrations.CreateModel(
                    name="IngestedSegment",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=80, unique=True)),
                        ("rows", models.PositiveIntegerField(default=0)),
                        (
                            "damaged",
                            models.PositiveIntegerField(
                                default=0, help_text="Lines dropped because they were torn or changed."
                            ),
                        ),
                        ("ingested_at", models.DateTimeField(auto_now_add=True)),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="AlertRule",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        ("name_key", models.CharField(max_length=100)),
                        ("enabled", models.BooleanField(default=True)),
                        (
                            "endpoint",
                            models.CharField(
                                blank=True, help_text="Empty: every endpoint of the project.", max_length=210
                            ),
                        ),
                        (
                            "metric",
                            models.CharField(
                                choices=[
                                    ("drift.psi", "Feature drift (PSI)"),
                                    ("drift.share", "Share of importance that drifted"),
                                    ("prediction.psi", "Prediction drift (PSI)"),
                                    ("quality.null_share", "Missing values beyond the training data (share)"),
                                    ("quality.unseen", "Values never seen in training (share)"),
                                    ("quality.outside", "Values outside the training range (share)"),
                                    ("quality.duplicates", "Repeated rows (share)"),
                                    ("quality.schema", "Requests with another schema (share)"),
                                    ("performance.accuracy", "Accuracy"),
                                    ("performance.balanced_accuracy", "Balanced accuracy"),
                                    ("performance.f1", "F1"),
                                    ("performance.precision", "Precision"),
                                    ("performance.recall", "Recall"),
                                    ("performance.roc_auc", "ROC AUC"),
                                    ("performance.log_loss", "Log loss"),
                                    ("performance.brier", "Brier score"),
                                    ("performance.mae", "Mean absolute error"),
                                    ("performance.rmse", "Root mean squared error"),
                                    ("performance.r2", "R²"),
                                    ("performance.estimated.accuracy", "Estimated accuracy"),
                                    ("performance.estimated.balanced_accuracy", "Estimated balanced accuracy"),
                                    ("performance.estimated.f1", "Estimated F1"),
                                    ("performance.estimated.precision", "Estimated precision"),
                                    ("performance.estimated.recall", "Estimated recall"),
                                    ("performance.estimated.roc_auc", "Estimated ROC AUC"),
                                    ("performance.estimated.mae", "Estimated mean absolute error"),
                                    (
                                        "fairness.selection_rate_difference",
                                        "Selection rate between groups (difference)",
                                    ),
                                    ("fairness.selection_rate_ratio", "Selection rate between groups (ratio)"),
                                    ("fairness.tpr_difference", "True positive rate between groups (difference)"),
                                    ("fairness.fpr_difference", "False positive rate between groups (difference)"),
                                    ("fairness.accuracy_difference", "Accuracy between groups (difference)"),
                                    ("label.coverage", "Predictions with a label (share)"),
                                    ("label.lag", "Median wait for a label (hours)"),
                                    ("error.rate", "Failed requests (share)"),
                                    ("latency.p50_ms", "Median latency (ms)"),
                                    ("latency.p95_ms", "95th percentile latency (ms)"),
                                    ("latency.p99_ms", "99th percentile latency (ms)"),
                                    ("log.dropped", "Predictions missing in the log"),
                                    ("traffic.requests", "Requests a step"),
                                    ("external", "Sent by Alertmanager"),
                                    ("retraining.stopped", "Retraining stopped by itself"),
                                ],
                                max_length=60,
                            ),
                        ),
                        ("column", models.CharField(blank=True, help_text="Empty: every column.", max_length=500)),
                        (
                            "group_by",
                            models.CharField(
                                choices=[("endpoint", "one alert an endpoint"), ("column", "one alert a column")],
                                default="endpoint",
                                max_length=8,
                            ),
                        ),
                        (
                            "op",
                            models.CharField(
                                choices=[("above", "above"), ("below", "below")], default="above", max_length=5
                            ),
                        ),
                        ("warn", models.FloatField(blank=True, null=True)),
                        ("critical", models.FloatField(blank=True, null=True)),
                        (
                            "clear",
                            models.FloatField(blank=True, help_text="Empty: 0.8 times the lower limit.", null=True),
                        ),
                        ("needed", models.PositiveSmallIntegerField(default=2)),
                        ("of", models.PositiveSmallIntegerField(default=3)),
                        ("keep_firing", models.PositiveSmallIntegerField(default=1)),
                        ("min_samples", models.PositiveIntegerField(default=0)),
                        ("no_data_after", models.PositiveSmallIntegerField(default=3)),
                        (
                            "no_data_then",
                            models.CharField(
                                choices=[
                                    ("alert", "open an alert"),
                                    ("ok", "count as clear"),
                                    ("keep", "keep the state"),
                                ],
                                default="keep",
                                max_length=5,
                            ),
                        ),
                        (
                            "severity",
                            models.CharField(
                                choices=[
                                    ("critical", "Critical"),
                                    ("high", "High"),
                                    ("medium", "Medium"),
                                    ("low", "Low"),
                                ],
                                default="high",
                                max_length=8,
                            ),
                        ),
                        ("built_in", models.BooleanField(default=False)),
                        ("revision", models.PositiveIntegerField(default=1)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="alert_rules",
                                to="projects.project",
                            ),
                        ),
                        (
                            "compare",
                            models.CharField(
                                choices=[
                                    ("static", "the value itself"),
                                    ("vs_reference", "its change against the first 28 windows"),
                                    ("vs_previous", "its change against the windows before"),
                                    ("cusum", "a lasting shift (CUSUM)"),
                                ],
                                default="static",
                                max_length=12,
                            ),
                        ),
                        (
                            "cooldown",
                            models.PositiveIntegerField(
                                default=0, help_text="Seconds without a notice after the last was over."
                            ),
                        ),
                        (
                            "evaluation_delay",
                            models.PositiveIntegerField(default=0, help_text="Seconds to wait for late labels."),
                        ),
                        (
                            "inhibited_by",
                            models.JSONField(
                                help_text="Matchers of alerts that hide its own; null: by the metric.", null=True
                            ),
                        ),
                        (
                            "labels",
                            models.JSONField(default=dict, help_text="Labels that its alerts carry beside their own."),
                        ),
                        (
                            "over",
                            models.PositiveSmallIntegerField(default=1, help_text="Windows whose mean is judged."),
                        ),
                        (
                            "action",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("", "start a retraining where the endpoint has one for such alerts"),
                                    ("retrain", "start the endpoint's retraining, whatever the alert is about"),
                                    ("none", "never start a retraining"),
                                ],
                                default="",
                                max_length=7,
                            ),
                        ),
                        (
                            "window_seconds",
                            models.PositiveIntegerField(help_text="Empty: as its endpoint is judged.", null=True),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("project", "name_key"), name="one_rule_a_name"),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("needed__gte", 1), ("needed__lte", models.F("of")), ("of__lte", 20)
                                ),
                                name="rule_n_of_m",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Alert",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "nature",
                            models.CharField(
                                choices=[
                                    ("value", "a limit was passed"),
                                    ("no_data", "no data"),
                                    ("error", "evaluation failed"),
                                    ("external", "sent by Alertmanager"),
                                ],
                                default="value",
                                max_length=8,
                            ),
                        ),
                        ("fingerprint", models.CharField(max_length=64)),
                        ("labels", models.JSONField(default=dict)),
                        ("endpoint", models.CharField(blank=True, max_length=210)),
                        ("version", models.CharField(blank=True, max_length=200)),
                        ("column", models.CharField(blank=True, max_length=500)),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("inactive", "inactive"),
                                    ("pending", "pending"),
                                    ("firing", "firing"),
                                    ("recovering", "recovering"),
                                    ("resolved", "resolved"),
                                    ("no_data", "no data"),
                                    ("error", "cannot evaluate"),
                                ],
                                default="inactive",
                                max_length=10,
                            ),
                        ),
                        ("level", models.CharField(blank=True, max_length=8)),
                        (
                            "severity",
                            models.CharField(
                                choices=[
                                    ("critical", "Critical"),
                                    ("high", "High"),
                                    ("medium", "Medium"),
                                    ("low", "Low"),
                                ],
                                default="low",
                                max_length=8,
                            ),
                        ),
                        ("severity_rank", models.PositiveSmallIntegerField(default=3)),
                        ("title", models.CharField(max_length=300)),
                        ("detail", models.CharField(blank=True, max_length=1000)),
                        ("value", models.FloatField(null=True)),
                        ("limit", models.FloatField(null=True)),
                        ("recent", models.JSONField(default=list)),
                        (
                            "history",
                            models.JSONField(
                                default=list, help_text="Values of the newest windows, for the small line."
                            ),
                        ),
                        ("clears", models.PositiveSmallIntegerField(default=0)),
                        (
                            "quiet",
                            models.BooleanField(
                                default=False, help_text="Resolved by hand; silent until cleared once."
                            ),
                        ),
                        ("age", models.PositiveIntegerField(default=0, help_text="Windows since it was resolved.")),
                        ("seen", models.PositiveIntegerField(default=0)),
                        ("reopened", models.PositiveIntegerField(default=0)),
                        ("last_seq", models.PositiveIntegerField(default=0)),
                        ("opened_at", models.DateTimeField()),
                        ("changed_at", models.DateTimeField()),
                        ("resolved_at", models.DateTimeField(null=True)),
                        ("acknowledged_at", models.DateTimeField(null=True)),
                        (
                            "acknowledged_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "assigned_to",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="alerts",
                                to="projects.project",
                            ),
                        ),
                        (
                            "rule",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="alerts",
                                to="monitoring.alertrule",
                            ),
                        ),
                        (
                            "monitor",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="alerts",
                                to="monitoring.monitor",
                            ),
                        ),
                        ("acknowledged_until", models.DateTimeField(null=True)),
                        (
                            "changes",
                            models.JSONField(
                                default=list, help_text="Windows since each change between firing and resolved."
                            ),
                        ),
                        ("critical_since", models.DateTimeField(help_text="Escalation counts from here.", null=True)),
                        (
                            "flapping",
                            models.BooleanField(
                                default=False, help_text="Held as firing until it is quiet for six windows."
                            ),
                        ),
                        ("judged_at", models.DateTimeField(null=True)),
                        (
                            "judged_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "judgement",
                            models.CharField(
                                blank=True, choices=[("real", "real"), ("false", "false alarm")], max_length=5
                            ),
                        ),
                        ("muted_until", models.DateTimeField(help_text="Within the cooldown of its rule.", null=True)),
                        (
                            "incident",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="alerts",
                                to="monitoring.incident",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                fields=["project", "state", "severity_rank", "-changed_at"], name="alert_list"
                            ),
                            models.Index(fields=["fingerprint", "-id"], name="alert_latest"),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(
                                    ("state__in", ("pending", "firing", "recovering", "no_data", "error"))
                                ),
                                fields=("fingerprint",),
                                name="one_open_alert_a_fingerprint",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="AlertTransition",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("seq", models.PositiveIntegerField()),
                        ("at", models.DateTimeField()),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("state", "state"),
                                    ("level", "level"),
                                    ("acknowledged", "acknowledged"),
                                    ("unacknowledged", "acknowledgement dropped"),
                                    ("silenced", "silenced"),
                                    ("unsilenced", "silence ended"),
                                    ("assigned", "assigned"),
                                    ("judged", "judged"),
                                ],
                                max_length=14,
                            ),
                        ),
                        ("before", models.CharField(blank=True, max_length=10)),
                        ("after", models.CharField(blank=True, max_length=10)),
                        ("level", models.CharField(blank=True, max_length=8)),
                        ("value", models.FloatField(null=True)),
                        ("text", models.TextField(blank=True)),
                        ("window_end", models.DateTimeField(null=True)),
                        (
                            "alert",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="transitions",
                                to="monitoring.alert",
                            ),
                        ),
                        (
                            "by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("alert", "seq"), name="one_transition_a_seq")],
                    },
                ),
                migrations.CreateModel(
                    name="Monitor",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("endpoint", models.CharField(max_length=210)),
                        (
                            "version",
                            models.CharField(
                                help_text="Label of the model version, as people read it.", max_length=200
                            ),
                        ),
                        (
                            "reference",
                            models.JSONField(
                                default=dict, help_text="Grid of each column, from monitoring.drift.reference."
                            ),
                        ),
                        (
                            "bucket_seconds",
                            models.PositiveIntegerField(
                                default=3600, validators=[django.core.validators.MinValueValidator(1)]
                            ),
                        ),
                        (
                            "step_seconds",
                            models.PositiveIntegerField(
                                default=3600, validators=[django.core.validators.MinValueValidator(1)]
                            ),
                        ),
                        (
                            "window_seconds",
                            models.PositiveIntegerField(
                                default=86400, validators=[django.core.validators.MinValueValidator(1)]
                            ),
                        ),
                        (
                            "min_samples",
                            models.PositiveIntegerField(
                                default=200, validators=[django.core.validators.MinValueValidator(1)]
                            ),
                        ),
                        (
                            "links",
                            models.JSONField(default=dict, help_text="Plain data for next steps: run, model, dataset."),
                        ),
                        ("valid_from", models.DateTimeField()),
                        ("valid_to", models.DateTimeField(blank=True, null=True)),
                        (
                            "rolled_to",
                            models.DateTimeField(help_text="End of the newest window that was judged.", null=True),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="monitors",
                                to="projects.project",
                            ),
                        ),
                        (
                            "classes",
                            models.JSONField(
                                default=list, help_text="What it can answer, the class selected for last."
                            ),
                        ),
                        (
                            "label_delay_seconds",
                            models.PositiveIntegerField(default=0, help_text="How long labels usually take."),
                        ),
                        (
                            "segment_columns",
                            models.JSONField(default=list, help_text="Columns whose values are also counted apart."),
                        ),
                        (
                            "sensitive_columns",
                            models.JSONField(default=list, help_text="Columns whose groups are compared for fairness."),
                        ),
                        (
                            "task",
                            models.CharField(
                                blank=True, help_text="classification or regression; empty: not said.", max_length=14
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                fields=["project", "endpoint", "version", "-valid_from"], name="monitor_by_version"
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)),
                                fields=("project", "endpoint"),
                                name="one_live_monitor_an_endpoint",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("bucket_seconds__gt", 0),
                                    ("step_seconds__gt", 0),
                                    ("window_seconds__gte", models.F("step_seconds")),
                                ),
                                name="monitor_window_at_least_a_step",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Bucket",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "hour",
                            models.DateTimeField(
                                help_text="Start of the stretch; an hour unless the monitor says otherwise."
                            ),
                        ),
                        ("column", models.CharField(max_length=500)),
                        ("counts", models.JSONField()),
                        ("rows", models.PositiveIntegerField(help_text="Values counted, empty ones included.")),
                        (
                            "monitor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="buckets",
                                to="monitoring.monitor",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("monitor", "hour", "column"), name="one_bucket_a_column_and_hour"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Prediction",
                    fields=[
                        ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ("endpoint", models.CharField(max_length=210)),
                        ("row", models.PositiveIntegerField(help_text="Place in the chunk's file.")),
                        ("at", models.DateTimeField()),
                        ("latency_us", models.PositiveIntegerField()),
                        ("value", models.CharField(help_text="The answer as text.", max_length=200)),
                        (
                            "score",
                            models.FloatField(
                                help_text="Probability of the last class, or the predicted number.", null=True
                            ),
                        ),
                        ("external_id", models.CharField(help_text="The caller's own id.", max_length=200, null=True)),
                        (
                            "project",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="projects.project",
                            ),
                        ),
                        (
                            "chunk",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="predictions",
                                to="monitoring.predictionchunk",
                            ),
                        ),
                        (
                            "segments",
                            models.JSONField(help_text="Its value in each column that is counted apart.", null=True),
                        ),
                        (
                            "unit",
                            models.BigIntegerField(
                                help_text="Hash of the unit that a split assigned it by.", null=True
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["project", "endpoint", "-id"], name="prediction_by_endpoint"),
                            models.Index(fields=["project", "-id"], name="prediction_by_project"),
                            models.Index(
                                condition=models.Q(("external_id__isnull", False)),
                                fields=["project", "external_id"],
                                name="prediction_by_external_id",
                            ),
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="GroundTruth",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "prediction_key",
                            models.UUIDField(help_text="Id the caller sent, when it was ours.", null=True),
                        ),
                        (
                            "external_id",
                            models.CharField(
                                help_text="Id the caller sent, when it was theirs.", max_length=200, null=True
                            ),
                        ),
                        ("label", models.CharField(help_text="The truth as text.", max_length=200)),
                        ("number", models.FloatField(help_text="The truth as a number, when it is one.", null=True)),
                        ("observed_at", models.DateTimeField()),
                        ("recorded_at", models.DateTimeField(auto_now=True)),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="projects.project"
                            ),
                        ),
                        (
                            "recorded_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "prediction",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="truths",
                                to="monitoring.prediction",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "label",
                        "indexes": [
                            models.Index(
                                condition=models.Q(("prediction", None)), fields=["recorded_at"], name="truth_waiting"
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("prediction_key__isnull", False)),
                                fields=("project", "prediction_key"),
                                name="one_truth_a_prediction_id",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("external_id__isnull", False)),
                                fields=("project", "external_id"),
                                name="one_truth_an_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("external_id__isnull", False), ("prediction_key__isnull", True)),
                                    models.Q(("external_id__isnull", True), ("prediction_key__isnull", False)),
                                    _connector="OR",
                                ),
                                name="truth_has_exactly_one_id",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="PredictionChunk",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("source", models.BigIntegerField(help_text="Id of the endpoint's revision.")),
                        ("endpoint", models.CharField(max_length=210)),
                        ("model", models.CharField(max_length=256)),
                        ("version", models.PositiveIntegerField()),
                        ("label", models.CharField(help_text="The version as people read it.", max_length=200)),
                        ("revision", models.PositiveIntegerField()),
                        ("backend", models.CharField(max_length=20)),
                        ("columns", models.JSONField(default=list, help_text="Names of the features in the file.")),
                        ("sha256", models.CharField(max_length=64)),
                        ("rows", models.PositiveIntegerField()),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="projects.project"
                            ),
                        ),
                        (
                            "segment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="chunks",
                                to="monitoring.ingestedsegment",
                            ),
                        ),
                        (
                            "variant",
                            models.CharField(
                                default="champion", help_text="Which route of the revision answered.", max_length=40
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["source", "variant"], name="chunk_by_source")],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("segment", "source", "variant"), name="one_chunk_a_segment_and_source"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RuleEvaluation",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("window_end", models.DateTimeField()),
                        (
                            "outcome",
                            models.CharField(
                                choices=[
                                    ("ok", "ok"),
                                    ("breach", "limit passed"),
                                    ("too_few", "too few"),
                                    ("no_data", "no data"),
                                    ("error", "failed"),
                                ],
                                max_length=7,
                            ),
                        ),
                        ("detail", models.CharField(blank=True, max_length=500)),
                        ("at", models.DateTimeField(auto_now_add=True)),
                        (
                            "monitor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="monitoring.monitor"
                            ),
                        ),
                        (
                            "rule",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="evaluations",
                                to="monitoring.alertrule",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("rule", "monitor", "window_end"), name="one_evaluation_a_window"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Silence",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("fingerprint", models.CharField(blank=True, max_length=64)),
                        ("endpoint", models.CharField(blank=True, max_length=210)),
                        ("starts_at", models.DateTimeField()),
                        ("ends_at", models.DateTimeField()),
                        ("ended_at", models.DateTimeField(help_text="When somebody ended it early.", null=True)),
                        ("reason", models.CharField(blank=True, max_length=500)),
                        (
                            "author",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="silences",
                                to="projects.project",
                            ),
                        ),
                        (
                            "rule",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="monitoring.alertrule",
                            ),
                        ),
                        (
                            "matchers",
                            models.CharField(blank=True, help_text="name=value, all must hold.", max_length=500),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("ends_at__gt", models.F("starts_at"))),
                                name="silence_ends_after_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("fingerprint", ""), _negated=True),
                                    models.Q(("endpoint", ""), _negated=True),
                                    ("rule__isnull", False),
                                    models.Q(("matchers", ""), _negated=True),
                                    _connector="OR",
                                ),
                                name="silence_matches_something",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Window",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("starts_at", models.DateTimeField()),
                        ("ends_at", models.DateTimeField()),
                        ("rows", models.PositiveIntegerField()),
                        (
                            "verdict",
                            models.CharField(
                                choices=[
                                    ("ok", "stable"),
                                    ("warn", "some drift"),
                                    ("alert", "drift"),
                                    ("too_few", "too few requests"),
                                    ("cannot_compute", "cannot compute"),
                                    ("no_data", "no requests"),
                                    ("unscored", "not scored"),
                                ],
                                max_length=14,
                            ),
                        ),
                        ("reasons", models.JSONField(default=list)),
                        ("drifted", models.PositiveIntegerField(default=0)),
                        ("weighted_share", models.FloatField(default=0.0)),
                        ("requests", models.PositiveIntegerField(default=0)),
                        ("errors", models.PositiveIntegerField(default=0)),
                        ("latency_p50_us", models.FloatField(null=True)),
                        ("latency_p95_us", models.FloatField(null=True)),
                        ("latency_p99_us", models.FloatField(null=True)),
                        ("computed_at", models.DateTimeField()),
                        (
                            "settled_at",
                            models.DateTimeField(help_text="When the alert rules had been applied.", null=True),
                        ),
                        (
                            "monitor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="windows",
                                to="monitoring.monitor",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("settled_at", None)),
                                fields=["monitor", "ends_at"],
                                name="window_unsettled",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("monitor", "ends_at"), name="one_window_an_end")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="DriftScore",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("column", models.CharField(max_length=500)),
                        ("kind", models.CharField(max_length=11)),
                        ("role", models.CharField(max_length=10)),
                        ("weight", models.FloatField(default=0.0)),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("ok", "stable"),
                                    ("warn", "some drift"),
                                    ("alert", "drift"),
                                    ("too_few", "too few requests"),
                                    ("cannot_compute", "cannot compute"),
                                    ("no_data", "no requests"),
                                    ("unscored", "not scored"),
                                ],
                                max_length=14,
                            ),
                        ),
                        ("reason", models.CharField(blank=True, max_length=200)),
                        ("measure", models.CharField(max_length=5)),
                        ("samples", models.PositiveIntegerField(default=0)),
                        ("value", models.FloatField(null=True)),
                        (
                            "floor",
                            models.FloatField(default=0.0, help_text="What chance alone explains at this sample size."),
                        ),
                        ("psi", models.FloatField(null=True)),
                        ("ks", models.FloatField(null=True)),
                        ("wasserstein", models.FloatField(null=True)),
                        ("js", models.FloatField(null=True)),
                        ("chi2_p", models.FloatField(null=True)),
                        ("share", models.FloatField(null=True)),
                        ("mean", models.FloatField(null=True)),
                        ("p_value", models.FloatField(null=True)),
                        ("q_value", models.FloatField(null=True)),
                        ("null_share", models.FloatField(default=0.0)),
                        ("null_excess", models.FloatField(default=0.0)),
                        ("unseen_share", models.FloatField(default=0.0)),
                        ("outside_share", models.FloatField(default=0.0)),
                        (
                            "others",
                            models.JSONField(
                                default=dict, help_text="Commonest values that the reference does not have."
                            ),
                        ),
                        (
                            "window",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="scores",
                                to="monitoring.window",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("window", "column"), name="one_score_a_column")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="AlertGroup",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key", models.CharField(max_length=64)),
                        ("labels", models.JSONField(default=dict)),
                        (
                            "told",
                            models.JSONField(
                                default=dict, help_text="Number of each alert that was told as firing, and its level."
                            ),
                        ),
                        ("due_at", models.DateTimeField(null=True)),
                        ("sent_at", models.DateTimeField(null=True)),
                        ("sent", models.PositiveIntegerField(default=0)),
                        (
                            "route",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="groups",
                                to="monitoring.alertroute",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="alert_group_due"
                            )
                        ],
                        "constraints": [models.UniqueConstraint(fields=("route", "key"), name="one_group_a_key")],
                    },
                ),
                migrations.CreateModel(
                    name="AlertRoute",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("position", models.PositiveSmallIntegerField(default=0)),
                        ("name", models.CharField(max_length=100)),
                        ("matchers", models.CharField(blank=True, help_text="Empty: every alert.", max_length=500)),
                        ("enabled", models.BooleanField(default=True)),
                        (
                            "group_by",
                            models.JSONField(default=list, help_text="Labels that alerts of one message share."),
                        ),
                        ("group_wait", models.PositiveIntegerField(default=30)),
                        ("group_interval", models.PositiveIntegerField(default=300)),
                        ("repeat", models.PositiveIntegerField(default=14400)),
                        ("repeat_critical", models.PositiveIntegerField(default=3600)),
                        ("escalate_after", models.PositiveIntegerField(default=1800, help_text="0: never.")),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("removed_at", models.DateTimeField(null=True)),
                        (
                            "channel",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="projects.channel"
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="alert_routes",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Backfill",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("columns", models.JSONField(default=list, help_text="Columns whose segments are counted.")),
                        (
                            "whole",
                            models.BooleanField(
                                default=False, help_text="Also the counts of all requests, on a new reference."
                            ),
                        ),
                        ("until_chunk", models.BigIntegerField(help_text="Newest chunk that was shipped before.")),
                        ("done_chunk", models.BigIntegerField(default=0)),
                        ("failure", models.TextField(blank=True, help_text="Chunks that could not be read.")),
                        ("asked_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "monitor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="backfills",
                                to="monitoring.monitor",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Incident",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("endpoint", models.CharField(help_text="Empty: trouble of no endpoint.", max_length=210)),
                        ("title", models.CharField(max_length=300)),
                        (
                            "severity",
                            models.CharField(
                                choices=[
                                    ("critical", "Critical"),
                                    ("high", "High"),
                                    ("medium", "Medium"),
                                    ("low", "Low"),
                                ],
                                default="low",
                                max_length=8,
                            ),
                        ),
                        ("severity_rank", models.PositiveSmallIntegerField(default=3)),
                        ("opened_at", models.DateTimeField()),
                        (
                            "acknowledged_at",
                            models.DateTimeField(
                                help_text="When somebody first looked at one of its alerts.", null=True
                            ),
                        ),
                        (
                            "quiet_at",
                            models.DateTimeField(help_text="Since when none of its alerts is open.", null=True),
                        ),
                        ("closed_at", models.DateTimeField(null=True)),
                        (
                            "outcome",
                            models.CharField(
                                blank=True, choices=[("real", "real"), ("false", "false alarm")], max_length=5
                            ),
                        ),
                        ("cause", models.CharField(blank=True, max_length=1000)),
                        (
                            "cause_event",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="projects.event",
                            ),
                        ),
                        (
                            "closed_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="incidents",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["project", "-opened_at"], name="incident_list")],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("closed_at", None)),
                                fields=("project", "endpoint"),
                                name="one_open_incident_an_endpoint",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("closed_at", None),
                                    models.Q(
                                        models.Q(("outcome", ""), _negated=True), models.Q(("cause", ""), _negated=True)
                                    ),
                                    _connector="OR",
                                ),
                                name="closed_incident_has_a_cause",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LabelBucket",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("hour", models.DateTimeField(help_text="Start of the stretch, as in Bucket.")),
                        ("segment", models.CharField(blank=True, max_length=710)),
                        (
                            "cells",
                            models.JSONField(default=dict, help_text="As monitoring.drift.performance makes them."),
                        ),
                        (
                            "monitor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="label_buckets",
                                to="monitoring.monitor",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("monitor", "hour", "segment"), name="one_label_bucket_a_segment_and_hour"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="PredictionUpload",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("sha256", models.CharField(max_length=64)),
                        (
                            "format",
                            models.CharField(
                                choices=[("csv", "CSV"), ("parquet", "Parquet"), ("jsonl", "JSON lines")], max_length=7
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[("queued", "queued"), ("succeeded", "taken in"), ("failed", "failed")],
                                default="queued",
                                max_length=9,
                            ),
                        ),
                        ("rows", models.PositiveIntegerField(default=0, help_text="Taken in so far.")),
                        ("failure", models.CharField(blank=True, max_length=500)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "monitor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="uploads",
                                to="monitoring.monitor",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("monitor", "sha256"), name="one_upload_a_content")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="SegmentBucket",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("hour", models.DateTimeField()),
                        ("segment", models.CharField(help_text="Column and value: region=north.", max_length=710)),
                        ("column", models.CharField(max_length=500)),
                        ("counts", models.JSONField()),
                        ("rows", models.PositiveIntegerField()),
                        (
                            "monitor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="segment_buckets",
                                to="monitoring.monitor",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("monitor", "hour", "segment", "column"),
                                name="one_segment_bucket_a_column_and_hour",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="VariantCount",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("endpoint", models.CharField(max_length=210)),
                        ("source", models.BigIntegerField(help_text="Id of the endpoint's revision.")),
                        ("variant", models.CharField(max_length=40)),
                        (
                            "mode",
                            models.CharField(
                                choices=[("live", "live"), ("shadow", "shadow")], default="live", max_length=6
                            ),
                        ),
                        ("label", models.CharField(help_text="The version as people read it.", max_length=200)),
                        ("minute", models.DateTimeField()),
                        ("requests", models.PositiveIntegerField(default=0, help_text="Refused ones included.")),
                        ("errors", models.PositiveIntegerField(default=0)),
                        (
                            "assigned",
                            models.PositiveIntegerField(
                                default=0, help_text="Requests the split sent here; pinned ones are none."
                            ),
                        ),
                        (
                            "sticky",
                            models.PositiveIntegerField(default=0, help_text="Of those, how many named their unit."),
                        ),
                        ("rows", models.PositiveIntegerField(default=0)),
                        (
                            "bad_outputs",
                            models.PositiveIntegerField(default=0, help_text="Empty or impossible answers."),
                        ),
                        ("timeouts_in_a_row", models.PositiveIntegerField(default=0)),
                        (
                            "loads",
                            models.PositiveIntegerField(default=0, help_text="Serving processes that have it ready."),
                        ),
                        ("load_failures", models.PositiveIntegerField(default=0)),
                        (
                            "trouble",
                            models.CharField(blank=True, help_text="Why it could not be loaded.", max_length=500),
                        ),
                        (
                            "differing",
                            models.PositiveIntegerField(default=0, help_text="Rows that a shadow answered otherwise."),
                        ),
                        (
                            "dropped",
                            models.PositiveIntegerField(default=0, help_text="Requests that a shadow had no time for."),
                        ),
                        (
                            "latency",
                            models.JSONField(default=list, help_text="Counts of the bins of monitoring.drift.shape."),
                        ),
                        (
                            "scores",
                            models.JSONField(default=list, help_text="Counts of the bins that the revision names."),
                        ),
                        ("score_sum", models.FloatField(default=0.0)),
                        (
                            "project",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["project", "endpoint", "minute"], name="variant_by_endpoint")],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("source", "variant", "minute"), name="one_count_a_variant_and_minute"
                            )
                        ],
                    },
                ),
            ],
        ),
    ]
