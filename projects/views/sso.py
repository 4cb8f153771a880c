"""Pages of single sign-on: to the provider, back from it, and there to prove again who one is."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View
from django.views.decorators.cache import never_cache

from mlportal.lib.errors import DomainError, Missing
from mlportal.lib.peer import address_of
from mlportal.lib.public import public
from projects.access import SiteView, request_id_of
from projects.models import User
from projects.permissions import Permission
from projects.services import sessions, signing_in
from projects.services.oidc import client, flow, people
from projects.services.oidc.refusals import ProviderFault, SignInRefused
from projects.views.accounts import come_in, next_of
from projects.views.step_up import kept_fields

FORM_KEY = "confirm_form"
MAX_FORM = 100_000
SKEW_SECONDS = 60


def _failed(request: HttpRequest, error: DomainError) -> HttpResponse:
    if isinstance(error, (SignInRefused, ProviderFault)):
        people.note_refusal(error, address=address_of(request), request_id=request_id_of(request))
    values = {"error": error, "name": settings.OIDC_NAME, "passwords": settings.LOCAL_PASSWORDS}
    response = render(request, "projects/sso_failed.html", values, status=error.status)
    if error.retry_after:
        response["Retry-After"] = str(error.retry_after)
    return response


def _go(request: HttpRequest, *, process: str, next_page: str) -> HttpResponse:
    """Send the browser on by a page of ours: the policy lets no form lead to another host, not even by a redirect."""
    if not client.is_on():
        raise Missing("There is nothing at this address.")
    try:
        where = flow.leave(request, process=process, next_page=next_page)
    except DomainError as error:
        return _failed(request, error)
    return render(request, "projects/sso_go.html", {"where": where, "name": settings.OIDC_NAME})


@method_decorator([public, never_cache], name="dispatch")
class SsoStart(View):
    """To the provider."""

    def post(self, request: HttpRequest) -> HttpResponse:
        return _go(request, process=flow.SIGN_IN, next_page=next_of(request))


@method_decorator([public, never_cache], name="dispatch")
class SsoReturn(View):
    """Back from the provider."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not client.is_on():
            raise Missing("There is nothing at this address.")
        try:
            back = flow.come_back(request)
            return (self._confirm if back.process == flow.CONFIRM else self._sign_in)(request, back)
        except DomainError as error:
            return _failed(request, error)

    def _sign_in(self, request: HttpRequest, back: flow.Back) -> HttpResponse:
        place = {"address": address_of(request), "request_id": request_id_of(request)}
        user = people.admit(back.claims, **place)
        if user.second_factor_at is None:
            signing_in.admit(user, **place, method=client.PROVIDER)
        page = back.next_page if _is_ours(request, back.next_page) else "/"
        return come_in(request, user, next_page=page, method=client.PROVIDER, proved_at=_proved_at(back.claims))

    def _confirm(self, request: HttpRequest, back: flow.Back) -> HttpResponse:
        """Go on with the form that waits, now that the person has signed in at the provider afresh."""
        if not request.user.is_authenticated or not people.is_subject_of(request.user, back.claims):
            raise SignInRefused("other_person", whom=request.user.pk or 0)
        proved = _proved_at(back.claims)
        if proved is None or timezone.now() - proved > timedelta(minutes=max(settings.STEP_UP_MINUTES, 1)):
            raise SignInRefused("not_recent", whom=request.user.pk)
        signing_in.confirmed_elsewhere(request.actor)
        form = request.session.pop(FORM_KEY, None) or {"path": "/", "fields": []}
        sessions.proved(request)
        return render(request, "projects/step_up_done.html", form)


class ConfirmStart(SiteView):
    """To the provider to sign in afresh; the form that waits stays in the session."""

    reads = User
    permission = Permission.ACCOUNT_EDIT

    def post(self, request: HttpRequest) -> HttpResponse:
        path, fields = request.POST.get("step_up_path", "/"), kept_fields(request)
        whole = _is_ours(request, path) and sum(len(value) for _, value in fields) <= MAX_FORM
        request.session[FORM_KEY] = {"path": path if whole else "/", "fields": fields if whole else []}
        return _go(request, process=flow.CONFIRM, next_page="/")


def _is_ours(request: HttpRequest, address: str) -> bool:
    return url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())


def _proved_at(claims: dict[str, Any]) -> datetime | None:
    """When the person signed in at the provider; None when it does not say, or says what cannot be."""
    moment = claims.get("auth_time")
    if isinstance(moment, bool) or not isinstance(moment, (int, float)) or not 0 < moment <= time.time() + SKEW_SECONDS:
        return None
    return datetime.fromtimestamp(moment, UTC)
