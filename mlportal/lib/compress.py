"""Pages and their numbers go out compressed, also where no other server stands in front."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

KINDS = ("text/html", "application/json")


class Compress(GZipMiddleware):
    """As Django's, whose answers vary in length against guessing of secrets, but for whole pages alone.

    Event streams must flow, files keep their length and ranges, and scripts talk in small answers that are quicker
    as they are.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress a page, or JSON that a page asked for."""
        kind = response.get("Content-Type", "").partition(";")[0]
        if response.streaming or kind not in KINDS or "/api/" in request.path:
            return response
        return super().process_response(request, response)
