"""Celery tasks of the experiments app. Arguments are ids; the database row says the rest."""

from typing import Any

import structlog
from celery import Task, shared_task, signals
from django.db import connections
from django.utils import timezone

from experiments import metricstore, pipeline
from experiments.pipeline import importance
from experiments.services import folder_roles, trash

log = structlog.get_logger(__name__)


@shared_task(name="experiments.execute_job", bind=True, ignore_result=True)
def execute_job(self: "Task[[int], str]", job_id: int) -> str:
    """Run one attempt at a training job."""
    return pipeline.execute_job(job_id, worker=self.request.hostname or "worker")


@shared_task(name="experiments.end_folder_roles", ignore_result=True)
def end_folder_roles() -> None:
    """End roles on folders whose end date has passed."""
    folder_roles.end_due()


@shared_task(name="experiments.sweep_jobs", ignore_result=True)
def sweep_jobs() -> dict[str, int]:
    """Requeue jobs of silent workers and publish forgotten ones."""
    return pipeline.sweep_jobs()


@shared_task(name="experiments.execute_bulk", bind=True, ignore_result=True)
def execute_bulk(self: "Task[[int], str]", action_id: int) -> str:
    """Go on with a bulk action."""
    return pipeline.execute_bulk(action_id, worker=self.request.hostname or "worker")


@shared_task(name="experiments.sweep_bulk", ignore_result=True)
def sweep_bulk() -> dict[str, int]:
    """Requeue bulk actions of silent workers and publish forgotten ones."""
    return pipeline.sweep_bulk()


@shared_task(name="experiments.expire_trash", ignore_result=True)
def expire_trash() -> int:
    """Remove for good what lay in the trash for as long as its project keeps it."""
    return trash.expire()


@shared_task(name="experiments.forget_steps", ignore_result=True)
def forget_steps() -> int:
    """Forget values at steps that nobody asked for in a week."""
    return metricstore.forget_steps(timezone.now())


@shared_task(name="experiments.study_importance", bind=True, ignore_result=True)
def study_importance(self: "Task[[int], str]", study_id: int) -> str:
    """Run one attempt at a study of parameter importance."""
    return importance.execute(study_id, worker=self.request.hostname or "worker")


@shared_task(name="experiments.sweep_studies", ignore_result=True)
def sweep_studies() -> dict[str, int]:
    """Requeue studies of silent workers and publish forgotten ones."""
    return importance.sweep()


@signals.worker_ready.connect
def _sweep_at_start(**_: Any) -> None:
    _apart(pipeline.sweep_jobs)


@signals.worker_shutting_down.connect
def _hand_back(sender: str = "", **_: Any) -> None:
    _apart(lambda: pipeline.hand_back(str(sender)))


def _apart(work: Any) -> None:
    """Run database work in the worker's main process, which must not keep a connection for its children."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the periodic sweep does the same later
        log.warning("sweep at start or stop failed", error=str(error)[:300])
    finally:
        connections.close_all()
