"""Work that a request leaves behind and its caller need not wait for.

Only work that anybody may do later or again: what waits when the process ends is not done. A serving process says
``begin()`` and has one lasting thread for it; anywhere else it is done at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import close_old_connections, connection

log = structlog.get_logger(__name__)
_threads: list[ThreadPoolExecutor] = []


def begin() -> None:
    """Have this process do such work in a thread of its own."""
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="aside"))


def end() -> None:
    """Wait for what was left and do the next work at once again."""
    while _threads:
        _threads.pop().shutdown()


def leave(work: Callable[[], object]) -> None:
    """Do a work aside; a fault of it is logged there."""
    if _threads:
        _threads[0].submit(_done, work)
    else:
        work()


def _done(work: Callable[[], object]) -> None:
    close_old_connections()
    try:
        work()
    except Exception:
        log.exception("work_aside_failed")
        connection.close()
