"""Wake a worker after commit. The row is the truth: a lost message costs seconds, never the work."""

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from mlportal.lib import spans

log = structlog.get_logger(__name__)


def enqueue(task: str, *args: int | str) -> None:
    """Publish ``task(*args)`` when the open transaction commits; a broker that is away is no error."""
    transaction.on_commit(lambda: publish(task, *args))


def publish(task: str, *args: int | str) -> bool:
    """Publish at once. Returns whether the broker took it; sweepers publish again what it did not."""
    with spans.opened(f"publish {task}", spans.PRODUCER) as span:
        try:
            current_app.send_task(task, args=args, retry=False, headers=spans.carried())
        except (OperationalError, OSError) as error:
            log.warning("broker away, work stays in the database", task=task, error=str(error)[:200])
            if span is not None:
                spans.failed(span, type(error).__name__)
            return False
        return True
