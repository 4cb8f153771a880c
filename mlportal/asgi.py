"""ASGI entry: Django's ordinary pages run in a lasting thread pool, only ``/events/`` is native async.

Django's own ASGI handler makes a thread executor per request, so database connections are
never reused; the pool here keeps its threads, and 60 open event streams hold none of them
(``docs/adr/0002-granian-and-a2wsgi.md``). Tracking clients go the short way through the same
threads (``docs/adr/0011-short-way-for-tracking.md``).
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse

from mlportal.wsgi import application as wsgi_application

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THREADS = 16
FILE_THREADS = 8
# Of tracking clients, in this process; each may hold a body of 32 MiB and waits for one of the threads.
MAX_INSIDE = 128
MAX_BODY_BYTES = 32 * 2**20
_django: Any = wsgi_application
_pages: Any = WSGIMiddleware(_django, workers=THREADS)
_events: Any = get_asgi_application()

from mlportal import short, streams  # noqa: E402 - its views need the applications that were loaded above

# Threads of their own: a slow sender of a large file keeps one for long.
_file_threads = ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="files")
_inside = 0


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    if path.startswith("/events/"):
        await _events(scope, receive, send)
    elif not short.takes(path):
        await _streamed(_pages, scope, receive, send)
    elif _inside >= MAX_INSIDE:
        await _send(short.overloaded(), send)
    elif short.is_file(path):
        await _file(scope, receive, send)
    else:
        await _short(scope, receive, send)


async def _streamed(pages: Any, scope: Scope, receive: Receive, send: Send) -> None:
    # granian's receive returns a future; a2wsgi needs coroutines.
    async def receive_coroutine() -> Message:
        return await receive()

    async def send_coroutine(message: Message) -> None:
        await send(message)

    await pages(scope, receive_coroutine, send_coroutine)


async def _file(scope: Scope, receive: Receive, send: Send) -> None:
    global _inside  # noqa: PLW0603 - as below
    _inside += 1
    try:
        await streams.respond(short.respond, _file_threads, scope, receive, send)
    finally:
        _inside -= 1


async def _short(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body here, answer in a thread: two changes of thread instead of one for each part."""
    global _inside  # noqa: PLW0603 - counts what this process holds; only the event loop changes it
    _inside += 1
    try:
        message = await receive()
        body = message.get("body", b"")
        if message.get("more_body"):
            body = await _rest(body, receive)
        response = await asyncio.get_running_loop().run_in_executor(_pages.executor, _answer, scope, body)
    finally:
        _inside -= 1
    await _send(response, send)


async def _rest(first: bytes, receive: Receive) -> bytes:
    """Collect the parts of a body; one byte over the limit is enough for its refusal."""
    parts, size, more = [first], len(first), True
    while more and size <= MAX_BODY_BYTES:
        message = await receive()
        part, more = message.get("body", b""), message.get("more_body", False)
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _answer(scope: Scope, body: bytes) -> HttpResponse:
    response: Any = short.respond(ASGIRequest(scope, BytesIO(body)))
    if response.streaming:
        content = b"".join(response)
        response.close()
        return HttpResponse(content, status=response.status_code, headers=dict(response.items()))
    plain: HttpResponse = response
    return plain


async def _send(response: HttpResponse, send: Send) -> None:
    head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    head.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": head})
    await send({"type": "http.response.body", "body": response.content})
