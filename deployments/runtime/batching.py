"""Put requests that arrive together into one call of a slow backend.

Runs inline in the event loop: a predicting thread beside the loop would fight it for the interpreter lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from deployments.runtime.backends import Answer
from deployments.runtime.signature import Columns
from mlportal.lib.errors import DomainError

WINDOW_SECONDS = 0.002
MAX_ROWS = 64
REGROUP = 16


@dataclass(slots=True)
class _Waiting:
    columns: Columns
    rows: int
    future: asyncio.Future[Answer]


class Batcher:
    """Collects requests, then predicts them in one call.

    It waits until as many are there as went together last time, for 2 ms, or until 64 rows wait, whatever comes
    first: callers that ask again as soon as they are answered are all back then, and who asks alone waits for nobody.
    Every 16th call waits the 2 ms, so that two groups of callers find together.

    Parameters
    ----------
    predict : callable
        Backend call on columns.
    window_seconds : float
        Longest wait of the first row.
    max_rows : int
        Rows that end the wait.
    """

    def __init__(
        self,
        predict: Callable[[Columns], Answer],
        *,
        window_seconds: float = WINDOW_SECONDS,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self._predict = predict
        self._window_seconds = window_seconds
        self._max_rows = max_rows
        self._waiting: list[_Waiting] = []
        self._rows = 0
        self._usual = 1
        self._calls = 0
        self._timer: asyncio.Handle | None = None

    async def predict(self, columns: Columns) -> Answer:
        """Answer of these rows, computed together with others'."""
        loop = asyncio.get_running_loop()
        item = _Waiting(columns, len(columns[0]), loop.create_future())
        self._waiting.append(item)
        self._rows += item.rows
        if self._rows >= self._max_rows:
            self.flush()
        elif len(self._waiting) == self._usual:
            # Not at once: what the loop has read already comes along.
            self._stop_timer()
            self._timer = loop.call_soon(self.flush)
        elif self._timer is None:
            self._timer = loop.call_later(self._window_seconds, self.flush)
        return await item.future

    def flush(self) -> None:
        """Predict what waits now."""
        self._stop_timer()
        batch = [item for item in self._waiting if not item.future.done()]
        self._calls += 1
        self._usual = max(1, len(self._waiting)) if self._calls % REGROUP else self._max_rows
        self._waiting, self._rows = [], 0
        if len(batch) == 1:
            self._settle_alone(batch[0])
        elif batch:
            self._settle_together(batch)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _settle_together(self, batch: list[_Waiting]) -> None:
        width = len(batch[0].columns)
        joined = [[value for item in batch for value in item.columns[index]] for index in range(width)]
        try:
            answer = self._predict(joined)
        except DomainError:  # one request's rows are at fault: find out whose, so that the others get answers
            for item in batch:
                self._settle_alone(item)
            return
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits
            for item in batch:
                item.future.set_exception(error)
            return
        start = 0
        for item in batch:
            item.future.set_result(answer.part(start, start + item.rows))
            start += item.rows

    def _settle_alone(self, item: _Waiting) -> None:
        try:
            item.future.set_result(self._predict(item.columns))
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits
            item.future.set_exception(error)
