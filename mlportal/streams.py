"""Bodies of files on their way between granian and a view: bounded in memory, with few changes of thread.

A view runs in a thread and reads parts as they came from the wire; the event loop stays ahead of it by a few
megabytes at most. An answer that is a file on this machine is handed to granian by its path.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import Executor
from contextlib import suppress
from io import UnsupportedOperation
from pathlib import Path
from typing import Any

from a2wsgi.wsgi import build_environ
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from mlportal.lib.errors import Invalid

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

AHEAD_BYTES = 2 * 2**20
STALL_SECONDS = 120.0
# A client reads the answer after it sent all, so a refusal waits for what is on its way; beyond, the line is cut.
DRAIN_BYTES = 2**30
PATHSEND = "http.response.pathsend"


class Inflow:
    """A request's body: the event loop puts parts in, one thread takes them out."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._parts, self._held = loop, deque[bytes](), 0
        self._changed, self._room = threading.Condition(), asyncio.Event()
        self._is_full = self._is_whole = self._is_broken = self._is_unwanted = False

    async def fill(self, receive: Receive) -> None:
        """Take parts off the wire until the last, waiting while the reader is behind."""
        try:
            while not self._is_whole:
                message = await receive()
                if message["type"] != "http.request":
                    return
                self._put(message.get("body", b""), is_last=not message.get("more_body", False))
                if self._is_full:
                    await self._room.wait()
        finally:
            with self._changed:
                self._is_broken = not self._is_whole
                self._changed.notify()

    def read(self, size: int = -1) -> bytes:
        """Return the next part, at most ``size`` bytes of it; nothing at the end.

        Raises
        ------
        Invalid
            If the line broke before the last part.
        """
        with self._changed:
            came = self._changed.wait_for(lambda: self._parts or self._is_whole or self._is_broken, STALL_SECONDS)
            if not self._parts:
                if self._is_broken or not came:
                    raise Invalid("The body broke off; nothing was kept.", code="broken_off")
                return b""
            part = self._parts.popleft()
            if 0 <= size < len(part):
                self._parts.appendleft(part[size:])
                part = part[:size]
            self._held -= len(part)
            if self._is_full and self._held <= AHEAD_BYTES // 2:
                self._let_in()
            return part

    def readline(self, size: int = -1) -> bytes:
        """Refuse: Django asks that a body has it, and no file is read by lines."""
        raise UnsupportedOperation("readline")

    async def drain(self, filling: asyncio.Task[None]) -> None:
        """Drop what the view did not read, so that the client comes to read the answer."""
        with self._changed:
            self._is_unwanted, self._held = True, 0
            self._parts.clear()
            self._let_in()
        with suppress(TimeoutError):
            async with asyncio.timeout(STALL_SECONDS):
                await filling

    def _put(self, part: bytes, *, is_last: bool) -> None:
        with self._changed:
            self._is_whole = is_last
            self._held += len(part)
            if self._is_unwanted:
                self._is_whole |= self._held > DRAIN_BYTES
            elif part:
                self._parts.append(part)
            if not self._is_unwanted and not is_last and self._held > AHEAD_BYTES:
                self._is_full = True
                self._room.clear()
            self._changed.notify()

    def _let_in(self) -> None:
        self._is_full = False
        self._loop.call_soon_threadsafe(self._room.set)


async def respond(
    view: Callable[[HttpRequest], HttpResponseBase], pool: Executor, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer one request whose body or answer may be of any size."""
    loop = asyncio.get_running_loop()
    body = Inflow(loop)
    filling = loop.create_task(body.fill(receive))
    try:
        response: Any = await loop.run_in_executor(pool, lambda: view(WSGIRequest(build_environ(scope, body))))  # type: ignore[arg-type]
        await body.drain(filling)
        await reply(response, pool, scope, send)
    finally:
        filling.cancel()


async def reply(response: Any, pool: Executor, scope: Scope, send: Send) -> None:
    """Send an answer: a stored file by its path, a stream part by part from a thread, anything else whole."""
    head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    if not response.streaming and not response.has_header("Content-Length"):
        head.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": head})
    path: Path | None = getattr(response, "whole_file", None)
    if path is not None and PATHSEND in scope.get("extensions", {}):
        response.close()
        await send({"type": PATHSEND, "path": str(path)})
    elif response.streaming:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(pool, _pump, response, send, loop)
    else:
        await send({"type": "http.response.body", "body": response.content})


def _pump(response: Any, send: Send, loop: asyncio.AbstractEventLoop) -> None:
    """Send a stream part by part; the next is read when the last has left."""

    async def push(part: bytes, *, more: bool) -> None:
        await send({"type": "http.response.body", "body": part, "more_body": more})

    parts: Iterable[bytes] = response
    try:
        for part in parts:
            asyncio.run_coroutine_threadsafe(push(part, more=True), loop).result()
        asyncio.run_coroutine_threadsafe(push(b"", more=False), loop).result()
    finally:
        response.close()
