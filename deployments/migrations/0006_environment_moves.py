"""Environments that exist are as old as their project, and promotions lead to them from anywhere, as before."""

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


class Migration(migrations.Migration):
    """Rows that fields added in the same release ask for."""

    dependencies: ClassVar = [("deployments", "0005_governance")]
    operations: ClassVar = [migrations.RunPython(fill, migrations.RunPython.noop)]
