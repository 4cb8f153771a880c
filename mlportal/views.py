"""Pages that join the apps."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularSwaggerSplitView

from mlportal.lib.errors import Forbidden, Missing
from mlportal.lib.pages import error_page


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that came without its token, mostly because the page was open across a sign-in."""
    return error_page(request, Forbidden("This form has expired. Go back, load the page again and send it once more."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return error_page(request, Missing("There is nothing at this address."))


# Swagger UI sets styles on its own elements; scripts stay under the strict policy of every page.
@method_decorator(csp_update({"style-src": [SELF, UNSAFE_INLINE]}), name="dispatch")
class ApiDocs(SpectacularSwaggerSplitView):
    """The browsable description of the REST API, served from this machine."""

    url_name = "api-schema"
