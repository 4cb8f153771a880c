"""Writes every answer to the prediction log before it is given."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from deployments.runtime.backends import Answer
from deployments.runtime.signature import Columns
from deployments.serve.live import Live
from deployments.serve.metrics import Metrics
from monitoring import spool

log = logging.getLogger("mlportal.serve")
COMPLAIN_SECONDS = 10.0


@dataclass(slots=True)
class _Gap:
    """Rows that were answered while the log could not be written."""

    live: Live
    since_ms: int
    rows: int = 0


class Journal:
    """The spool with the endpoint's policy for the case that it cannot be written."""

    def __init__(self, writer: spool.Writer, metrics: Metrics) -> None:
        self.writer = writer
        self._metrics = metrics
        self._complained_at = -COMPLAIN_SECONDS
        self._gaps: dict[int | str, _Gap] = {}
        self._running: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None

    def answered(
        self,
        live: Live,
        columns: Columns,
        answer: Answer,
        *,
        ids: list[str],
        inference_ids: list[str] | None,
        latency_us: int,
        token_id: int,
        protocol: str,
        unit: int | None = None,
        sticky: bool = False,
    ) -> None:
        """Write an answer.

        Parameters
        ----------
        protocol
            In which words it was asked.
        unit, sticky
            By what a split assigned the request, and whether the caller named it.

        Raises
        ------
        spool.SpoolFailed
            When it cannot be written and the endpoint refuses to answer without a log.
        """
        if live.row.logging == "off":
            return
        record = {
            "kind": "prediction",
            "source": live.source,
            "at": time.time_ns() // 1_000_000,
            "us": latency_us,
            "ids": ids,
            "x": columns,
            "y": answer.labels,
            "s": answer.scores,
            "p": answer.probabilities,
            "ref": inference_ids,
            "token": token_id,
            "via": protocol,
        }
        if unit is not None:
            record["unit"], record["sticky"] = unit, sticky
        if live.row.logging == "sample":
            record["kept"] = random.random() < live.row.sample_share  # noqa: S311 - a share, not a secret
        try:
            self.writer.append(record, header=live.header, durable=live.row.logging == "durable")
        except spool.SpoolFailed as error:
            self._failed(live, len(ids), error)
            if live.row.on_log_failure == "refuse":
                raise
            self._gaps.setdefault(live.source, _Gap(live, int(str(record["at"])))).rows += len(ids)
        else:
            self._tell_gaps()

    async def settle(self, live: Live) -> None:
        """Wait until what was written so far is on the device; those who wait together share one sync.

        Raises
        ------
        spool.SpoolFailed
            When the device refuses and the endpoint answers nothing that is not kept.
        """
        if self._next is None:
            self._next = asyncio.ensure_future(self._sync(self._running))
        try:
            await asyncio.shield(self._next)
        except OSError as error:
            failed = spool.SpoolFailed(f"The prediction log cannot be synced: {error.strerror}.")
            self._failed(live, 1, failed)
            if live.row.on_log_failure == "refuse":
                raise failed from error

    async def _sync(self, before: asyncio.Future[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        await asyncio.to_thread(spool.sync, self.writer.handle())

    def tick(self) -> None:
        """Close a segment that is old enough, and tell of gaps as soon as writing works again."""
        self._tell_gaps()
        self.writer.tick()

    def _tell_gaps(self) -> None:
        """Write how many rows were answered without a line, so that the database learns of it."""
        for source, gap in list(self._gaps.items()):
            now = time.time_ns() // 1_000_000
            record = {"kind": "gap", "source": source, "at": now, "since": gap.since_ms, "rows": gap.rows}
            try:
                self.writer.append(record, header=gap.live.header)
            except spool.SpoolFailed:
                return
            del self._gaps[source]

    def refused(self, live: Live, *, status: int, code: str, latency_us: int) -> None:
        """Write that a request got no prediction; it is counted, so losing one changes nothing but a count."""
        if live.row.logging == "off":
            return
        record: dict[str, Any] = {
            "kind": "refusal",
            "source": live.source,
            "at": time.time_ns() // 1_000_000,
            "us": latency_us,
            "status": status,
            "code": code,
        }
        self._append(live, record)

    def noted(self, live: Live, record: dict[str, Any]) -> None:
        """Write what a shadow said; it is counted, so losing one changes nothing but a count."""
        if live.row.logging != "off":
            self._append(live, {**record, "source": live.source, "at": time.time_ns() // 1_000_000})

    def told(self, header: dict[str, Any], record: dict[str, Any]) -> None:
        """Write whether a variant could be loaded; what cannot be written now is told by the next try."""
        with suppress(spool.SpoolFailed):
            self.writer.append({**record, "source": header["source"], "at": time.time_ns() // 1_000_000}, header=header)

    def _append(self, live: Live, record: dict[str, Any]) -> None:
        try:
            self.writer.append(record, header=live.header)
        except spool.SpoolFailed as error:
            self._failed(live, 0, error)

    def _failed(self, live: Live, rows: int, error: spool.SpoolFailed) -> None:
        self._metrics.dropped(live.row, rows)
        now = time.monotonic()
        if now - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = now
            log.critical("prediction log: %s (%s)", error.message, live.row.name)
