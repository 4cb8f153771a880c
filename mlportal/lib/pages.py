"""Turns errors raised below a page into a page that says what happened."""

from collections.abc import Callable

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render

from mlportal.lib.errors import DomainError, Invalid, Unavailable

log = structlog.get_logger(__name__)


class DomainErrors:
    """Renders a :class:`DomainError`, and a database that is away, with the right status."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass on; the work is in ``process_exception``."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer anticipated trouble; leave the rest to Django."""
        if isinstance(exception, (OperationalError, InterfaceError)):
            log.error("database away", error=str(exception)[:300])
            exception = Unavailable("The database does not answer. Nothing was changed; try again.", retry_after=5)
        if isinstance(exception, MultiPartParserError):
            exception = Invalid(f"The form cannot be read: {str(exception)[:200]}.", code="bad_request")
        if not isinstance(exception, DomainError):
            return None
        return error_page(request, exception)


def error_page(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The page (or, for the API, the problem) of one error."""
    request.refusal = error  # type: ignore[attr-defined]  # for the audit log
    if request.path.startswith("/api/"):
        response: HttpResponse = JsonResponse(
            error.as_dict(), status=error.status, content_type="application/problem+json"
        )
    else:
        response = render(request, "error.html", {"error": error, "status": error.status}, status=error.status)
    if error.retry_after:
        response["Retry-After"] = str(error.retry_after)
    return response
