"""ASGI entry: Django's ordinary pages run in a lasting thread pool, only open event streams do without a thread.

Django's own ASGI handler makes a thread executor per request, so database connections are
never reused; the pool here keeps its threads, and 60 open event streams hold none of them
(``docs/adr/0002-granian-and-a2wsgi.md``). Tracking clients go the short way through the same
threads (``docs/adr/0011-short-way-for-tracking.md``).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.handlers.asgi import ASGIRequest

from mlportal.threads import WarmThreads
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
BODY_SECONDS = 120
_django: Any = wsgi_application
_pages: Any = WSGIMiddleware(_django)
_pages.executor = WarmThreads(THREADS, "pages")

from mlportal import live, short, streams  # noqa: E402 - its views need the applications that were loaded above

# Threads of their own: a slow sender of a large file keeps one for long.
_LIVE = re.compile(r"/p/[^/]+/live/")
_file_threads = ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="files")
_inside = 0


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    if _LIVE.fullmatch(path) and scope["method"] == "GET":
        await live.respond(_django, _pages.executor, scope, receive, send)
    elif not short.takes(path):
        await _streamed(_pages, scope, receive, send)
    elif _inside >= MAX_INSIDE:
        await streams.reply(short.overloaded(), _file_threads, scope, send)
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
        body = await _body(receive, _declared(scope))
        request = ASGIRequest(scope, BytesIO(body))
        response = await asyncio.get_running_loop().run_in_executor(_pages.executor, short.respond, request)
        await streams.reply(response, _file_threads, scope, send)
    except TimeoutError:
        await streams.reply(short.too_slow(), _file_threads, scope, send)
    finally:
        _inside -= 1


def _declared(scope: Scope) -> int:
    """How long the body is by its head; -1 where it does not say."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else -1
    return -1


async def _body(receive: Receive, declared: int) -> bytes:
    """Read a body within a time, since anybody may open a line and send nothing.

    granian tells the end of a body by one more message, an empty one. Each message goes to its thread and back, and
    waits there for the interpreter, so a body that has its declared length is not waited on.
    """
    async with asyncio.timeout(BODY_SECONDS):
        message = await receive()
        body: bytes = message.get("body", b"")
        is_whole = not message.get("more_body") or len(body) == declared
        return body if is_whole else await _rest(body, declared, receive)


async def _rest(first: bytes, declared: int, receive: Receive) -> bytes:
    """Collect the parts of a body; one byte over the limit is enough for its refusal."""
    parts, size, more = [first], len(first), True
    while more and size <= MAX_BODY_BYTES and size != declared:
        message = await receive()
        part, more = message.get("body", b""), message.get("more_body", False)
        parts.append(part)
        size += len(part)
    return b"".join(parts)
