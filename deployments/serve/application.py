"""The ASGI application: route, let in, read, predict, write the log, answer."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

import orjson

from deployments.serve import addresses, descriptions, messages
from deployments.serve.addresses import Address
from deployments.serve.configuration import Configuration
from deployments.serve.credentials import Door
from deployments.serve.follower import Follower
from deployments.serve.journal import Journal
from deployments.serve.limits import Limits
from deployments.serve.live import Live, Route, Turn
from deployments.serve.messages import Receive, Scope, Send
from deployments.serve.metrics import Metrics
from deployments.serve.protocols import shapes
from deployments.serve.protocols.mlflow import TARGET_VARIANT
from deployments.serve.protocols.shapes import Headers, Question, Reply, Sent
from deployments.serve.shadow import Shadows
from mlportal.lib.errors import DomainError, Forbidden, Invalid, Missing, Unavailable
from monitoring import spool

log = logging.getLogger("mlportal.serve")
TICK_SECONDS = 1.0
BODY_BUDGET_BYTES = 256 << 20
# Decoding a larger body would hold up the event loop; it goes to a thread.
INLINE_BYTES = 256 << 10
LISTS = frozenset({"index", "stats", "models", "endpoints"})


class _WrongMethod(Missing):
    status = 405
    kind = "method_not_allowed"
    title = "Method not allowed"


class _Broken(DomainError):
    status = 500
    kind = "internal_error"
    title = "The serving process failed"


@dataclass(slots=True)
class Asking:
    """Who asks, since when, with which headers; its route and turn are known once the door let it in."""

    headers: Headers
    started: int
    route: Route | None = None
    token_id: int = 0
    turn: Turn | None = None
    reply: Reply | None = None

    @property
    def latency_us(self) -> int:
        """Time since the request came."""
        return (time.perf_counter_ns() - self.started) // 1000


class Application:
    """One serving process. Call it as ASGI does."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.follower = Follower(configuration)
        self.metrics = Metrics()
        self.journal = Journal(spool.Writer(configuration.spool, quota_bytes=configuration.quota_bytes), self.metrics)
        self.door = Door(self.follower, configuration.pass_key)
        self.limits = Limits()
        self.shadows = Shadows(self.journal.noted)
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
        self.shadows.stop()
        self._tell()
        self.journal.writer.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tell()
            with suppress(OSError):
                self.journal.tick()

    def _tell(self) -> None:
        """Write what the follower and the shadows have to say."""
        for header, record in self.follower.news():
            self.journal.told(header, record)
        self.shadows.tick()

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = addresses.read(scope["raw_path"].partition(b"?")[0])
        if address.act == addresses.PREDICT:
            await self._predict(scope, address, receive, send)
        else:
            await self._describe(scope, address, send)

    async def _predict(self, scope: Scope, address: Address, receive: Receive, send: Send) -> None:
        asking = Asking(dict(scope["headers"]), time.perf_counter_ns())
        identifier = messages.request_id(asking.headers)
        try:
            _check_method(scope, address)
            asking.route, asking.token_id = await self.door.enter(
                _authorization(asking.headers), address.project, address.endpoint
            )
            if TARGET_VARIANT in asking.headers and asking.route.split is not None and asking.route.row.enabled:
                asking.turn = await self._steered(asking.route, asking.headers)
            else:
                asking.turn = _turn(asking.route, address.version, asking.headers)
            self.limits.check(asking.route.row, asking.token_id)
            body = await self._reader.read(asking.headers, receive)
            content, sent = await self._answer(address, asking.turn, body, asking)
        except messages.Gone:
            return
        except DomainError as error:
            self._count_refusal(asking, error)
            await _refuse(send, address, error, identifier)
        except Exception:
            log.exception("predict failed", extra={"request_id": identifier})
            broken = _Broken("The serving process failed on this request.")
            self._count_refusal(asking, broken)
            await _refuse(send, address, broken, identifier)
        else:
            sent.append((b"x-request-id", identifier.encode()))
            await messages.answer(send, 200, content, headers=sent)
            split = asking.route.split
            if split is not None and split.shadows and asking.reply is not None:
                self.shadows.offer(split, asking.reply.columns, asking.reply.answer.labels)

    async def _steered(self, route: Route, headers: Headers) -> Turn:
        """Take the variant that a caller names, who must be allowed to deploy: it goes around the split."""
        if not await self.door.may_steer(_authorization(headers), route):
            raise Forbidden(
                "Choosing the variant needs the scope 'deploy' and a role that may deploy.", code="variant_forbidden",
                field="X-Amzn-SageMaker-Target-Variant",
            )  # fmt: skip
        assert route.split is not None
        name = headers[TARGET_VARIANT].decode("latin-1")
        known = [live.variant for live in route.split.lives]
        if (found := route.split.variant(name)) is None:
            raise Invalid(
                f"There is no variant {name[:40]!r}; there are {', '.join(known)}.", code="variant_unknown",
                field="X-Amzn-SageMaker-Target-Variant", limit=known,
            )  # fmt: skip
        return found

    async def _answer(self, address: Address, turn: Turn, body: bytes, asking: Asking) -> tuple[bytes, Sent]:
        live = turn.live
        question = await self._question(address, live, body, asking.headers)
        columns, answer = await live.predict(question.columns, question.rows)
        reply = Reply(live, columns, answer, [spool.new_id() for _ in answer.labels])
        asking.reply = reply
        external = question.inference_ids or shapes.inference_ids(asking.headers, len(reply.ids))
        content, sent = address.shape.answer(question, reply)
        latency_us = asking.latency_us
        self.journal.answered(
            live, columns, answer, ids=reply.ids, inference_ids=external, latency_us=latency_us,
            token_id=asking.token_id, protocol=address.shape.protocol, unit=turn.unit, sticky=turn.sticky,
        )  # fmt: skip
        if live.row.logging == "durable":
            await self.journal.settle(live)
        self.metrics.answered(live.row, rows=len(reply.ids), seconds=latency_us / 1e6)
        return content, sent

    async def _question(self, address: Address, live: Live, body: bytes, headers: Headers) -> Question:
        def read() -> Question:
            plain = messages.unpacked(body, headers, limit_bytes=self.configuration.max_body_bytes)
            return address.shape.read(plain, headers, live)

        if len(body) <= INLINE_BYTES and b"content-encoding" not in headers:
            return address.shape.read(body, headers, live)
        return await asyncio.to_thread(read)

    def _count_refusal(self, asking: Asking, error: DomainError) -> None:
        route = asking.route
        self.metrics.refused(route.row if route else None, status=error.status, code=error.code)
        live = asking.turn.live if asking.turn else route.live if route else None
        if live is not None and error.code != "log_unavailable":
            self.journal.refused(live, status=error.status, code=error.code, latency_us=asking.latency_us)

    async def _describe(self, scope: Scope, address: Address, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        try:
            _check_method(scope, address)
            status, content, sent = await self._said(address, headers)
        except DomainError as error:
            await _refuse(send, address, error, messages.request_id(headers))
        else:
            await messages.answer(send, status, content, headers=sent, empty=scope["method"] == "HEAD")

    async def _said(self, address: Address, headers: Headers) -> descriptions.Said:
        if address.act == "metrics":
            text = self.metrics.text(self.follower, self.journal.writer)
            return 200, text, [(b"content-type", b"text/plain; version=0.0.4")]
        if (said := descriptions.of_server(address.act, descriptions.standing(self.follower))) is not None:
            return said
        if address.act in LISTS:
            return descriptions.of_list(address.act, await self.door.seen(_authorization(headers), address.project))
        route, _ = await self.door.enter(_authorization(headers), address.project, address.endpoint)
        return descriptions.of_model(address, route, _answering(route, address.version))


def _authorization(headers: Headers) -> str:
    return headers.get(b"authorization", b"").decode("latin-1")


def _check_method(scope: Scope, address: Address) -> None:
    if not address.act:
        raise Missing("There is nothing at this address.")
    if scope["method"] != address.method and (scope["method"], address.method) != ("HEAD", "GET"):
        raise _WrongMethod(f"This address takes {address.method}.")


def _answering(route: Route, version: str = "") -> Live:
    """What answers of an endpoint as a whole."""
    if not route.row.enabled:
        raise Unavailable("This endpoint is stopped.", code="endpoint_stopped", retry_after=30)
    if route.live is None:
        raise Unavailable("This endpoint has no version ready yet.", code="endpoint_deploying", retry_after=2)
    if version and version != str(route.live.row.version):
        raise Missing(
            f"Version {version[:20]!r} does not answer here; {route.live.row.version} does.", code="version_not_live"
        )
    return route.live


def _turn(route: Route, version: str, headers: Headers) -> Turn:
    """What answers one request; the one place where a request meets a variant."""
    if route.split is None or not route.row.enabled:
        return _answering(route, version).alone
    if not version:
        return route.split.turn(headers)
    return route.split.pinned(version) or _answering(route, version).alone


async def _refuse(send: Send, address: Address, error: DomainError, identifier: str) -> None:
    body, sent = address.shape.refusal(error, identifier)
    headers = [*messages.fault_headers(error, identifier), *sent]
    await messages.answer(send, error.status, orjson.dumps(body), headers=headers)
