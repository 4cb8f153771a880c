"""Live pages: many watchers of one topic cost one read of the database a second.

A view answers with what is to be watched (`Watch`), after the session, the membership and the right were checked as
for any page. The asynchronous side keeps the line open: it sends the topic's version when that changes, a comment
when nothing does, and ends after ten minutes so that the browser comes back and is checked anew. Served without
that side, the same answer is one event, and the browser asks again after a while.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from types import FrameType
from typing import Any

import structlog
from a2wsgi.wsgi import build_environ
from django.conf import settings
from django.core import signals
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import close_old_connections
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from prometheus_client import Gauge

from mlportal import streams

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
CHECK_SECONDS = 60.0
SEND_SECONDS = 20.0
RETRY_MS = 3000
POLL_THREADS = 2
HEAD = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
BEAT = b": still here\n\n"
AGAIN = b"event: again\ndata: -\n\n"
WATCHERS = Gauge("mlportal_live_watchers", "Open pages that are told of changes.", multiprocess_mode="livesum")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """What one page watches.

    Parameters
    ----------
    topic : str
        Names what is read; watchers of the same topic share the reads.
    user : int
        Who watches.
    version : str
        The version now.
    read : callable
        Reads the version from the database: changes when what the page shows may have changed.
    """

    topic: str
    user: int
    version: str
    read: Callable[[], str]


def answer(watch: Watch) -> HttpResponse:
    """Make the answer of a view: one event, and the watch for who can keep the line open."""
    response = HttpResponse(f"retry: {RETRY_MS}\n\n".encode() + changed(watch.version), headers=HEAD)
    response.watch = watch  # type: ignore[attr-defined]
    return response


def changed(version: str) -> bytes:
    """Return the event that says that something changed."""
    return f"event: changed\ndata: {version}\n\n".encode()


@dataclass(eq=False, slots=True)
class _Watcher:
    sent: str
    news: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    def end(self) -> None:
        self.is_over = True
        self.news.set()


@dataclass(eq=False, slots=True)
class _Topic:
    version: str
    read: Callable[[], str]
    watchers: set[_Watcher] = field(default_factory=set)
    polling: asyncio.Task[None] | None = None


class Hub:
    """The watchers of one process; only its event loop touches them.

    Parameters
    ----------
    most, most_a_user : int
        How many lines stay open; further ones are answered with 429 and the page asks now and then instead.
    seconds : float
        How long a line stays open.
    """

    def __init__(self, *, most: int, most_a_user: int, seconds: float) -> None:
        self.most, self.most_a_user, self.seconds = most, most_a_user, seconds
        self.topics: dict[str, _Topic] = {}
        self.users: Counter[int] = Counter()
        self.is_closing = self._hears_signals = False
        self._pool = ThreadPoolExecutor(POLL_THREADS, thread_name_prefix="live")

    @property
    def count(self) -> int:
        """How many watch."""
        return self.users.total()

    def is_full_for(self, user: int) -> bool:
        """Tell whether one more line of this person would be too many."""
        return self.is_closing or self.count >= self.most or self.users[user] >= self.most_a_user

    async def keep(self, watch: Watch, is_allowed: Callable[[], Awaitable[bool]], receive: Receive, send: Send) -> None:
        """Keep a line open until the client goes, its time is over, or it may no longer see this."""
        self._listen_for_the_end()
        watcher = self._join(watch)
        leaving = asyncio.ensure_future(_until_gone(receive, watcher))
        try:
            await send({"type": "http.response.body", "body": _first(watch.version), "more_body": True})
            await self._tell(watch.topic, watcher, is_allowed, send)
            with suppress(Exception):  # the client may be gone: then there is nobody to tell
                await send({"type": "http.response.body", "body": AGAIN, "more_body": False})
        finally:
            leaving.cancel()
            self._leave(watch, watcher)

    async def _tell(self, name: str, watcher: _Watcher, is_allowed: Callable[[], Awaitable[bool]], send: Send) -> None:
        topic, end = self.topics[name], time.monotonic() + self.seconds
        check_at = time.monotonic() + CHECK_SECONDS
        while not watcher.is_over and (left := end - time.monotonic()) > 0:
            body = BEAT
            with suppress(TimeoutError):
                async with asyncio.timeout(min(HEARTBEAT_SECONDS, left)):
                    await watcher.news.wait()
                watcher.news.clear()
                if watcher.sent == topic.version:
                    continue
                watcher.sent = topic.version
                body = changed(topic.version)
            if time.monotonic() >= check_at:
                check_at = time.monotonic() + CHECK_SECONDS
                if not await is_allowed():
                    return
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": True})

    def _join(self, watch: Watch) -> _Watcher:
        topic = self.topics.get(watch.topic)
        if topic is None:
            topic = self.topics[watch.topic] = _Topic(watch.version, watch.read)
            topic.polling = asyncio.ensure_future(self._poll(topic))
        watcher = _Watcher(watch.version)
        topic.watchers.add(watcher)
        if topic.version != watch.version:
            watcher.news.set()
        self.users[watch.user] += 1
        WATCHERS.inc()
        return watcher

    def _leave(self, watch: Watch, watcher: _Watcher) -> None:
        topic = self.topics[watch.topic]
        topic.watchers.discard(watcher)
        if not topic.watchers:
            del self.topics[watch.topic]
            if topic.polling is not None:
                topic.polling.cancel()
        self.users[watch.user] -= 1
        if not self.users[watch.user]:
            del self.users[watch.user]
        WATCHERS.dec()

    async def _poll(self, topic: _Topic) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                version = await loop.run_in_executor(self._pool, _fresh, topic.read)
            except Exception as fault:  # noqa: BLE001 - whatever it is: the pages come back and see it themselves
                log.warning("live_read_failed", error=str(fault)[:200])
                for watcher in topic.watchers:
                    watcher.end()
                return
            if version != topic.version:
                topic.version = version
                for watcher in topic.watchers:
                    watcher.news.set()

    def close(self) -> None:
        """End every line and take no new one."""
        self.is_closing = True
        for topic in self.topics.values():
            for watcher in topic.watchers:
                watcher.end()

    def _listen_for_the_end(self) -> None:
        """Let go of all lines when the server is told to stop, which would wait for them otherwise."""
        if self._hears_signals or threading.current_thread() is not threading.main_thread():
            return
        self._hears_signals = True
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            _also(number, lambda: loop.call_soon_threadsafe(self.close))


def _also(number: signal.Signals, action: Callable[[], object]) -> None:
    """Do something more when a signal comes; the event loop's own handler runs first."""
    earlier = signal.getsignal(number)

    def handler(signum: int, frame: FrameType | None) -> None:
        if callable(earlier):
            earlier(signum, frame)
        action()

    signal.signal(number, handler)
    signal.siginterrupt(number, False)


def _fresh(read: Callable[[], str]) -> str:
    close_old_connections()
    return read()


def _first(version: str) -> bytes:
    return f"retry: {RETRY_MS}\n\n".encode() + changed(version)


async def _until_gone(receive: Receive, watcher: _Watcher) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watcher.end()


hub = Hub(
    most=settings.LIVE_WATCHERS, most_a_user=settings.LIVE_WATCHERS_A_USER, seconds=settings.LIVE_SECONDS
)  # fmt: skip


async def respond(pages: WSGIHandler, pool: Executor, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for a stream: the view decides, the hub keeps the line."""
    loop = asyncio.get_running_loop()

    async def ask() -> HttpResponseBase:
        return await loop.run_in_executor(pool, _through, pages, scope)

    async def is_allowed() -> bool:
        return hasattr(await ask(), "watch")

    response = await ask()
    watch: Watch | None = getattr(response, "watch", None)
    if watch is not None and hub.is_full_for(watch.user):
        response, watch = _too_many(), None
    if watch is None:
        await streams.reply(response, pool, scope, send)
        return
    head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    kept = [pair for pair in head if pair[0].lower() != b"content-length"]
    await send({"type": "http.response.start", "status": 200, "headers": kept})
    await hub.keep(watch, is_allowed, receive, send)


def _through(pages: WSGIHandler, scope: Scope) -> HttpResponseBase:
    """Answer by the view, through every middleware of pages."""
    environ: Any = build_environ(scope, BytesIO())  # type: ignore[arg-type]
    signals.request_started.send(sender=pages.__class__, environ=environ)
    response = pages.get_response(WSGIRequest(environ))
    response.close()
    return response


def _too_many() -> HttpResponse:
    return HttpResponse(
        "Too many pages are open. This one asks now and then instead.\n",
        status=429, content_type="text/plain; charset=utf-8", headers={"Retry-After": "60"},
    )  # fmt: skip
