"""The database itself refuses to change or remove an event, and all of an anchor."""

from typing import ClassVar

from django.db import migrations

ADDED = ("projects_event", "projects_anchor")  # rows that are added and never touched again
REFUSED = "the audit log is append-only"
# A person may be erased, and nothing else may happen to their particulars.
ERASED = (
    "NEW.name = '' AND NEW.address = '' AND NEW.salt = '' AND NEW.digest = OLD.digest "
    "AND NEW.owner_id = OLD.owner_id AND NEW.id = OLD.id"
)
FORWARD = "NEW.seq = OLD.seq + 1 AND NEW.id = OLD.id"
GUARDED = {"projects_particulars": ERASED, "projects_chainhead": FORWARD}
SQLITE = [
    f"CREATE TRIGGER {table}_no_{what} BEFORE {what.upper()} ON {table} {when} "
    f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
    for table, what, when in [
        *((table, what, "") for table in ADDED for what in ("update", "delete")),
        *((table, "update", f"WHEN NOT ({allowed})") for table, allowed in GUARDED.items()),
        *((table, "delete", "") for table in GUARDED),
    ]
]
POSTGRES = [
    "CREATE FUNCTION mlportal_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REFUSED}'; END $$",
    *(
        f"CREATE TRIGGER {table}_no_{what} BEFORE {what.upper()} ON {table} FOR EACH {each} {when} "
        "EXECUTE FUNCTION mlportal_append_only()"
        for table, what, each, when in [
            *((table, what, "ROW", "") for table in ADDED for what in ("update", "delete")),
            *((table, "update", "ROW", f"WHEN (NOT ({allowed}))") for table, allowed in GUARDED.items()),
            *((table, "delete", "ROW", "") for table in GUARDED),
            *((table, "truncate", "STATEMENT", "") for table in (*ADDED, *GUARDED)),
        ]
    ),
]


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the triggers in the dialect at hand."""
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES:
        schema_editor.execute(statement, params=None)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Drop them again."""
    on = schema_editor.connection.vendor == "postgresql"
    for table in (*ADDED, *GUARDED):
        for what in ("update", "delete", "truncate") if on else ("update", "delete"):
            schema_editor.execute(f"DROP TRIGGER {table}_no_{what}" + (f" ON {table}" if on else ""))
    if on:
        schema_editor.execute("DROP FUNCTION mlportal_append_only")


class Migration(migrations.Migration):
    """Triggers on the audit log."""

    dependencies: ClassVar = [("projects", "0001_initial")]
    operations: ClassVar = [migrations.RunPython(add, remove)]
