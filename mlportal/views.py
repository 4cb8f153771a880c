"""Pages that join the apps."""

from django.http import HttpRequest, HttpResponse

from mlportal.lib.errors import Forbidden, Missing
from mlportal.lib.pages import error_page


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that came without its token, mostly because the page was open across a sign-in."""
    return error_page(request, Forbidden("This form has expired. Go back, load the page again and send it once more."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return error_page(request, Missing("There is nothing at this address."))
