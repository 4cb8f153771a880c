"""Checks that were declared before get their rows, so that stars and comments can stand on them."""

from django.db import migrations


def name_checks(apps, schema_editor):
    del schema_editor
    sets, checks = apps.get_model("projects", "CheckSet"), apps.get_model("projects", "Check")
    declared = {
        (dataset, rule["key"])
        for dataset, rules in sets.objects.values_list("dataset_id", "rules").iterator()
        for rule in rules
        if rule.get("key")
    }
    rows = [checks(dataset_id=dataset, key=key) for dataset, key in sorted(declared)]
    checks.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("projects", "0007_checks")]

    operations = [migrations.RunPython(name_checks, migrations.RunPython.noop)]
