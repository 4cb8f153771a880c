"""Environments that exist are as old as their project, and promotions lead to them from anywhere, as before.

The database itself refuses to change a move: it can only end.
"""

from typing import ClassVar

from django.db import migrations


def fill(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Date the environments and let every one be reached."""
    environments = apps.get_model("deployments", "Environment")
    moves = apps.get_model("deployments", "EnvironmentMove")
    for place in environments.objects.select_related("project").order_by("pk").iterator():
        place.created_at = place.project.created_at
        place.save(update_fields=["created_at"])
        moves.objects.create(project_id=place.project_id, environment_to=place, valid_from=place.created_at)


COLUMNS = ("project_id", "origin", "environment_from_id", "environment_to_id", "set_by_id", "valid_from")
TABLE = "deployments_environmentmove"


def add(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Create the trigger in the dialect at hand."""
    lite = schema_editor.connection.vendor == "sqlite"
    word = "IS NOT" if lite else "IS DISTINCT FROM"
    changed = " OR ".join([*(f"NEW.{name} {word} OLD.{name}" for name in COLUMNS), "OLD.valid_to IS NOT NULL"])
    head = f"CREATE TRIGGER {TABLE}_said BEFORE UPDATE ON {TABLE}"
    if lite:
        refusal = f"SELECT RAISE(ABORT, 'rows of {TABLE} never change')"
        schema_editor.execute(f"{head} WHEN {changed} BEGIN {refusal}; END", params=None)
    else:
        action = "EXECUTE FUNCTION mlportal_frozen_row()"
        schema_editor.execute(f"{head} FOR EACH ROW WHEN ({changed}) {action}", params=None)


def remove(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Drop it again."""
    on = f" ON {TABLE}" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER {TABLE}_said{on}")


class Migration(migrations.Migration):
    """Rows that the new fields ask for, and a trigger on moves."""

    dependencies: ClassVar = [("deployments", "0005_governance")]
    # The trigger first: PostgreSQL makes none on a table with rows whose references are still to be checked.
    operations: ClassVar = [migrations.RunPython(add, remove), migrations.RunPython(fill, migrations.RunPython.noop)]
