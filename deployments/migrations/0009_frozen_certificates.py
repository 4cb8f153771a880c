"""The database itself refuses to change a signed certificate of reproduction, or a threshold that was chosen."""

from typing import ClassVar

from django.db import migrations

TABLE, CHOSEN = "deployments_reproduction", "deployments_thresholdchoice"
SIGNED = "OLD.signature <> ''"
# Everything but the job: its row may go with its run, and the certificate stays.
COLUMNS = "version_id, verdict, document, signature, signed_by, state, asked_by_id, asked_at, ended_at"
SQLITE = [
    f"CREATE TRIGGER {TABLE}_frozen BEFORE UPDATE OF {COLUMNS} ON {TABLE} WHEN {SIGNED} "
    "BEGIN SELECT RAISE(ABORT, 'a signed certificate never changes'); END",
    f"CREATE TRIGGER {TABLE}_kept BEFORE DELETE ON {TABLE} WHEN {SIGNED} "
    "BEGIN SELECT RAISE(ABORT, 'a signed certificate is kept'); END",
    f"CREATE TRIGGER {CHOSEN}_frozen BEFORE UPDATE ON {CHOSEN} "
    "BEGIN SELECT RAISE(ABORT, 'a threshold that was chosen never changes'); END",
]
POSTGRES = [
    f"CREATE TRIGGER {TABLE}_frozen BEFORE UPDATE OF {COLUMNS} ON {TABLE} FOR EACH ROW WHEN ({SIGNED}) "
    "EXECUTE FUNCTION mlportal_frozen_row()",
    f"CREATE TRIGGER {TABLE}_kept BEFORE DELETE ON {TABLE} FOR EACH ROW WHEN ({SIGNED}) "
    "EXECUTE FUNCTION mlportal_frozen_row()",
    f"CREATE TRIGGER {CHOSEN}_frozen BEFORE UPDATE ON {CHOSEN} FOR EACH ROW EXECUTE FUNCTION mlportal_frozen_row()",
]


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the triggers in the dialect at hand."""
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES:
        schema_editor.execute(statement, params=None)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Drop them again."""
    on = schema_editor.connection.vendor == "postgresql"
    for table, name in ((TABLE, "frozen"), (TABLE, "kept"), (CHOSEN, "frozen")):
        schema_editor.execute(f"DROP TRIGGER {table}_{name}" + (f" ON {table}" if on else ""))


class Migration(migrations.Migration):
    """Triggers on certificates and thresholds."""

    dependencies: ClassVar = [("deployments", "0008_watching")]
    operations: ClassVar = [migrations.RunPython(add, remove)]
