"""How answers leave the process."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Joined:
    """A transport that sends what is written in one turn of the loop at once.

    uvicorn writes the head of an answer and then its body. Each was a system call of its own, and woke the caller.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, content: bytes) -> None:
        """Send it with what is held back; hold it for the rest of this turn if nothing is."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, content))
        else:
            self._held = content
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what is held back, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 whose short answers are one write."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", Joined(transport, self.loop))
