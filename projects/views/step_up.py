"""Asks for a proof in place: a form that was refused for want of one comes back with a field, everything typed kept."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from mlportal.lib.errors import DomainError
from projects.services import sessions, stepup
from projects.services.oidc import client, people

FIELD = "step_up_proof"
OWN_FIELDS = frozenset({FIELD, "step_up_path", "csrfmiddlewaretoken"})
FORM = "application/x-www-form-urlencoded"
MAX_KEPT = 200_000  # characters of a form that is shown again


class StepUp:
    """Takes the proof that a form brings along, and asks for one where a service wants it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass on; put the question where a refusal for want of a proof would stand."""
        response = self.get_response(request)
        error: DomainError | None = getattr(request, "refusal", None)
        asked = error is not None and error.code == stepup.CODE and request.method == "POST"
        return ask(request) if asked and not request.path.startswith("/api/") else response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """Check a proof before the view runs, behind the check of the CSRF token."""
        del view, args, kwargs
        if request.method != "POST" or request.content_type != FORM or request.actor.user is None:
            return None
        proof = request.POST.get(FIELD, "")
        if not proof:
            return None
        try:
            stepup.confirm(request.actor, proof=proof)
        except DomainError as error:
            response = ask(request, error)
            if error.retry_after:
                response["Retry-After"] = str(error.retry_after)
            return response
        sessions.proved(request)
        request.actor = replace(
            request.actor, authenticated_at=timezone.now(), session=sessions.name_of(request.session)
        )
        return None


def ask(request: HttpRequest, error: DomainError | None = None) -> HttpResponse:
    """Show the question with the form that waits, as hidden fields."""
    fields = kept_fields(request)
    whole = request.content_type == FORM and sum(len(value) for _, value in fields) <= MAX_KEPT
    user = request.actor.user
    provider = settings.OIDC_NAME if user and client.is_on() and people.linked(user) else ""
    values = {
        "fields": fields if whole else [], "whole": whole, "wrong": error.message if error else "",
        "typed": user is not None and stepup.has_proof(user), "provider": provider,
    }  # fmt: skip
    status = 403 if error is None else error.status if error.status == 429 else 422
    response = render(request, "projects/step_up.html", values, status=status)
    response["Cache-Control"] = "no-store"
    return response


def kept_fields(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what was typed, without what belongs to the question."""
    return [(name, value) for name in request.POST if name not in OWN_FIELDS for value in request.POST.getlist(name)]
