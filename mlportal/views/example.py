"""The button "Load the example project": people with passwords shown once, then a worker fills the project."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from mlportal.lib import queue
from projects.access import SiteView
from projects.models import Project
from projects.permissions import ROLE_LABELS, Permission


def context() -> dict[str, Any]:
    """How far the example is, for the home page and for what refreshes itself there."""
    from mlportal import demo

    return {"example": demo.progress(), "example_exists": Project.objects.filter(slug=demo.SLUG).exists()}


@method_decorator(never_cache, name="dispatch")
class Example(SiteView):
    """Make the example's people and project, show the passwords this once, and have a worker do the rest."""

    reads = Project
    permission = Permission.SITE_ADMIN

    def get(self, request: HttpRequest) -> HttpResponse:
        """Only the progress, for htmx."""
        return render(request, "_example.html", context())

    def post(self, request: HttpRequest) -> HttpResponse:
        from mlportal import demo

        with transaction.atomic():
            project, passwords = demo.people(self.actor)
            queue.enqueue("mlportal.load_example", project.pk)
        demo.tell("Waiting for a worker")
        people = [
            {
                "name": name,
                "role": ROLE_LABELS[demo.PEOPLE[name][0]],
                "full_name": demo.PEOPLE[name][1],
                "password": word,
            }
            for name, word in passwords.items()
        ]
        return render(request, "example.html", {"people": people, **context()}, status=201)
