"""Answers that several pages give."""

from django.http import HttpResponse, HttpResponseRedirect


def see(address: str) -> HttpResponse:
    """Answer a form that was taken: 303 to the page that shows the result."""
    response = HttpResponseRedirect(address)
    response.status_code = 303
    return response
