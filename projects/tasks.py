"""Celery tasks of the projects app."""

from celery import shared_task

from projects.services import events


@shared_task(name="projects.republish_events")
def republish_events() -> int:
    """Wake the consumers of events whose message was lost."""
    return events.republish()
