"""Wake a worker after commit. The row is the truth: a lost message costs seconds, never the work."""

import time

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from mlportal.lib import spans

log = structlog.get_logger(__name__)

# After a try that failed nobody here tries for this many times as long as that took: an address that swallows packets
# costs one request its 2 s instead of each message of each request; a refused connection costs nothing either way.
REST = 10
_away = {"until": 0.0}


def forget() -> None:
    """Forget that the broker was away."""
    _away["until"] = 0.0


def enqueue(task: str, *args: int | str) -> None:
    """Publish ``task(*args)`` when the open transaction commits; a broker that is away is no error."""
    transaction.on_commit(lambda: publish(task, *args))


def publish(task: str, *args: int | str) -> bool:
    """Publish at once. Returns whether the broker took it; sweepers publish again what it did not."""
    started = time.monotonic()
    if started < _away["until"]:
        return False
    with spans.opened(f"publish {task}", spans.PRODUCER) as span:
        try:
            current_app.send_task(task, args=args, retry=False, headers=spans.carried())
        except (OperationalError, OSError) as error:
            now = time.monotonic()
            _away["until"] = now + REST * (now - started)
            log.warning("broker away, work stays in the database", task=task, error=str(error)[:200])
            if span is not None:
                spans.failed(span, type(error).__name__)
            return False
        return True
