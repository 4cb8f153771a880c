"""The ASGI application: route, let in, read, predict, write the log, answer."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import orjson

from deployments.runtime.backends import Answer
from deployments.runtime.signature import Columns, unseen
from deployments.serve import messages
from deployments.serve.configuration import Configuration
from deployments.serve.credentials import Door
from deployments.serve.follower import Follower
from deployments.serve.journal import Journal
from deployments.serve.live import Live, Route
from deployments.serve.messages import Receive, Scope, Send
from deployments.serve.metrics import Metrics
from mlportal.lib.errors import DomainError, Missing, Unavailable
from monitoring import spool

log = logging.getLogger("mlportal.serve")
MAX_PATH = 1024
TICK_SECONDS = 1.0
BODY_BUDGET_BYTES = 256 << 20


class _WrongMethod(Missing):
    status = 405
    kind = "method_not_allowed"
    title = "Method not allowed"


class _Broken(DomainError):
    status = 500
    kind = "internal_error"
    title = "The serving process failed"


class Application:
    """One serving process. Call it as ASGI does."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.follower = Follower(configuration)
        self.metrics = Metrics()
        self.journal = Journal(spool.Writer(configuration.spool, quota_bytes=configuration.quota_bytes), self.metrics)
        self.door = Door(self.follower, configuration.pass_key)
        self._reader = messages.Reader(
            limit_bytes=configuration.max_body_bytes,
            budget_bytes=BODY_BUDGET_BYTES,
            timeout_seconds=configuration.timeout_seconds,
        )
        self._ticker: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._handle(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.follower.start()
        self._ticker = asyncio.create_task(self._tick())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._ticker.cancel()
        self.follower.stop()
        self.journal.writer.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            with suppress(OSError):
                self.journal.tick()

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["raw_path"].split(b"?", 1)[0].split(b"/")
        if len(parts) == 6 and parts[1] == b"p" and parts[3] == b"endpoints" and parts[5] == b"predict":
            await self._predict(scope, parts, receive, send)
        else:
            await self._others(scope, send)

    async def _predict(self, scope: Scope, parts: list[bytes], receive: Receive, send: Send) -> None:
        started = time.perf_counter_ns()
        headers = dict(scope["headers"])
        identifier = messages.request_id(headers)
        route: Route | None = None
        try:
            if scope["method"] != "POST":
                raise _WrongMethod("Predictions are asked for with POST.")
            route, token_id = await self.door.enter(
                headers.get(b"authorization", b"").decode("latin-1"), _text(parts[2]), _text(parts[4])
            )
            live = _answering(route)
            body = await self._reader.read(headers, receive)
            content = await self._answer(live, body, headers, started, token_id)
        except messages.Gone:
            return
        except DomainError as error:
            self._count_refusal(route, error, started)
            await messages.refuse(send, error, identifier)
        except Exception:
            log.exception("predict failed", extra={"request_id": identifier})
            broken = _Broken("The serving process failed on this request.")
            self._count_refusal(route, broken, started)
            await messages.refuse(send, broken, identifier)
        else:
            await messages.answer(send, 200, content, headers=[(b"x-request-id", identifier.encode())])

    async def _answer(self, live: Live, body: bytes, headers: dict[bytes, bytes], started: int, token_id: int) -> bytes:
        records, inference_ids = messages.parse(body, headers)
        columns, answer = await live.predict(records)
        ids = [spool.new_id() for _ in answer.labels]
        content = orjson.dumps(_document(live, columns, answer, ids))
        latency_us = (time.perf_counter_ns() - started) // 1000
        self.journal.answered(
            live, columns, answer, ids=ids, inference_ids=inference_ids, latency_us=latency_us, token_id=token_id
        )
        self.metrics.answered(live.row, rows=len(ids), seconds=latency_us / 1e6)
        return content

    def _count_refusal(self, route: Route | None, error: DomainError, started: int) -> None:
        row = route.row if route else None
        self.metrics.refused(row, status=error.status, code=error.code)
        if route is not None and route.live is not None and error.code != "log_unavailable":
            latency_us = (time.perf_counter_ns() - started) // 1000
            self.journal.refused(route.live, status=error.status, code=error.code, latency_us=latency_us)

    async def _others(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await messages.refuse(send, Missing("There is nothing at this address."), messages.request_id({}))
        elif scope["path"] in ("/healthz", "/livez"):
            await messages.answer(send, 200, b'{"status":"ok"}')
        elif scope["path"] == "/readyz":
            await self._ready(send)
        elif scope["path"] == "/metrics":
            text = self.metrics.text(self.follower, self.journal.writer)
            await messages.answer(send, 200, text, headers=[(b"content-type", b"text/plain; version=0.0.4")])
        else:
            await messages.refuse(send, Missing("There is nothing at this address."), messages.request_id({}))

    async def _ready(self, send: Send) -> None:
        current, settled = self.follower.current, self.follower.settled
        parts = {"database": "up" if current else "down", "models": "up" if settled else "loading"}
        ready = current and settled
        body: dict[str, Any] = {"status": "ok" if ready else "unavailable", "parts": parts}
        headers = [] if ready else [(b"retry-after", b"1")]
        await messages.answer(send, 200 if ready else 503, orjson.dumps(body), headers=headers)


def _text(part: bytes) -> str:
    return unquote(part[:MAX_PATH].decode("latin-1"))


def _answering(route: Route) -> Live:
    if not route.row.enabled:
        raise Unavailable("This endpoint is stopped.", code="endpoint_stopped", retry_after=30)
    if route.live is None:
        raise Unavailable("This endpoint has no version ready yet.", code="endpoint_deploying", retry_after=2)
    return route.live


def _document(live: Live, columns: Columns, answer: Answer, ids: list[str]) -> dict[str, Any]:
    predictions: list[dict[str, Any]] = [
        {"prediction": label, "prediction_id": identifier} for label, identifier in zip(answer.labels, ids, strict=True)
    ]
    if answer.probabilities is not None:
        names = live.class_names
        for entry, shares in zip(predictions, answer.probabilities, strict=True):
            entry["probability"] = dict(zip(names, shares, strict=False))
    document: dict[str, Any] = {
        "predictions": predictions,
        "model": live.row.model,
        "version": live.row.version,
        "revision": live.row.revision,
    }
    if strange := unseen(columns, live.runtime.signature):
        document["warnings"] = [{"code": "category_unseen", "row": row, "column": name} for row, name in strange]
    return document
