"""The description of the REST API, for programs and to browse."""

from functools import cache
from threading import Lock

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.http import HttpResponse
from django.utils.decorators import method_decorator
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_making = Lock()


class ApiSchema(SpectacularAPIView):
    """The description as YAML or JSON, the same for everyone.

    To make it takes seconds of the processor, and everyone may ask: it is made once in a process.
    """

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Answer in the form that the caller accepts, YAML by default."""
        renderer = request.accepted_renderer
        with _making:
            text = _described(type(renderer))
        named = {"Content-Disposition": f'inline; filename="mlportal.{renderer.format}"'}
        return HttpResponse(text, content_type=request.accepted_media_type, headers=named)


@cache
def _described(renderer: type[BaseRenderer]) -> bytes:
    made: bytes = renderer().render(SchemaGenerator().get_schema(public=True), renderer_context={})
    return made


# Swagger UI sets styles on its own elements; scripts stay under the strict policy of every page.
@method_decorator(csp_update({"style-src": [SELF, UNSAFE_INLINE]}), name="dispatch")
class ApiDocs(SpectacularSwaggerSplitView):
    """The browsable description of the REST API, served from this machine."""

    url_name = "api-schema"
