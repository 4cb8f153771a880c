"""Try an endpoint from the browser."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployments.models import Endpoint
from deployments.runtime import example
from deployments.services import predicting
from mlportal.lib.errors import DomainError
from mlportal.lib.names import key
from projects.access import ProjectView
from projects.permissions import Permission

MAX_TEXT = 200_000


class EndpointTry(ProjectView):
    """A form that sends records to the endpoint and shows its answer."""

    reads = Endpoint
    permission = Permission.ENDPOINT_PREDICT

    def get(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        found = self._endpoint(endpoint)
        return render(request, _template(request), self._context(found, _sample(found)))

    def post(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        found = self._endpoint(endpoint)
        text = request.POST.get("records", "")
        context = self._context(found, text[:MAX_TEXT])
        try:
            answer = predicting.predict(self.actor, endpoint=found, body=_body(text))
        except DomainError as error:
            context |= {"error": error, "place": getattr(error, "place", {})}
            return render(request, _template(request), context, status=422)
        context |= {"answer": answer, "answer_text": json.dumps(answer, indent=2, ensure_ascii=False)}
        return render(request, _template(request), context)

    def _endpoint(self, name: str) -> Endpoint:
        rows = self.rows().in_project(self.project).select_related("project", "current_revision__version")
        return self.find(rows, name_key=key(name))

    def _context(self, endpoint: Endpoint, text: str) -> dict[str, Any]:
        return {"endpoint": endpoint, "records_text": text, "nav": "deployments"}


def _template(request: HttpRequest) -> str:
    return "deployments/_try.html" if request.headers.get("HX-Request") else "deployments/endpoint_try.html"


def _sample(endpoint: Endpoint) -> str:
    revision = endpoint.current_revision
    records = [example.record(revision.version.signature)] if revision else []
    return json.dumps(records, indent=2, ensure_ascii=False)


def _body(text: str) -> bytes:
    """Wrap the records of the form; what is no JSON is sent as it is, and the serving process says where it breaks."""
    return b'{"records": %b}' % text.strip().encode("utf-8", "replace")
