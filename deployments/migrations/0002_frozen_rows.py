"""The database itself refuses to change a revision, a decision or the rules of a policy."""

from typing import ClassVar

from django.db import migrations

RULES = (
    "environment_id", "number", "gates", "steps", "four_eyes", "exclude_trainer", "switch_at_approval", "expiry_days",
    "approval_days", "reminder_hours", "timeout_hours", "timeout_action", "allow_break_glass", "card_sections",
    "based_on", "proposed_by_id", "created_at",
)  # fmt: skip
FROZEN = ("deployments_endpointrevision", "deployments_decision", "deployments_gateresult")
CHANGED = " OR ".join(
    [
        *(f"NEW.{name} IS NOT OLD.{name}" for name in RULES),
        # A version comes into force once and is over for good.
        "(OLD.state IN ('replaced', 'dropped') AND NEW.state IS NOT OLD.state)",
        "(OLD.valid_from IS NOT NULL AND NEW.valid_from IS NOT OLD.valid_from)",
    ]
)
ENDED = "OLD.state IN ('succeeded', 'failed', 'cancelled', 'timed_out')"
SQLITE = [
    f"CREATE TRIGGER {table}_frozen BEFORE UPDATE ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
    for table in FROZEN
] + [
    f"CREATE TRIGGER deployments_policy_frozen BEFORE UPDATE ON deployments_policy WHEN {CHANGED} "
    "BEGIN SELECT RAISE(ABORT, 'the rules of a policy never change'); END",
    f"CREATE TRIGGER deployments_backtest_frozen BEFORE UPDATE ON deployments_backtest WHEN {ENDED} "
    "BEGIN SELECT RAISE(ABORT, 'a back-test that ended never changes'); END",
]
POSTGRES = [
    "CREATE FUNCTION mlportal_frozen_row() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME "
    "USING ERRCODE = 'integrity_constraint_violation'; "
    "END $$",
    *(
        f"CREATE TRIGGER {table}_frozen BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION mlportal_frozen_row()"
        for table in FROZEN
    ),
    "CREATE TRIGGER deployments_policy_frozen BEFORE UPDATE ON deployments_policy FOR EACH ROW "
    f"WHEN ({CHANGED.replace('IS NOT OLD', 'IS DISTINCT FROM OLD')}) EXECUTE FUNCTION mlportal_frozen_row()",
    "CREATE TRIGGER deployments_backtest_frozen BEFORE UPDATE ON deployments_backtest FOR EACH ROW "
    f"WHEN ({ENDED}) EXECUTE FUNCTION mlportal_frozen_row()",
]


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the triggers in the dialect at hand."""
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES:
        schema_editor.execute(statement, params=None)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Drop them again."""
    on = schema_editor.connection.vendor == "postgresql"
    for table in (*FROZEN, "deployments_policy", "deployments_backtest"):
        schema_editor.execute(f"DROP TRIGGER {table}_frozen" + (f" ON {table}" if on else ""))
    if on:
        schema_editor.execute("DROP FUNCTION mlportal_frozen_row")


class Migration(migrations.Migration):
    """Triggers on frozen rows."""

    dependencies: ClassVar = [("deployments", "0001_initial")]
    operations: ClassVar = [migrations.RunPython(add, remove)]
