"""Celery tasks of monitoring; they carry ids only."""

from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from monitoring import pipeline
from monitoring.pipeline import backfill, prompt, ship, uploads
from monitoring.services import alerts, days, routing, units


@shared_task(name="monitoring.roll_windows")
def roll_windows() -> int:
    """Judge every window that is due."""
    return pipeline.roll_due()


@shared_task(name="monitoring.flush_groups")
def flush_groups() -> int:
    """Tell channels what is due about groups of alerts, after the acknowledgements whose time is over."""
    alerts.end_acknowledgements()
    return routing.flush_due()


@shared_task(name="monitoring.ship_predictions")
def ship_predictions() -> int:
    """Take over the closed segments of this machine's prediction log."""
    return ship.ship(Path(settings.SPOOL_DIR))


@shared_task(name="monitoring.forget_unmatched_labels")
def forget_unmatched_labels() -> int:
    """Drop labels that waited 30 days, what was kept of units whose division is over, and old notes of prompt rules."""
    units.forget_ended()
    prompt.forget_old(timezone.now())
    return ship.forget_unmatched(timezone.now())


@shared_task(name="monitoring.backfill")
def run_backfill(number: int) -> int:
    """Count stored predictions on a new reference or by new segments."""
    return backfill.run(number)


@shared_task(name="monitoring.complete_references")
def complete_references() -> int:
    """Make references of first rows, and go on with uploads and backfills that a crash left."""
    return uploads.run_left() + backfill.make_references() + backfill.run_left()


@shared_task(name="monitoring.take_upload")
def take_upload(number: int) -> int:
    """Take in predictions of a model that is served elsewhere."""
    return uploads.run(number)


@shared_task(name="monitoring.sum_days")
def sum_days() -> int:
    """Add up the counts of days that are over."""
    return days.sum_left()
