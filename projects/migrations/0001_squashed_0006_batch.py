"""The tables of a new database, and what guards the audit log."""

from importlib import import_module

import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from mlportal.lib.schema import CreateModels

guards = import_module("projects.migrations.0002_append_only_events")


class Migration(migrations.Migration):
    replaces = [
        ("projects", "0001_initial"),
        ("projects", "0002_append_only_events"),
        ("projects", "0003_governance"),
        ("projects", "0004_addresses"),
        ("projects", "0005_watching"),
        ("projects", "0006_batch"),
    ]

    initial = True

    dependencies = [("sessions", "0001_initial")]

    operations = [
        CreateModels(
            operations=[
                migrations.CreateModel(
                    name="User",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("password", models.CharField(max_length=128, verbose_name="password")),
                        ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                        ("username", models.CharField(max_length=100, unique=True)),
                        ("email", models.EmailField(max_length=254, unique=True)),
                        ("display_name", models.CharField(blank=True, max_length=100)),
                        ("is_active", models.BooleanField(default=True)),
                        ("is_site_admin", models.BooleanField(default=False)),
                        (
                            "theme",
                            models.CharField(
                                blank=True,
                                choices=[("", "Like the system"), ("light", "Light"), ("dark", "Dark")],
                                default="",
                                max_length=5,
                            ),
                        ),
                        (
                            "density",
                            models.CharField(
                                choices=[("compact", "Compact"), ("comfortable", "Comfortable")],
                                default="compact",
                                max_length=11,
                            ),
                        ),
                        ("time_zone", models.CharField(default="UTC", max_length=50)),
                        ("single_keys", models.BooleanField(default=True, help_text="Single-key shortcuts are on.")),
                        ("must_change_password", models.BooleanField(default=False)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "default_project",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="projects.project",
                            ),
                        ),
                        (
                            "email_confirmed",
                            models.BooleanField(default=True, help_text="Given or confirmed by an administrator."),
                        ),
                        (
                            "second_factor_at",
                            models.DateTimeField(help_text="Since when sign-in asks for a second factor.", null=True),
                        ),
                        (
                            "service_project",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="service_accounts",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "abstract": False,
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Anchor",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveBigIntegerField(unique=True)),
                        ("seq", models.PositiveBigIntegerField()),
                        ("head_hash", models.CharField(max_length=64)),
                        ("count", models.PositiveBigIntegerField()),
                        ("at", models.DateTimeField()),
                        (
                            "cause",
                            models.CharField(
                                choices=[
                                    ("hour", "every hour"),
                                    ("promotion", "a promotion"),
                                    ("request", "asked for"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("previous", models.CharField(help_text="sha256 of the anchor before.", max_length=64)),
                        ("key_id", models.CharField(max_length=16)),
                        ("signature", models.CharField(max_length=100)),
                    ],
                    options={
                        "abstract": False,
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="ChainHead",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("seq", models.PositiveBigIntegerField(default=0)),
                        (
                            "hash",
                            models.CharField(
                                default="0000000000000000000000000000000000000000000000000000000000000000",
                                max_length=64,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("seq", models.PositiveBigIntegerField(unique=True)),
                        ("at", models.DateTimeField(help_text="By the clock of the database.")),
                        ("schema", models.PositiveSmallIntegerField()),
                        ("verb", models.CharField(max_length=60)),
                        (
                            "result",
                            models.CharField(
                                choices=[("done", "done"), ("refused", "refused"), ("failed", "failed")],
                                default="done",
                                max_length=8,
                            ),
                        ),
                        ("reason", models.TextField(blank=True)),
                        ("actor_kind", models.CharField(max_length=10)),
                        ("actor_id", models.BigIntegerField(null=True)),
                        (
                            "on_behalf_of",
                            models.BigIntegerField(
                                help_text="Account for which a part of the portal acted.", null=True
                            ),
                        ),
                        ("token_id", models.BigIntegerField(null=True)),
                        ("request_id", models.CharField(blank=True, max_length=64)),
                        ("target_type", models.CharField(blank=True, max_length=40)),
                        ("target_id", models.BigIntegerField(null=True)),
                        (
                            "label",
                            models.CharField(
                                blank=True, help_text="What the object was called; not of people.", max_length=200
                            ),
                        ),
                        ("before_hash", models.CharField(blank=True, max_length=64)),
                        ("after_hash", models.CharField(blank=True, max_length=64)),
                        (
                            "changes",
                            models.JSONField(
                                default=dict, help_text="Field: value before and after; secrets and people masked."
                            ),
                        ),
                        ("data", models.JSONField(default=dict)),
                        ("prev_hash", models.CharField(max_length=64)),
                        ("hash", models.CharField(max_length=64, unique=True)),
                        (
                            "who",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="projects.particulars",
                            ),
                        ),
                        (
                            "whom",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="projects.particulars",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="events",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["project", "-seq"], name="event_by_project"),
                            models.Index(fields=["target_type", "target_id", "-seq"], name="event_by_target"),
                            models.Index(fields=["actor_id", "-seq"], name="event_by_actor"),
                            models.Index(fields=["at"], name="event_by_time"),
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="SetupSecret",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("sha256", models.CharField(max_length=64, unique=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("used_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="UnnamedFile",
                    fields=[
                        ("sha256", models.CharField(max_length=64, primary_key=True, serialize=False)),
                        ("size_bytes", models.BigIntegerField()),
                        (
                            "found_at",
                            models.DateTimeField(db_index=True, help_text="When it was first found without a name."),
                        ),
                        ("seen_at", models.DateTimeField(db_index=True, help_text="When it was last found so.")),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Channel",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        ("name_key", models.CharField(max_length=100)),
                        ("description", models.CharField(blank=True, max_length=1000)),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("email", "E-mail"),
                                    ("webhook", "Webhook"),
                                    ("mlflow", "Webhook of an MLflow client"),
                                    ("slack", "Slack-type webhook"),
                                    ("alertmanager", "Webhook in Alertmanager's shape"),
                                    ("pagerduty", "PagerDuty"),
                                    ("apprise", "Another service (Apprise)"),
                                ],
                                max_length=12,
                            ),
                        ),
                        ("enabled", models.BooleanField(default=True)),
                        ("disabled_reason", models.CharField(blank=True, max_length=300)),
                        ("verbs", models.JSONField(default=list, help_text="Events that are sent.")),
                        (
                            "min_severity",
                            models.CharField(blank=True, help_text="Alerts below it are not sent.", max_length=8),
                        ),
                        ("url", models.CharField(blank=True, max_length=2000)),
                        ("recipients", models.JSONField(default=list)),
                        ("sealed_secret", models.TextField(blank=True)),
                        ("sealed_previous", models.TextField(blank=True)),
                        ("previous_until", models.DateTimeField(null=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                        ("removed_at", models.DateTimeField(null=True)),
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
                                related_name="channels",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("removed_at", None)),
                                fields=("project", "name_key"),
                                name="one_channel_a_name",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Comment",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("target_type", models.CharField(max_length=40)),
                        ("target_id", models.BigIntegerField()),
                        ("text", models.TextField()),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("edited_at", models.DateTimeField(null=True)),
                        ("deleted_at", models.DateTimeField(null=True)),
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
                                related_name="comments",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["target_type", "target_id", "id"], name="comment_by_target")],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Connection",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        ("name_key", models.CharField(editable=False, max_length=100)),
                        ("kind", models.CharField(choices=[("postgres", "PostgreSQL"), ("s3", "S3")], max_length=8)),
                        (
                            "facts",
                            models.JSONField(
                                default=dict, help_text="Host, port, database, user; or endpoint, region, key id."
                            ),
                        ),
                        ("sealed_secret", models.TextField(blank=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                        ("removed_at", models.DateTimeField(null=True)),
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
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="connections",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("removed_at", None)),
                                fields=("project", "name_key"),
                                name="connection_name_once_a_project",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Dataset",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        (
                            "name_key",
                            models.CharField(
                                editable=False, help_text="Folded name, unique in the project.", max_length=100
                            ),
                        ),
                        ("description", models.TextField(blank=True, help_text="Markdown.")),
                        (
                            "licence",
                            models.CharField(
                                blank=True, help_text="SPDX identifier, or words of one's own.", max_length=100
                            ),
                        ),
                        ("tags", models.JSONField(blank=True, default=list, help_text="Words, sorted.")),
                        (
                            "marks",
                            models.JSONField(
                                blank=True,
                                default=dict,
                                help_text="Sensitivity by column: personal, sensitive, secret.",
                            ),
                        ),
                        (
                            "revision",
                            models.PositiveIntegerField(
                                default=1, help_text="Grows with each edit, so that none is overwritten."
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("deleted_at", models.DateTimeField(null=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "deleted_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "owner",
                            models.ForeignKey(
                                help_text="Who answers.",
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
                                related_name="datasets",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("deleted_at", None)),
                                fields=("project", "name_key"),
                                name="dataset_name_once_a_project",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="CheckSet",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        ("rules", models.JSONField(default=list)),
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
                            "dataset",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="check_sets",
                                to="projects.dataset",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(fields=("dataset", "number"), name="check_set_number_once")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="DatasetVersion",
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
                        ("number", models.PositiveIntegerField()),
                        (
                            "sample",
                            models.CharField(blank=True, help_text="Bundled sample it was made from.", max_length=40),
                        ),
                        (
                            "sha256",
                            models.CharField(
                                blank=True,
                                help_text="The uploaded bytes; empty until a sample is built.",
                                max_length=64,
                            ),
                        ),
                        ("size_bytes", models.BigIntegerField(default=0)),
                        ("filename", models.CharField(max_length=255)),
                        (
                            "format",
                            models.CharField(
                                choices=[("csv", "CSV"), ("parquet", "Parquet")], default="csv", max_length=10
                            ),
                        ),
                        (
                            "encoding",
                            models.CharField(
                                blank=True, help_text="What the user chose; empty to detect.", max_length=20
                            ),
                        ),
                        (
                            "delimiter",
                            models.CharField(
                                blank=True, help_text="What the user chose; empty to detect.", max_length=1
                            ),
                        ),
                        ("row_count", models.BigIntegerField(null=True)),
                        ("column_count", models.PositiveIntegerField(null=True)),
                        ("schema", models.JSONField(blank=True, default=list)),
                        ("profile", models.JSONField(blank=True, default=dict)),
                        ("warnings", models.JSONField(blank=True, default=list)),
                        (
                            "facts",
                            models.JSONField(
                                blank=True, default=dict, help_text="How it was read: encoding, delimiter, duplicates."
                            ),
                        ),
                        (
                            "parquet_sha256",
                            models.CharField(blank=True, help_text="Typed canonical copy.", max_length=64),
                        ),
                        (
                            "check_state",
                            models.CharField(
                                choices=[
                                    ("none", "not checked"),
                                    ("passed", "passed"),
                                    ("failed", "failed"),
                                    ("error", "could not be measured"),
                                ],
                                default="none",
                                max_length=6,
                            ),
                        ),
                        (
                            "source_kind",
                            models.CharField(
                                choices=[
                                    ("upload", "Upload"),
                                    ("sample", "Bundled sample"),
                                    ("url", "Address"),
                                    ("s3", "S3 object"),
                                    ("postgres", "PostgreSQL query"),
                                    ("folder", "Folder by reference"),
                                    ("scored", "Batch scoring"),
                                ],
                                default="upload",
                                max_length=10,
                            ),
                        ),
                        (
                            "source",
                            models.JSONField(
                                blank=True, default=dict, help_text="Address, query or folder; never a secret."
                            ),
                        ),
                        (
                            "sealed_source",
                            models.TextField(blank=True, help_text="The part of the source that may hold a secret."),
                        ),
                        (
                            "manifest",
                            models.JSONField(
                                blank=True, default=list, help_text="Files of a folder: name, size_bytes, sha256."
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("deleted_at", models.DateTimeField(null=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "dataset",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="versions",
                                to="projects.dataset",
                            ),
                        ),
                        (
                            "deleted_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "derived_from",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="derived",
                                to="projects.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["state", "queued_at"],
                                name="dataset_version_open",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("dataset", "number"), name="dataset_version_number_once"),
                            models.UniqueConstraint(
                                condition=models.Q(models.Q(("sha256", ""), _negated=True), ("deleted_at", None)),
                                fields=("dataset", "sha256", "encoding", "delimiter"),
                                name="dataset_content_once",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state", "succeeded"), _negated=True),
                                    models.Q(
                                        ("row_count__gt", 0),
                                        models.Q(
                                            models.Q(("parquet_sha256", ""), _negated=True),
                                            ("source_kind", "folder"),
                                            _connector="OR",
                                        ),
                                    ),
                                    _connector="OR",
                                ),
                                name="dataset_version_ready_has_copy",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="CheckRun",
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
                            "verdict",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("passed", "passed"),
                                    ("failed", "failed"),
                                    ("error", "could not be measured"),
                                ],
                                max_length=6,
                            ),
                        ),
                        ("passed_count", models.PositiveIntegerField(default=0)),
                        ("failed_count", models.PositiveIntegerField(default=0)),
                        ("error_count", models.PositiveIntegerField(default=0)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "requested_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "check_set",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT, related_name="runs", to="projects.checkset"
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="check_runs",
                                to="projects.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["state", "queued_at"],
                                name="check_run_open",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=("version",),
                                name="one_open_check_run_a_version",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Delivery",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("message_id", models.CharField(max_length=40, unique=True)),
                        ("verb", models.CharField(max_length=60)),
                        ("subject", models.CharField(max_length=300)),
                        ("payload", models.JSONField()),
                        (
                            "state",
                            models.CharField(
                                choices=[("pending", "waiting"), ("delivered", "delivered"), ("dead", "given up")],
                                default="pending",
                                max_length=9,
                            ),
                        ),
                        ("attempts", models.PositiveSmallIntegerField(default=0)),
                        ("next_at", models.DateTimeField()),
                        ("give_up_at", models.DateTimeField()),
                        (
                            "tries",
                            models.JSONField(default=list, help_text="When, status, seconds and fault of each try."),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("delivered_at", models.DateTimeField(null=True)),
                        (
                            "channel",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="deliveries",
                                to="projects.channel",
                            ),
                        ),
                        (
                            "event",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="projects.event",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state", "pending")), fields=["next_at"], name="delivery_due"
                            ),
                            models.Index(fields=["channel", "-id"], name="delivery_log"),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("channel", "event"), name="one_delivery_an_event_and_channel"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="EventDelivery",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("task", models.CharField(max_length=100)),
                        ("attempts", models.PositiveSmallIntegerField(default=0)),
                        ("next_at", models.DateTimeField()),
                        ("done_at", models.DateTimeField(null=True)),
                        ("failure", models.TextField(blank=True)),
                        (
                            "event",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="deliveries",
                                to="projects.event",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("done_at", None)), fields=["next_at"], name="delivery_open"
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("event", "task"), name="one_delivery_a_consumer")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="IdempotencyKey",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key", models.CharField(max_length=200)),
                        ("method_path", models.CharField(max_length=500)),
                        ("body_sha256", models.CharField(max_length=64)),
                        ("status", models.PositiveSmallIntegerField(null=True)),
                        ("answer", models.JSONField(null=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True, db_index=True)),
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
                        "constraints": [models.UniqueConstraint(fields=("user", "key"), name="one_answer_a_key")],
                    },
                ),
                migrations.CreateModel(
                    name="Mention",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("seen_at", models.DateTimeField(null=True)),
                        (
                            "comment",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="mentions",
                                to="projects.comment",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="mentions",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(condition=models.Q(("seen_at", None)), fields=["user"], name="mention_waiting")
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("comment", "user"), name="one_mention_a_person")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ObjectState",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("target_type", models.CharField(max_length=40)),
                        ("target_id", models.BigIntegerField()),
                        ("fields", models.JSONField()),
                        (
                            "salt",
                            models.CharField(blank=True, help_text="For what belongs to a person.", max_length=32),
                        ),
                        ("hash", models.CharField(max_length=64)),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(fields=("target_type", "target_id"), name="one_known_state")
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="Particulars",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("owner_id", models.BigIntegerField(default=0)),
                        ("name", models.CharField(blank=True, max_length=220)),
                        ("address", models.CharField(blank=True, max_length=64)),
                        ("salt", models.CharField(blank=True, max_length=32)),
                        ("digest", models.CharField(max_length=64)),
                    ],
                    options={
                        "indexes": [models.Index(fields=["owner_id", "name", "address"], name="particulars_of")],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Project",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        ("slug", models.CharField(max_length=50, unique=True)),
                        ("description", models.TextField(blank=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("archived_at", models.DateTimeField(blank=True, null=True)),
                        ("is_example", models.BooleanField(default=False)),
                        (
                            "trash_days",
                            models.PositiveSmallIntegerField(
                                default=30, help_text="Days after which what lies in the trash is removed for good."
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "listed",
                            models.BooleanField(
                                default=False, help_text="Its name is offered to everybody who asks for access."
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="Membership",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
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
                        ("valid_to", models.DateTimeField(blank=True, null=True)),
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
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="memberships",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="memberships",
                                to="projects.project",
                            ),
                        ),
                        ("valid_until", models.DateTimeField(help_text="It ends by itself then.", null=True)),
                        (
                            "group",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="memberships",
                                to="projects.group",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("valid_to", None)),
                                fields=["user", "project"],
                                name="membership_open",
                            ),
                            models.Index(
                                condition=models.Q(("valid_to", None), ("valid_until__isnull", False)),
                                fields=["valid_until"],
                                name="membership_ending",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("group", None), ("valid_to", None)),
                                fields=("project", "user", "role"),
                                name="one_open_membership_a_role",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)),
                                fields=("project", "user", "role", "group"),
                                name="one_open_membership_a_group",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="DatasetImport",
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
                        ("name", models.CharField(help_text="Dataset that gets the version.", max_length=100)),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("upload", "Upload"),
                                    ("sample", "Bundled sample"),
                                    ("url", "Address"),
                                    ("s3", "S3 object"),
                                    ("postgres", "PostgreSQL query"),
                                    ("folder", "Folder by reference"),
                                    ("scored", "Batch scoring"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("spec", models.JSONField(default=dict, help_text="Address, query, folder; never a secret.")),
                        (
                            "sealed_spec",
                            models.TextField(blank=True, help_text="The part of the source that may hold a secret."),
                        ),
                        ("description", models.TextField(blank=True)),
                        ("fetched_bytes", models.BigIntegerField(default=0)),
                        ("fetched_rows", models.BigIntegerField(default=0)),
                        ("total_bytes", models.BigIntegerField(null=True)),
                        ("outcome", models.CharField(blank=True, help_text="created or unchanged.", max_length=10)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "connection",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="imports",
                                to="projects.connection",
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "dataset",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="imports",
                                to="projects.dataset",
                            ),
                        ),
                        (
                            "refreshes",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="projects.datasetversion",
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="imports",
                                to="projects.datasetversion",
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="dataset_imports",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["state", "queued_at"],
                                name="dataset_import_open",
                            )
                        ],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="ApiToken",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        ("sha256", models.CharField(max_length=64, unique=True)),
                        ("hint", models.CharField(help_text="First characters, to tell tokens apart.", max_length=12)),
                        ("scopes", models.JSONField(default=list)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("expires_at", models.DateTimeField()),
                        ("last_used_at", models.DateTimeField(null=True)),
                        ("revoked_at", models.DateTimeField(null=True)),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tokens",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="tokens",
                                to="projects.project",
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
                    ],
                    options={
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="SplitRecipe",
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
                        ("name", models.CharField(max_length=100)),
                        ("name_key", models.CharField(editable=False, max_length=100)),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("random", "Random"),
                                    ("stratified", "Stratified"),
                                    ("time", "By time"),
                                    ("group", "By group"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("params", models.JSONField(default=dict)),
                        ("seed", models.PositiveBigIntegerField(default=0)),
                        (
                            "report",
                            models.JSONField(
                                blank=True, default=dict, help_text="Sizes, balance and leakage of the parts."
                            ),
                        ),
                        (
                            "rows_sha256",
                            models.CharField(
                                blank=True, help_text="Row numbers and their parts, as Parquet.", max_length=64
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "carried_from",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="carried_to",
                                to="projects.splitrecipe",
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "version",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="splits",
                                to="projects.datasetversion",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "starting", "running"])),
                                fields=["state", "queued_at"],
                                name="split_open",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("version", "name_key"), name="split_name_once_a_version"),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("state", "succeeded"), _negated=True),
                                    models.Q(("rows_sha256", ""), _negated=True),
                                    _connector="OR",
                                ),
                                name="split_ready_has_rows",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Star",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("target_type", models.CharField(max_length=40)),
                        ("target_id", models.BigIntegerField()),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, related_name="stars", to="projects.project"
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="stars",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("user", "target_type", "target_id"), name="one_star_a_thing"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="AnchorCopy",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "place",
                            models.CharField(
                                choices=[("file", "file"), ("webhook", "webhook"), ("mail", "e-mail")], max_length=10
                            ),
                        ),
                        ("target", models.CharField(max_length=300)),
                        ("sent_at", models.DateTimeField(null=True)),
                        ("attempts", models.PositiveSmallIntegerField(default=0)),
                        ("failure", models.CharField(blank=True, max_length=300)),
                        (
                            "anchor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT, related_name="copies", to="projects.anchor"
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(condition=models.Q(("sent_at", None)), fields=["place"], name="copy_open")
                        ],
                        "constraints": [models.UniqueConstraint(fields=("anchor", "place"), name="one_copy_a_place")],
                    },
                ),
                migrations.CreateModel(
                    name="CheckResult",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("place", models.PositiveIntegerField()),
                        ("key", models.CharField(max_length=40)),
                        ("kind", models.CharField(max_length=12)),
                        ("severity", models.CharField(max_length=4)),
                        ("sentence", models.TextField()),
                        ("outcome", models.CharField(max_length=6)),
                        ("measured", models.FloatField(null=True)),
                        ("shown", models.TextField(blank=True)),
                        ("limit", models.TextField(blank=True)),
                        ("failing", models.BigIntegerField(null=True)),
                        ("sample", models.JSONField(blank=True, default=dict)),
                        ("message", models.TextField(blank=True)),
                        (
                            "run",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="results",
                                to="projects.checkrun",
                            ),
                        ),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(fields=("run", "key"), name="one_result_a_check_and_run")
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="AccessRequest",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("asked_for", models.CharField(max_length=50)),
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
                        ("reason", models.TextField()),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("waiting", "Waiting"),
                                    ("granted", "Granted"),
                                    ("declined", "Declined"),
                                    ("withdrawn", "Withdrawn"),
                                    ("expired", "Expired"),
                                ],
                                default="waiting",
                                max_length=9,
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("expires_at", models.DateTimeField()),
                        ("answered_at", models.DateTimeField(null=True)),
                        ("answer", models.TextField(blank=True)),
                        ("granted_role", models.CharField(blank=True, max_length=10)),
                        ("granted_until", models.DateTimeField(null=True)),
                        ("seen_at", models.DateTimeField(null=True)),
                        (
                            "answered_by",
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
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="access_requests",
                                to="projects.project",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="access_requests",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "request for access",
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state", "waiting")),
                                fields=["project"],
                                name="access_request_waiting",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state", "waiting")),
                                fields=("user", "asked_for"),
                                name="one_waiting_request_a_project",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Group",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100)),
                        ("name_key", models.CharField(max_length=100)),
                        ("description", models.TextField(blank=True)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("archived_at", models.DateTimeField(null=True)),
                        (
                            "created_by",
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
                            models.UniqueConstraint(
                                condition=models.Q(("archived_at", None)), fields=("name_key",), name="group_name_once"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="GroupGrant",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
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
                                on_delete=django.db.models.deletion.CASCADE, related_name="grants", to="projects.group"
                            ),
                        ),
                        (
                            "project",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="group_grants",
                                to="projects.project",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)),
                                fields=("group", "project", "role"),
                                name="one_open_grant_a_role",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="GroupMapping",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("provider", models.CharField(max_length=100)),
                        ("external_name", models.CharField(max_length=255)),
                        ("valid_from", models.DateTimeField(auto_now_add=True)),
                        ("valid_to", models.DateTimeField(null=True)),
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
                            "group",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="mappings",
                                to="projects.group",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)),
                                fields=("provider", "external_name", "group"),
                                name="mapped_once",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="GroupMember",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("is_owner", models.BooleanField(default=False)),
                        ("source", models.CharField(blank=True, default="", max_length=100)),
                        ("valid_from", models.DateTimeField(auto_now_add=True)),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "added_by",
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
                                on_delete=django.db.models.deletion.CASCADE, related_name="people", to="projects.group"
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="group_rows",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("valid_to", None)),
                                fields=["user", "group"],
                                name="group_member_open",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)),
                                fields=("group", "user", "is_owner", "source"),
                                name="in_a_group_once",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RecoveryCode",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("sha256", models.CharField(max_length=64)),
                        ("used_at", models.DateTimeField(null=True)),
                        (
                            "factor",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="recovery_codes",
                                to="projects.secondfactor",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(models.F("factor"), models.F("sha256"), name="recovery_code_once")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="SecondFactor",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("sealed", models.TextField(help_text="The key, encrypted.")),
                        (
                            "last_step",
                            models.BigIntegerField(
                                default=0, help_text="Newest time step whose code was used; none works twice."
                            ),
                        ),
                        ("began_at", models.DateTimeField(default=django.utils.timezone.now)),
                        ("ended_at", models.DateTimeField(null=True)),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="second_factors",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "indexes": [],
                        "constraints": [
                            models.UniqueConstraint(
                                models.F("user"),
                                condition=models.Q(("ended_at", None)),
                                name="one_second_factor_in_use",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Session",
                    fields=[
                        (
                            "session_key",
                            models.CharField(
                                max_length=40, primary_key=True, serialize=False, verbose_name="session key"
                            ),
                        ),
                        ("session_data", models.TextField(verbose_name="session data")),
                        ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                        (
                            "handle",
                            models.CharField(
                                db_index=True, help_text="Names the session in addresses; opens nothing.", max_length=20
                            ),
                        ),
                        ("address", models.CharField(blank=True, max_length=64)),
                        ("agent", models.CharField(blank=True, max_length=300)),
                        ("method", models.CharField(blank=True, help_text="How the person signed in.", max_length=20)),
                        ("started_at", models.DateTimeField(default=django.utils.timezone.now)),
                        ("seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                        (
                            "user",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="sessions",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "session",
                        "verbose_name_plural": "sessions",
                        "abstract": False,
                        "indexes": [],
                        "constraints": [],
                    },
                ),
                migrations.CreateModel(
                    name="ServiceOwner",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("valid_from", models.DateTimeField(auto_now_add=True)),
                        ("valid_to", models.DateTimeField(null=True)),
                        (
                            "account",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="owners",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "named_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "person",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("valid_to", None)),
                                fields=("account",),
                                name="one_owner_of_a_service",
                            )
                        ],
                        "indexes": [],
                    },
                ),
            ],
        ),
        migrations.RunPython(guards.add),
    ]
