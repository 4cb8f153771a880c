"""ASGI entry: Django's ordinary pages run in a lasting thread pool, only ``/events/`` is native async.

Django's own ASGI handler makes a thread executor per request, so database connections are
never reused; the pool here keeps its threads, and 60 open event streams hold none of them
(``docs/adr/0002-granian-and-a2wsgi.md``).
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.asgi import get_asgi_application

from mlportal.wsgi import application as wsgi_application

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THREADS = 16
_django: Any = wsgi_application
_pages: Any = WSGIMiddleware(_django, workers=THREADS)
_events: Any = get_asgi_application()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    if scope["path"].startswith("/events/"):
        await _events(scope, receive, send)
        return

    # granian's receive returns a future; a2wsgi needs coroutines.
    async def receive_coroutine() -> Message:
        return await receive()

    async def send_coroutine(message: Message) -> None:
        await send(message)

    await _pages(scope, receive_coroutine, send_coroutine)
