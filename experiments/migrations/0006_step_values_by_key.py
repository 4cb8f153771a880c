"""Store the values at steps by primary key on SQLite, as `0002_narrow_tables` does with metrics."""

from django.db import migrations

KEY = ("run", "key", "step")


def store_by_key(apps, schema_editor):
    if schema_editor.connection.vendor != "sqlite":
        return
    model = apps.get_model("experiments", "StepValue")
    model._meta.local_fields = sorted(model._meta.local_fields, key=lambda field: field.name not in KEY)
    create, _ = schema_editor.table_sql(model)
    schema_editor.execute(f"DROP TABLE {model._meta.db_table}")
    schema_editor.execute(f"{create} WITHOUT ROWID", params=None)
    for index in model._meta.indexes:
        schema_editor.add_index(model, index)


class Migration(migrations.Migration):
    dependencies = [("experiments", "0005_values_at_steps")]
    operations = [migrations.RunPython(store_by_key, migrations.RunPython.noop)]
