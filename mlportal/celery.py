"""The Celery app. Tasks carry ids only; the database row is the truth, a message only wakes a worker.

Messages are acknowledged before the work: a worker that dies leaves a row whose lease runs
out, and a sweeper hands it on. Late acknowledgement would start long work a second time
while it still runs (``docs/adr/0005-acknowledge-early.md``).
"""

import os
import signal
import threading
import time
from typing import Any

from celery import Celery
from celery.beat import PersistentScheduler
from celery.signals import (
    heartbeat_sent,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from django_structlog.celery.steps import DjangoStructLogInitStep

from mlportal.lib import spans

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")

app = Celery("mlportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,  # no message waits behind a long job
    worker_max_tasks_per_child=200,
    worker_max_memory_per_child=300_000,  # KiB; what an evaluation of a model loaded is given back after it
    worker_soft_shutdown_timeout=20.0,
    worker_cancel_long_running_tasks_on_connection_loss=False,  # training survives a broker restart
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    beat_max_loop_interval=5,  # the scheduler also tells that it is alive
    timezone="UTC",
    broker_transport_options={
        # Long, because redelivery must never start running work twice; leases recover the lost.
        "visibility_timeout": 86_400,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "health_check_interval": 10,
        "socket_keepalive": True,
        "socket_connect_timeout": 2,
        "max_retries": 0,  # kombu would wait 6 s in each publish; the row is there, sweepers publish again
    },
)
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


ORPHAN_SECONDS = 15
_started_by = {"pid": 0}


@worker_init.connect
def _remember_parent(**_kwargs: Any) -> None:
    _started_by["pid"] = os.getppid()
    spans.name_part("worker")


@worker_shutting_down.connect
def _end_when_orphaned(**_kwargs: Any) -> None:
    """Do not outlive a supervisor that was killed: a worker that stops while its broker is gone too waits for ever.

    Only an orphan is ended this way; its work is handed on by its leases.
    """
    threading.Thread(target=_end_orphan, daemon=True).start()


def _end_orphan() -> None:
    time.sleep(ORPHAN_SECONDS)
    if os.getppid() != _started_by["pid"] and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)


@setup_logging.connect
def _keep_our_logging(**_kwargs: Any) -> None:
    """Logging is set up by Django's settings; Celery must not replace it."""


@worker_ready.connect
@heartbeat_sent.connect
def _worker_lives(**_kwargs: Any) -> None:
    from mlportal import health

    health.beat("worker")


@worker_shutdown.connect
def _worker_ends(**_kwargs: Any) -> None:
    from mlportal import metrics

    metrics.forget_process(os.getpid())


@task_prerun.connect
def _open_span(task_id: str = "", task: Any = None, **_kwargs: Any) -> None:
    if spans.is_on():
        from mlportal import tracing

        tracing.begin(task_id, task)


@worker_process_shutdown.connect
def _send_spans(**_kwargs: Any) -> None:
    spans.flush()


@task_postrun.connect
def _count(task_id: str = "", task: Any = None, state: str | None = None, **_kwargs: Any) -> None:
    from mlportal import metrics

    if spans.is_on():
        from mlportal import tracing

        tracing.end(task_id, state or "")
    metrics.TASKS.labels(task=getattr(task, "name", "?"), state=state or "?").inc()


class Scheduler(PersistentScheduler):
    """Beat's scheduler, which also tells the health page that it is alive."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return the seconds until the next look."""
        from mlportal import health

        health.beat("beat")
        return min(float(super().tick(*args, **kwargs)), 5.0)
