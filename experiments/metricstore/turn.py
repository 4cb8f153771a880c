"""Taking turns to write."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, transaction


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


def _lock_path() -> Path | None:
    if connection.vendor != "sqlite":
        return None
    name = str(connection.settings_dict["NAME"])
    if name.startswith("file:") or ":memory:" in name:
        return None
    return Path(f"{name}.turn")
