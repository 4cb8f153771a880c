"""The database refuses to change a revision, a check of a rollout, a look at a trial, or the plan of one that runs.

SQLite lost the trigger on revisions when 0014 wrote their table anew.
"""

from typing import ClassVar

from django.db import migrations

FROZEN = ("deployments_rolloutcheck", "deployments_triallook")
REVISIONS, TRIALS = "deployments_endpointrevision", "deployments_trial"
STARTED = "OLD.plan_sha256 <> ''"
PLAN = (
    "endpoint_id, promotion_id, control_id, name, hypothesis, metric, positive, minimum_effect, alpha, share, "
    "minimum_days, minimum_units, plan_sha256, salt, started_at"
)
SQLITE = [
    f"CREATE TRIGGER {table}_frozen BEFORE UPDATE ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
    for table in (*FROZEN, REVISIONS)
] + [
    f"CREATE TRIGGER {TRIALS}_frozen BEFORE UPDATE OF {PLAN} ON {TRIALS} WHEN {STARTED} "
    "BEGIN SELECT RAISE(ABORT, 'the plan of a trial that started never changes'); END",
]
POSTGRES = [
    f"CREATE TRIGGER {table}_frozen BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION mlportal_frozen_row()"
    for table in FROZEN
] + [
    f"CREATE TRIGGER {TRIALS}_frozen BEFORE UPDATE OF {PLAN} ON {TRIALS} FOR EACH ROW WHEN ({STARTED}) "
    "EXECUTE FUNCTION mlportal_frozen_row()",
]


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the triggers in the dialect at hand."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {REVISIONS}_frozen", params=None)
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES:
        schema_editor.execute(statement, params=None)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Drop them again; that on revisions is of an older migration."""
    on = schema_editor.connection.vendor == "postgresql"
    for table in (*FROZEN, TRIALS):
        schema_editor.execute(f"DROP TRIGGER {table}_frozen" + (f" ON {table}" if on else ""))


class Migration(migrations.Migration):
    """Triggers on rollouts and trials."""

    dependencies: ClassVar = [("deployments", "0014_rollouts")]
    operations: ClassVar = [migrations.RunPython(add, remove)]
