"""PostgreSQL tells the serving processes that an endpoint changed; they look every 5 s besides."""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION mlportal_notify_endpoints() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('mlportal_endpoints', ''); RETURN NULL; END $$
"""
TRIGGER = """
CREATE TRIGGER mlportal_endpoint_changed AFTER INSERT OR UPDATE OR DELETE ON deployments_endpoint
FOR EACH STATEMENT EXECUTE FUNCTION mlportal_notify_endpoints()
"""


def add(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FUNCTION)
        schema_editor.execute(TRIGGER)


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER IF EXISTS mlportal_endpoint_changed ON deployments_endpoint")
        schema_editor.execute("DROP FUNCTION IF EXISTS mlportal_notify_endpoints()")


class Migration(migrations.Migration):
    dependencies = [("deployments", "0002_frozen_rows")]
    operations = [migrations.RunPython(add, remove)]
