"""The short way: tracking clients' requests without the middlewares of pages.

A page needs sessions, CSRF, messages, a language; a training loop needs none of them and calls a thousand times as
often. The addresses, views and checks are the same on both ways, so tests may use Django's ordinary client. What
stays is here: the limits of the address, a name for the request, security headers, the counters, and JSON for
anything that breaks. See ``docs/adr/0011-short-way-for-tracking.md``.
"""

from __future__ import annotations

import re
import time
import uuid
from functools import lru_cache

import orjson
import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve

from mlportal import tracing
from mlportal.lib import spans
from mlportal.lib.errors import DomainError
from mlportal.lib.limits import check_address
from mlportal.metrics import METHODS, count

log = structlog.get_logger(__name__)
# The door itself, and the one busy route of our own API.
_ADDRESSES = re.compile(r"(?:/p/[^/]+)?/api/[23]\.0/|/api/v1/projects/[^/]+/runs/[0-9]+/log-batch/\Z")
_FILES = re.compile(r"(?:/p/[^/]+)?/api/2\.0/mlflow-artifacts/")
_HEADERS = {
    "Cache-Control": "no-store, private",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
if settings.SECURE_HSTS_SECONDS:
    _HEADERS["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"


def takes(path: str) -> bool:
    """Tell whether an address goes the short way."""
    return _ADDRESSES.match(path) is not None


def is_file(path: str) -> bool:
    """Tell whether an address of the short way carries files, which are streamed."""
    return _FILES.match(path) is not None


def respond(request: HttpRequest) -> HttpResponseBase:
    """Answer a request of the short way; whatever breaks, the answer is JSON."""
    return tracing.seen(request, _respond) if spans.is_on() else _respond(request)


def _respond(request: HttpRequest) -> HttpResponseBase:
    start = time.perf_counter()
    name = request.request_id = _name(request)  # type: ignore[attr-defined]
    route = "none"
    try:
        check_address(request)
        match = _resolved(request.path_info)
        request.resolver_match, route = match, match.route
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    except Exception as fault:  # noqa: BLE001 - nothing but JSON may leave here; defects are logged
        response = _broken(fault, name)
    finally:
        if connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()
    for header, value in _HEADERS.items():
        response.headers.setdefault(header, value)
    response.headers["X-Request-ID"] = name
    method = request.method if request.method in METHODS else "other"
    count(method, route, response.status_code, time.perf_counter() - start)
    return response


def overloaded() -> HttpResponse:
    """Say that too many requests wait already: the client tries again by itself."""
    body = {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "The portal is busy. Nothing was done; try again."}
    return _json(body, 429, {"Retry-After": "2"})


def too_slow() -> HttpResponse:
    """Say that the body did not arrive in time."""
    body = {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "The body did not arrive in time. Nothing was done."}
    return _json(body, 408)


def _name(request: HttpRequest) -> str:
    given = request.META.get("HTTP_X_REQUEST_ID", "") if settings.DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID else ""
    return given[:64] or str(uuid.uuid4())


@lru_cache(maxsize=4096)
def _resolved(path: str) -> ResolverMatch:
    return resolve(path)


def _broken(fault: Exception, name: str) -> HttpResponse:
    if isinstance(fault, Resolver404):
        return _json({"error_code": "ENDPOINT_NOT_FOUND", "message": "There is no such endpoint here."}, 404)
    if isinstance(fault, DomainError):
        body = {"error_code": "INVALID_PARAMETER_VALUE", "message": fault.message}
        return _json(body, fault.status)
    log.error("request_failed", request_id=name, exc_info=fault)
    return _json({"error_code": "INTERNAL_ERROR", "message": f"Something broke; the log has it as {name}."}, 500)


def _json(body: dict[str, str], status: int, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json", headers=headers)
