"""Taking turns to write."""

from __future__ import annotations

import fcntl
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import OperationalError, connection, transaction

TRIES = 5
# What PostgreSQL says to the one of two transactions that it gave up: try again.
_VICTIM = frozenset({"40001", "40P01"})


@contextmanager
def writing() -> Iterator[None]:
    """Open one transaction; on SQLite wait for the turn in the kernel instead of polling the database.

    SQLite lets waiting writers sleep and retry, which starves some of them for seconds. A file lock
    taken before ``BEGIN IMMEDIATE`` wakes the next writer at once. Writers elsewhere do not take it
    and lose nothing: the database's own lock still decides.
    """
    path = _lock_path()
    if path is None or connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    with path.open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with transaction.atomic():
            yield


def retried(write: Callable[[], None]) -> None:
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


def _lock_path() -> Path | None:
    if connection.vendor != "sqlite":
        return None
    name = str(connection.settings_dict["NAME"])
    if name.startswith("file:") or ":memory:" in name:
        return None
    return Path(f"{name}.turn")
