"""Addresses that people typed themselves are not confirmed; rows of sessions kept by their plain key go."""

from django.db import migrations


def mark_typed(apps, schema_editor):
    del schema_editor
    events = apps.get_model("projects", "Event").objects.filter(verb="user.edited")
    typed = {actor for actor, data in events.values_list("actor_id", "data") if data.get("fields")}
    apps.get_model("projects", "User").objects.filter(pk__in=typed).update(email_confirmed=False)


def forget_sessions(apps, schema_editor):
    del schema_editor
    apps.get_model("sessions", "Session").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("projects", "0003_governance"), ("sessions", "0001_initial")]

    operations = [
        migrations.RunPython(mark_typed, migrations.RunPython.noop),
        migrations.RunPython(forget_sessions, migrations.RunPython.noop),
    ]
