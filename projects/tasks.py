"""Celery tasks of the projects app."""

from typing import Any

import structlog
from celery import Task, shared_task, signals
from django.db import connections

from projects import pipeline
from projects.models import User
from projects.pipeline import check_runs, split_rows
from projects.services import (
    access_mail,
    access_requests,
    anchors,
    dataset_trash,
    deliveries,
    events,
    group_roles,
    idempotency,
    members,
    second_factor,
    sessions,
)

log = structlog.get_logger(__name__)


@shared_task(name="projects.republish_events")
def republish_events() -> int:
    """Wake the consumers of events whose message was lost."""
    return events.republish()


@shared_task(name="projects.end_roles", ignore_result=True)
def end_roles() -> None:
    """End roles of groups and of people whose end date has passed, and requests nobody answered."""
    group_roles.end_due()
    members.end_due()
    access_requests.expire()


@shared_task(name="projects.anchor_audit", ignore_result=True)
def anchor_audit() -> None:
    """Anchor the audit log, and send again what a second place did not take."""
    anchors.drop(cause="hour")


@shared_task(name="projects.anchor_promotion", ignore_result=True)
def anchor_promotion(event_delivery_id: int) -> None:
    """Anchor the audit log as soon as somebody moved what is in production."""
    with events.consume(event_delivery_id) as event:
        due = event is not None
    if due:
        anchors.drop(cause="promotion")


@shared_task(name="projects.profile_version", bind=True, ignore_result=True)
def profile_version(self: "Task[[int], str]", version_id: int) -> str:
    """Run one attempt at profiling a dataset version."""
    return pipeline.profile_version(version_id, worker=self.request.hostname or "worker")


@shared_task(name="projects.sweep_profiles", ignore_result=True)
def sweep_profiles() -> dict[str, int]:
    """Requeue versions of silent workers and publish forgotten ones."""
    return pipeline.sweep_profiles()


@shared_task(name="projects.run_checks", bind=True, ignore_result=True)
def run_checks(self: "Task[[int], str]", run_id: int) -> str:
    """Run one attempt at measuring the checks of a dataset version."""
    return check_runs.run_checks(run_id, worker=self.request.hostname or "worker")


@shared_task(name="projects.sweep_checks", ignore_result=True)
def sweep_checks() -> dict[str, int]:
    """Requeue check runs of silent workers and publish forgotten ones."""
    return check_runs.sweep_checks()


@shared_task(name="projects.cut_split", bind=True, ignore_result=True)
def cut_split(self: "Task[[int], str]", split_id: int) -> str:
    """Run one attempt at cutting a saved split."""
    return split_rows.cut_split(split_id, worker=self.request.hostname or "worker")


@shared_task(name="projects.sweep_splits", ignore_result=True)
def sweep_splits() -> dict[str, int]:
    """Requeue splits of silent workers and publish forgotten ones."""
    return split_rows.sweep_splits()


@shared_task(name="projects.import_dataset", bind=True, ignore_result=True)
def import_dataset(self: "Task[[int], str]", import_id: int) -> str:
    """Run one attempt at fetching a dataset."""
    return pipeline.import_dataset(import_id, worker=self.request.hostname or "worker")


@shared_task(name="projects.sweep_imports", ignore_result=True)
def sweep_imports() -> dict[str, int]:
    """Requeue imports of silent workers and publish forgotten ones."""
    return pipeline.sweep_imports()


@shared_task(name="projects.expire_datasets", ignore_result=True)
def expire_datasets() -> dict[str, int]:
    """Remove for good what was in the trash long enough."""
    return dataset_trash.expire()


@shared_task(name="projects.forget_idempotency_keys", ignore_result=True)
def forget_idempotency_keys() -> int:
    """Drop the kept answers of creating calls that nobody repeats any more."""
    return idempotency.forget_old()


@shared_task(name="projects.tell_of_reset", ignore_result=True)
def tell_of_reset(event_delivery_id: int) -> None:
    """Mail a person whose second factor was taken away."""
    with events.consume(event_delivery_id) as event:
        if event is not None and event.target_id is not None:
            second_factor.tell_of_reset(User.objects.get(pk=event.target_id))


@shared_task(name="projects.tell_of_access", ignore_result=True)
def tell_of_access(event_delivery_id: int) -> None:
    """Mail who can answer a request for access, and who asked when it is answered."""
    with events.consume(event_delivery_id) as event:
        if event is not None:
            access_mail.tell(event)


@shared_task(name="projects.forget_sessions", ignore_result=True)
def forget_sessions() -> int:
    """Drop rows of sessions that have ended."""
    return sessions.forget_ended()


@shared_task(name="projects.notify", ignore_result=True)
def notify(event_delivery_id: int) -> int:
    """Turn an event into a message for each channel that wants it."""
    return deliveries.fan_out(event_delivery_id)


@shared_task(name="projects.send_delivery", ignore_result=True)
def send_delivery(delivery_id: int) -> str:
    """Try one message."""
    return deliveries.send(delivery_id)


@shared_task(name="projects.wake_deliveries", ignore_result=True)
def wake_deliveries() -> int:
    """Wake a sender for every message that is due."""
    return deliveries.wake_due()


@signals.worker_ready.connect
def _sweep_at_start(**_: Any) -> None:
    """Pick up what an earlier worker left, without waiting for the beat."""
    try:
        pipeline.sweep_profiles()
        pipeline.sweep_imports()
    except Exception as error:  # noqa: BLE001 - the periodic sweep does the same later
        log.warning("sweep at start failed", error=str(error)[:300])
    finally:
        connections.close_all()
