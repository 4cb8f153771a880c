"""The button "Load the example project": people with passwords shown once, then a worker fills the project."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from mlportal import example
from mlportal.lib import queue
from projects.access import SiteView
from projects.models import Project
from projects.permissions import ROLE_LABELS, Permission


def context() -> dict[str, Any]:
    """How far the example is, for the home page and for what refreshes itself there."""
    return {"example": example.progress(), "example_exists": Project.objects.filter(slug=example.SLUG).exists()}


@method_decorator(never_cache, name="dispatch")
class Example(SiteView):
    """Make the example's people and project, show the passwords this once, and have a worker do the rest."""

    reads = Project
    permission = Permission.SITE_ADMIN

    def get(self, request: HttpRequest) -> HttpResponse:
        """Only the progress, for htmx."""
        return render(request, "_example.html", context())

    def post(self, request: HttpRequest) -> HttpResponse:
        with transaction.atomic():
            project, passwords = example.people(self.actor)
            queue.enqueue("mlportal.load_example", project.pk)
        example.tell("Waiting for a worker")
        people = [_line(name, password) for name, password in passwords.items()]
        return render(request, "example.html", {"people": people, **context()}, status=201)


def _line(name: str, password: str) -> dict[str, str]:
    role, full_name = example.PEOPLE[name]
    return {"name": name, "role": ROLE_LABELS[role], "full_name": full_name, "password": password}
