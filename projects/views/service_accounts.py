"""Pages of service accounts: the list, and one with its tokens and who answers for it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from projects.access import ProjectView
from projects.forms import people
from projects.models import ApiToken, User
from projects.permissions import ROLE_LABELS, Permission, Role, allowed
from projects.services import principals, service_accounts, tokens
from projects.views.accounts import see_other

SHOWN = 200


class ServiceList(ProjectView):
    """Service accounts of the project, and the form for another."""

    reads = User
    permission = Permission.PROJECT_VIEW
    write_permission = Permission.MEMBER_MANAGE

    def get(self, request: HttpRequest) -> HttpResponse:
        user = self.actor.user
        return self._page(request, people.NewServiceAccount(initial={"owner": user.username if user else ""}), 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewServiceAccount(request.POST)
        made = form.attempt(lambda: self._make(form.cleaned_data)) if form.is_valid() else None
        if made is None:
            return self._page(request, form, 422)
        messages.success(request, f"{made.username} is made. Mint a token next.")
        return see_other(reverse("projects:service", args=[self.project.slug, made.pk]))

    def _make(self, values: dict[str, Any]) -> User:
        owner = principals.person(values.pop("owner"), field="owner")
        return service_accounts.create(self.actor, project=self.project, owner=owner, **values)

    def _page(self, request: HttpRequest, form: people.NewServiceAccount, status: int) -> HttpResponse:
        values = {
            "form": form, "accounts": service_accounts.listed(self.project),
            "manage": allowed(self.actor, Permission.MEMBER_MANAGE, self.project),
        }  # fmt: skip
        return render(request, "projects/service_accounts.html", values, status=status)


class OneService(ProjectView):
    """Base of what is about one account."""

    abstract = True
    reads = User
    permission = Permission.MEMBER_MANAGE

    def account(self, pk: int) -> User:
        """The account of the address, or 404."""
        return self.find(service_accounts.listed(self.project).select_related("service_project"), pk=pk)

    def back(self, account: User) -> HttpResponse:
        """Show the account again."""
        return see_other(reverse("projects:service", args=[self.project.slug, account.pk]))


@method_decorator(never_cache, name="dispatch")
class ServicePage(OneService):
    """One account. The secret of a new token is on the answer to the form, once."""

    permission = Permission.PROJECT_VIEW
    write_permission = Permission.MEMBER_MANAGE

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self.page(request, self.account(pk), 200)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        account, form = self.account(pk), people.NewServiceToken(request.POST)
        new = form.attempt(lambda: self._mint(account, form.cleaned_data)) if form.is_valid() else None
        if new is None:
            return self.page(request, account, 422, form=form)
        return self.page(request, account, 201, new=new)

    def _mint(self, account: User, values: dict[str, Any]) -> tokens.NewToken:
        return tokens.create(self.actor, project=self.project, owner=account, **values)

    def page(
        self, request: HttpRequest, account: User, status: int, *, form: people.NewServiceToken | None = None,
        owner_form: people.ServiceOwner | None = None, new: tokens.NewToken | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the account with its forms."""
        roles = self.project.memberships.filter(user=account, valid_to=None).order_by("role")
        values = {
            "account": account, "new": new, "form": form or people.NewServiceToken(initial={"scopes": ["read"]}),
            "owner_form": owner_form or people.ServiceOwner(), "now": timezone.now(),
            "roles": [(row, ROLE_LABELS[Role(row.role)]) for row in roles],
            "tokens": account.tokens.select_related("created_by").order_by("-pk")[:SHOWN],
            "owners": account.owners.select_related("person", "named_by").order_by("-pk")[:SHOWN],
            "manage": allowed(self.actor, Permission.MEMBER_MANAGE, self.project),
        }  # fmt: skip
        return render(request, "projects/service_account.html", values, status=status)


class ServiceOwner(ServicePage):
    """Name another person who answers for it."""

    permission = Permission.MEMBER_MANAGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        account, form = self.account(pk), people.ServiceOwner(request.POST)
        made = form.attempt(lambda: self._change(account, form.cleaned_data["owner"])) if form.is_valid() else None
        if made is None:
            return self.page(request, account, 422, owner_form=form)
        messages.success(request, f"{made.person} answers for {account.username} now.")
        return self.back(account)

    def _change(self, account: User, owner: str) -> Any:
        person = principals.person(owner, field="owner")
        return service_accounts.change_owner(self.actor, account=account, owner=person)


class ServiceState(OneService):
    """Disable an account, or enable it again."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        change = service_accounts.enable if request.POST.get("active") == "1" else service_accounts.disable
        account = change(self.actor, account=self.account(pk))
        messages.success(request, f"{account.username} is {'active' if account.is_active else 'disabled'}.")
        return self.back(account)


class ServiceTokenRevoke(OneService):
    """End one token of an account."""

    reads = ApiToken

    def post(self, request: HttpRequest, pk: int, token: int) -> HttpResponse:
        account = self.account(pk)
        row = self.find(account.tokens.select_related("project", "user"), pk=token)
        tokens.revoke(self.actor, token=row)
        messages.success(request, f"Token {row.name} is revoked.")
        return self.back(account)
