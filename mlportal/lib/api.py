"""What every REST route shares: strict parsing, one error shape, cursor pages, documented problems."""

from typing import Any

import orjson
import structlog
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import strictjson
from mlportal.lib.errors import (
    DomainError,
    Forbidden,
    Invalid,
    Missing,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    UnsupportedType,
)

log = structlog.get_logger(__name__)
MAX_JSON_BYTES = 8 * 2**20


class JSONRenderer(BaseRenderer):
    """JSON by orjson; NaN and infinities become null, since JSON has neither."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """Encode ``data``."""
        if data is None:
            return b""
        return orjson.dumps(data, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (list, tuple, set)):
        return list(value)
    return str(value)


class StrictJSONParser(BaseParser):
    """JSON parser that refuses what :mod:`mlportal.lib.strictjson` refuses."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Read at most the limit and parse."""
        body = stream.read(MAX_JSON_BYTES + 1)
        if len(body) > MAX_JSON_BYTES:
            raise TooLarge(f"The body is over {MAX_JSON_BYTES:,} bytes.", limit=MAX_JSON_BYTES)
        return strictjson.loads(body)


class CursorPages(CursorPagination):
    """Pages by cursor, newest first; ``limit`` 1 to 1,000."""

    page_size = 100
    page_size_query_param = "limit"
    max_page_size = 1000
    ordering = "-id"

    def get_page_size(self, request: Request) -> int:
        """Asked page size; a wrong one is an error, never a silent clamp."""
        asked = request.query_params.get(self.page_size_query_param)
        if asked is None:
            return self.page_size
        if not asked.isascii() or not asked.isdigit() or not 1 <= int(asked[:9]) <= self.max_page_size:
            raise Invalid(
                f"limit must be a whole number from 1 to {self.max_page_size:,}.",
                field="limit", limit=self.max_page_size, got=asked[:50],
            )  # fmt: skip
        return int(asked)

    def get_paginated_response(self, data: Any) -> Response:
        """``{"next": url or null, "previous": url or null, "results": [...]}``."""
        return Response({"next": self.get_next_link(), "previous": self.get_previous_link(), "results": data})


def problem(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF exception handler: every refusal is one ``application/problem+json`` shape."""
    error = as_domain_error(exception)
    if error is None:
        return None
    body = error.as_dict()
    request = context.get("request")
    if request is not None:
        request._request.refusal = error  # for the audit log
    body["request_id"] = getattr(getattr(request, "actor", None), "request_id", "")
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="mlportal"'
    return Response(body, status=error.status, headers=headers, content_type="application/problem+json")


def as_domain_error(exception: Exception) -> DomainError | None:
    """Our error for an exception of DRF, Django or the database; ``None`` for a defect."""
    if isinstance(exception, DomainError):
        return exception
    if isinstance(exception, exceptions.APIException):
        return _of_framework(exception)
    if isinstance(exception, (OperationalError, InterfaceError)):
        log.error("database away", error=str(exception)[:300])
        return Unavailable("The database does not answer. Nothing was changed; try again.", retry_after=5)
    if isinstance(exception, Http404):
        return Missing("Nothing is here.")
    if isinstance(exception, PermissionDenied):
        return Forbidden("Your role or token does not allow this.")
    if isinstance(exception, (MultiPartParserError, BadRequest, SuspiciousOperation)):
        return Invalid(f"The request cannot be read: {str(exception)[:200]}.", code="bad_request")
    return None


def _of_framework(exception: exceptions.APIException) -> DomainError:
    if isinstance(exception, exceptions.ValidationError):
        return from_validation(exception)
    if isinstance(exception, exceptions.NotFound):
        return Missing(str(exception.detail))
    if isinstance(exception, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        return Unauthenticated(str(exception.detail))
    if isinstance(exception, exceptions.PermissionDenied):
        return Forbidden("Your role or token does not allow this.")
    if isinstance(exception, exceptions.UnsupportedMediaType):
        return UnsupportedType(str(exception.detail))
    if isinstance(exception, exceptions.Throttled):
        return TooMany(str(exception.detail), retry_after=int(getattr(exception, "wait", 0) or 1))
    wrapped = DomainError(str(exception.detail), code=str(exception.default_code))
    wrapped.status = exception.status_code
    return wrapped


def from_validation(exception: exceptions.ValidationError) -> Invalid:
    """One error that lists each field of a serializer's refusal."""
    faults = list(_flatten(exception.detail, ""))
    first = faults[0] if faults else {"field": "", "message": "The input is not valid."}
    text = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    return Invalid(text, field=first["field"], errors=faults)


def _flatten(detail: Any, path: str) -> Any:
    if isinstance(detail, dict):
        for name, item in detail.items():
            inner = path if name == "non_field_errors" else f"{path}.{name}".strip(".")
            yield from _flatten(item, inner)
    elif isinstance(detail, list):
        for item in detail:
            yield from _flatten(item, path)
    else:
        yield {"field": path, "message": str(detail)}


def declare_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """OpenAPI hook: every operation may answer these problems, in one documented shape."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = {
        "type": "object",
        "required": ["type", "title", "status", "code", "message"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "message": {"type": "string"},
            "detail": {"type": "string"},
            "field": {"type": "string"},
            "limit": {},
            "got": {},
            "errors": {"type": "array", "items": {"type": "object"}},
            "request_id": {"type": "string"},
        },
    }
    body = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    words = {
        "400": "The input breaks a rule", "401": "No valid token", "403": "Not allowed", "404": "Absent or not visible",
        "405": "This route does not take this method", "406": "No such representation",
        "409": "The state does not allow it", "413": "Too large", "415": "This content type is not taken",
        "422": "The content cannot be used", "429": "Too many requests", "503": "A part is away",
    }  # fmt: skip
    for path in result.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                for status, text in words.items():
                    operation["responses"].setdefault(status, {"description": text, **body})
    return result
