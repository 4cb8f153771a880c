"""Saved views on pages: tabs, opening one, and the small posts that change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect

from experiments.models import Experiment, SavedView
from experiments.queries import Place
from experiments.services import saved_views
from experiments.views.runs_of import Addresses, RunsOf
from mlportal.lib.errors import Conflict, Invalid, Missing
from projects.access import ProjectView
from projects.actor import Actor
from projects.permissions import Permission

EVERYTHING = "all"


@dataclass(frozen=True, slots=True)
class Tab:
    """A view as a tab: the whole of its address, and whether the page shows it."""

    view: SavedView
    href: str
    is_current: bool
    is_mine: bool


def opened(request: HttpRequest, actor: Actor, place: Place, page: str = "runs") -> str:
    """Return the whole address of the view that is asked for, or of the default on a bare address; else nothing.

    ``view=3`` is the base, and what else stands in the address goes before it. The answer says ``tab=3``
    and holds everything, so that a link shows the same after the view has changed.

    Raises
    ------
    Missing
        If there is no such view, or it is not for this page.
    """
    asked = request.GET.get("view", "")
    if not asked:
        if request.GET:
            return ""
        default = _views(actor, place, page).filter(experiment__isnull=False, is_default=True).first()
        return _address(request.path, default, QueryDict()) if default else ""
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0
    view = _views(actor, place, page).filter(number=number).first()
    if view is None:
        raise Missing(f"There is no view {asked[:20]!r} here.", field="view")
    return _address(request.path, view, request.GET)


def context(request: HttpRequest, actor: Actor, place: Place, page: str = "runs") -> dict[str, Any]:
    """What the row of tabs reads; one query."""
    current = request.GET.get("tab", "")
    views = list(_views(actor, place, page).order_by("-shared", "name", "pk"))
    tabs = [
        Tab(
            view, _address(request.path, view, QueryDict()), current == str(view.number),
            actor.user is not None and view.owner_id == actor.user.pk,
        )
        for view in views
    ]  # fmt: skip
    shown = next((tab for tab in tabs if tab.is_current), None)
    query = _shown_query(request)
    return {
        "tabs": tabs, "tab": shown, "tab_query": query, "tab_changed": shown is not None and shown.view.query != query,
        "has_default": any(tab.view.is_default for tab in tabs),
    }  # fmt: skip


def _views(actor: Actor, place: Place, page: str) -> Any:
    rows = SavedView.objects.visible_to(actor).in_project(place.project)
    return rows.on(page, place if isinstance(place, Experiment) else None).select_related("owner")


def _shown_query(request: HttpRequest) -> str:
    try:
        return saved_views.cleaned(request.GET.urlencode())
    except Invalid:  # a filter that cannot be read is not worth keeping
        query = request.GET.copy()
        query.pop("q", None)
        return saved_views.cleaned(query.urlencode()) if len(query.urlencode()) <= saved_views.QUERY_CHARS else ""


def _address(path: str, view: SavedView, over: QueryDict) -> str:
    query = QueryDict(view.query, mutable=True)
    for word, values in over.lists():
        if word not in ("view", "tab"):
            query.setlist(word, values)
    query["tab"] = str(view.number)
    return f"{path}?{query.urlencode()}"


def _home(slug: str, experiment: Experiment | None, page: str) -> str:
    """The page that a view is of."""
    at = Addresses(slug, experiment.address if experiment else "")
    return at["runs" if page == SavedView.Page.RUNS else "compare"]


class ViewSave(RunsOf):
    """Keep what the runs table shows under a name."""

    reads = SavedView
    write_permission = Permission.MARK_KEEP

    def post(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """Save, and show the new tab."""
        rows = Experiment.objects.visible_to(self.actor).in_project(self.project).active()
        given = request.POST
        found = self.find(rows.select_related("project").addressed(experiment)) if experiment else None
        page = SavedView.Page.COMPARE if given.get("page") == "compare" else SavedView.Page.RUNS
        home = _home(self.project.slug, found, page)
        try:
            view = saved_views.save(
                self.actor, project=self.project, experiment=found, name=given.get("name", ""),
                query=given.get("query", ""), page=page, shared=given.get("shared") == "1",
            )  # fmt: skip
        except (Invalid, Conflict) as error:
            messages.error(request, error.message)
            return redirect(f"{home}?{given.get('query', '')[: saved_views.QUERY_CHARS]}")
        messages.success(request, f"The view {view.name} is saved.")
        return redirect(_address(home, view, QueryDict()))


class _OneView(ProjectView):
    abstract = True
    reads = SavedView
    permission = Permission.RUN_VIEW

    def view(self, number: int) -> SavedView:
        """The view of the address, or 404."""
        rows = self.rows().in_project(self.project).select_related("project", "experiment", "owner")
        found: SavedView = self.find(rows, number=number)
        return found

    def place(self, view: SavedView, *, whole: bool = True) -> str:
        """The page on which a view stands."""
        path = _home(self.project.slug, view.experiment, view.page)
        return _address(path, view, QueryDict()) if whole else f"{path}?tab={EVERYTHING}"


class ViewShow(_OneView):
    """A short address of a view."""

    def get(self, request: HttpRequest, view: int) -> HttpResponse:
        """Go to its page."""
        return redirect(self.place(self.view(view)))


class ViewChange(_OneView):
    """Rename, update, share, make the default, delete."""

    write_permission = Permission.MARK_KEEP

    def post(self, request: HttpRequest, view: int) -> HttpResponse:
        """``action`` says what; `name` and `query` come with rename and update."""
        found, action = self.view(view), request.POST.get("action", "")
        change = self._change(action)
        place = self.place(found, whole=action != "delete")
        try:
            if action == "delete":
                saved_views.delete(self.actor, view=found)
            else:
                found = saved_views.change(self.actor, view=found, **change)
                place = self.place(found)
        except (Invalid, Conflict) as error:
            messages.error(request, error.message)
            return redirect(self.place(found))
        messages.success(request, f"The view {found.name} is {DONE[action]}.")
        return redirect(place)

    def _change(self, action: str) -> dict[str, Any]:
        given = self.request.POST
        changes: dict[str, dict[str, Any]] = {
            "rename": {"name": given.get("name", "")}, "update": {"query": given.get("query", "")},
            "share": {"shared": True}, "unshare": {"shared": False}, "default": {"is_default": True},
            "undefault": {"is_default": False}, "delete": {},
        }  # fmt: skip
        if action not in changes:
            raise Invalid(f"action must be one of: {', '.join(changes)}.", field="action", got=action[:20])
        return changes[action]


DONE = {
    "rename": "renamed", "update": "updated", "share": "shared with the project", "unshare": "yours alone",
    "default": "the default", "undefault": "no longer the default", "delete": "deleted",
}  # fmt: skip
