"""Pages of stored connections, in the settings of a project."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib.errors import Missing
from projects.access import ProjectView
from projects.forms.sources import CONNECTIONS
from projects.models import Connection
from projects.permissions import Permission
from projects.services import connections
from projects.views.accounts import see_other


class _Connections(ProjectView):
    abstract = True
    reads = Connection
    permission = Permission.CONNECTION_EDIT

    def held(self) -> Any:
        """Connections that exist."""
        return self.rows().in_project(self.project).select_related("project", "created_by")

    def home(self) -> HttpResponse:
        """Back to the list."""
        return see_other(reverse("projects:connection-list", args=[self.project.slug]))

    def form_page(
        self, request: HttpRequest, form: Any, store: str, connection: Connection | None = None, *, status: int = 200
    ) -> HttpResponse:
        """Render the form of a new or stored connection."""
        values = {"form": form, "store": store, "label": Connection.Kind(store).label, "connection": connection}
        return render(request, "projects/connection.html", values, status=status)


class ConnectionList(_Connections):
    """Connections of a project, by name."""

    reads = Connection
    permission = Permission.CONNECTION_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        """All of them; a project has at most 50."""
        return render(request, "projects/connections.html", {"connections": self.held().order_by("name_key")})


class ConnectionNew(_Connections):
    """A new connection of one kind."""

    reads = Connection
    permission = Permission.CONNECTION_EDIT

    def get(self, request: HttpRequest, store: str) -> HttpResponse:
        """The empty form."""
        return self.form_page(request, _form(store)(), store)

    def post(self, request: HttpRequest, store: str) -> HttpResponse:
        """Keep it, or show what is wrong."""
        form = _form(store)(request.POST)
        made = form.attempt(lambda: self._create(store, form)) if form.is_valid() else None
        if made is None:
            return self.form_page(request, form, store, status=422)
        messages.success(request, f"The connection “{made.name}” is kept. Its secret is never shown again.")
        return self.home()

    def _create(self, store: str, form: Any) -> Connection:
        return connections.create(self.actor, project=self.project, kind=store, **form.values())


class ConnectionEdit(_Connections):
    """One connection: another place, another secret."""

    reads = Connection
    permission = Permission.CONNECTION_EDIT

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """The form with what is stored, without the secret."""
        held = self.find(self.held(), pk=number)
        return self.form_page(request, _form(held.kind)(initial=held.facts, stored=True), held.kind, held)

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Keep the change, or show what is wrong."""
        held = self.find(self.held(), pk=number)
        form = _form(held.kind)(request.POST, stored=True)
        saved = (
            form.attempt(lambda: connections.update(self.actor, connection=held, **form.values()))
            if form.is_valid()
            else None
        )
        if saved is None:
            return self.form_page(request, form, held.kind, held, status=422)
        messages.success(request, f"The connection “{saved.name}” is saved.")
        return self.home()


class ConnectionRemove(_Connections):
    """Take a connection away."""

    reads = Connection
    permission = Permission.CONNECTION_EDIT
    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Remove it and go back."""
        held = self.find(self.held(), pk=number)
        connections.remove(self.actor, connection=held)
        messages.success(request, f"The connection “{held.name}” is removed, and its secret forgotten.")
        return self.home()


def _form(store: str) -> Any:
    if store not in CONNECTIONS:
        raise Missing(f"There is no kind of connection {store[:40]!r}.")
    return CONNECTIONS[store]
