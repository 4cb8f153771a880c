"""Run a transaction once more when the database broke it off to end a deadlock.

The order of locks in ``docs/explanation/locks.md`` leaves no way into one; this is the second line, for a lock that
somebody forgets one day. What was broken off has left nothing behind, so running it again is safe.
"""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import structlog
from django.db import OperationalError, transaction

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)
TRIES = 3
PAUSE_SECONDS = 0.05
BROKEN_OFF = frozenset({"40P01", "40001"})  # deadlock_detected, serialization_failure


def after_deadlock(act: Callable[P, T]) -> Callable[P, T]:
    """Wrap a function that is one transaction, so that a deadlock costs time and no error.

    Inside a transaction of the caller nothing is repeated: what that has done is lost as well, and only the caller can
    do it again.
    """

    @functools.wraps(act)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for turn in range(1, TRIES):
            try:
                return act(*args, **kwargs)
            except OperationalError as error:
                if transaction.get_connection().in_atomic_block or not was_broken_off(error):
                    raise
                log.warning("a deadlock was broken off; trying again", act=act.__qualname__, turn=turn)
                time.sleep(PAUSE_SECONDS * turn * (1 + random.random()))  # noqa: S311 - spreads, protects nothing
        return act(*args, **kwargs)

    return run


def was_broken_off(error: OperationalError) -> bool:
    """Whether the database ended the transaction for the sake of another one."""
    return getattr(error.__cause__, "sqlstate", "") in BROKEN_OFF
