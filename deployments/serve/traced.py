"""The application with spans, used when traces are switched on: one a request, and inside it one of the answer."""

from __future__ import annotations

from typing import Any

from deployments.serve.addresses import Address
from deployments.serve.application import Application, Asking
from deployments.serve.live import Turn
from deployments.serve.messages import Receive, Scope, Send
from deployments.serve.protocols.shapes import Sent
from mlportal.lib import spans


class TracedApplication(Application):
    """Answers as `Application` does; callers' traces go on here, because their predictions are parts of them."""

    async def _predict(self, scope: Scope, address: Address, receive: Receive, send: Send) -> None:
        with spans.opened("predict", spans.SERVER, caller=_caller(scope)) as span:

            async def noted(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        spans.failed(span, str(message["status"]))
                await send(message)

            await super()._predict(scope, address, receive, noted)

    async def _answer(self, address: Address, turn: Turn, body: bytes, asking: Asking) -> tuple[bytes, Sent]:
        live = turn.live
        known: spans.Attributes = {
            "mlportal.endpoint": live.row.name,
            "mlportal.version": live.row.version or 0,
            "mlportal.backend": live.runtime.backend.name,
        }
        with spans.opened("answer", attributes=known) as span:
            answer = await super()._answer(address, turn, body, asking)
            span.set_attribute("mlportal.rows", len(asking.reply.ids) if asking.reply else 0)
        return answer


def _caller(scope: Scope) -> dict[str, str]:
    headers = dict(scope["headers"])
    named = ((name, headers.get(name.encode())) for name in spans.CARRIED)
    return {name: value.decode("latin-1") for name, value in named if value is not None}
