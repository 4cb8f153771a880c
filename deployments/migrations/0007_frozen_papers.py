"""The database itself refuses to change a written part, a kept card, or an issued technical file, which also stays."""

from typing import ClassVar

from django.db import migrations

FROZEN = ("deployments_paperversion", "deployments_keptcard")
ISSUES = "deployments_technicalfile"
ENDED = "OLD.state = 'succeeded'"
SQLITE = [
    *(
        f"CREATE TRIGGER {table}_frozen BEFORE UPDATE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
        for table in FROZEN
    ),
    f"CREATE TRIGGER {ISSUES}_frozen BEFORE UPDATE ON {ISSUES} WHEN {ENDED} "
    "BEGIN SELECT RAISE(ABORT, 'an issued file never changes'); END",
    f"CREATE TRIGGER {ISSUES}_kept BEFORE DELETE ON {ISSUES} WHEN {ENDED} "
    "BEGIN SELECT RAISE(ABORT, 'an issued file is kept'); END",
]
POSTGRES = [
    *(
        f"CREATE TRIGGER {table}_frozen BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION mlportal_frozen_row()"
        for table in FROZEN
    ),
    f"CREATE TRIGGER {ISSUES}_frozen BEFORE UPDATE ON {ISSUES} FOR EACH ROW WHEN ({ENDED}) "
    "EXECUTE FUNCTION mlportal_frozen_row()",
    f"CREATE TRIGGER {ISSUES}_kept BEFORE DELETE ON {ISSUES} FOR EACH ROW WHEN ({ENDED}) "
    "EXECUTE FUNCTION mlportal_frozen_row()",
]


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the triggers in the dialect at hand."""
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES:
        schema_editor.execute(statement, params=None)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Drop them again."""
    on = schema_editor.connection.vendor == "postgresql"
    for table, name in [*((table, "frozen") for table in FROZEN), (ISSUES, "frozen"), (ISSUES, "kept")]:
        schema_editor.execute(f"DROP TRIGGER {table}_{name}" + (f" ON {table}" if on else ""))


class Migration(migrations.Migration):
    """Triggers on papers."""

    dependencies: ClassVar = [("deployments", "0006_environment_moves")]
    operations: ClassVar = [migrations.RunPython(add, remove)]
