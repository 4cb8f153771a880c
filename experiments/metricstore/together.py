"""Writers that come while another waits for the disk share the next wait (``docs/adr/0022-one-commit-for-many.md``).

A commit waits a millisecond for the disk whatever it holds. The first writer of this process writes alone; those that
come meanwhile queue, and the next of them writes for all in one transaction. Nobody is answered before the commit.
PostgreSQL does this by itself (``docs/adr/0097-postgresql-groups-commits-itself.md``).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Work = TypeVar("Work")
MOST = 64


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Work]):
    work: Work
    turn: threading.Event = field(default_factory=threading.Event)
    is_done: bool = False
    count: int = 0
    fault: BaseException | None = None


class Together(Generic[Work]):
    """A queue of writers, one of which writes for all that wait.

    Parameters
    ----------
    write : callable
        Writes some works in one transaction and returns a number for each.
    """

    def __init__(self, write: Callable[[Sequence[Work]], Sequence[int]]) -> None:
        self._write = write
        self._waiting: deque[_Waiting[Work]] = deque()
        self._mutex, self._is_writing = threading.Lock(), False

    def submit(self, work: Work) -> int:
        """Have a work written, with others if some wait; return its number when it is committed.

        Raises
        ------
        Exception
            What writing this work raised.
        """
        mine = _Waiting(work)
        with self._mutex:
            self._waiting.append(mine)
            is_leader, self._is_writing = not self._is_writing, True
        if not is_leader:
            mine.turn.wait()
        if not mine.is_done:
            self._lead()
        if mine.fault is not None:
            raise mine.fault
        return mine.count

    def _lead(self) -> None:
        """Write what waits, then leave the lead to who came meanwhile; the leader is always first in the queue."""
        with self._mutex:
            batch = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
        try:
            self._settle(batch)
        finally:
            with self._mutex:
                self._is_writing = bool(self._waiting)
                successor = self._waiting[0] if self._waiting else None
            if successor is not None:
                successor.turn.set()
            for other in batch[1:]:
                other.is_done = True
                other.turn.set()

    def _settle(self, batch: list[_Waiting[Work]]) -> None:
        try:
            for one, count in zip(batch, self._write([one.work for one in batch]), strict=True):
                one.count = count
        except BaseException as fault:  # noqa: BLE001 - raised again in the thread whose work it was
            if len(batch) == 1:
                batch[0].fault = fault
                return
            for one in batch:  # nothing was written: each for itself, so that one fault fails one writer
                self._settle([one])
