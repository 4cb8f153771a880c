"""A connection that knows the heads of its requests: a caller repeats them to the letter, and only bodies differ.

Taking a head apart costs as much as reading the body behind it. A head that uvicorn has understood, of a request that
came whole and has nothing out of the ordinary, is kept with what it said. When the same bytes come again, with as long
a body behind them and nothing more, the parser is not asked. Everything else goes uvicorn's way.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn._types import HTTPScope
from uvicorn.protocols.http import httptools_impl

END = b"\r\n\r\n"
MOST_HEADS, LONGEST_HEAD = 8, 2048  # of a connection, for as long as it lasts
# They change how a request is framed, or what happens behind it.
SPECIAL = frozenset({b"connection", b"expect", b"transfer-encoding", b"upgrade"})
LENGTH = b"content-length"
_UNKNOWN: tuple[dict[str, Any] | None, int] = (None, 0)


class Connection(httptools_impl.HttpToolsProtocol):
    """uvicorn's, with two shorter ways: one for known heads, one for the clock of idle connections."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._known: dict[bytes, tuple[dict[str, Any], int]] = {}  # what a head said, and the length of its body
        self._begun = 0  # messages since the piece that is read now
        self._amid = False
        self._idle_since: float | None = None

    def data_received(self, data: bytes) -> None:
        """Read a piece."""
        if self._amid or (self.cycle is not None and not self.cycle.response_complete):
            super().data_received(data)
            return
        end = data.find(END) + len(END)
        scope, body_bytes = self._known.get(data[:end], _UNKNOWN)
        if scope is not None and len(data) - end == body_bytes and not self._is_crowded():
            self._idle_since = None
            self._answer(scope, data[end:])
            return
        self._begun = 0
        super().data_received(data)
        if self._begun == 1 and not self._amid and len(self._known) < MOST_HEADS:
            self._learn(data[:end], len(data) - end)

    def _is_crowded(self) -> bool:
        """Whether uvicorn would refuse, which it does in its own way."""
        most = self.limit_concurrency
        return most is not None and (len(self.connections) >= most or len(self.tasks) >= most)

    def _answer(self, scope: dict[str, Any], body: bytes) -> None:
        """Do what the parser's callbacks do for a request that is whole."""
        self.scope = cast(HTTPScope, {**scope, "state": self.app_state.copy()})
        self.cycle = cycle = httptools_impl.RequestResponseCycle(
            self.scope, self.transport, self.flow, self.logger, self.access_logger, self.access_log,
            self.server_state.default_headers, asyncio.Event(), False, True, self.on_response_complete,
        )  # fmt: skip
        cycle.body += body
        cycle.more_body = False
        cycle.message_event.set()
        self._start_asgi_task(cycle, self.app)

    def _learn(self, head: bytes, body_bytes: int) -> None:
        names = [name for name, _ in self.headers]
        if len(head) > LONGEST_HEAD or not head.endswith(END) or not SPECIAL.isdisjoint(names):
            return
        if self.scope["method"] != "POST" or self.scope["http_version"] != "1.1" or names.count(LENGTH) != 1:
            return
        if dict(self.headers)[LENGTH] == b"%d" % body_bytes:
            self._known[head] = (dict(self.scope), body_bytes)

    def on_message_begin(self) -> None:
        """Note that a request came in part."""
        self._begun += 1
        self._amid = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that it is whole."""
        self._amid = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one: one clock a connection, not one a request."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_after(self.timeout_keep_alive)

    def _look_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close what was idle for so long; look again when it was not."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the end of its answer sets the clock again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look_after(left)
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        super()._unset_keepalive_if_required()
