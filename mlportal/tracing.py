"""Requests and tasks as spans: what of Django and Celery becomes a trace, when `mlportal.lib.spans` is on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from mlportal.lib import spans
from mlportal.metrics import METHODS

# Of this process, by the id of the task: what closes the span, and the span.
_running: dict[str, tuple[AbstractContextManager[Any], Any]] = {}


class RequestSpans:
    """Middleware around all others; Django leaves it out while spans are off."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not spans.is_on():
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer inside a span."""
        return seen(request, self.get_response)


def seen(request: HttpRequest, answer: Callable[[HttpRequest], HttpResponseBase]) -> HttpResponseBase:
    """Answer a request inside a span that is named by its route; its address may hold what is secret."""
    method = request.method if request.method in METHODS else "other"
    with spans.opened(str(method), spans.SERVER, caller=_caller(request)) as span:
        response = answer(request)
        route = request.resolver_match.route if request.resolver_match else "none"
        span.update_name(f"{method} {route}")
        known = {"http.request.method": method, "http.route": route, "http.response.status_code": response.status_code}
        span.set_attributes(known)
        if response.status_code >= 500:
            spans.failed(span, str(response.status_code))
    return response


def _caller(request: HttpRequest) -> dict[str, str]:
    """Headers of a trace, as with ids of requests from a proxy of ours only: a client could choose them."""
    if settings.TRUSTED_PROXIES == 0:
        return {}
    return {name: request.headers[name] for name in spans.CARRIED if name in request.headers}


def begin(task_id: str, task: Any) -> None:
    """Open the span of a task, in the trace of whoever published it."""
    held = {name: str(value) for name in spans.CARRIED if (value := task.request.get(name))}
    known = {"messaging.message.id": task_id, "mlportal.task": task.name}
    opened = spans.opened(f"run {task.name}", spans.CONSUMER, caller=held, attributes=known)
    _running[task_id] = opened, opened.__enter__()


def end(task_id: str, state: str) -> None:
    """Close the span of a task."""
    if task_id not in _running:
        return
    opened, span = _running.pop(task_id)
    if state == "FAILURE":
        spans.failed(span, state)
    opened.__exit__(None, None, None)
