"""Wake a worker after commit. The row is the truth: a lost message costs seconds, never the work."""

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)


def enqueue(task: str, *args: int | str) -> None:
    """Publish ``task(*args)`` when the open transaction commits; a broker that is away is no error."""
    transaction.on_commit(lambda: publish(task, *args))


def publish(task: str, *args: int | str) -> bool:
    """Publish at once. Returns whether the broker took it; sweepers publish again what it did not."""
    try:
        current_app.send_task(task, args=args, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("broker away, work stays in the database", task=task, error=str(error)[:200])
        return False
    return True
