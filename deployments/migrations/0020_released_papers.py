"""The database keeps issued technical files and signed certificates, unless their project is being removed."""

from typing import ClassVar

from django.db import migrations

KEPT = (
    ("deployments_technicalfile", "file", "OLD.state = 'succeeded'", "an issued file is kept"),
    ("deployments_reproduction", "certificate", "OLD.signature <> ''", "a signed certificate is kept"),
)
RELEASED = "EXISTS (SELECT 1 FROM deployments_paperrelease WHERE kind = {kind} AND paper = OLD.id)"
FUNCTION = (
    "CREATE FUNCTION mlportal_kept_paper() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN IF {RELEASED.format(kind='TG_ARGV[0]')} THEN RETURN OLD; END IF; "
    "RAISE EXCEPTION 'papers of % are kept', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$"
)


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Put triggers that know of releases in the place of those that do not."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FUNCTION, params=None)
    for table, kind, ended, words in KEPT:
        _drop(schema_editor, table)
        if schema_editor.connection.vendor == "sqlite":
            released = RELEASED.format(kind=f"'{kind}'")
            statement = f"WHEN {ended} AND NOT {released} BEGIN SELECT RAISE(ABORT, '{words}'); END"
        else:
            statement = f"FOR EACH ROW WHEN ({ended}) EXECUTE FUNCTION mlportal_kept_paper('{kind}')"
        schema_editor.execute(f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {statement}", params=None)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Put the triggers back that let nothing through."""
    for table, _kind, ended, words in KEPT:
        _drop(schema_editor, table)
        if schema_editor.connection.vendor == "sqlite":
            statement = f"WHEN {ended} BEGIN SELECT RAISE(ABORT, '{words}'); END"
        else:
            statement = f"FOR EACH ROW WHEN ({ended}) EXECUTE FUNCTION mlportal_frozen_row()"
        schema_editor.execute(f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {statement}", params=None)
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION mlportal_kept_paper")


def _drop(schema_editor, table):  # type: ignore[no-untyped-def]
    on = f" ON {table}" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER {table}_kept{on}", params=None)


class Migration(migrations.Migration):
    """Triggers on papers."""

    dependencies: ClassVar = [("deployments", "0019_removals")]
    operations: ClassVar = [migrations.RunPython(add, remove)]
