"""What beat sends must be something that a worker can do."""

from django.conf import settings

from mlportal.celery import app
from mlportal.schedule import schedule


def test_every_scheduled_task_is_known_to_the_workers():
    app.loader.import_default_modules()
    sent = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert sent - set(app.tasks) == set()


def test_every_sweep_and_reminder_is_sent():
    """A task that nobody sends by hand and no schedule names would never run."""
    app.loader.import_default_modules()
    sent = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    sweeps = {name for name in app.tasks if name.split(".")[-1].startswith(("sweep_", "forget_", "expire_", "end_"))}
    assert sweeps - sent == set()


def test_a_message_that_later_ones_overtook_is_dropped():
    found = schedule(1)
    assert found["experiments.sweep_jobs"] == {
        "task": "experiments.sweep_jobs", "schedule": 1, "options": {"expires": 10},
    }  # fmt: skip
    assert found["projects.end_roles"]["options"] == {"expires": 180}
    assert found["experiments.forget_steps"]["options"] == {"expires": 3600}
