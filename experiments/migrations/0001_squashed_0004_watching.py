"""The tables of a new database, the narrow ones by their key, and the heads of texts indexed."""

from importlib import import_module

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import experiments.models.runs
import experiments.models.tracked
import mlportal.lib.columns
from mlportal.lib.schema import CreateModels

narrow = import_module("experiments.migrations.0002_narrow_tables")


def store_by_key(apps, schema_editor):
    """Make the narrow tables anew; what was put off for the first ones is done with the second ones."""
    tables = {apps.get_model("experiments", name)._meta.db_table for name in narrow.NARROW}
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.deferred_sql = [
            sql for sql in schema_editor.deferred_sql if not any(sql.references_table(table) for table in tables)
        ]
    narrow.store_by_key(apps, schema_editor)


class Migration(migrations.Migration):
    replaces = [
        ("experiments", "0001_initial"),
        ("experiments", "0002_narrow_tables"),
        ("experiments", "0003_governance"),
        ("experiments", "0004_watching"),
    ]

    initial = True

    dependencies = [("projects", "0006_batch")]

    operations = [
        CreateModels(
            operations=[
                migrations.CreateModel(
                    name="JobAttempt",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveSmallIntegerField()),
                        ("fence", models.PositiveBigIntegerField()),
                        ("worker", models.CharField(max_length=200)),
                        ("pid", models.PositiveIntegerField(null=True)),
                        ("started_at", models.DateTimeField()),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "outcome",
                            models.CharField(
                                choices=[
                                    ("working", "Working"),
                                    ("succeeded", "Succeeded"),
                                    ("failed", "Failed"),
                                    ("cancelled", "Cancelled"),
                                    ("timed_out", "timed out"),
                                    ("interrupted", "Interrupted"),
                                ],
                                default="working",
                                max_length=12,
                            ),
                        ),
                        ("cause", models.TextField(blank=True)),
                        ("log_lines", models.PositiveBigIntegerField(default=0)),
                        ("log_warnings", models.PositiveIntegerField(default=0)),
                        ("log_errors", models.PositiveIntegerField(default=0)),
                        (
                            "job",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="attempts",
                                to="experiments.trainingjob",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("job", "fence"), name="attempt_once_per_fence")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Key",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=250, unique=True)),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Experiment",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=500)),
                        ("is_default", models.BooleanField(default=False)),
                        ("description", models.TextField(blank=True, default="")),
                        ("artifact_location", models.CharField(blank=True, default="", max_length=1000)),
                        ("primary_metric", models.CharField(blank=True, default="", max_length=250)),
                        (
                            "lifecycle",
                            models.CharField(
                                choices=[("active", "Active"), ("deleted", "Deleted")], default="active", max_length=8
                            ),
                        ),
                        ("created_at", models.DateTimeField()),
                        ("updated_at", models.DateTimeField()),
                        ("deleted_at", models.DateTimeField(null=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "deleted_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="experiments",
                                to="projects.project",
                            ),
                        ),
                        (
                            "folder",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="experiments",
                                to="experiments.folder",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("lifecycle", "deleted")),
                                fields=["project", "-deleted_at"],
                                name="experiment_in_trash",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("project", "name"), name="experiment_name_once_per_project"
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("is_default", True)),
                                fields=("project",),
                                name="one_default_experiment_per_project",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("lifecycle__in", ["active", "deleted"])),
                                name="experiment_lifecycle_known",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="BulkAction",
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
                            "kind",
                            models.CharField(
                                choices=[
                                    ("tag", "Tag"),
                                    ("untag", "Untag"),
                                    ("move", "Move"),
                                    ("archive", "Archive"),
                                    ("restore", "Restore"),
                                    ("remove", "Remove"),
                                ],
                                max_length=7,
                            ),
                        ),
                        ("given", models.JSONField(default=dict)),
                        ("question", models.JSONField(null=True)),
                        ("expected", models.IntegerField(help_text="Runs that were announced before it began.")),
                        ("done", models.IntegerField(default=0)),
                        ("excluded", models.JSONField(default=dict, help_text="Why runs were left out, and how many.")),
                        (
                            "confirmed_at",
                            models.DateTimeField(help_text="Until then it only says what would be done.", null=True),
                        ),
                        ("created_at", models.DateTimeField()),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="bulk_actions",
                                to="projects.project",
                            ),
                        ),
                        (
                            "undo_of",
                            models.OneToOneField(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="undone_by",
                                to="experiments.bulkaction",
                            ),
                        ),
                        (
                            "experiment",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="experiments.experiment",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "bulk action",
                        "indexes": [
                            models.Index(
                                condition=models.Q(
                                    ("state__in", ["succeeded", "failed", "cancelled", "timed_out"]), _negated=True
                                ),
                                fields=["state", "queued_at"],
                                name="bulk_unended",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "state__in",
                                        [
                                            "queued",
                                            "starting",
                                            "running",
                                            "succeeded",
                                            "failed",
                                            "cancelled",
                                            "timed_out",
                                        ],
                                    )
                                ),
                                name="bulk_state_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state__in", ["starting", "running"]), _negated=True),
                                    ("lease_until__isnull", False),
                                    _connector="OR",
                                ),
                                name="bulk_at_work_has_a_lease",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ExperimentTag",
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
                            "experiment",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tag_rows",
                                to="experiments.experiment",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("experiment", "key"), name="experiment_tag_once")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Folder",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        ("name_key", models.CharField(max_length=100)),
                        ("created_at", models.DateTimeField()),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "parent",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="children",
                                to="experiments.folder",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="folders",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("project", "parent", "name_key"), name="folder_name_once_in_folder"
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("parent", None)),
                                fields=("project", "name_key"),
                                name="folder_name_once_at_top",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ImportanceStudy",
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
                        ("key", models.CharField(max_length=64)),
                        ("metric", models.CharField(max_length=250)),
                        ("run_ids", models.JSONField()),
                        ("result", models.JSONField(null=True)),
                        ("created_at", models.DateTimeField()),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "experiment",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="importance_studies",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("project", "key"), name="importance_study_once")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="InputDataset",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=500)),
                        ("digest", models.CharField(max_length=36)),
                        ("source_type", models.TextField(blank=True, default="")),
                        ("source", models.TextField(blank=True, default="")),
                        ("schema", models.TextField(blank=True, default="")),
                        ("profile", models.TextField(blank=True, default="")),
                        (
                            "experiment",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="input_datasets",
                                to="experiments.experiment",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("experiment", "name", "digest"), name="input_dataset_once_per_experiment"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="JobLog",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("first_line", models.PositiveBigIntegerField()),
                        ("line_count", models.PositiveIntegerField()),
                        ("size_bytes", models.PositiveIntegerField()),
                        (
                            "is_head",
                            models.BooleanField(help_text="Belongs to the first half, which is kept for good."),
                        ),
                        ("lines", models.JSONField()),
                        (
                            "attempt",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="logs",
                                to="experiments.jobattempt",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("attempt", "first_line"), name="log_part_once_per_line")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LoggedModel",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "uuid",
                            models.CharField(
                                default=experiments.models.tracked.new_model_id, max_length=34, unique=True
                            ),
                        ),
                        ("name", models.CharField(max_length=500)),
                        ("model_type", models.CharField(blank=True, default="", max_length=500)),
                        (
                            "status",
                            models.CharField(
                                choices=[("pending", "Pending"), ("ready", "Ready"), ("failed", "Failed")],
                                default="pending",
                                max_length=7,
                            ),
                        ),
                        (
                            "lifecycle",
                            models.CharField(
                                choices=[("active", "Active"), ("deleted", "Deleted")], default="active", max_length=8
                            ),
                        ),
                        ("created_ms", models.BigIntegerField()),
                        ("updated_ms", models.BigIntegerField()),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "experiment",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="logged_models",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="logged_models",
                                to="projects.project",
                            ),
                        ),
                        (
                            "source_run",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="logged_models",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "logged model",
                        "indexes": [
                            models.Index(
                                models.F("experiment"),
                                models.F("lifecycle"),
                                models.OrderBy(models.F("created_ms"), descending=True),
                                models.OrderBy(models.F("id"), descending=True),
                                name="loggedmodel_newest_first",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("status__in", ["pending", "ready", "failed"])),
                                name="loggedmodel_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("lifecycle__in", ["active", "deleted"])),
                                name="loggedmodel_lifecycle",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LoggedModelParam",
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
                            "logged_model",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="param_rows",
                                to="experiments.loggedmodel",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("logged_model", "key"), name="loggedmodel_param_once")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LoggedModelTag",
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
                            "logged_model",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tag_rows",
                                to="experiments.loggedmodel",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("logged_model", "key"), name="loggedmodel_tag_once")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Report",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("title", models.CharField(max_length=200)),
                        ("blocks", models.JSONField(default=list)),
                        ("created_at", models.DateTimeField()),
                        ("updated_at", models.DateTimeField()),
                        ("frozen_at", models.DateTimeField(null=True)),
                        ("frozen", models.TextField(blank=True, default="")),
                        ("frozen_runs", models.JSONField(default=list)),
                        ("frozen_digest", models.CharField(blank=True, default="", max_length=64)),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="reports",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["project", "-updated_at", "-id"], name="report_newest_first")],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Run",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "uuid",
                            models.CharField(default=experiments.models.runs.new_uuid, max_length=32, unique=True),
                        ),
                        ("name", models.CharField(max_length=250)),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "Queued"),
                                    ("running", "Running"),
                                    ("finished", "Finished"),
                                    ("failed", "Failed"),
                                    ("cancelled", "Cancelled"),
                                ],
                                default="queued",
                                max_length=9,
                            ),
                        ),
                        (
                            "source",
                            models.CharField(
                                choices=[("job", "Job"), ("mlflow", "Mlflow"), ("api", "Api")],
                                default="api",
                                max_length=6,
                            ),
                        ),
                        (
                            "lifecycle",
                            models.CharField(
                                choices=[("active", "Active"), ("deleted", "Deleted")], default="active", max_length=8
                            ),
                        ),
                        ("primary_metric", models.CharField(blank=True, default="", max_length=250)),
                        ("params", models.TextField(default="{}")),
                        ("tags", models.TextField(default="{}")),
                        ("notes", models.TextField(blank=True, default="")),
                        ("failure", models.TextField(blank=True, default="")),
                        ("user_name", models.CharField(blank=True, default="", max_length=250)),
                        ("digest", models.CharField(blank=True, default="", max_length=64)),
                        ("created_at", models.DateTimeField()),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("started_ms", models.BigIntegerField()),
                        ("ended_ms", models.BigIntegerField(null=True)),
                        ("deleted_at", models.DateTimeField(null=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "dataset_version",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="runs",
                                to="projects.datasetversion",
                            ),
                        ),
                        (
                            "deleted_by",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "experiment",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="runs",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "parent",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="children",
                                to="experiments.run",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="runs",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                models.F("experiment"),
                                models.F("lifecycle"),
                                models.OrderBy(models.F("started_ms"), descending=True),
                                models.OrderBy(models.F("id"), descending=True),
                                name="run_newest_first",
                            ),
                            models.Index(
                                fields=[
                                    "experiment",
                                    "lifecycle",
                                    "name",
                                    "id",
                                    "state",
                                    "ended_ms",
                                    "started_ms",
                                    "created_by",
                                    "dataset_version",
                                ],
                                name="run_facts",
                            ),
                            models.Index(
                                models.F("project"),
                                models.F("lifecycle"),
                                models.OrderBy(models.F("started_ms"), descending=True),
                                models.OrderBy(models.F("id"), descending=True),
                                name="run_newest_in_project",
                            ),
                            models.Index(
                                fields=["experiment", "state", "lifecycle", "started_ms", "source"], name="run_by_state"
                            ),
                            models.Index(
                                condition=models.Q(("parent__isnull", False)), fields=["parent"], name="run_by_parent"
                            ),
                            models.Index(
                                condition=models.Q(("dataset_version__isnull", False)),
                                fields=["dataset_version"],
                                name="run_by_dataset",
                            ),
                            models.Index(
                                condition=models.Q(("deleted_by__isnull", False)),
                                fields=["deleted_by"],
                                name="run_by_deleter",
                            ),
                            models.Index(
                                condition=models.Q(("lifecycle", "deleted")),
                                fields=["project", "-deleted_at"],
                                name="run_in_trash",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("state__in", ["queued", "running", "finished", "failed", "cancelled"])
                                ),
                                name="run_state_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("lifecycle__in", ["active", "deleted"])), name="run_lifecycle_known"
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="MetricChunk",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("points", models.IntegerField()),
                        ("first_step", models.BigIntegerField()),
                        ("last_step", models.BigIntegerField()),
                        ("data", models.BinaryField()),
                        (
                            "experiment",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "key",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="experiments.key",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("key__isnull", True)),
                                fields=["experiment", "run"],
                                name="chunk_not_folded",
                            ),
                            models.Index(fields=["run", "key", "first_step"], name="chunk_of_series"),
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="LoggedModelMetric",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("dataset_name", models.CharField(blank=True, default="", max_length=500)),
                        ("dataset_digest", models.CharField(blank=True, default="", max_length=36)),
                        ("key", models.CharField(max_length=250)),
                        ("value", models.FloatField()),
                        ("is_nan", models.BooleanField(default=False)),
                        ("step", models.BigIntegerField()),
                        ("stamp_ms", models.BigIntegerField()),
                        (
                            "logged_model",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="metric_rows",
                                to="experiments.loggedmodel",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="experiments.run"
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("logged_model", "key", "step", "stamp_ms", "run", "value", "is_nan"),
                                name="loggedmodel_metric_point_once",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="FormerPlace",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "place",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="former_places",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("run", "place"), name="former_place_once")],
                    },
                ),
                migrations.CreateModel(
                    name="Artifact",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("path", mlportal.lib.columns.BytewiseCharField(max_length=1000)),
                        ("sha256", models.CharField(max_length=64)),
                        ("size_bytes", models.BigIntegerField()),
                        ("media_type", models.CharField(max_length=100)),
                        ("kind", models.CharField(default="file", max_length=30)),
                        ("created_at", models.DateTimeField()),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "logged_model",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="artifacts",
                                to="experiments.loggedmodel",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="artifacts",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["sha256"], name="artifact_by_content")],
                        "constraints": [
                            models.UniqueConstraint(fields=("run", "path"), name="artifact_path_once_per_run"),
                            models.UniqueConstraint(
                                fields=("logged_model", "path"), name="artifact_path_once_per_logged_model"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("logged_model__isnull", True), ("run__isnull", False)),
                                    models.Q(("logged_model__isnull", False), ("run__isnull", True)),
                                    _connector="OR",
                                ),
                                name="artifact_has_one_owner",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RunInput",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("tags", models.JSONField(default=dict)),
                        ("context", models.CharField(blank=True, default="", max_length=500)),
                        (
                            "dataset",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="run_rows",
                                to="experiments.inputdataset",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="input_rows",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [models.UniqueConstraint(fields=("run", "dataset"), name="run_input_once")],
                    },
                ),
                migrations.CreateModel(
                    name="RunMetric",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "run_id", "key_id", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("value", models.FloatField()),
                        ("is_nan", models.BooleanField()),
                        ("step", models.BigIntegerField()),
                        ("stamp_ms", models.BigIntegerField()),
                        ("low", models.FloatField(null=True)),
                        ("high", models.FloatField(null=True)),
                        (
                            "experiment",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "key",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="experiments.key",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="metric_rows",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                fields=["experiment", "key", "is_nan", "value", "run"], name="runmetric_by_value"
                            ),
                            models.Index(fields=["experiment", "key", "low", "run"], name="runmetric_by_low"),
                            models.Index(fields=["experiment", "key", "high", "run"], name="runmetric_by_high"),
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="RunModel",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "direction",
                            models.CharField(choices=[("input", "Input"), ("output", "Output")], max_length=6),
                        ),
                        ("step", models.BigIntegerField(default=0)),
                        (
                            "logged_model",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="run_rows",
                                to="experiments.loggedmodel",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="model_rows",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("run", "logged_model", "direction"), name="run_model_once"),
                            models.CheckConstraint(
                                condition=models.Q(("direction__in", ["input", "output"])), name="run_model_direction"
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RunParam",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "run_id", "key_id", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("value", models.TextField()),
                        ("number", models.FloatField(null=True)),
                        (
                            "experiment",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "key",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="experiments.key",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="param_rows",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["experiment", "key", "number", "run"], name="runparam_by_number")
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="RunTag",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "run_id", "key_id", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("value", models.TextField()),
                        (
                            "experiment",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "key",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="experiments.key",
                            ),
                        ),
                        (
                            "run",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tag_rows",
                                to="experiments.run",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="SavedView",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "page",
                            models.CharField(
                                choices=[("runs", "Runs"), ("compare", "Compare")], default="runs", max_length=8
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        ("name", models.CharField(max_length=100)),
                        ("query", models.TextField(blank=True, default="")),
                        ("shared", models.BooleanField(default=False)),
                        ("is_default", models.BooleanField(default=False)),
                        ("created_at", models.DateTimeField()),
                        ("updated_at", models.DateTimeField()),
                        (
                            "experiment",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="saved_views",
                                to="experiments.experiment",
                            ),
                        ),
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
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="saved_views",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["project", "experiment", "page"], name="view_by_page")],
                        "constraints": [
                            models.UniqueConstraint(fields=("project", "number"), name="view_number_once_a_project"),
                            models.UniqueConstraint(
                                condition=models.Q(("is_default", True)),
                                fields=("experiment", "page"),
                                name="one_default_view_an_experiment",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("is_default", False), ("shared", True), _connector="OR"),
                                name="default_view_is_shared",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("page__in", ["runs", "compare"])), name="view_page_known"
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Selection",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("run_ids", models.JSONField(default=list)),
                        ("updated_at", models.DateTimeField()),
                        (
                            "experiment",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="experiments.experiment",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("user", "experiment"), name="one_selection_a_person"),
                            models.UniqueConstraint(
                                condition=models.Q(("experiment", None)),
                                fields=("user", "project"),
                                name="one_selection_over_all",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="TrainingJob",
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
                        ("spec", models.JSONField()),
                        ("limits", models.JSONField(default=dict)),
                        (
                            "phases",
                            models.JSONField(default=list, help_text="[{name, seconds}] of the attempt, in order."),
                        ),
                        (
                            "usage",
                            models.JSONField(default=dict, help_text="Memory and processor time of the attempt."),
                        ),
                        ("warnings", models.JSONField(default=list)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "baseline",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="experiments.run",
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "dataset_version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="jobs",
                                to="projects.datasetversion",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, related_name="jobs", to="projects.project"
                            ),
                        ),
                        (
                            "run",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE, related_name="job", to="experiments.run"
                            ),
                        ),
                        (
                            "split",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="jobs",
                                to="projects.splitrecipe",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["project", "-id"], name="job_newest_first"),
                            models.Index(fields=["project", "state"], name="job_by_state"),
                            models.Index(
                                condition=models.Q(
                                    ("state__in", ["succeeded", "failed", "cancelled", "timed_out"]), _negated=True
                                ),
                                fields=["state", "queued_at"],
                                name="job_unended",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "state__in",
                                        [
                                            "queued",
                                            "starting",
                                            "running",
                                            "succeeded",
                                            "failed",
                                            "cancelled",
                                            "timed_out",
                                        ],
                                    )
                                ),
                                name="job_state_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state__in", ["starting", "running"]), _negated=True),
                                    ("lease_until__isnull", False),
                                    _connector="OR",
                                ),
                                name="job_at_work_has_a_lease",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="BulkPage",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("run_ids", models.JSONField()),
                        ("wanted", models.JSONField(default=dict)),
                        ("applied_at", models.DateTimeField(null=True)),
                        ("before", models.JSONField(default=dict)),
                        (
                            "action",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="pages",
                                to="experiments.bulkaction",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("applied_at", None)),
                                fields=["action", "id"],
                                name="bulk_page_waiting",
                            )
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="FolderRole",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("folder_name", models.CharField(max_length=100)),
                        (
                            "role",
                            models.CharField(
                                choices=[
                                    ("viewer", "viewer"),
                                    ("scientist", "scientist"),
                                    ("manager", "manager"),
                                    ("ops", "ops"),
                                    ("admin", "admin"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("valid_from", models.DateTimeField(auto_now_add=True)),
                        ("valid_to", models.DateTimeField(null=True)),
                        ("valid_until", models.DateTimeField(help_text="It ends by itself then.", null=True)),
                        (
                            "folder",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="roles",
                                to="experiments.folder",
                            ),
                        ),
                        (
                            "granted_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "group",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="folder_roles",
                                to="projects.group",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="folder_roles",
                                to="projects.project",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="folder_roles",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "role on a folder",
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("group", None), ("valid_to", None)),
                                fields=("folder", "user", "role"),
                                name="folder_role_of_a_person",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("user", None), ("valid_to", None)),
                                fields=("folder", "group", "role"),
                                name="folder_role_of_a_group",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("group__isnull", False), ("user", None)),
                                    models.Q(("group", None), ("user__isnull", False)),
                                    _connector="OR",
                                ),
                                name="folder_role_of_one",
                            ),
                        ],
                        "indexes": [],
                    },
                ),
            ],
        ),
        migrations.RunPython(store_by_key),
        migrations.RunPython(narrow.index_texts),
    ]
