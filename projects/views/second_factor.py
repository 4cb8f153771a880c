"""Pages of the second factor: the step at sign-in, switching it on and off, recovery codes."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from mlportal.lib import sealed, totp
from mlportal.lib.errors import TooMany
from mlportal.lib.peer import address_of
from mlportal.lib.public import public
from projects.access import SiteView, request_id_of
from projects.forms import people
from projects.models import SecondFactor, User
from projects.permissions import Permission
from projects.services import factors, second_factor, signing_in
from projects.views import waiting
from projects.views.accounts import BACKEND, see_other

OFFERED = "second_factor_offered"


@method_decorator([public, never_cache, sensitive_post_parameters("code")], name="dispatch")
class SecondStep(View):
    """The code after the password."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if waiting.read(request) is None:
            return see_other(reverse("projects:sign-in"))
        return render(request, "projects/second_step.html", {"form": people.SecondStep()})

    def post(self, request: HttpRequest) -> HttpResponse:
        held = waiting.read(request)
        if held is None:
            messages.error(request, "That took too long. Sign in again.")
            return see_other(reverse("projects:sign-in"))
        form = people.SecondStep(request.POST)
        try:
            passed = form.is_valid() and form.attempt(lambda: self._check(request, held, form.cleaned_data["code"]))
        except TooMany as error:
            form.refuse(error)
            passed = False
        if not passed:
            return render(request, "projects/second_step.html", {"form": form}, status=422)
        login(request, held.user, backend=BACKEND)
        request.session.pop(waiting.KEY, None)
        request.session["method"] = f"{held.method}, code"
        return see_other(held.next_page)

    def _check(self, request: HttpRequest, held: waiting.Waiting, code: str) -> bool:
        signing_in.second_step(
            held.user, code, address=address_of(request), request_id=request_id_of(request), method=held.method
        )
        return True


@method_decorator([never_cache, sensitive_post_parameters("code")], name="dispatch")
class SecondFactorPage(SiteView):
    """What there is, or the key to set it up with."""

    reads = SecondFactor
    permission = Permission.ACCOUNT_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, people.EnableFactor())

    def post(self, request: HttpRequest) -> HttpResponse:
        form, key = people.EnableFactor(request.POST), self._key(request)
        codes = (
            form.attempt(lambda: second_factor.enable(self.actor, key=key, code=form.cleaned_data["code"]))
            if form.is_valid()
            else None
        )
        if codes is None:
            return self._page(request, form, status=422)
        request.session.pop(OFFERED, None)
        request.session.cycle_key()
        return show_codes(request, codes)

    def _key(self, request: HttpRequest) -> str:
        """Return the key that is offered in this session, sealed, until one of them is taken."""
        if kept := request.session.get(OFFERED):
            return sealed.unseal(kept)
        key = totp.new_key()
        request.session[OFFERED] = sealed.seal(key)
        return key

    def _page(self, request: HttpRequest, form: people.EnableFactor, *, status: int = 200) -> HttpResponse:
        user = self.actor.user
        values: dict[str, Any] = {"form": form, "wanted": factors.is_wanted(user)}
        if user.second_factor_at is None:
            key = self._key(request)
            width, path = totp.path_of(totp.address(key, account=user.username, issuer="mlportal"))
            values |= {"key": " ".join(key[at : at + 4] for at in range(0, 32, 4)), "width": width, "path": path}
        else:
            values |= {"left": second_factor.left(user), "proof": prove_form(user)}
        return render(request, "projects/second_factor.html", values, status=status)


@method_decorator([never_cache, sensitive_post_parameters("password", "code")], name="dispatch")
class _Proved(SiteView):
    """A change that takes password and code."""

    reads = SecondFactor
    permission = Permission.ACCOUNT_EDIT
    template = ""

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, self.template, {"form": prove_form(self.actor.user)})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = prove_form(self.actor.user, request.POST)
        try:
            done = form.attempt(lambda: self.change(form.cleaned_data)) if form.is_valid() else None
        except TooMany as error:
            form.refuse(error)
            done = None
        if done is None:
            return render(request, self.template, {"form": form}, status=422)
        return self.answer(request, done)

    def change(self, values: dict[str, Any]) -> list[str]:
        """Do it; returns codes to show."""
        raise NotImplementedError

    def answer(self, request: HttpRequest, codes: list[str]) -> HttpResponse:
        """Show the codes."""
        return show_codes(request, codes)


class SecondFactorOff(_Proved):
    """Switch it off."""

    reads = SecondFactor
    permission = Permission.ACCOUNT_EDIT
    template = "projects/second_factor_off.html"

    def change(self, values: dict[str, Any]) -> list[str]:
        second_factor.disable(self.actor, password=values.get("password", ""), code=values["code"])
        return []

    def answer(self, request: HttpRequest, codes: list[str]) -> HttpResponse:
        del codes
        messages.success(request, "The second factor is off.")
        return see_other(reverse("projects:second-factor"))


class RecoveryCodes(_Proved):
    """New recovery codes in place of the old ones."""

    reads = SecondFactor
    permission = Permission.ACCOUNT_EDIT
    template = "projects/recovery_codes.html"

    def change(self, values: dict[str, Any]) -> list[str]:
        return second_factor.renew_codes(self.actor, password=values.get("password", ""), code=values["code"])


def prove_form(user: User | None, data: Any = None) -> people.ProveFactor:
    """Return the form that asks this person for what they have."""
    has = user is not None and user.has_usable_password() and settings.LOCAL_PASSWORDS
    return people.ProveFactor(data, with_password=has)


def show_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """Show recovery codes, this once."""
    response = render(
        request, "projects/recovery_codes_new.html", {"codes": codes, "text": "\n".join(codes)}, status=201
    )
    response["Cache-Control"] = "no-store"
    return response
