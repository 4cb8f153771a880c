"""The tables of a new database, and the triggers that refuse to change what was said."""

from importlib import import_module

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import deployments.models.policies
from mlportal.lib.schema import CreateModels

GUARDS = (
    "0002_frozen_rows", "0003_notify_serving", "0004_frozen_approvals", "0006_environment_moves", "0007_frozen_papers",
    "0009_frozen_certificates", "0015_frozen_rollouts",
)  # fmt: skip


def add_guards(apps, schema_editor):
    for name in GUARDS:
        import_module(f"deployments.migrations.{name}").add(apps, schema_editor)


class Migration(migrations.Migration):
    replaces = [
        ("deployments", "0001_initial"),
        ("deployments", "0002_frozen_rows"),
        ("deployments", "0003_notify_serving"),
        ("deployments", "0004_frozen_approvals"),
        ("deployments", "0005_governance"),
        ("deployments", "0006_environment_moves"),
        ("deployments", "0007_frozen_papers"),
        ("deployments", "0008_watching"),
        ("deployments", "0009_frozen_certificates"),
        ("deployments", "0010_windows_of_retrainings"),
        ("deployments", "0011_retrain"),
        ("deployments", "0012_batch"),
        ("deployments", "0013_batch_explained"),
        ("deployments", "0014_rollouts"),
        ("deployments", "0015_frozen_rollouts"),
        ("deployments", "0016_retention"),
    ]

    initial = True

    dependencies = [("projects", "0006_batch"), ("experiments", "0004_watching"), ("monitoring", "0005_rule_windows")]

    operations = [
        CreateModels(
            operations=[
                migrations.CreateModel(
                    name="Decision",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "verdict",
                            models.CharField(
                                choices=[
                                    ("approve", "approved"),
                                    ("reject", "rejected"),
                                    ("changes", "asked for changes"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("comment", models.TextField(blank=True)),
                        (
                            "acknowledged",
                            models.JSONField(default=list, help_text="Advisory failures the person ticked."),
                        ),
                        ("seal", models.CharField(max_length=64)),
                        (
                            "step",
                            models.PositiveSmallIntegerField(
                                default=0, help_text="Place of the step of the policy it was given in."
                            ),
                        ),
                        (
                            "role",
                            models.CharField(
                                blank=True, help_text="Role that gave the right to decide.", max_length=20
                            ),
                        ),
                        ("token_id", models.BigIntegerField(null=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "delegation",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="decisions",
                                to="deployments.delegation",
                            ),
                        ),
                        (
                            "request",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="decisions",
                                to="deployments.promotionrequest",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["pk"],
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("request", "user"), name="one_decision_a_person"),
                            models.UniqueConstraint(
                                condition=models.Q(("verdict", "approve"), _negated=True),
                                fields=("request",),
                                name="one_refusal_a_request",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Condition",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("until", "holds until a date"),
                                    ("traffic", "requests an hour at most"),
                                    ("metric", "metric within a limit"),
                                    ("drift", "drift at most"),
                                ],
                                max_length=8,
                            ),
                        ),
                        (
                            "action",
                            models.CharField(
                                choices=[
                                    ("notify", "notify"),
                                    ("freeze", "freeze the endpoint"),
                                    ("rollback", "roll back"),
                                ],
                                default="notify",
                                max_length=8,
                            ),
                        ),
                        ("until", models.DateTimeField(null=True)),
                        ("metric", models.CharField(blank=True, max_length=30)),
                        ("column", models.CharField(blank=True, max_length=500)),
                        (
                            "op",
                            models.CharField(
                                choices=[("above", "above"), ("below", "below")],
                                default="above",
                                help_text="Side of the limit that is a breach.",
                                max_length=5,
                            ),
                        ),
                        ("limit", models.FloatField(null=True)),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("bound", "bound"),
                                    ("watched", "watched"),
                                    ("breached", "breached"),
                                    ("ended", "ended"),
                                ],
                                default="bound",
                                max_length=8,
                            ),
                        ),
                        ("rule_id", models.BigIntegerField(help_text="Alert rule that watches it.", null=True)),
                        ("breached_at", models.DateTimeField(null=True)),
                        ("found", models.TextField(blank=True, help_text="What was seen at the breach.")),
                        ("done", models.TextField(blank=True, help_text="What was done about it.")),
                        (
                            "decision",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="conditions",
                                to="deployments.decision",
                            ),
                        ),
                        (
                            "request",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="conditions",
                                to="deployments.promotionrequest",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["pk"],
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state", "watched")), fields=["rule_id"], name="condition_by_rule"
                            ),
                            models.Index(
                                condition=models.Q(("state__in", ["bound", "watched"])),
                                fields=["until"],
                                name="condition_due",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("kind", "until"), ("until__isnull", False)),
                                    models.Q(models.Q(("kind", "until"), _negated=True), ("limit__isnull", False)),
                                    _connector="OR",
                                ),
                                name="a_condition_has_a_date_or_a_limit",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state", "breached"), _negated=True),
                                    ("breached_at__isnull", False),
                                    _connector="OR",
                                ),
                                name="a_breach_says_when",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Delegation",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("reason", models.TextField()),
                        ("valid_from", models.DateTimeField()),
                        ("until", models.DateTimeField()),
                        ("revoked_at", models.DateTimeField(null=True)),
                        (
                            "giver",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="delegations_given",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="delegations",
                                to="projects.project",
                            ),
                        ),
                        (
                            "revoked_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "taker",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="delegations_taken",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("revoked_at", None)),
                                fields=["taker", "until"],
                                name="delegation_of_taker",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("giver", models.F("taker")), _negated=True),
                                name="a_delegation_goes_to_another",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("until__gt", models.F("valid_from"))),
                                name="a_delegation_ends_after_its_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("revoked_at", None), ("revoked_by", None)),
                                    models.Q(("revoked_at__isnull", False), ("revoked_by__isnull", False)),
                                    _connector="OR",
                                ),
                                name="a_revoked_delegation_names_who",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Endpoint",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=210)),
                        ("name_key", models.CharField(max_length=210)),
                        ("enabled", models.BooleanField(default=True)),
                        (
                            "log_mode",
                            models.CharField(
                                choices=[
                                    ("all", "all features"),
                                    ("hashed", "features hashed"),
                                    ("none", "no features"),
                                ],
                                default="all",
                                max_length=10,
                            ),
                        ),
                        (
                            "on_log_failure",
                            models.CharField(
                                choices=[
                                    ("serve", "answer and count the lost lines"),
                                    ("refuse", "answer nothing that cannot be logged"),
                                ],
                                default="serve",
                                max_length=6,
                            ),
                        ),
                        (
                            "frozen_at",
                            models.DateTimeField(
                                help_text="Since when nothing may switch, until a newer approval.", null=True
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "frozen_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.condition",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="endpoints",
                                to="projects.project",
                            ),
                        ),
                        (
                            "current_revision",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.endpointrevision",
                            ),
                        ),
                        (
                            "environment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="endpoints",
                                to="deployments.environment",
                            ),
                        ),
                        (
                            "model",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="endpoints",
                                to="deployments.registeredmodel",
                            ),
                        ),
                        (
                            "caller_requests_per_minute",
                            models.PositiveIntegerField(default=0, help_text="Of each token; 0 for no limit."),
                        ),
                        (
                            "logging",
                            models.CharField(
                                choices=[
                                    ("off", "nothing is written; nothing is watched"),
                                    ("sample", "every row is counted, the features of a share are kept"),
                                    ("safe", "written before the answer; survives a killed process"),
                                    ("durable", "on the disk before the answer; survives a power cut"),
                                ],
                                default="safe",
                                max_length=7,
                            ),
                        ),
                        (
                            "masked_columns",
                            models.JSONField(default=list, help_text="Columns of which the log keeps only hashes."),
                        ),
                        (
                            "requests_per_minute",
                            models.PositiveIntegerField(default=0, help_text="Of all callers; 0 for no limit."),
                        ),
                        (
                            "sample_share",
                            models.FloatField(
                                default=0.1, help_text="Share of requests whose features a sample keeps."
                            ),
                        ),
                        (
                            "log_days",
                            models.PositiveIntegerField(
                                default=0, help_text="Days predictions are kept; 0: as the settings say."
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("project", "name_key"), name="one_endpoint_a_name"),
                            models.UniqueConstraint(
                                fields=("model", "environment"), name="one_endpoint_a_model_and_environment"
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Automation",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "trigger",
                            models.CharField(
                                choices=[("drift", "drift"), ("performance", "performance")], max_length=12
                            ),
                        ),
                        ("enabled", models.BooleanField(default=True)),
                        ("cooldown_hours", models.PositiveSmallIntegerField(default=24)),
                        (
                            "dataset_name",
                            models.CharField(
                                blank=True, help_text="Empty: the live version's own dataset.", max_length=100
                            ),
                        ),
                        (
                            "failures",
                            models.PositiveSmallIntegerField(default=0, help_text="Failed retrainings in a row."),
                        ),
                        ("stopped_at", models.DateTimeField(null=True)),
                        ("stop_reason", models.TextField(blank=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "owner",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="automations",
                                to="projects.project",
                            ),
                        ),
                        (
                            "endpoint",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="automations",
                                to="deployments.endpoint",
                            ),
                        ),
                        (
                            "labelled_rows",
                            models.CharField(
                                choices=[
                                    ("required", "always"),
                                    ("after_first", "from the second retraining on"),
                                    ("ignored", "no"),
                                ],
                                default="ignored",
                                help_text="Whether enough new labelled rows are needed.",
                                max_length=11,
                            ),
                        ),
                        (
                            "least_severity",
                            models.CharField(
                                choices=[
                                    ("critical", "critical"),
                                    ("high", "high"),
                                    ("medium", "medium"),
                                    ("low", "low"),
                                ],
                                default="low",
                                max_length=8,
                            ),
                        ),
                        ("monthly_cpu_minutes", models.PositiveIntegerField(help_text="Empty: no limit.", null=True)),
                        ("monthly_runs", models.PositiveSmallIntegerField(help_text="Empty: no limit.", null=True)),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("endpoint", "trigger"), name="one_automation_a_trigger")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="EndpointRevision",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("promotion", "promotion"),
                                    ("rollback", "rollback"),
                                    ("break_glass", "break-glass"),
                                    ("rollout", "rollout"),
                                    ("trial", "experiment"),
                                ],
                                default="promotion",
                                max_length=12,
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "endpoint",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="revisions",
                                to="deployments.endpoint",
                            ),
                        ),
                        (
                            "previous",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.endpointrevision",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="revisions",
                                to="deployments.modelversion",
                            ),
                        ),
                        (
                            "promotion",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="revisions",
                                to="deployments.promotionrequest",
                            ),
                        ),
                        (
                            "base",
                            models.ForeignKey(
                                help_text="Of a step of traffic: the revision that put the version live.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.endpointrevision",
                            ),
                        ),
                        (
                            "routes",
                            models.JSONField(
                                default=list,
                                help_text="Rows of variant, version_id, version, weight, mode; none: the version answers all.",  # noqa: E501
                            ),
                        ),
                        (
                            "salt",
                            models.CharField(
                                blank=True, help_text="Key of the assignment of units to routes.", max_length=64
                            ),
                        ),
                        (
                            "score_edges",
                            models.JSONField(
                                default=list, help_text="Where the bins lie in which scores of routes are counted."
                            ),
                        ),
                        (
                            "rollout",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="revisions",
                                to="deployments.rollout",
                            ),
                        ),
                        (
                            "trial",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="revisions",
                                to="deployments.trial",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("endpoint", "number"), name="one_revision_a_number"),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("kind", "promotion"), models.Q(("reason", ""), _negated=True), _connector="OR"
                                ),
                                name="a_rollback_has_a_reason",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("kind__in", ["promotion", "break_glass"])),
                                fields=("promotion",),
                                name="one_switch_a_promotion",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("kind__in", ["promotion", "break_glass"]), _negated=True),
                                    ("promotion__isnull", False),
                                    _connector="OR",
                                ),
                                name="a_switch_names_its_promotion",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="EndpointInterval",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("enabled", models.BooleanField(default=True)),
                        ("valid_from", models.DateTimeField()),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "endpoint",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="intervals",
                                to="deployments.endpoint",
                            ),
                        ),
                        (
                            "revision",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="intervals",
                                to="deployments.endpointrevision",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)), fields=("endpoint",), name="one_open_interval"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("valid_to", None), ("valid_to__gte", models.F("valid_from")), _connector="OR"
                                ),
                                name="interval_ends_after_start",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Environment",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        ("position", models.PositiveSmallIntegerField(default=0)),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="environments",
                                to="projects.project",
                            ),
                        ),
                        ("archived_at", models.DateTimeField(null=True)),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("project", "name"), name="one_environment_a_name"),
                            models.UniqueConstraint(
                                models.F("project"),
                                django.db.models.functions.text.Lower("name"),
                                name="one_environment_a_folded_name",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ModelVersion",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        (
                            "origin",
                            models.CharField(
                                choices=[
                                    ("portal", "registered in the portal"),
                                    ("mlflow", "registered by an MLflow client"),
                                ],
                                default="portal",
                                max_length=6,
                            ),
                        ),
                        (
                            "run_uuid",
                            models.CharField(
                                blank=True,
                                help_text="Id of the run as the client named it; it may be on another server.",
                                max_length=256,
                            ),
                        ),
                        (
                            "source",
                            models.TextField(
                                blank=True,
                                help_text="Where the files lie, as the client named it; never opened as such.",
                            ),
                        ),
                        (
                            "location",
                            models.TextField(
                                blank=True, help_text="Where clients download the files; never opened here."
                            ),
                        ),
                        ("run_link", models.CharField(blank=True, max_length=500)),
                        ("description", models.TextField(blank=True)),
                        (
                            "stage",
                            models.CharField(
                                choices=[
                                    ("None", "None"),
                                    ("Staging", "Staging"),
                                    ("Production", "Production"),
                                    ("Archived", "Archived"),
                                ],
                                default="None",
                                help_text="MLflow's label; moves nothing.",
                                max_length=10,
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[("ready", "ready"), ("damaged", "damaged")], default="ready", max_length=10
                            ),
                        ),
                        ("task", models.CharField(blank=True, max_length=20)),
                        ("algorithm", models.CharField(blank=True, max_length=100)),
                        (
                            "flavors",
                            models.JSONField(
                                default=dict, help_text="Kinds of model that the client's MLmodel file names."
                            ),
                        ),
                        (
                            "manifest",
                            models.JSONField(help_text="Rows of path, sha256 and size_bytes, sorted by path."),
                        ),
                        (
                            "provenance",
                            models.JSONField(
                                help_text="Run, dataset hash, library versions, attempt: hashed with the manifest."
                            ),
                        ),
                        ("manifest_sha256", models.CharField(max_length=64)),
                        (
                            "manifest_signature",
                            models.CharField(help_text="Ed25519 over the manifest hash, base64.", max_length=100),
                        ),
                        ("signed_by", models.CharField(help_text="Id of the signing key.", max_length=16)),
                        ("signature", models.JSONField(help_text="Schema of inputs and outputs.")),
                        (
                            "environment",
                            models.JSONField(default=dict, help_text="Python and library versions of the training."),
                        ),
                        (
                            "metrics",
                            models.JSONField(default=dict, help_text="Metrics of the run when it was registered."),
                        ),
                        ("importance", models.JSONField(default=list, help_text="Permutation importance per feature.")),
                        (
                            "reference_grids",
                            models.JSONField(
                                help_text="Drift grids of the held-out rows, made by a worker.", null=True
                            ),
                        ),
                        ("size_bytes", models.PositiveBigIntegerField(default=0)),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                        ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
                        ("verified_at", models.DateTimeField(null=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "dataset_version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="projects.datasetversion",
                            ),
                        ),
                        (
                            "logged_model",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="model_versions",
                                to="experiments.loggedmodel",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="model_versions",
                                to="experiments.run",
                            ),
                        ),
                        (
                            "model",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="versions",
                                to="deployments.registeredmodel",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "model version",
                        "indexes": [
                            models.Index(
                                condition=models.Q(("run_uuid", ""), _negated=True),
                                fields=["run_uuid"],
                                name="version_by_run_uuid",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("model", "number"), name="one_version_a_number"),
                            models.UniqueConstraint(
                                condition=models.Q(("origin", "portal")),
                                fields=("model", "run"),
                                name="one_version_a_run",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Explanation",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "queued"),
                                    ("starting", "starting"),
                                    ("running", "running"),
                                    ("succeeded", "succeeded"),
                                    ("failed", "failed"),
                                    ("cancelled", "cancelled"),
                                    ("timed_out", "timed out"),
                                ],
                                default="queued",
                                max_length=12,
                            ),
                        ),
                        ("attempt", models.PositiveSmallIntegerField(default=0)),
                        ("fence", models.PositiveBigIntegerField(default=0)),
                        ("lease_until", models.DateTimeField(editable=False, null=True)),
                        ("worker", models.CharField(blank=True, max_length=200)),
                        ("cancel_requested_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("progress", models.FloatField(default=0.0, help_text="Share done, 0 to 1.")),
                        ("phase", models.CharField(blank=True, max_length=100)),
                        ("failure", models.TextField(blank=True, help_text="Why it failed, as a sentence.")),
                        ("result", models.JSONField(null=True)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "version",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="explanation",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["queued_at"],
                                name="explanation_open",
                            )
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="ModelVersionTag",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key", models.CharField(max_length=250)),
                        ("value", models.TextField()),
                        (
                            "version",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tag_rows",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("version", "key"), name="version_tag_once")],
                    },
                ),
                migrations.CreateModel(
                    name="Policy",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("draft", "draft"),
                                    ("proposed", "waits for a second admin"),
                                    ("active", "in force"),
                                    ("replaced", "replaced"),
                                    ("dropped", "dropped"),
                                ],
                                default="active",
                                max_length=10,
                            ),
                        ),
                        ("gates", models.JSONField()),
                        ("steps", models.JSONField(default=deployments.models.policies.one_step)),
                        ("four_eyes", models.BooleanField(default=True)),
                        ("exclude_trainer", models.BooleanField(default=True)),
                        ("switch_at_approval", models.BooleanField(default=True)),
                        ("expiry_days", models.PositiveSmallIntegerField(default=7)),
                        ("approval_days", models.PositiveSmallIntegerField(default=7)),
                        ("reminder_hours", models.PositiveSmallIntegerField(default=0)),
                        ("timeout_hours", models.PositiveSmallIntegerField(default=0)),
                        (
                            "timeout_action",
                            models.CharField(
                                choices=[
                                    ("expire", "the request expires"),
                                    ("reject", "the request is rejected"),
                                    ("escalate", "the admins are asked to find somebody"),
                                ],
                                default="expire",
                                max_length=10,
                            ),
                        ),
                        ("allow_break_glass", models.BooleanField(default=False)),
                        ("card_sections", models.JSONField(default=list)),
                        (
                            "based_on",
                            models.PositiveIntegerField(
                                help_text="Number of the version in force when it was written.", null=True
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("valid_from", models.DateTimeField(null=True)),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "confirmed_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "environment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="policies",
                                to="deployments.environment",
                            ),
                        ),
                        (
                            "proposed_by",
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
                        "constraints": [
                            models.UniqueConstraint(fields=("environment", "number"), name="one_policy_a_number"),
                            models.UniqueConstraint(
                                condition=models.Q(("state", "active")),
                                fields=("environment",),
                                name="one_active_policy",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("state", "proposed")),
                                fields=("environment",),
                                name="one_proposed_policy",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("state", "draft")),
                                fields=("environment", "proposed_by"),
                                name="one_draft_a_person",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("expiry_days__range", (1, 90))), name="policy_expiry_1_to_90_days"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("approval_days__range", (1, 365))),
                                name="policy_approval_1_to_365_days",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("timeout_action__in", ["expire", "reject", "escalate"])),
                                name="policy_timeout_action_known",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Backtest",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "queued"),
                                    ("starting", "starting"),
                                    ("running", "running"),
                                    ("succeeded", "succeeded"),
                                    ("failed", "failed"),
                                    ("cancelled", "cancelled"),
                                    ("timed_out", "timed out"),
                                ],
                                default="queued",
                                max_length=12,
                            ),
                        ),
                        ("attempt", models.PositiveSmallIntegerField(default=0)),
                        ("fence", models.PositiveBigIntegerField(default=0)),
                        ("lease_until", models.DateTimeField(editable=False, null=True)),
                        ("worker", models.CharField(blank=True, max_length=200)),
                        ("cancel_requested_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("progress", models.FloatField(default=0.0, help_text="Share done, 0 to 1.")),
                        ("phase", models.CharField(blank=True, max_length=100)),
                        ("failure", models.TextField(blank=True, help_text="Why it failed, as a sentence.")),
                        (
                            "last",
                            models.PositiveSmallIntegerField(
                                help_text="How many requests are replayed, the newest first."
                            ),
                        ),
                        ("asked_at", models.DateTimeField(auto_now_add=True)),
                        ("result", models.JSONField(null=True)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "policy",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="backtests",
                                to="deployments.policy",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["queued_at"],
                                name="backtest_open",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=("policy",),
                                name="one_open_backtest_a_policy",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="PromotionRequest",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("endpoint_name", models.CharField(max_length=210)),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("pending", "waiting"),
                                    ("approved", "approved"),
                                    ("rejected", "rejected"),
                                    ("changes_requested", "changes requested"),
                                    ("withdrawn", "withdrawn"),
                                    ("expired", "expired"),
                                    ("stale", "stale"),
                                    ("suspended", "suspended"),
                                    ("lapsed", "lapsed"),
                                ],
                                default="pending",
                                max_length=20,
                            ),
                        ),
                        ("reason", models.TextField()),
                        ("requested_at", models.DateTimeField(auto_now_add=True)),
                        ("by_automation", models.BooleanField(default=False)),
                        ("alert_id", models.BigIntegerField(help_text="Alert that led to this request.", null=True)),
                        ("expires_at", models.DateTimeField()),
                        (
                            "snapshot",
                            models.TextField(
                                blank=True, help_text="Canonical text of everything the approver is shown."
                            ),
                        ),
                        ("seal", models.CharField(blank=True, max_length=64)),
                        ("sealed_at", models.DateTimeField(null=True)),
                        ("decided_at", models.DateTimeField(null=True)),
                        (
                            "closing_note",
                            models.TextField(blank=True, help_text="Why it closed, for the states no person chose."),
                        ),
                        (
                            "ended_at",
                            models.DateTimeField(help_text="When an approval lapsed or was suspended.", null=True),
                        ),
                        ("single_person", models.BooleanField(default=False)),
                        (
                            "break_glass",
                            models.BooleanField(
                                default=False, help_text="Went live without an approval; looked at afterwards."
                            ),
                        ),
                        (
                            "step",
                            models.PositiveSmallIntegerField(
                                default=0, help_text="Place of the step of the policy that is asked now."
                            ),
                        ),
                        (
                            "asked_roles",
                            models.CharField(
                                blank=True, help_text="Roles of that step, as ',manager,ops,'.", max_length=100
                            ),
                        ),
                        ("reminded_at", models.DateTimeField(null=True)),
                        ("escalated_at", models.DateTimeField(null=True)),
                        (
                            "baseline",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.modelversion",
                            ),
                        ),
                        (
                            "decided_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "ended_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "environment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="promotion_requests",
                                to="deployments.environment",
                            ),
                        ),
                        (
                            "lifted_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="lifts",
                                to="deployments.promotionrequest",
                            ),
                        ),
                        (
                            "policy",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="promotion_requests",
                                to="deployments.policy",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="promotion_requests",
                                to="projects.project",
                            ),
                        ),
                        (
                            "requested_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="promotion_requests",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="promotion_requests",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "promotion request",
                        "indexes": [
                            models.Index(fields=["project", "-id"], name="request_by_project"),
                            models.Index(
                                condition=models.Q(("state", "pending")), fields=["expires_at"], name="request_open"
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state", "pending")),
                                fields=("version", "environment"),
                                name="one_open_request_a_version",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("state__in", ["approved", "changes_requested", "suspended", "lapsed"]),
                                        _negated=True,
                                    ),
                                    ("decided_by__isnull", False),
                                    _connector="OR",
                                ),
                                name="a_decided_request_names_who",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state", "rejected"), _negated=True),
                                    ("decided_by__isnull", False),
                                    models.Q(("closing_note", ""), _negated=True),
                                    _connector="OR",
                                ),
                                name="a_rejected_request_names_who_or_why",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state__in", ["approved", "suspended", "lapsed"]), _negated=True),
                                    models.Q(("seal", ""), _negated=True),
                                    _connector="OR",
                                ),
                                name="an_approved_request_is_sealed",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="GateResult",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "phase",
                            models.CharField(
                                choices=[
                                    ("request", "at the request"),
                                    ("decision", "at the decision"),
                                    ("switch", "at the switch"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("position", models.PositiveSmallIntegerField()),
                        ("name", models.CharField(max_length=130)),
                        ("title", models.CharField(max_length=200)),
                        ("level", models.CharField(max_length=10)),
                        ("passed", models.BooleanField()),
                        ("rule", models.TextField()),
                        ("found", models.TextField()),
                        ("metric", models.CharField(blank=True, max_length=100)),
                        ("detail", models.TextField(blank=True)),
                        (
                            "evidence",
                            models.BooleanField(
                                default=True, help_text="False: there was nothing to judge, so it did not pass."
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "request",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="gate_results",
                                to="deployments.promotionrequest",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["position"],
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("request", "phase", "name"), name="one_result_a_gate_and_phase"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="GateOverride",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("gate", models.CharField(max_length=130)),
                        ("reason", models.TextField()),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "request",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="overrides",
                                to="deployments.promotionrequest",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("request", "gate"), name="one_override_a_gate")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Evaluation",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "queued"),
                                    ("starting", "starting"),
                                    ("running", "running"),
                                    ("succeeded", "succeeded"),
                                    ("failed", "failed"),
                                    ("cancelled", "cancelled"),
                                    ("timed_out", "timed out"),
                                ],
                                default="queued",
                                max_length=12,
                            ),
                        ),
                        ("attempt", models.PositiveSmallIntegerField(default=0)),
                        ("fence", models.PositiveBigIntegerField(default=0)),
                        ("lease_until", models.DateTimeField(editable=False, null=True)),
                        ("worker", models.CharField(blank=True, max_length=200)),
                        ("cancel_requested_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("progress", models.FloatField(default=0.0, help_text="Share done, 0 to 1.")),
                        ("phase", models.CharField(blank=True, max_length=100)),
                        ("failure", models.TextField(blank=True, help_text="Why it failed, as a sentence.")),
                        ("result", models.JSONField(null=True)),
                        (
                            "inputs_sha256",
                            models.CharField(blank=True, help_text="Hash of what was evaluated.", max_length=64),
                        ),
                        (
                            "request",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="evaluation",
                                to="deployments.promotionrequest",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["queued_at"],
                                name="evaluation_open",
                            )
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="RegisteredModel",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=256)),
                        ("description", models.TextField(blank=True)),
                        (
                            "last_number",
                            models.PositiveIntegerField(
                                default=0, help_text="Highest version ever; a number is never reused."
                            ),
                        ),
                        ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                        ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="registered_models",
                                to="projects.project",
                            ),
                        ),
                        ("intended_purpose", models.TextField(blank=True)),
                        ("out_of_scope_use", models.TextField(blank=True)),
                        (
                            "owner",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="owned_models",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "revision",
                            models.PositiveIntegerField(
                                default=0, help_text="Edits of what people say of it; a form names its own."
                            ),
                        ),
                        (
                            "risk_class",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("", "not stated"),
                                    ("minimal", "minimal"),
                                    ("limited", "limited"),
                                    ("high", "high"),
                                ],
                                default="",
                                max_length=10,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "model",
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("project", "name"), name="one_model_a_name")],
                    },
                ),
                migrations.CreateModel(
                    name="Alias",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=255)),
                        ("valid_from", models.DateTimeField(auto_now_add=True)),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "set_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="aliases",
                                to="deployments.modelversion",
                            ),
                        ),
                        (
                            "model",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="aliases",
                                to="deployments.registeredmodel",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)),
                                fields=("model", "name"),
                                name="one_open_alias_a_name",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RegisteredModelTag",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key", models.CharField(max_length=250)),
                        ("value", models.TextField()),
                        (
                            "model",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tag_rows",
                                to="deployments.registeredmodel",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("model", "key"), name="model_tag_once")],
                    },
                ),
                migrations.CreateModel(
                    name="RetrainTrigger",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("alert_id", models.BigIntegerField()),
                        ("rule_id", models.BigIntegerField()),
                        ("window", models.CharField(max_length=60)),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("skipped", "held back"),
                                    ("training", "training"),
                                    ("requested", "promotion requested"),
                                    ("failed", "failed"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "automation",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="triggers",
                                to="deployments.automation",
                            ),
                        ),
                        (
                            "model",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="retrainings",
                                to="deployments.registeredmodel",
                            ),
                        ),
                        (
                            "request",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="retrainings",
                                to="deployments.promotionrequest",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="experiments.run",
                            ),
                        ),
                        (
                            "after",
                            models.JSONField(
                                default=dict, help_text="The same of its version, up to a week after it went live."
                            ),
                        ),
                        (
                            "before",
                            models.JSONField(default=dict, help_text="Drift and performance when the alert fired."),
                        ),
                        ("cpu_seconds", models.FloatField(help_text="Processor time of the training.", null=True)),
                        (
                            "effect",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("better", "better"),
                                    ("same", "no difference"),
                                    ("worse", "worse"),
                                    ("unknown", "not known"),
                                ],
                                max_length=7,
                            ),
                        ),
                        ("facts", models.JSONField(default=dict, help_text="What the guards looked at.")),
                        (
                            "guard",
                            models.CharField(blank=True, help_text="What held it back, in one word.", max_length=13),
                        ),
                        (
                            "live_at",
                            models.DateTimeField(
                                help_text="When its version first answered at the endpoint.", null=True
                            ),
                        ),
                        (
                            "measured_at",
                            models.DateTimeField(help_text="When nothing more will be measured.", null=True),
                        ),
                        (
                            "report",
                            models.JSONField(
                                default=dict, help_text="The alert, the drift and the labelled performance of its time."
                            ),
                        ),
                        ("trained_at", models.DateTimeField(help_text="When the training ended.", null=True)),
                        (
                            "version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["model", "-id"], name="trigger_by_model"),
                            models.Index(
                                condition=models.Q(("measured_at", None), ("state", "requested")),
                                fields=["id"],
                                name="trigger_unmeasured",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("automation", "alert_id"), name="one_trigger_an_alert"),
                            models.UniqueConstraint(
                                condition=models.Q(("state", "training")),
                                fields=("model",),
                                name="one_retraining_a_model",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("run__isnull", False)), fields=("run",), name="one_trigger_a_run"
                            ),
                            models.UniqueConstraint(fields=("model", "rule_id", "window"), name="one_trigger_a_window"),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RollbackReview",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("closed_at", models.DateTimeField(null=True)),
                        ("comment", models.TextField(blank=True)),
                        (
                            "outcome",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("noted", "noted"),
                                    ("confirmed", "confirmed"),
                                    ("rolled_back", "rolled back"),
                                ],
                                max_length=12,
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
                            "revision",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="review",
                                to="deployments.endpointrevision",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("closed_at", None), ("closed_by", None)),
                                    models.Q(("closed_at__isnull", False), ("closed_by__isnull", False)),
                                    _connector="OR",
                                ),
                                name="a_closed_review_names_who",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="EnvironmentMove",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "origin",
                            models.CharField(
                                choices=[
                                    ("anywhere", "from anywhere"),
                                    ("nothing", "from no environment"),
                                    ("environment", "from an environment"),
                                ],
                                default="anywhere",
                                max_length=11,
                            ),
                        ),
                        ("valid_from", models.DateTimeField(default=django.utils.timezone.now)),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "environment_from",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="moves_out",
                                to="deployments.environment",
                            ),
                        ),
                        (
                            "environment_to",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="moves_in",
                                to="deployments.environment",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="environment_moves",
                                to="projects.project",
                            ),
                        ),
                        (
                            "set_by",
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
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)),
                                fields=("environment_from", "environment_to"),
                                name="one_open_move_a_pair",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("environment_from", None), ("valid_to", None)),
                                fields=("environment_to", "origin"),
                                name="one_open_move_an_origin",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("environment_from__isnull", False), ("origin", "environment")),
                                    models.Q(
                                        models.Q(("origin", "environment"), _negated=True), ("environment_from", None)
                                    ),
                                    _connector="OR",
                                ),
                                name="move_names_its_start",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="KeptCard",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "number",
                            models.PositiveIntegerField(
                                help_text="Version of the card; 0 when nobody had written anything."
                            ),
                        ),
                        ("document", models.JSONField()),
                        (
                            "sha256",
                            models.CharField(
                                help_text="Hash of the document; the audit log has it too.", max_length=64
                            ),
                        ),
                        ("made_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "request",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="kept_card",
                                to="deployments.promotionrequest",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="PaperVersion",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "paper",
                            models.CharField(
                                choices=[("card", "model card"), ("file", "technical file")], max_length=4
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        ("parts", models.JSONField()),
                        ("changed", models.JSONField(help_text="Names of the parts that this change touched.")),
                        ("sha256", models.CharField(help_text="Hash of the parts.", max_length=64)),
                        ("written_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "model",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="papers",
                                to="deployments.registeredmodel",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="papers",
                                to="deployments.modelversion",
                            ),
                        ),
                        (
                            "written_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("model", "paper", "number"), name="one_paper_a_number"),
                            models.CheckConstraint(
                                condition=models.Q(("paper__in", ["card", "file"])), name="paper_known"
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="TechnicalFile",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "queued"),
                                    ("starting", "starting"),
                                    ("running", "running"),
                                    ("succeeded", "succeeded"),
                                    ("failed", "failed"),
                                    ("cancelled", "cancelled"),
                                    ("timed_out", "timed out"),
                                ],
                                default="queued",
                                max_length=12,
                            ),
                        ),
                        ("attempt", models.PositiveSmallIntegerField(default=0)),
                        ("fence", models.PositiveBigIntegerField(default=0)),
                        ("lease_until", models.DateTimeField(editable=False, null=True)),
                        ("worker", models.CharField(blank=True, max_length=200)),
                        ("cancel_requested_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("progress", models.FloatField(default=0.0, help_text="Share done, 0 to 1.")),
                        ("phase", models.CharField(blank=True, max_length=100)),
                        ("failure", models.TextField(blank=True, help_text="Why it failed, as a sentence.")),
                        (
                            "number",
                            models.PositiveIntegerField(
                                help_text="Issues of all versions of a model are counted in one line."
                            ),
                        ),
                        ("document", models.JSONField(null=True)),
                        ("sha256", models.CharField(blank=True, help_text="Hash of the document.", max_length=64)),
                        ("file_sha256", models.CharField(blank=True, help_text="The stored zip.", max_length=64)),
                        ("size_bytes", models.PositiveBigIntegerField(default=0)),
                        ("filled", models.PositiveSmallIntegerField(default=0)),
                        ("asked", models.PositiveSmallIntegerField(default=0)),
                        ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "issued_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "model",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="technical_files",
                                to="deployments.registeredmodel",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="technical_files",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "technical file",
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["queued_at"],
                                name="issue_open",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("model", "number"), name="one_issue_a_number"),
                            models.UniqueConstraint(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=("version",),
                                name="one_open_issue",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Conversion",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "queued"),
                                    ("starting", "starting"),
                                    ("running", "running"),
                                    ("succeeded", "succeeded"),
                                    ("failed", "failed"),
                                    ("cancelled", "cancelled"),
                                    ("timed_out", "timed out"),
                                ],
                                default="queued",
                                max_length=12,
                            ),
                        ),
                        ("attempt", models.PositiveSmallIntegerField(default=0)),
                        ("fence", models.PositiveBigIntegerField(default=0)),
                        ("lease_until", models.DateTimeField(editable=False, null=True)),
                        ("worker", models.CharField(blank=True, max_length=200)),
                        ("cancel_requested_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("progress", models.FloatField(default=0.0, help_text="Share done, 0 to 1.")),
                        ("phase", models.CharField(blank=True, max_length=100)),
                        ("failure", models.TextField(blank=True, help_text="Why it failed, as a sentence.")),
                        (
                            "passed",
                            models.BooleanField(
                                default=False, help_text="Whether the parity gate let it through; only then it serves."
                            ),
                        ),
                        ("graph_sha256", models.CharField(blank=True, max_length=64)),
                        ("figures", models.JSONField(help_text="Figures of the parity gate.", null=True)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "version",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="conversion",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["queued_at"],
                                name="conversion_open",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("passed", False), models.Q(("graph_sha256", ""), _negated=True), _connector="OR"
                                ),
                                name="what_passed_has_a_graph",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Reproduction",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "queued"),
                                    ("starting", "starting"),
                                    ("running", "running"),
                                    ("succeeded", "succeeded"),
                                    ("failed", "failed"),
                                    ("cancelled", "cancelled"),
                                    ("timed_out", "timed out"),
                                ],
                                default="queued",
                                max_length=12,
                            ),
                        ),
                        ("attempt", models.PositiveSmallIntegerField(default=0)),
                        ("fence", models.PositiveBigIntegerField(default=0)),
                        ("lease_until", models.DateTimeField(editable=False, null=True)),
                        ("worker", models.CharField(blank=True, max_length=200)),
                        ("cancel_requested_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("progress", models.FloatField(default=0.0, help_text="Share done, 0 to 1.")),
                        ("phase", models.CharField(blank=True, max_length=100)),
                        ("failure", models.TextField(blank=True, help_text="Why it failed, as a sentence.")),
                        ("metric_tolerance", models.FloatField(help_text="Share of the recorded metric.")),
                        (
                            "prediction_tolerance",
                            models.FloatField(
                                help_text="Probability; of numbers a share of the recorded predictions' deviation."
                            ),
                        ),
                        (
                            "verdict",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("reproduced", "reproduced"),
                                    ("within_tolerance", "reproduced within tolerance"),
                                    ("not_reproduced", "not reproduced"),
                                ],
                                max_length=20,
                            ),
                        ),
                        ("document", models.JSONField(null=True)),
                        (
                            "signature",
                            models.CharField(
                                blank=True, help_text="Ed25519 over the document, base64.", max_length=100
                            ),
                        ),
                        ("signed_by", models.CharField(blank=True, help_text="Id of the signing key.", max_length=16)),
                        ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "job",
                            models.OneToOneField(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="reproduction",
                                to="experiments.trainingjob",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="reproductions",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "reproduction",
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["queued_at"],
                                name="reproduction_open",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=("version",),
                                name="one_open_reproduction",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("verdict", ""), models.Q(("signature", ""), _negated=True), _connector="OR"
                                ),
                                name="a_verdict_of_reproduction_is_signed",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ThresholdChoice",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("threshold", models.FloatField()),
                        ("false_positive", models.FloatField(help_text="Cost of a false positive.")),
                        ("false_negative", models.FloatField(help_text="Cost of a false negative.")),
                        ("found", models.JSONField()),
                        ("chosen_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "chosen_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "request",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="thresholds",
                                to="deployments.promotionrequest",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["-pk"],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("threshold__range", (0, 1))), name="a_threshold_is_a_share"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("false_negative__gte", 0), ("false_positive__gte", 0)),
                                name="a_mistake_costs_nothing_or_more",
                            ),
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="VersionGap",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("endpoint", models.CharField(max_length=210)),
                        ("metric", models.CharField(max_length=40)),
                        (
                            "algorithm",
                            models.CharField(blank=True, help_text="Of the recipe it was trained by.", max_length=60),
                        ),
                        ("promised", models.FloatField(null=True)),
                        ("promised_low", models.FloatField(null=True)),
                        ("promised_high", models.FloatField(null=True)),
                        (
                            "estimated",
                            models.FloatField(
                                help_text="Without labels: an estimate, assumes P(y|x) unchanged.", null=True
                            ),
                        ),
                        ("value", models.FloatField(help_text="Of the predictions whose label came.", null=True)),
                        ("low", models.FloatField(null=True)),
                        ("high", models.FloatField(null=True)),
                        ("gain", models.FloatField(null=True)),
                        ("gain_low", models.FloatField(null=True)),
                        ("gain_high", models.FloatField(null=True)),
                        (
                            "verdict",
                            models.CharField(
                                choices=[
                                    ("better", "better than promised"),
                                    ("same", "as promised"),
                                    ("worse", "worse than promised"),
                                    ("unknown", "not known"),
                                ],
                                default="unknown",
                                max_length=7,
                            ),
                        ),
                        ("labelled", models.PositiveIntegerField(default=0)),
                        ("answered", models.PositiveIntegerField(default=0)),
                        ("since", models.DateTimeField()),
                        ("until", models.DateTimeField()),
                        ("measured_at", models.DateTimeField()),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="version_gaps",
                                to="projects.project",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="gaps",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["project", "-id"], name="gap_by_project")],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("version", "endpoint"), name="one_gap_a_version_and_endpoint"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Batch",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "queued"),
                                    ("starting", "starting"),
                                    ("running", "running"),
                                    ("succeeded", "succeeded"),
                                    ("failed", "failed"),
                                    ("cancelled", "cancelled"),
                                    ("timed_out", "timed out"),
                                ],
                                default="queued",
                                max_length=12,
                            ),
                        ),
                        ("attempt", models.PositiveSmallIntegerField(default=0)),
                        ("fence", models.PositiveBigIntegerField(default=0)),
                        ("lease_until", models.DateTimeField(editable=False, null=True)),
                        ("worker", models.CharField(blank=True, max_length=200)),
                        ("cancel_requested_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("progress", models.FloatField(default=0.0, help_text="Share done, 0 to 1.")),
                        ("phase", models.CharField(blank=True, max_length=100)),
                        ("failure", models.TextField(blank=True, help_text="Why it failed, as a sentence.")),
                        (
                            "keep",
                            models.JSONField(
                                default=list, help_text="Columns of the data that are passed through, in order."
                            ),
                        ),
                        ("name", models.CharField(help_text="Dataset that gets the result.", max_length=100)),
                        ("chunk_rows", models.PositiveIntegerField(default=10000)),
                        (
                            "most_refused",
                            models.PositiveIntegerField(default=0, help_text="Rows that may have no answer."),
                        ),
                        ("rows", models.PositiveBigIntegerField(default=0, help_text="Rows of the data.")),
                        ("rows_done", models.PositiveBigIntegerField(default=0)),
                        ("rows_refused", models.PositiveBigIntegerField(default=0)),
                        (
                            "errors",
                            models.JSONField(
                                default=list, help_text="First rows without an answer: row, column, message."
                            ),
                        ),
                        ("backend", models.CharField(blank=True, max_length=20)),
                        (
                            "distribution",
                            models.JSONField(default=dict, help_text="Counts of scores in bins, and of labels."),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "dataset_version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="batches",
                                to="projects.datasetversion",
                            ),
                        ),
                        (
                            "endpoint",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="batches",
                                to="deployments.endpoint",
                            ),
                        ),
                        (
                            "output",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="projects.datasetversion",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="batches",
                                to="projects.project",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="batches",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "batch scoring",
                        "indexes": [
                            models.Index(fields=["project", "-id"], name="batch_newest_first"),
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["queued_at"],
                                name="batch_open",
                            ),
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="BatchChunk",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField(help_text="From 0, without a gap.")),
                        ("sha256", models.CharField(max_length=64)),
                        ("rows", models.PositiveIntegerField()),
                        ("refused", models.PositiveIntegerField(default=0)),
                        (
                            "batch",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="chunks",
                                to="deployments.batch",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("batch", "number"), name="batch_chunk_once")],
                    },
                ),
                migrations.CreateModel(
                    name="PredictionExplanation",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "queued"),
                                    ("starting", "starting"),
                                    ("running", "running"),
                                    ("succeeded", "succeeded"),
                                    ("failed", "failed"),
                                    ("cancelled", "cancelled"),
                                    ("timed_out", "timed out"),
                                ],
                                default="queued",
                                max_length=12,
                            ),
                        ),
                        ("attempt", models.PositiveSmallIntegerField(default=0)),
                        ("fence", models.PositiveBigIntegerField(default=0)),
                        ("lease_until", models.DateTimeField(editable=False, null=True)),
                        ("worker", models.CharField(blank=True, max_length=200)),
                        ("cancel_requested_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("published_at", models.DateTimeField(editable=False, null=True)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("progress", models.FloatField(default=0.0, help_text="Share done, 0 to 1.")),
                        ("phase", models.CharField(blank=True, max_length=100)),
                        ("failure", models.TextField(blank=True, help_text="Why it failed, as a sentence.")),
                        ("result", models.JSONField(null=True)),
                        (
                            "asked_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "prediction",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="monitoring.prediction",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.modelversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["queued_at"],
                                name="told_open",
                            )
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Rollout",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("draft", "draft"),
                                    ("validating", "validating"),
                                    ("shadow", "shadow"),
                                    ("canary", "canary"),
                                    ("paused", "paused"),
                                    ("promoted", "promoted"),
                                    ("aborted", "aborted"),
                                ],
                                default="draft",
                                max_length=10,
                            ),
                        ),
                        (
                            "paused_in",
                            models.CharField(blank=True, help_text="State that a pause holds.", max_length=10),
                        ),
                        (
                            "steps",
                            models.JSONField(help_text="Rows of share (0 to 1), minutes and requests, in their order."),
                        ),
                        ("step", models.PositiveSmallIntegerField(default=0, help_text="Place of the present step.")),
                        (
                            "shadow",
                            models.BooleanField(
                                default=False, help_text="Whether the version first answers beside, unheard."
                            ),
                        ),
                        (
                            "label_margin",
                            models.FloatField(default=0.0, help_text="How much worse the labelled metric may be."),
                        ),
                        ("salt", models.CharField(max_length=64)),
                        (
                            "accepted",
                            models.JSONField(
                                default=list, help_text="Keys of criteria that a person looked at and went on."
                            ),
                        ),
                        ("reason", models.TextField()),
                        ("note", models.TextField(blank=True, help_text="Why it was paused or how it ended.")),
                        ("planned_at", models.DateTimeField(default=django.utils.timezone.now)),
                        ("started_at", models.DateTimeField(null=True)),
                        (
                            "entered_at",
                            models.DateTimeField(help_text="When the present state or step began.", null=True),
                        ),
                        ("judged_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "endpoint",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="rollouts",
                                to="deployments.endpoint",
                            ),
                        ),
                        (
                            "planned_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "promotion",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="rollouts",
                                to="deployments.promotionrequest",
                            ),
                        ),
                        (
                            "stable",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.modelversion",
                            ),
                        ),
                        (
                            "started_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ("validating", "shadow", "canary", "paused"))),
                                fields=["judged_at"],
                                name="rollout_open",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state__in", ("validating", "shadow", "canary", "paused"))),
                                fields=("endpoint",),
                                name="one_open_rollout_an_endpoint",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("state", "aborted"), _negated=True),
                                fields=("promotion",),
                                name="one_rollout_a_promotion",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("state", "draft"),
                                    ("started_at__isnull", False),
                                    ("state", "aborted"),
                                    _connector="OR",
                                ),
                                name="a_rollout_that_moves_has_started",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RolloutCheck",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("at", models.DateTimeField()),
                        ("state", models.CharField(max_length=10)),
                        ("step", models.PositiveSmallIntegerField()),
                        ("verdict", models.CharField(help_text="ok, waiting, pause or abort.", max_length=10)),
                        ("requests", models.PositiveIntegerField(help_text="Of the version in the present step.")),
                        ("criteria", models.JSONField(help_text="As deployments.traffic.criteria wrote them.")),
                        (
                            "rollout",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="checks",
                                to="deployments.rollout",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("rollout", "at"), name="one_check_a_moment")],
                    },
                ),
                migrations.CreateModel(
                    name="Trial",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[("draft", "draft"), ("running", "running"), ("stopped", "stopped")],
                                default="draft",
                                max_length=8,
                            ),
                        ),
                        ("name", models.CharField(max_length=200)),
                        ("hypothesis", models.TextField()),
                        (
                            "metric",
                            models.CharField(
                                choices=[
                                    ("correct", "share of right predictions (ground truth)"),
                                    ("error", "mean absolute error (ground truth)"),
                                    ("conversion", "conversion (ground truth)"),
                                    ("latency", "mean log latency"),
                                ],
                                max_length=10,
                            ),
                        ),
                        (
                            "positive",
                            models.CharField(
                                blank=True, help_text="The ground truth that counts as a conversion.", max_length=200
                            ),
                        ),
                        (
                            "minimum_effect",
                            models.FloatField(help_text="Smallest difference worth acting on, in units of the metric."),
                        ),
                        ("alpha", models.FloatField(default=0.05)),
                        (
                            "share",
                            models.FloatField(default=0.5, help_text="Share of the units that the treatment gets."),
                        ),
                        ("minimum_days", models.PositiveIntegerField(default=7)),
                        ("minimum_units", models.PositiveIntegerField(default=2000)),
                        (
                            "plan_sha256",
                            models.CharField(blank=True, help_text="Over the plan, when it started.", max_length=64),
                        ),
                        ("salt", models.CharField(max_length=64)),
                        ("planned_at", models.DateTimeField(default=django.utils.timezone.now)),
                        ("started_at", models.DateTimeField(null=True)),
                        ("looked_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "decision",
                            models.CharField(
                                blank=True,
                                choices=[("promote", "the treatment goes live"), ("keep", "the control stays")],
                                max_length=7,
                            ),
                        ),
                        ("reason", models.TextField(blank=True, help_text="Why it was decided so, or how it ended.")),
                        (
                            "control",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="deployments.modelversion",
                            ),
                        ),
                        (
                            "ended_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "endpoint",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="trials",
                                to="deployments.endpoint",
                            ),
                        ),
                        (
                            "planned_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "promotion",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="trials",
                                to="deployments.promotionrequest",
                            ),
                        ),
                        (
                            "started_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state", "running")), fields=["looked_at"], name="trial_running"
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state", "running")),
                                fields=("endpoint",),
                                name="one_running_trial_an_endpoint",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("state", "draft"), models.Q(("plan_sha256", ""), _negated=True), _connector="OR"
                                ),
                                name="a_trial_that_started_has_a_frozen_plan",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("alpha__gt", 0), ("alpha__lt", 1)), name="alpha_is_a_probability"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("share__gt", 0), ("share__lt", 1)), name="a_trial_has_two_arms"
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="TrialLook",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("at", models.DateTimeField()),
                        ("control_units", models.PositiveIntegerField()),
                        ("treatment_units", models.PositiveIntegerField()),
                        ("control_mean", models.FloatField()),
                        ("treatment_mean", models.FloatField()),
                        ("difference", models.FloatField()),
                        (
                            "low",
                            models.FloatField(help_text="Empty while units are too few for an interval.", null=True),
                        ),
                        ("high", models.FloatField(null=True)),
                        ("assigned_control", models.PositiveIntegerField()),
                        ("assigned_treatment", models.PositiveIntegerField()),
                        ("mismatch_p", models.FloatField(help_text="Of the test that the split is the planned one.")),
                        (
                            "trial",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="looks",
                                to="deployments.trial",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("trial", "at"), name="one_look_a_moment")],
                    },
                ),
            ],
        ),
        migrations.RunPython(add_guards),
    ]
