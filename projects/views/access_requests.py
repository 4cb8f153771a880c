"""Pages of requests for access: asking, one's own, and those that wait for a project's admins."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from projects.access import ProjectView, SiteView
from projects.forms import people
from projects.models import AccessRequest, Project
from projects.permissions import ROLE_LABELS, Permission, Role
from projects.services import access_requests
from projects.views.accounts import see_other

SHOWN = 50


class AccessAsk(SiteView):
    """Ask for a role in a project by its address; below, what one has asked for."""

    reads = AccessRequest
    permission = Permission.ACCESS_ASK

    def get(self, request: HttpRequest) -> HttpResponse:
        access_requests.see(self.actor)
        return self._page(request, people.NewAccessRequest(initial={"slug": request.GET.get("project", "")}), 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewAccessRequest(request.POST)
        made = form.attempt(lambda: access_requests.ask(self.actor, **form.cleaned_data)) if form.is_valid() else None
        if made is None:
            return self._page(request, form, 422)
        messages.success(request, access_requests.ANSWERED)
        return see_other(reverse("projects:access-ask"))

    def _page(self, request: HttpRequest, form: people.NewAccessRequest, status: int) -> HttpResponse:
        own = AccessRequest.objects.filter(user=self.actor.user).select_related("answered_by").order_by("-pk")[:SHOWN]
        values = {
            "form": form, "requests": [(row, ROLE_LABELS[Role(row.granted_role or row.role)]) for row in own],
            "listed": Project.objects.filter(listed=True, archived_at=None).order_by("name")[:SHOWN],
        }  # fmt: skip
        return render(request, "projects/access_ask.html", values, status=status)


class AccessWithdraw(SiteView):
    """Take one's own request back."""

    reads = AccessRequest
    permission = Permission.ACCESS_ASK

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        access_requests.withdraw(
            self.actor, request=self.find(AccessRequest.objects.filter(user=self.actor.user), pk=pk)
        )
        messages.success(request, "The request is taken back.")
        return see_other(reverse("projects:access-ask"))


class _Requests(ProjectView):
    abstract = True
    reads = AccessRequest
    permission = Permission.MEMBER_MANAGE

    def _page(self, request: HttpRequest, forms: dict[int, Any], status: int) -> HttpResponse:
        rows = self.project.access_requests.waiting().select_related("user").order_by("pk")[:SHOWN]
        values = {
            "requests": [(row, ROLE_LABELS[Role(row.role)], forms.get(row.pk) or self._form(row)) for row in rows]
        }
        return render(request, "projects/access_requests.html", values, status=status)

    def _form(self, row: AccessRequest) -> people.AccessAnswer:
        return people.AccessAnswer(initial={"role": row.role}, auto_id=f"r{row.pk}_%s")


class AccessRequestList(_Requests):
    """Requests that wait for the project's admins, and whether its name is offered."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, {}, 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        listed = request.POST.get("listed") == "yes"
        access_requests.list_project(self.actor, project=self.project, listed=listed)
        messages.success(request, "Its name is offered to everybody." if listed else "Its name is not offered.")
        return see_other(reverse("projects:access-request-list", args=[self.project.slug]))


class AccessAnswer(_Requests):
    """Grant or decline one request."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        asked = self.find(self.project.access_requests.select_related("project", "user"), pk=pk)
        form = people.AccessAnswer(request.POST, auto_id=f"r{pk}_%s")
        done = form.attempt(lambda: self._do(asked, form.cleaned_data)) if form.is_valid() else None
        if done is None:
            return self._page(request, {pk: form}, 422)
        messages.success(request, f"{asked.user} is told.")
        return see_other(reverse("projects:access-request-list", args=[self.project.slug]))

    def _do(self, asked: AccessRequest, values: dict[str, Any]) -> AccessRequest:
        if values["verdict"] == "decline":
            return access_requests.decline(self.actor, request=asked, answer=values["answer"])
        return access_requests.grant(self.actor, request=asked, role=values["role"], until=values["until"])
