"""Pages for what went wrong outside any view."""

import re

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from experiments.mlflow import door
from mlportal.lib.errors import DomainError, Forbidden, Invalid, Missing
from mlportal.lib.pages import error_page

# What MLflow's pages, its later clients and senders of OpenTelemetry ask an MLflow server: none of them reads a page.
_OF_PROGRAMS = re.compile(
    r"(?:/p/[^/]+)?/(?:ajax-api/|api/[4-9]\.0/|(?:v1/(?:traces|metrics|logs)|graphql|(?:model-versions/)?get-artifact)\Z)"
)


class Defect(DomainError):
    """500: our fault."""

    status = 500
    kind = "internal"
    title = "Something broke on our side"


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that came without its token, mostly because the page was open across a sign-in."""
    return error_page(
        request, Forbidden("This form has expired. Go back, load the page again and send it once more.", code="csrf")
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return error_page(request, Invalid("The request could not be read."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return error_page(request, Forbidden("Your role does not allow this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404; programs are told in the words of the tracking door."""
    if _OF_PROGRAMS.match(request.path):
        return door.unknown(request)
    return error_page(request, Missing("There is nothing at this address."))


def server_error(request: HttpRequest) -> HttpResponse:
    """500, drawn without the database, which may be the reason."""
    error = Defect("Nothing you entered was lost. Try again, or send the reference to your administrator.")
    actor = getattr(request, "actor", None)
    reference = actor.request_id if actor is not None else ""
    if request.path.startswith("/api/"):
        body = {**error.as_dict(), "request_id": reference}
        return JsonResponse(body, status=500, content_type="application/problem+json")
    page = render_to_string("error.html", {"error": error, "status": 500, "reference": reference})
    return HttpResponse(page, status=500)
