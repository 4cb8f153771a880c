"""Tell apart the triggers that two endpoints of one model kept for the same window; from now on one is kept."""

from django.db import migrations
from django.db.models import Count


def tell_apart(apps, schema_editor):
    """Add its number to the window of each trigger but the first."""
    rows = apps.get_model("deployments", "RetrainTrigger").objects.all()
    same = rows.values("model", "rule_id", "window").annotate(count=Count("pk")).filter(count__gt=1).order_by()
    for one in list(same):
        held = rows.filter(model=one["model"], rule_id=one["rule_id"], window=one["window"]).order_by("pk")
        for row in list(held)[1:]:
            row.window = f"{row.window[:40]}#{row.pk}"
            row.save(update_fields=["window"])


class Migration(migrations.Migration):
    dependencies = [("deployments", "0009_frozen_certificates")]
    operations = [migrations.RunPython(tell_apart, migrations.RunPython.noop)]
