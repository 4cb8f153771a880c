"""One's own API tokens."""

from typing import cast

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from projects.access import SiteView
from projects.forms import people
from projects.models import ApiToken, Project
from projects.permissions import Permission
from projects.services import tokens
from projects.views.accounts import see_other

SHOWN = 200


@method_decorator(never_cache, name="dispatch")
class TokenList(SiteView):
    """Tokens of the person, and the form for another. The secret is on the answer to the form, once."""

    reads = ApiToken
    permission = Permission.ACCOUNT_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        wanted = {"project": request.GET.get("project"), "scopes": ["read"], "days": 90}
        return self._page(request, people.NewToken(initial=wanted, projects=self._projects()), None, 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewToken(request.POST, projects=self._projects())
        new = form.attempt(lambda: tokens.create(self.actor, **form.cleaned_data)) if form.is_valid() else None
        if new is None:
            return self._page(request, form, None, 422)
        return self._page(request, people.NewToken(projects=self._projects()), new, 201)

    def _projects(self) -> QuerySet[Project]:
        return Project.objects.visible_to(self.actor).order_by("name")

    def _page(
        self, request: HttpRequest, form: people.NewToken, new: tokens.NewToken | None, status: int
    ) -> HttpResponse:
        rows = cast("QuerySet[ApiToken]", self.rows()).select_related("project").order_by("-id")
        values = {"form": form, "new": new, "tokens": rows[:SHOWN], "now": timezone.now()}
        return render(request, "projects/tokens.html", values, status=status)


class TokenRevoke(SiteView):
    """End one of one's own tokens."""

    reads = ApiToken
    permission = Permission.ACCOUNT_EDIT

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        token = self.find(self.rows().select_related("project", "user"), pk=pk)
        tokens.revoke(self.actor, token=token)
        messages.success(request, f"Token {token.name} is revoked.")
        return see_other(reverse("projects:token-list"))
