"""The database itself refuses to change what a condition says, who handed a right to whom, and a break-glass mark."""

from typing import ClassVar

from django.db import migrations

FROZEN = {
    "deployments_condition": (
        "request_id", "decision_id", "kind", "action", "until", "metric", '"column"', "op", '"limit"',
    ),
    "deployments_delegation": ("project_id", "giver_id", "taker_id", "reason", "valid_from", "until"),
    "deployments_promotionrequest": ("break_glass", "requested_by_id", "version_id", "environment_id"),
}  # fmt: skip


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the triggers in the dialect at hand."""
    lite = schema_editor.connection.vendor == "sqlite"
    for table, columns in FROZEN.items():
        word = "IS NOT" if lite else "IS DISTINCT FROM"
        changed = " OR ".join(f"NEW.{name} {word} OLD.{name}" for name in columns)
        if lite:
            action = f"BEGIN SELECT RAISE(ABORT, 'these columns of {table} never change'); END"
            statement = f"CREATE TRIGGER {table}_said BEFORE UPDATE ON {table} WHEN {changed} {action}"
        else:
            action = "EXECUTE FUNCTION mlportal_frozen_row()"
            statement = f"CREATE TRIGGER {table}_said BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed}) {action}"
        schema_editor.execute(statement, params=None)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Drop them again."""
    on = schema_editor.connection.vendor == "postgresql"
    for table in FROZEN:
        schema_editor.execute(f"DROP TRIGGER {table}_said" + (f" ON {table}" if on else ""))


class Migration(migrations.Migration):
    """Triggers on what people said."""

    dependencies: ClassVar = [("deployments", "0003_notify_serving")]
    operations: ClassVar = [migrations.RunPython(add, remove)]
