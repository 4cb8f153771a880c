"""Who asks, in which project, and by what right; then the endpoint's own small function.

A route is ``path("runs/get", door(GET=runs.get))``; an endpoint is a function with its right written over it::

    @endpoint(Run, Permission.RUN_VIEW)
    def get(call: Call) -> Answer: ...

Only tokens and passwords in the ``Authorization`` header are taken here, never a browser session, so no page
can be tricked into calling the door and no CSRF token is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from experiments.mlflow import wire
from experiments.mlflow.fields import Fields
from mlportal.lib.api import as_domain_error
from mlportal.lib.errors import Forbidden, Missing
from mlportal.lib.peer import address_of
from mlportal.lib.public import public
from projects.access import request_id_of
from projects.actor import Actor
from projects.models import Project, Somewhere
from projects.permissions import Permission, require
from projects.services import entry, refusals

log = structlog.get_logger(__name__)
_TRACES = re.compile(r"/mlflow/traces(?:/|\Z)|/v1/traces\Z")
WORKSPACE_HEADER = "HTTP_X_MLFLOW_WORKSPACE"
Answer = dict[str, Any] | HttpResponseBase


@dataclass(slots=True)
class Call:
    """One call of the door: the caller, the project it speaks of, what it sent, and the words of its address."""

    request: HttpRequest
    actor: Actor
    project: Project
    fields: Fields
    words: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A function with the model it reads and the permission it needs; ``raw`` leaves the body unread."""

    reads: type[models.Model]
    permission: Permission
    function: Callable[[Call], Answer]
    raw: bool = False


def endpoint(
    reads: type[models.Model], permission: Permission, *, raw: bool = False
) -> Callable[[Callable[[Call], Answer]], Endpoint]:
    """Declare what an endpoint reads and which permission it needs; there is no endpoint without."""
    return lambda function: Endpoint(reads, permission, function, raw)


def door(**endpoints: Endpoint) -> Callable[..., HttpResponseBase]:
    """Make the view of one address from its endpoint for each method."""

    def view(request: HttpRequest, project: str = "", **words: Any) -> HttpResponseBase:
        try:
            answer = _call(endpoints.get(str(request.method)), request, project, words)
        except Exception as fault:  # noqa: BLE001 - every fault leaves in MLflow's shape; defects are logged
            return _refusal(fault)
        return answer if isinstance(answer, HttpResponseBase) else wire.answer(answer)

    view.methods = list(endpoints)  # type: ignore[attr-defined]  # read by the test of the access matrix
    return csrf_exempt(public(view))


@csrf_exempt
@public
def unknown(request: HttpRequest, **words: Any) -> HttpResponse:
    """Answer an address below the door that is none; the client shows the sentence and mostly goes on."""
    path = request.path[:200]
    if _TRACES.search(path):
        said = "Traces are not kept here; runs, models and prompts are. mlflow.tracing.disable() stops sending them."
    else:
        said = f"There is no endpoint {path!r} here."
    return wire.refusal(Missing(said, code="endpoint_not_found"))


def _call(found: Endpoint | None, request: HttpRequest, slug: str, words: dict[str, Any]) -> Answer:
    if found is None:
        raise Missing(f"{request.path[:200]!r} does not take {request.method}.", code="endpoint_not_found")
    actor, project = entry.enter(
        request.META.get("HTTP_AUTHORIZATION", ""), named=slug or request.META.get(WORKSPACE_HEADER, "").strip(),
        address=address_of(request), request_id=request_id_of(request),
    )  # fmt: skip
    try:
        require(actor, found.permission, project, within=Somewhere(project))
    except Forbidden as error:
        refusals.note(actor, method=str(request.method), path=request.path, error=error, project=project)
        raise
    fields = Fields({}) if found.raw else Fields.of(request)
    return found.function(Call(request, actor, project, fields, words))


def _refusal(fault: Exception) -> HttpResponse:
    error = as_domain_error(fault)
    if error is None:
        log.error("mlflow_door_failed", exc_info=fault)
        body = {"error_code": "INTERNAL_ERROR", "message": "Something broke in the portal; it is in its log."}
        return wire.answer(body, status=500)
    return wire.refusal(error)
