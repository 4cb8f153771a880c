"""Pages of one's own account: set-up, signing in and out, profile, password, theme."""

from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from mlportal.lib.errors import DomainError, Missing
from mlportal.lib.peer import address_of
from mlportal.lib.public import public
from projects.access import SiteView, request_id_of
from projects.actor import Actor
from projects.forms import people
from projects.models import Project, User
from projects.permissions import Permission
from projects.services import accounts, known_browsers, sessions, signing_in
from projects.services.oidc import client, flow
from projects.views import waiting

PASSWORD = "password"
BACKEND = "django.contrib.auth.backends.ModelBackend"


def next_of(request: HttpRequest) -> str:
    """Where to go after signing in: an address of this portal, or the home page."""
    wanted = request.POST.get("next") or request.GET.get("next") or "/"
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours else "/"


def come_in(
    request: HttpRequest, user: User, *, next_page: str, method: str, proved_at: datetime | None = None
) -> HttpResponse:
    """Begin the session of somebody who showed their first factor, or ask for the second.

    ``proved_at`` is when the provider last asked the person; a password was given just now.
    """
    if user.second_factor_at is not None:
        waiting.begin(request, user, next_page=next_page, method=method)
        return see_other(reverse("projects:second-step"))
    login(request, user, backend=BACKEND)
    request.session["method"] = method
    if method != PASSWORD:
        sessions.note_proof(request, proved_at)
    return see_other(next_page)


def see_other(address: str) -> HttpResponseRedirect:
    """303: the change is made, look there."""
    response = HttpResponseRedirect(address)
    response.status_code = 303
    return response


@method_decorator([public, never_cache, sensitive_post_parameters("password")], name="dispatch")
class SignIn(View):
    """Name and password."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            return HttpResponseRedirect(next_of(request))
        return self._page(request, people.SignIn(), 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.SignIn(request.POST)
        if not form.is_valid():
            return self._page(request, form, 422)
        try:
            user = signing_in.sign_in(
                form.cleaned_data["username"], form.cleaned_data["password"],
                address=address_of(request), request_id=request_id_of(request),
                browser=request.COOKIES.get(known_browsers.COOKIE, ""),
            )  # fmt: skip
        except DomainError as error:
            form.add_error(None, error.message)
            response = self._page(request, form, 429 if error.status == 429 else 422)
            if error.retry_after:
                response["Retry-After"] = str(error.retry_after)
            return response
        response = come_in(request, user, next_page=next_of(request), method=PASSWORD)
        response.set_cookie(
            known_browsers.COOKIE, known_browsers.mark(signing_in.account_of(user.username)),
            max_age=known_browsers.SECONDS, path=reverse("projects:sign-in"), secure=settings.SESSION_COOKIE_SECURE,
            httponly=True, samesite="Strict",
        )  # fmt: skip
        return response

    def _page(self, request: HttpRequest, form: people.SignIn, status: int) -> HttpResponse:
        values = {
            "form": form,
            "next": next_of(request),
            "passwords": settings.LOCAL_PASSWORDS,
            "sso": client.is_on() and settings.OIDC_NAME,
        }
        return render(request, "projects/sign_in.html", values, status=status)


@method_decorator([public, never_cache, sensitive_post_parameters("password", "again")], name="dispatch")
class SetUp(View):
    """The one-time link of the first site administrator."""

    def get(self, request: HttpRequest, secret: str) -> HttpResponse:
        if not accounts.setup_is_open(secret):
            raise Missing("This set-up link is not valid any more. Restart the portal to get a new one.")
        return render(request, "projects/set_up.html", {"form": people.SetUp()})

    def post(self, request: HttpRequest, secret: str) -> HttpResponse:
        form = people.SetUp(request.POST)
        user = form.attempt(lambda: self._create(request, secret, form.cleaned_data)) if form.is_valid() else None
        if user is None:
            return render(request, "projects/set_up.html", {"form": form}, status=422)
        login(request, user, backend=BACKEND)
        return see_other("/")

    def _create(self, request: HttpRequest, secret: str, values: dict[str, Any]) -> User:
        return accounts.set_up(
            secret, username=values["username"], email=values["email"], password=values["password"],
            address=address_of(request),
        )  # fmt: skip


class SignOut(SiteView):
    """Ends the session."""

    reads = User
    permission = Permission.ACCOUNT_EDIT

    def post(self, request: HttpRequest) -> HttpResponse:
        signing_in.sign_out(self.actor)
        by_provider = client.is_on() and str(request.session.get("method", "")).startswith(client.PROVIDER)
        logout(request)
        there = flow.sign_out_address(request) if by_provider else ""
        if there:
            return render(request, "projects/signed_out.html", {"there": there, "name": settings.OIDC_NAME})
        return see_other(reverse("projects:sign-in"))


class Account(SiteView):
    """Profile and preferences."""

    reads = User
    permission = Permission.ACCOUNT_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        return _account_page(request, self.actor)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.Profile(request.POST)
        saved = (
            form.attempt(lambda: accounts.edit_profile(self.actor, **form.cleaned_data)) if form.is_valid() else None
        )
        if saved is None:
            return _account_page(request, self.actor, form=form)
        messages.success(request, "Saved.")
        return see_other(reverse("projects:account"))


class DefaultProject(SiteView):
    """Where one's tracking clients log when they name no project."""

    reads = User
    permission = Permission.ACCOUNT_EDIT

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.DefaultProject(request.POST, projects=_nameable(self.actor))
        saved = form.attempt(lambda: self._choose(form.cleaned_data)) if form.is_valid() else None
        if saved is None:
            return _account_page(request, self.actor, place=form)
        messages.success(request, "Saved.")
        return see_other(reverse("projects:account"))

    def _choose(self, values: dict[str, Any]) -> User:
        return accounts.choose_default_project(self.actor, project=values["default_project"])


def _nameable(actor: Actor) -> QuerySet[Project]:
    return Project.objects.visible_to(actor).order_by("name")


def _account_page(
    request: HttpRequest,
    actor: Actor,
    *,
    form: people.Profile | None = None,
    place: people.DefaultProject | None = None,
) -> HttpResponse:
    """Show both forms; one that was refused shows what was sent, under 422."""
    refused = form is not None or place is not None
    user = cast(User, request.user)
    if refused:
        user.refresh_from_db()
    names = ("display_name", "email", "theme", "density", "time_zone", "single_keys")
    values = {
        "form": form or people.Profile(initial={name: getattr(user, name) for name in names}),
        "place": place
        or people.DefaultProject(initial={"default_project": user.default_project}, projects=_nameable(actor)),
    }
    return render(request, "projects/account.html", values, status=422 if refused else 200)


@method_decorator(sensitive_post_parameters("old", "new", "again"), name="dispatch")
class Password(SiteView):
    """Change one's own password."""

    reads = User
    permission = Permission.ACCOUNT_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "projects/password.html", {"form": people.Password()})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.Password(request.POST)
        user = form.attempt(lambda: self._change(form.cleaned_data)) if form.is_valid() else None
        if user is None:
            return render(request, "projects/password.html", {"form": form}, status=422)
        update_session_auth_hash(request, user)
        messages.success(request, "The password is changed. Your other sessions have ended.")
        return see_other(reverse("projects:account"))

    def _change(self, values: dict[str, Any]) -> User:
        return accounts.change_password(self.actor, old=values["old"], new=values["new"])


class Theme(SiteView):
    """Light or dark, from the button in the top bar."""

    reads = User
    permission = Permission.ACCOUNT_EDIT

    def post(self, request: HttpRequest) -> HttpResponse:
        accounts.choose_theme(self.actor, theme=request.POST.get("theme", ""))
        if request.headers.get("Sec-Fetch-Mode") == "cors":
            return HttpResponse(status=204)
        back = request.headers.get("Referer", "")
        return see_other(back if url_has_allowed_host_and_scheme(back, {request.get_host()}) else "/")
