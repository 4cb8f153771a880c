"""Have the days that are summed already summed once more, so that their weeks are made."""

from datetime import UTC, datetime

from django.db import migrations


def mark_days(apps, _schema):
    """Mark each day as changed; the worker takes 200 of them at a time, and readers go on from the counts."""
    apps.get_model("monitoring", "Day").objects.filter(changed_at=None).update(changed_at=datetime.now(UTC))


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0013_weeks")]
    operations = [migrations.RunPython(mark_days, migrations.RunPython.noop)]
