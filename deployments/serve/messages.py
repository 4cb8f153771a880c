"""Reading requests and writing answers on the bare ASGI interface."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from mlportal.lib.errors import DomainError, Invalid, TooLarge, TooMany, Unavailable, UnsupportedType

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_DEPTH = 1024  # orjson's own; a record holds no nested values anyway


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
        held = 0
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._timeout_seconds):
                while True:
                    message = await receive()
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


def declared_bytes(headers: dict[bytes, bytes]) -> int:
    """Length the client announces, 0 without one."""
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def parse(body: bytes, headers: dict[bytes, bytes]) -> tuple[Any, list[str] | None]:
    """Decode a request: its records, and the caller's own ids for them.

    Raises
    ------
    Invalid, UnsupportedType
        With the place at fault.
    """
    kind = headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
    if kind != b"application/json":
        raise UnsupportedType("Send the records as application/json.", field="Content-Type")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:
            raise Invalid(f"The body is nested deeper than {_DEPTH} levels.", code="too_deep", limit=_DEPTH) from None
        raise Invalid(f"The body is not JSON: {error.msg}.", code="bad_json", field="body") from None
    if type(document) is not dict or "records" not in document:
        raise Invalid('Send an object such as {"records": [{...}]}.', code="records_missing", field="records")
    for name in document:
        if name not in ("records", "inference_ids"):
            raise Invalid(
                f"There is no field {name[:100]!r}; allowed: records, inference_ids.",
                code="field_unknown",
                field=name[:100],
            )
    return document["records"], _inference_ids(document.get("inference_ids"), document["records"])


def _inference_ids(ids: Any, records: Any) -> list[str] | None:
    if ids is None:
        return None
    if type(ids) is not list or type(records) is not list or len(ids) != len(records):
        raise Invalid("inference_ids must be a list with one text for each record.", field="inference_ids")
    for row, text in enumerate(ids):
        if type(text) is not str or not 1 <= len(text) <= 200 or "\0" in text:
            raise Invalid(
                f"inference_ids[{row}] must be a text of 1 to 200 characters without NUL.",
                field=f"inference_ids[{row}]",
            )
    return ids


def request_id(headers: dict[bytes, bytes]) -> str:
    """The caller's X-Request-Id when it is a plain one, else a new one."""
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


async def answer(send: Send, status: int, body: bytes, *, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Send a whole JSON answer."""
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *(headers or ()),
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, error: DomainError, identifier: str) -> None:
    """Send an error as JSON: what is wrong and where."""
    problem: dict[str, Any] = {"status": error.status, "code": error.code, "message": error.message}
    for name in ("field", "row", "column", "limit", "got"):
        value = getattr(error, name, None)
        if value not in (None, ""):
            problem[name] = value
    problem["request_id"] = identifier
    headers = [(b"x-request-id", identifier.encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.retry_after:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if error.status == 413:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await answer(send, error.status, orjson.dumps(problem), headers=headers)
