"""The database itself refuses to change or remove an event."""

from typing import ClassVar

from django.db import migrations

SQLITE = [
    "CREATE TRIGGER event_no_update BEFORE UPDATE ON projects_event "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER event_no_delete BEFORE DELETE ON projects_event "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
]
POSTGRES = [
    "CREATE FUNCTION mlportal_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
    "CREATE TRIGGER event_no_change BEFORE UPDATE OR DELETE ON projects_event "
    "FOR EACH ROW EXECUTE FUNCTION mlportal_append_only()",
    "CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON projects_event "
    "FOR EACH STATEMENT EXECUTE FUNCTION mlportal_append_only()",
]


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the triggers in the dialect at hand."""
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES:
        schema_editor.execute(statement)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Drop them again."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER event_no_update")
        schema_editor.execute("DROP TRIGGER event_no_delete")
    else:
        schema_editor.execute("DROP TRIGGER event_no_change ON projects_event")
        schema_editor.execute("DROP TRIGGER event_no_truncate ON projects_event")
        schema_editor.execute("DROP FUNCTION mlportal_append_only")


class Migration(migrations.Migration):
    """Triggers on the audit log."""

    dependencies: ClassVar = [("projects", "0001_initial")]
    operations: ClassVar = [migrations.RunPython(add, remove)]
