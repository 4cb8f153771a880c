"""The list of projects and a project's settings."""

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from projects.access import ProjectView, SiteView
from projects.forms import people
from projects.models import Project
from projects.models.projects import ProjectQuerySet
from projects.permissions import Permission, allowed
from projects.services import projects
from projects.views.accounts import see_other

PAGE = 100


class ProjectList(SiteView):
    """Every project the person may see."""

    reads = Project
    permission = Permission.ACCOUNT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        after = request.GET.get("after", "")[:50]
        rows = cast(ProjectQuerySet, self.rows()).with_activity()
        found = list(rows.filter(slug__gt=after).order_by("slug")[: PAGE + 1])
        more = found[PAGE - 1].slug if len(found) > PAGE else ""
        values = {"projects": found[:PAGE], "more": more}
        return render(request, "projects/project_list.html", values)


class ProjectSettings(ProjectView):
    """Name, description, archiving."""

    reads = Project
    permission = Permission.PROJECT_VIEW
    write_permission = Permission.PROJECT_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        form = people.EditProject(initial={"name": self.project.name, "description": self.project.description})
        return self._page(request, form, 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.EditProject(request.POST)
        saved = (
            form.attempt(lambda: projects.edit(self.actor, project=self.project, **form.cleaned_data))
            if form.is_valid()
            else None
        )
        if saved is None:
            self.project.refresh_from_db()
            return self._page(request, form, 422)
        messages.success(request, "Saved.")
        return see_other(reverse("projects:project-settings", args=[self.project.slug]))

    def _page(self, request: HttpRequest, form: people.EditProject, status: int) -> HttpResponse:
        editable = allowed(self.actor, Permission.PROJECT_EDIT, self.project)
        return render(request, "projects/settings.html", {"form": form, "editable": editable}, status=status)


class ProjectArchive(ProjectView):
    """Hide the project from everybody."""

    reads = Project
    permission = Permission.PROJECT_EDIT

    def post(self, request: HttpRequest) -> HttpResponse:
        projects.archive(self.actor, project=self.project)
        messages.success(request, f"{self.project.name} is archived. Nothing of it was deleted.")
        return see_other("/")
