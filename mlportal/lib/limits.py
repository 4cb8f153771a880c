"""Limits that hold before anything is parsed."""

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from mlportal.lib.errors import DomainError, Invalid, TooLarge

# The MLflow door has limits of its own, since its protocol sends bodies of 17 MB and files of any size,
# and its client reads refusals in its own shape only.
_DOOR = re.compile(r"(/p/[^/]+)?/api/[23]\.0/")


class RequestLimits:
    """Refuses bodies that are too large for a JSON route and query values that no view should see."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Check, then pass on."""
        try:
            check_address(request)
            if not _DOOR.match(request.path):
                _check_body(request)
                _check_query(request)
        except DomainError as error:
            return JsonResponse(error.as_dict(), status=error.status, content_type="application/problem+json")
        return self.get_response(request)


def _check_body(request: HttpRequest) -> None:
    declared = request.headers.get("Content-Length", "")
    if declared and not declared.isascii():
        raise Invalid("Content-Length is not a number.", field="Content-Length")
    size = int(declared) if declared.isdigit() else 0
    is_json = request.content_type == "application/json"
    limit = settings.MAX_JSON_BYTES if is_json else settings.MAX_UPLOAD_BYTES + 2**20
    if size > limit:
        raise TooLarge(f"The body has {size:,} bytes; at most {limit:,} are taken here.", limit=limit, got=size)


def check_address(request: HttpRequest) -> None:
    """Refuse a path or a Host header that no address of the portal can have.

    Raises
    ------
    Invalid
        Naming which of them.
    """
    if "\x00" in request.path or any("\ud800" <= character <= "\udfff" for character in request.path):
        raise Invalid("The address holds a character that no address may hold.", code="bad_text")
    try:
        request.get_host()
    except Exception as error:
        raise Invalid("The Host header names no address of this portal.", field="Host", code="bad_host") from error


def _check_query(request: HttpRequest) -> None:
    for name, values in request.GET.lists():
        for value in (name, *values):
            if "\x00" in value:
                raise Invalid(f"The query value {name[:50]!r} holds a NUL character.", field=name[:50])
            if len(value) > settings.MAX_QUERY_VALUE:
                raise Invalid(
                    f"The query value {name[:50]!r} has {len(value):,} characters; "
                    f"at most {settings.MAX_QUERY_VALUE:,} are taken.",
                    field=name[:50], limit=settings.MAX_QUERY_VALUE, got=len(value),
                )  # fmt: skip
