"""Name the days of counts that are stored already, so that a worker sums them."""

from datetime import UTC, datetime

from django.db import migrations


def name_days(apps, _schema):
    """Mark each day that has counts as changed; the worker takes 200 of them at a time."""
    day, now = apps.get_model("monitoring", "Day"), datetime.now(UTC)
    for kind in ("Bucket", "SegmentBucket"):
        rows = apps.get_model("monitoring", kind).objects.order_by().values_list("monitor_id", "hour").distinct()
        held = {(monitor, at.replace(hour=0, minute=0, second=0, microsecond=0)) for monitor, at in rows.iterator()}
        made = [day(monitor_id=monitor, at=at, changed_at=now) for monitor, at in sorted(held)]
        day.objects.bulk_create(made, ignore_conflicts=True, batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0007_days")]
    operations = [migrations.RunPython(name_days, migrations.RunPython.noop)]
