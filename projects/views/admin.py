"""Pages of the site administrator: users and projects."""

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from mlportal.lib.errors import Missing
from projects.access import SiteView
from projects.forms import people
from projects.models import Project, User
from projects.permissions import Permission
from projects.services import accounts, projects, second_factor, sessions
from projects.views.accounts import see_other

PAGE = 100


@method_decorator(never_cache, name="dispatch")
class UserList(SiteView):
    """Everybody, and the form for somebody new. A generated password is on the answer to the form, once."""

    reads = User
    permission = Permission.SITE_ADMIN

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, people.NewUser(), None, 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewUser(request.POST)
        new = form.attempt(lambda: accounts.add(self.actor, **form.cleaned_data)) if form.is_valid() else None
        if new is None:
            return self._page(request, form, None, 422)
        return self._page(request, people.NewUser(), new, 201)

    def _page(
        self, request: HttpRequest, form: people.NewUser, new: accounts.NewUser | None, status: int
    ) -> HttpResponse:
        after = request.GET.get("after", "")
        rows = _users().filter(username__gt=after[:100])[: PAGE + 1]
        shown = list(rows)[:PAGE]
        more = shown[-1].username if len(rows) > PAGE else ""
        return render(
            request, "projects/users.html", {"form": form, "new": new, "users": shown, "more": more}, status=status
        )


def _users() -> QuerySet[User]:
    here = Q(memberships__valid_to=None, memberships__project__archived_at=None)
    return User.objects.annotate(project_count=Count("memberships__project", here, distinct=True)).order_by("username")


@method_decorator(never_cache, name="dispatch")
class UserChange(SiteView):
    """Deactivate, activate, end sessions, or give a new password: the word at the end of the address."""

    reads = User
    permission = Permission.SITE_ADMIN

    def post(self, request: HttpRequest, username: str, action: str) -> HttpResponse:
        user = self.find(User.objects.all(), username=username)
        if action == "erase":
            gone = accounts.erase(self.actor, user=user, reason=request.POST.get("reason", ""))
            messages.success(request, f"Name and address of account {gone.pk} are erased; what they did stays.")
            return see_other(reverse("projects:user-list"))
        if action == "second-factor":
            second_factor.reset(self.actor, user=user, reason=request.POST.get("reason", ""))
            messages.success(request, f"The second factor of {user.username} is reset; they are told by mail.")
            return see_other(reverse("projects:user-list"))
        if action == "sessions":
            ended = sessions.end_all_of(self.actor, user=user)
            messages.success(request, f"{ended} session{'s' if ended != 1 else ''} of {user.username} ended.")
            return see_other(reverse("projects:user-list"))
        if action == "password":
            new = accounts.reset_password(self.actor, user=user)
            return render(request, "projects/new_password.html", {"new": new})
        if action == "email":
            accounts.confirm_email(self.actor, user=user)
            messages.success(request, f"{user.email} is confirmed as the address of {user.username}.")
            return see_other(reverse("projects:user-list"))
        change = {"deactivate": accounts.deactivate, "activate": accounts.activate}.get(action)
        if change is None:
            raise Missing("There is nothing at this address.")
        change(self.actor, user=user)
        messages.success(request, f"{user.username} is {'active' if user.is_active else 'deactivated'}.")
        return see_other(reverse("projects:user-list"))


class ProjectNew(SiteView):
    """Make a project."""

    reads = Project
    permission = Permission.SITE_ADMIN

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "projects/project_new.html", {"form": people.NewProject()})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewProject(request.POST)
        project = form.attempt(lambda: projects.create(self.actor, **form.cleaned_data)) if form.is_valid() else None
        if project is None:
            return render(request, "projects/project_new.html", {"form": form}, status=422)
        messages.success(request, f"{project.name} is made. Add its members next.")
        return see_other(reverse("projects:member-list", args=[project.slug]))
