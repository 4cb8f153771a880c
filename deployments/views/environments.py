"""Pages of a project's environments: which there are, their order, and the moves that lead into them."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.models import Environment
from deployments.services import environments, governed, past, ways
from deployments.views import drawing
from deployments.views.answers import see
from mlportal.lib.errors import DomainError
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.permissions import Permission
from projects.services.past import Section

MENDABLE = (400, 409, 422)


class EnvironmentList(ProjectView):
    """Environments, their moves as a drawing and a table, and the forms that change them."""

    reads = Environment
    permission = Permission.MODEL_VIEW
    write_permission = Permission.POLICY_EDIT

    def past(self, span: Span) -> list[Section]:
        """Return the environments and moves there were."""
        return past.environments(self.project, span)

    def past_heading(self, **kwargs: Any) -> str:
        """Return the heading of the page as it was."""
        del kwargs
        return "Environments"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the page."""
        return self.show(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Add an environment."""
        return self.change(request, self.add)

    def add(self, request: HttpRequest) -> str:
        """Add what the form names."""
        made = environments.create(
            self.actor, project=self.project, name=request.POST.get("name", ""),
            start=request.POST.get("start", ways.ANYWHERE),
        )  # fmt: skip
        return f"{made.name} is there, with the default rules."

    def change(self, request: HttpRequest, act: Any) -> HttpResponse:
        """Do one change and go back to the page, or show it with what was wrong."""
        try:
            said = act(request)
        except DomainError as error:
            if error.status not in MENDABLE and error.code != "environment_in_use":
                raise
            return self.show(request, trouble=error.message, status=409 if error.status in (403, 409) else 422)
        messages.success(request, said)
        return see(reverse("deployments:environment-list", args=[self.project.slug]))

    def show(self, request: HttpRequest, *, trouble: str = "", status: int = 200) -> HttpResponse:
        """Render the page."""
        rows = list(self.rows().in_project(self.project).order_by("-position", "-pk"))
        known = ways.of(self.project)
        places = [row for row in rows if row.archived_at is None]
        used = governed.used(self.project)
        context = {
            "lines": [
                {"place": row, "starts": known.starts(row.pk), "first": at == 0, "last": at == len(places) - 1,
                 "named": row.pk not in used}
                for at, row in enumerate(places)
            ],
            "archived": [row for row in rows if row.archived_at is not None],
            "drawing": drawing.moves(known),
            "board": _board(known),
            "goals": list(known.places.values()),
            "pairs": known.pairs(),
            "mark": known.mark,
            "trouble": trouble,
            "given": request.POST.get("name", "")[:100] if trouble else "",
        }  # fmt: skip
        return render(request, "deployments/environment_list.html", context, status=status)


class _OneEnvironment(EnvironmentList):
    """Changes one environment and goes back to the list."""

    abstract = True
    http_method_names = ["post", "options"]
    reads = Environment
    permission = Permission.POLICY_EDIT

    def post(self, request: HttpRequest, environment: str) -> HttpResponse:  # type: ignore[override]
        """Do it."""
        rows = self.rows().in_project(self.project).select_related("project")
        place = self.find(rows, name=environment)
        return self.change(request, lambda asked: self.act(asked, place))

    def act(self, request: HttpRequest, place: Environment) -> str:
        """Change the environment and say it in a sentence."""
        raise NotImplementedError


class EnvironmentRename(_OneEnvironment):
    """Another name, as long as nothing was promoted there."""

    reads = Environment
    permission = Permission.POLICY_EDIT

    def act(self, request: HttpRequest, place: Environment) -> str:
        before = place.name
        made = environments.rename(self.actor, environment=place, name=request.POST.get("name", ""))
        return f"{before} is called {made.name} now."


class EnvironmentArchive(_OneEnvironment):
    """Out of use."""

    reads = Environment
    permission = Permission.POLICY_EDIT

    def act(self, request: HttpRequest, place: Environment) -> str:
        del request
        environments.archive(self.actor, environment=place)
        return f"{place.name} is archived. It takes no promotion."


class EnvironmentRestore(_OneEnvironment):
    """Into use again."""

    reads = Environment
    permission = Permission.POLICY_EDIT

    def act(self, request: HttpRequest, place: Environment) -> str:
        del request
        environments.restore(self.actor, environment=place)
        return f"{place.name} is in use again."


class EnvironmentShift(_OneEnvironment):
    """One place up or down."""

    reads = Environment
    permission = Permission.POLICY_EDIT

    def act(self, request: HttpRequest, place: Environment) -> str:
        rows = Environment.objects.in_project(self.project).open().order_by("position", "pk")
        order = list(rows.values_list("name", flat=True))
        if place.name in order:
            at = order.index(place.name)
            goal = min(max(at + (1 if request.POST.get("way") == "up" else -1), 0), len(order) - 1)
            order.insert(goal, order.pop(at))
        environments.reorder(self.actor, project=self.project, order=order)
        return f"The order is {', '.join(reversed(order))}."


class EnvironmentMoves(EnvironmentList):
    """Which moves are allowed."""

    http_method_names = ["post", "options"]
    reads = Environment
    permission = Permission.POLICY_EDIT

    def add(self, request: HttpRequest) -> str:
        """Set the moves that are ticked."""
        ticked = [(start, goal) for text in request.POST.getlist("move") for start, _, goal in [text.partition(">")]]
        environments.set_moves(self.actor, project=self.project, moves=ticked, seen=request.POST.get("seen", ""))
        return "The moves are set."


def _board(known: ways.Ways) -> list[dict[str, Any]]:
    """Return the table of check boxes: a line per start, a cell per goal; None where a move makes no sense."""
    allowed = set(known.pairs())
    names = [place.name for place in known.places.values()]
    words = {ways.ANYWHERE: "anywhere", ways.NOTHING: "no environment"}
    return [
        {
            "start": words.get(start, start),
            "cells": [
                None if start == goal else {"value": f"{start}>{goal}", "goal": goal, "on": (start, goal) in allowed}
                for goal in names
            ],
        }
        for start in (ways.ANYWHERE, ways.NOTHING, *names)
    ]
