"""Answers that need no prediction: health, lists of models and what each takes, in each protocol's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from deployments.serve.addresses import Address
from deployments.serve.follower import Follower
from deployments.serve.live import Live, Route
from deployments.serve.protocols import oip
from mlportal import __version__

PLAIN = (b"content-type", b"text/plain; charset=utf-8")
Said = tuple[int, bytes, list[tuple[bytes, bytes]]]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the process follows the table and has loaded what it found there."""

    current: bool
    settled: bool

    @property
    def ready(self) -> bool:
        """Whether requests may be sent here."""
        return self.current and self.settled


def standing(follower: Follower) -> Standing:
    """Look at the follower."""
    return Standing(follower.current, follower.settled)


def of_server(act: str, state: Standing) -> Said | None:
    """Answer what concerns no project, None for another act."""
    say = _SERVER.get(act)
    return say(state) if say else None


def of_list(act: str, routes: list[Route]) -> Said:
    """Answer what lists the endpoints of a project."""
    if act == "index":
        rows = [
            {"name": route.row.name, "version": _version(route), "state": "READY" if _up(route) else "UNAVAILABLE"}
            for route in routes
        ]
        return _json(rows)
    if act == "models":
        return _json({"models": [route.row.name for route in routes]})
    if act == "stats":
        return _json({"model_stats": []})
    return _json({"endpoints": [_endpoint(route) for route in routes]})


def of_model(address: Address, route: Route, live: Live) -> Said:
    """Answer what describes one endpoint."""
    if address.act == "model":
        return _json(oip.metadata(live))
    if address.act == "model_ready":
        return _json({"name": route.row.name, "ready": True})
    if address.act == "model_config":
        config = {"name": route.row.name, "platform": oip.platform(live), "max_batch_size": live.max_rows}
        return _json(config)
    if address.act == "model_stats":
        return _json({"model_stats": []})
    if address.act == "v1_model":
        return _json({"name": route.row.name, "ready": True})
    return _json(_endpoint(route))


def _json(content: Any, status: int = 200, *headers: tuple[bytes, bytes]) -> Said:
    return status, orjson.dumps(content), list(headers)


def _readyz(state: Standing) -> Said:
    parts = {"database": "up" if state.current else "down", "models": "up" if state.settled else "loading"}
    body = {"status": "ok" if state.ready else "unavailable", "parts": parts}
    return _json(body, 200) if state.ready else _json(body, 503, (b"retry-after", b"1"))


def _ready(state: Standing) -> Said:
    return _json({"ready": state.ready}, 200 if state.ready else 503)


def _ping(state: Standing) -> Said:
    return 200 if state.ready else 503, b"\n", [(b"content-type", b"application/json")]


_SERVER: dict[str, Callable[[Standing], Said]] = {
    "healthy": lambda _: _json({"status": "ok"}),
    "readyz": _readyz,
    "alive": lambda _: _json({"status": "alive"}),
    "live": lambda _: _json({"live": True}),
    "ready": _ready,
    "ping": _ping,
    "version": lambda _: (200, __version__.encode(), [PLAIN]),
    "server": lambda _: _json({"name": "mlportal", "version": __version__, "extensions": ["binary_tensor_data"]}),
}


def _up(route: Route) -> bool:
    return route.live is not None and route.row.enabled


def _version(route: Route) -> str:
    return str(route.live.row.version) if route.live else ""


def _endpoint(route: Route) -> dict[str, Any]:
    """What MLflow's deployments client reads; it insists on these members."""
    name = route.row.name
    return {
        "name": name,
        "endpoint_type": "llm/v1/completions",
        "model": {"name": route.row.model or name, "provider": "mlportal"},
        "endpoint_url": f"/endpoints/{name}/invocations",
        "limit": None,
    }
