"""Saved views: keep an address under a name, for oneself or for the project.

Whoever may see runs keeps views of their own. What others see too, a shared view or an experiment's default,
needs the right to edit runs; so does changing it.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max
from django.http import QueryDict
from django.utils import timezone

from experiments import metricstore
from experiments.metricstore import FilterError
from experiments.models import Experiment, SavedView
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events

NAME_CHARS = 100
QUERY_CHARS = 8000
MOST = 200
# What an address says of one visit and not of the view.
TRANSIENT = ("view", "tab", "add", "edit", "cursor", "before", "open", "page", "change", "col", "find", "part")
# The same words in the address of the page mean something else.
RESERVED = ("all", "new")


def save(
    by: Actor,
    *,
    project: Project,
    name: str,
    query: str = "",
    page: str = "runs",
    experiment: Experiment | None = None,
    shared: bool = False,
) -> SavedView:
    """Keep an address under a name.

    Parameters
    ----------
    query : str
        What stands behind the question mark; cursors and the like are left out.
    page : str
        ``runs`` or ``compare``.
    experiment : Experiment, optional
        Without it the view is for all experiments of the project.

    Raises
    ------
    Invalid
        Naming the field: name, page, query.
    Conflict
        If the person has 200 views in the project, or one of this name there.
    """
    require(by, Permission.MARK_KEEP, project)
    if shared:
        require(by, Permission.RUN_EDIT, project)
    if page not in SavedView.Page.values:
        raise Invalid(f"page must be one of: {', '.join(SavedView.Page.values)}.", field="page", got=str(page)[:20])
    called, kept, now = _name(name), cleaned(query), timezone.now()
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # numbers are given one after the other
        mine = SavedView.objects.filter(project=project, owner=_person(by))
        if mine.count() >= MOST:
            raise Conflict(f"You keep {MOST} views here; delete one first.", limit=MOST)
        _refuse_twice(mine, called, page, experiment)
        last = SavedView.objects.filter(project=project).aggregate(n=Max("number"))["n"] or 0
        view = SavedView.objects.create(
            project=project, owner=_person(by), number=last + 1, name=called, query=kept, page=page,
            experiment=experiment, shared=shared, created_at=now, updated_at=now,
        )  # fmt: skip
        events.record(by, "view.saved", project=project, target=view, data={"view": view.number, "shared": shared})
    return view


def change(
    by: Actor,
    *,
    view: SavedView,
    name: str | None = None,
    query: str | None = None,
    shared: bool | None = None,
    is_default: bool | None = None,
) -> SavedView:
    """Change what is given of a view; a default is shared, and one that is no longer shared is no default.

    Raises
    ------
    Invalid, Conflict
        As for `save`.
    Forbidden
        If the view is somebody else's, or the change is seen by others and the actor may not edit runs.
    """
    require(by, Permission.MARK_KEEP, view.project)
    with transaction.atomic():
        held = _held(by, view)
        _check_right(by, held, turns_public=bool(shared or is_default))
        facts = _changes(held, name=name, query=query, shared=shared, is_default=is_default)
        if facts.get("is_default"):
            SavedView.objects.filter(experiment=held.experiment, page=held.page, is_default=True).update(
                is_default=False
            )
        for field, value in facts.items():
            setattr(held, field, value)
        held.updated_at = timezone.now()
        held.save(update_fields=[*facts, "updated_at"])
        told = {"view": held.number, "changed": sorted(facts)}
        events.record(by, "view.changed", project=held.project, target=held, data=told)
    return held


def rename(by: Actor, *, view: SavedView, name: str) -> SavedView:
    """Give a view another name."""
    require(by, Permission.MARK_KEEP, view.project)
    return change(by, view=view, name=name)


def share(by: Actor, *, view: SavedView, shared: bool = True) -> SavedView:
    """Show a view to the whole project, or to its owner only."""
    require(by, Permission.MARK_KEEP, view.project)
    return change(by, view=view, shared=shared)


def make_default(by: Actor, *, view: SavedView, default: bool = True) -> SavedView:
    """Let the experiment's page open with this view."""
    require(by, Permission.MARK_KEEP, view.project)
    return change(by, view=view, is_default=default)


def delete(by: Actor, *, view: SavedView) -> None:
    """Remove a view.

    Raises
    ------
    Forbidden
        As for `change`.
    """
    require(by, Permission.MARK_KEEP, view.project)
    with transaction.atomic():
        held = _held(by, view)
        _check_right(by, held)
        told = {"view": held.number, "name": held.name, "query": held.query}
        events.record(by, "view.deleted", project=held.project, target=held, data=told)
        held.delete()


def cleaned(query: str) -> str:
    """Return the address without what belongs to one visit.

    Raises
    ------
    Invalid
        If it is too long or its filter cannot be read.
    """
    text = names.exact(query, field="query", limit=QUERY_CHARS).removeprefix("?")
    asked = QueryDict(text, mutable=True)
    picked = asked.getlist("col")
    for word in TRANSIENT:
        asked.pop(word, None)
    if picked:
        asked["cols"] = ",".join(picked)
    for word in [word for word, values in asked.lists() if not any(values)]:
        asked.pop(word)
    try:
        metricstore.parse(asked.get("q", ""))
    except FilterError as fault:
        raise Invalid(fault.message, field="query", got={"start": fault.start, "stop": fault.stop}) from fault
    return asked.urlencode()


def _changes(
    held: SavedView, *, name: str | None, query: str | None, shared: bool | None, is_default: bool | None
) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if name is not None:
        facts["name"] = _name(name)
        others = SavedView.objects.filter(project=held.project, owner=held.owner).exclude(pk=held.pk)
        _refuse_twice(others, facts["name"], held.page, held.experiment)
    if query is not None:
        facts["query"] = cleaned(query)
    if shared is not None:
        facts["shared"] = shared
        if not shared:
            facts["is_default"] = False
    if is_default is not None:
        if is_default and held.experiment is None:
            raise Invalid("Only a view of one experiment can be its default.", field="is_default")
        facts["is_default"] = is_default
        if is_default:
            facts["shared"] = True
    return facts


def _held(by: Actor, view: SavedView) -> SavedView:
    rows = SavedView.objects.select_for_update(of=("self",), no_key=True).select_related(
        "project", "experiment", "owner"
    )
    return rows.get(pk=view.pk)


def _check_right(by: Actor, view: SavedView, *, turns_public: bool = False) -> None:
    """Private views are their owner's alone; what others see needs the right to edit runs."""
    if view.shared or turns_public:
        require(by, Permission.RUN_EDIT, view.project)
    if not view.shared and (by.user is None or view.owner_id != by.user.pk):
        raise Forbidden("This view belongs to somebody else.")


def _person(by: Actor) -> Any:
    if by.user is None:
        raise Forbidden("Only a person keeps views.")
    return by.user


def _name(name: str) -> str:
    text = names.clean_text(name, field="name", limit=NAME_CHARS, required=True)
    if text.casefold() in RESERVED or not text.isprintable():
        raise Invalid(f"A view cannot be called {text[:20]!r}.", field="name", got=text[:NAME_CHARS])
    return text


def _refuse_twice(views: Any, name: str, page: str, experiment: Experiment | None) -> None:
    if views.filter(name=name, page=page, experiment=experiment).exists():
        raise Conflict(f"You have a view called {name} there. Choose another name, or change that view.", field="name")
