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


@dataclass(slots=True)
class _Waiting:
    columns: Columns
    rows: int
    future: asyncio.Future[Answer]


class Batcher:
    """Collects rows for 2 ms or until 64 rows wait, then predicts them in one call.

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
        self._timer: asyncio.TimerHandle | None = None

    async def predict(self, columns: Columns) -> Answer:
        """Answer of these rows, computed together with others'."""
        loop = asyncio.get_running_loop()
        item = _Waiting(columns, len(columns[0]), loop.create_future())
        self._waiting.append(item)
        self._rows += item.rows
        if self._rows >= self._max_rows:
            self.flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._window_seconds, self.flush)
        return await item.future

    def flush(self) -> None:
        """Predict what waits now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch = [item for item in self._waiting if not item.future.done()]
        self._waiting, self._rows = [], 0
        if len(batch) == 1:
            self._settle_alone(batch[0])
        elif batch:
            self._settle_together(batch)

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
