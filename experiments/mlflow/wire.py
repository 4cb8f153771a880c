"""MLflow's words: its error codes and the JSON shapes of its objects."""

from __future__ import annotations

import math
from typing import Any

import orjson
from django.http import HttpResponse

from mlportal.lib.errors import DomainError

# Kinds that MLflow tells apart by code; everything else follows its status.
_CODES = {
    "name_taken": "RESOURCE_ALREADY_EXISTS",
    "endpoint_not_found": "ENDPOINT_NOT_FOUND",
    "not_implemented": "NOT_IMPLEMENTED",
}
_BY_STATUS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    501: "NOT_IMPLEMENTED",
}
RETRY_SECONDS = 2


def answer(body: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Encode an answer; numbers must have passed `number`, since JSON has no NaN."""
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")


def refusal(error: DomainError) -> HttpResponse:
    """Say an anticipated error the way the client reads it.

    The client retries 429 and 5xx for minutes and may double what it sent. So trouble that passes is 429 with
    ``Retry-After``, a conflict is 400 as in MLflow, and nothing anticipated is 5xx but the 501 it asks for.
    """
    status = {409: 400, 413: 400, 415: 400, 422: 400, 503: 429, 507: 429}.get(error.status, error.status)
    code = _CODES.get(error.code) or _BY_STATUS.get(status, "INVALID_PARAMETER_VALUE")
    response = answer({"error_code": code, "message": error.message}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = 'Basic realm="mlflow"'
    if status == 429:
        response["Retry-After"] = str(error.retry_after or RETRY_SECONDS)
    return response


def number(value: float) -> float | str:
    """Write a double: NaN and the infinities are words, since JSON has none of them."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    """Write a mapping as MLflow's list of keys and values."""
    return [{"key": key, "value": value} for key, value in values.items()]


def filled(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is unset: nulls and empty lists, as proto JSON does."""
    return {name: value for name, value in body.items() if value is not None and value != []}
