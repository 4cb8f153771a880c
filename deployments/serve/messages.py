"""Reading requests and writing answers on the bare ASGI interface."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

from mlportal.lib.drawn import Drawn
from mlportal.lib.errors import DomainError, Invalid, TooLarge, TooMany, Unavailable, UnsupportedType

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_UNTYPED = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_TYPED = ((b"content-type", b"application/json"), *_UNTYPED)
_chance = Drawn(16)
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


class Gone(Exception):
    """The client hung up before its request was whole."""


class Reader:
    """Reads bodies within a limit each and a budget for all together.

    Parameters
    ----------
    limit_bytes : int
        Largest body.
    budget_bytes : int
        Most bytes of unfinished bodies in memory.
    timeout_seconds : float
        Longest wait for a whole body.
    """

    def __init__(self, *, limit_bytes: int, budget_bytes: int, timeout_seconds: float) -> None:
        self._limit_bytes = limit_bytes
        self._budget_bytes = budget_bytes
        self._timeout_seconds = timeout_seconds
        self._held_bytes = 0

    async def read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Read a whole body.

        Raises
        ------
        TooLarge, TooMany, Unavailable
            Over the limit, over the budget, or too slow.
        """
        self._refuse(declared_bytes(headers))
        first = receive().__await__()
        try:
            waits_for = first.send(None)
        except StopIteration as done:
            # The whole request came at once, as nearly always: nothing to wait for, so no clock for it either.
            message = done.value
            if message["type"] == "http.request" and not message.get("more_body", False):
                part: bytes = message.get("body", b"")
                self._refuse(len(part))
                return part
            return await self._read_on(_given(message), receive)
        return await self._read_on(_Begun(first, waits_for), receive)

    async def _read_on(self, first: Awaitable[dict[str, Any]], receive: Receive) -> bytes:
        """Read what comes in pieces, within the time."""
        held = 0
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._timeout_seconds):
                message = await first
                while True:
                    if message["type"] == "http.disconnect":
                        raise Gone
                    part = message.get("body", b"")
                    if not parts and not message.get("more_body", False):
                        self._refuse(len(part))
                        return part
                    parts.append(part)
                    held += len(part)
                    self._held_bytes += len(part)
                    self._refuse(held)
                    if not message.get("more_body", False):
                        return b"".join(parts)
                    message = await receive()
        except TimeoutError:
            raise Unavailable("The body did not arrive in time.", code="body_too_slow", retry_after=1) from None
        finally:
            self._held_bytes -= held

    def _refuse(self, size: int) -> None:
        if size > self._limit_bytes:
            raise TooLarge(
                f"The body is over the limit of {self._limit_bytes:,} bytes.",
                field="body",
                limit=self._limit_bytes,
                got=size,
            )
        if self._held_bytes > self._budget_bytes:
            raise TooMany("Too many large bodies arrive at once.", limit=self._budget_bytes, retry_after=1)


class _Begun:
    """The rest of something awaited that was run up to its first wait."""

    def __init__(self, begun: Generator[Any, Any, dict[str, Any]], waits_for: Any) -> None:
        self._begun = begun
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, dict[str, Any]]:
        """Wait as it does."""
        try:
            while True:
                try:
                    given = yield self._waits_for
                except BaseException as error:  # noqa: BLE001 - a cancellation is the coroutine's as well
                    self._waits_for = self._begun.throw(error)
                else:
                    self._waits_for = self._begun.send(given)
        except StopIteration as done:
            message: dict[str, Any] = done.value
            return message


async def _given(message: dict[str, Any]) -> dict[str, Any]:
    return message


def declared_bytes(headers: dict[bytes, bytes]) -> int:
    """Length the client announces, 0 without one."""
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def unpacked(body: bytes, headers: dict[bytes, bytes], *, limit_bytes: int) -> bytes:
    """The body without its Content-Encoding.

    Raises
    ------
    TooLarge
        When it grows beyond the limit of bodies.
    Invalid, UnsupportedType
        When it is damaged, or packed in another way than gzip or deflate.
    """
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding == b"identity":
        return body
    if encoding not in (b"gzip", b"deflate"):
        raise UnsupportedType("Content-Encoding is gzip, deflate or nothing.", field="Content-Encoding")
    engine = zlib.decompressobj(zlib.MAX_WBITS | 32)  # takes both headers
    try:
        plain = engine.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise Invalid("The body is not what Content-Encoding says.", code="bad_encoding", field="body") from error
    if len(plain) > limit_bytes:
        raise TooLarge(
            f"The unpacked body is over the limit of {limit_bytes:,} bytes.", field="body", limit=limit_bytes
        )
    if not engine.eof or engine.unused_data:
        raise Invalid("The packed body is not whole.", code="bad_encoding", field="body")
    return plain


def request_id(headers: dict[bytes, bytes]) -> str:
    """The caller's X-Request-Id when it is a plain one, else a new one."""
    given = headers.get(b"x-request-id")
    if given and _REQUEST_ID.fullmatch(text := given.decode("latin-1")):
        return text
    return _chance().hex()


async def answer(
    send: Send, status: int, body: bytes, *, headers: Sequence[tuple[bytes, bytes]] = (), empty: bool = False
) -> None:
    """Send a whole answer, JSON unless a header says otherwise; ``empty`` leaves its body out, for HEAD."""
    typed = b"content-type" in [name for name, _ in headers]
    sent = [*(_UNTYPED if typed else _TYPED), (b"content-length", b"%d" % len(body)), *headers]
    give = getattr(getattr(send, "__self__", None), "give", None)
    if give is not None and not empty and give(status, sent, body):
        return
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if empty else body})


def fault_headers(error: DomainError, identifier: str) -> list[tuple[bytes, bytes]]:
    """Headers of a refusal in every protocol."""
    headers = [(b"x-request-id", identifier.encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.retry_after:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if error.status == 413:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    return headers
