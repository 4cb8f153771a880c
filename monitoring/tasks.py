"""Celery tasks of monitoring; they carry ids only."""

from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from monitoring import pipeline
from monitoring.pipeline import ship


@shared_task(name="monitoring.roll_windows")
def roll_windows() -> int:
    """Judge every window that is due."""
    return pipeline.roll_due()


@shared_task(name="monitoring.ship_predictions")
def ship_predictions() -> int:
    """Take over the closed segments of this machine's prediction log."""
    return ship.ship(Path(settings.SPOOL_DIR))


@shared_task(name="monitoring.forget_unmatched_labels")
def forget_unmatched_labels() -> int:
    """Drop labels that waited 30 days for their prediction."""
    return ship.forget_unmatched(timezone.now())
