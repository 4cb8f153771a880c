"""Taking turns to write."""

from __future__ import annotations

import fcntl
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

TRIES = 5
# What PostgreSQL says to the one of two transactions that it gave up: try again.
_VICTIM = frozenset({"40001", "40P01"})
_open = threading.local()


@contextmanager
def writing() -> Iterator[None]:
    """Open one transaction; on SQLite wait for the turn in the kernel instead of polling the database.

    SQLite lets waiting writers sleep and retry, which starves some of them for seconds. A file lock
    taken before ``BEGIN IMMEDIATE`` wakes the next writer at once. Writers elsewhere do not take it
    and lose nothing: the database's own lock still decides.
    """
    with turn(), transaction.atomic():
        yield


@contextmanager
def turn() -> Iterator[None]:
    """Wait for the turn to write without opening a transaction, for a single statement."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    lock = _lock()
    if lock is None:
        yield
        return
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def retried(write: Callable[[], object]) -> None:
    """Run a whole transaction; run it again when the database sacrificed it to another one.

    Inside a transaction of the caller it runs once, because only the whole can be repeated.
    """
    for attempt in range(1, TRIES + 1):
        try:
            write()
            return
        except OperationalError as fault:
            state = getattr(fault.__cause__, "sqlstate", "")
            if state not in _VICTIM or attempt == TRIES or connection.in_atomic_block:
                raise
            time.sleep(random.uniform(0, 0.02 * attempt))  # noqa: S311 - spreads writers, guards nothing


def _lock() -> int | None:
    """Return this thread's own descriptor of the lock file: threads that shared one would not exclude each other."""
    name = str(connection.settings_dict["NAME"])
    place = (name, os.getpid())  # a child of a fork would share its parent's
    if getattr(_open, "place", None) == place:
        return int(_open.lock)
    if name.startswith("file:") or ":memory:" in name:
        return None
    _open.place, _open.lock = place, os.open(f"{name}.turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return int(_open.lock)
