"""The busiest route: log a batch. A plain view with hand-written checks, because serializers cost 4 to 10 times."""

from __future__ import annotations

import time
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api.shapes import Batch, text_of
from experiments.metricstore.limits import Metric
from experiments.models import Run
from experiments.queries.slim import run_by_id
from experiments.services import runs
from mlportal.lib.api import MAX_JSON_BYTES, as_domain_error
from mlportal.lib.errors import DomainError, Invalid, Missing, TooLarge, UnsupportedType
from mlportal.lib.pages import error_page
from mlportal.lib.peer import address_of
from projects.access import ScopedAPIView, request_id_of
from projects.permissions import Permission
from projects.services import entry

_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_FIELDS = frozenset({"metrics", "params", "tags"})
_POINT_FIELDS = frozenset({"key", "value", "timestamp", "step"})
_EMPTY = b"{}"


class RunLog(ScopedAPIView):
    """Record metrics, parameters and tags of a run: all of the batch or nothing.

    Sending the same batch again changes nothing: identical points are kept once, parameters are write-once.
    """

    reads = Run
    permissions = {"POST": Permission.RUN_LOG}
    idempotent = False

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Take the short way for a POST; everything else is refused by the framework."""
        if request.method != "POST":
            return super().dispatch(request, *args, **kwargs)
        try:
            _record(request, kwargs["project"], kwargs["run"])
        except Exception as fault:
            error = as_domain_error(fault)
            if error is None:
                raise
            return _refusal(request, error)
        return HttpResponse(_EMPTY, content_type="application/json")

    @extend_schema(operation_id="runs_log_batch", request=Batch, responses={200: None})
    def post(self, request: Request, run: int) -> Response:  # pragma: no cover - declares the route's method
        """Record a batch."""
        raise NotImplementedError


def _record(request: HttpRequest, project: str, run_id: int) -> None:
    if request.content_type != "application/json":
        raise UnsupportedType("Send application/json.", field="Content-Type", got=request.content_type[:100])  # type: ignore[index]
    actor, place = entry.enter(
        request.META.get("HTTP_AUTHORIZATION", ""), named=project, address=address_of(request),
        request_id=request_id_of(request), people=False,
    )  # fmt: skip
    run = run_by_id(place, run_id)
    if run is None:
        raise Missing("There is no such run here.")
    runs.log_batch(actor, run=run, **batch_of(request.read(MAX_JSON_BYTES + 1)))


def batch_of(body: bytes) -> dict[str, Any]:
    """Read a batch.

    Raises
    ------
    Invalid, TooLarge
        Naming the item at fault.
    """
    if len(body) > MAX_JSON_BYTES:
        raise TooLarge(f"The body is over {MAX_JSON_BYTES:,} bytes.", limit=MAX_JSON_BYTES)
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise Invalid(f"The body is not JSON: {fault}.", code="bad_json") from fault
    if not isinstance(found, dict):
        raise Invalid("The body must be an object with metrics, params and tags.", code="wrong_type")
    if unknown := sorted(found.keys() - _FIELDS):
        raise Invalid(f"Unknown field {unknown[0][:60]!r}. Known: metrics, params, tags.", field=unknown[0][:60])
    return {
        "metrics": _metrics(found.get("metrics")),
        "params": _texts(found.get("params"), "params"),
        "tags": _texts(found.get("tags"), "tags"),
    }


def _metrics(found: object) -> list[Metric]:
    if found is None:
        return []
    if not isinstance(found, list):
        raise Invalid("metrics must be a list.", code="wrong_type", field="metrics")
    now = int(time.time() * 1000)
    out = []
    for at, item in enumerate(found):
        if not isinstance(item, dict) or not item.keys() <= _POINT_FIELDS or "key" not in item or "value" not in item:
            raise _bad_item(at, item)
        value = item["value"]
        if type(value) is str:
            value = _WORDS.get(value, value)
        out.append((item["key"], value, item.get("timestamp", now), item.get("step", 0)))
    return out


def _bad_item(at: int, item: object) -> Invalid:
    where = f"metrics[{at}]"
    if not isinstance(item, dict):
        return Invalid(f"{where} must be an object.", code="wrong_type", field=where)
    for name in ("key", "value"):
        if name not in item:
            return Invalid(f"{where}.{name} is missing.", code="required", field=f"{where}.{name}")
    unknown = min(item.keys() - _POINT_FIELDS)[:60]
    return Invalid(f"{where} has an unknown field {unknown!r}. Known: key, value, timestamp, step.", field=where)


def _texts(found: object, field: str) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Invalid(f"{field} must be an object of names and texts.", code="wrong_type", field=field)
    return {key: text_of(value, f"{field}.{key}") for key, value in found.items()}


def _refusal(request: HttpRequest, error: DomainError) -> HttpResponse:
    response = error_page(request, error)
    if error.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="mlportal"'
    return response
