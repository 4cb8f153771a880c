"""Trials that are judged once; the database refuses to change a judgement.

SQLite writes the table of looks anew, by which it loses the trigger of 0015 that keeps looks as they are.
"""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

LOOKS, JUDGEMENTS = "deployments_triallook", "deployments_trialjudgement"


def _freeze(schema_editor, table):  # type: ignore[no-untyped-def]
    statement = f"CREATE TRIGGER {table}_frozen BEFORE UPDATE ON {table} "
    if schema_editor.connection.vendor == "sqlite":
        statement += f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
    else:
        statement += "FOR EACH ROW EXECUTE FUNCTION mlportal_frozen_row()"
    schema_editor.execute(statement, params=None)


def freeze_looks(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the trigger on looks again where their table was written anew."""
    if schema_editor.connection.vendor == "sqlite":
        _freeze(schema_editor, LOOKS)


def freeze_judgements(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the trigger on judgements; it goes with their table."""
    _freeze(schema_editor, JUDGEMENTS)


class Migration(migrations.Migration):
    """Looks without a value, and judgements."""

    dependencies: ClassVar = [("deployments", "0022_thirty_days")]
    operations: ClassVar = [
        migrations.RunPython(migrations.RunPython.noop, freeze_looks),
        migrations.AlterField(
            model_name="trial",
            name="metric",
            field=models.CharField(
                choices=[
                    ("correct", "share of right predictions (ground truth)"),
                    ("error", "mean absolute error (ground truth)"),
                    ("conversion", "conversion (ground truth)"),
                    ("latency", "mean log latency"),
                    ("auc", "ROC AUC, judged once at the end (ground truth)"),
                    ("f1", "F1, judged once at the end (ground truth)"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="trial",
            name="positive",
            field=models.CharField(
                blank=True, help_text="The ground truth that counts: a conversion, or the last class.", max_length=200
            ),
        ),
        migrations.AlterField("triallook", "control_mean", models.FloatField(null=True)),
        migrations.AlterField("triallook", "difference", models.FloatField(null=True)),
        migrations.AlterField("triallook", "treatment_mean", models.FloatField(null=True)),
        migrations.RunPython(freeze_looks, migrations.RunPython.noop),
        migrations.CreateModel(
            name="TrialJudgement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("control_units", models.PositiveIntegerField(help_text="Units with ground truth that were read.")),
                ("treatment_units", models.PositiveIntegerField()),
                ("control", models.FloatField(help_text="Its metric, over all rows.")),
                ("treatment", models.FloatField()),
                ("difference", models.FloatField()),
                ("low", models.FloatField(help_text="Percentiles of the bootstrap over units, by the plan's alpha.")),
                ("high", models.FloatField()),
                (
                    "rounds",
                    models.PositiveIntegerField(
                        help_text="Samples drawn; their seed is the beginning of the plan's sha256."
                    ),
                ),
                (
                    "trial",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="judgement",
                        to="deployments.trial",
                    ),
                ),
            ],
        ),
        migrations.RunPython(freeze_judgements, migrations.RunPython.noop),
    ]
