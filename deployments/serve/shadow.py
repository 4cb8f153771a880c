"""Shadows answer after the answer was given: one thread, a bounded queue, and what finds no place is counted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deployments.runtime.backends import Answer
from deployments.runtime.signature import Columns
from deployments.serve.live import Live
from deployments.serve.split import Split

log = logging.getLogger("mlportal.serve")
MOST_WAITING = 256
Note = Callable[[Live, dict[str, Any]], None]


class Shadows:
    """What shadows were asked and had no time for.

    Parameters
    ----------
    note : callable
        Writes a record of a shadow to the log.
    """

    def __init__(self, note: Note, *, most_waiting: int = MOST_WAITING) -> None:
        self._note = note
        self._queue: asyncio.Queue[tuple[Live, Columns, list[Any]]] = asyncio.Queue(most_waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._dropped: dict[Live, int] = {}
        self._worker: asyncio.Task[None] | None = None

    def offer(self, split: Split, columns: Columns, labels: list[Any]) -> None:
        """Let the shadows of a split see a request that was answered; never waits."""
        if self._worker is None:
            self._worker = asyncio.create_task(self._run())
        for live in split.shadows:
            try:
                self._queue.put_nowait((live, columns, labels))
            except asyncio.QueueFull:
                self._dropped[live] = self._dropped.get(live, 0) + 1

    def tick(self) -> None:
        """Tell how many requests found no place."""
        dropped, self._dropped = self._dropped, {}
        for live, count in dropped.items():
            self._note(live, {"kind": "shadow", "dropped": count})

    def stop(self) -> None:
        """Forget what waits."""
        if self._worker is not None:
            self._worker.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.tick()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            live, columns, labels = await self._queue.get()
            record = await loop.run_in_executor(self._thread, _listen, live, columns, labels)
            self._note(live, record)


def _listen(live: Live, columns: Columns, labels: list[Any]) -> dict[str, Any]:
    started = time.perf_counter_ns()
    try:
        answer: Answer = live.runtime.backend.predict(columns)
    except Exception as error:  # noqa: BLE001 - a shadow that breaks is a finding, never a fault of the endpoint
        log.warning("shadow %s failed: %s", live.row.name, type(error).__name__)
        return {"kind": "shadow", "failed": True}
    differing = sum(own != given for own, given in zip(answer.labels, labels, strict=True))
    return {
        "kind": "shadow", "us": (time.perf_counter_ns() - started) // 1000, "rows": len(labels), "differing": differing,
        "y": answer.labels, "s": answer.scores, "p": answer.probabilities,
    }  # fmt: skip
