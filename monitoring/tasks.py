"""Celery tasks of monitoring; they carry ids only."""

from celery import shared_task

from monitoring import pipeline


@shared_task(name="monitoring.roll_windows")
def roll_windows() -> int:
    """Judge every window that is due."""
    return pipeline.roll_due()
