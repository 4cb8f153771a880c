"""Actions on several chosen runs, or on all runs of a filter: say what will happen, do it, take it back."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from experiments.models import BulkAction, Experiment
from experiments.queries import Place
from experiments.services import bulk
from experiments.views.runs_of import Addresses, RunsOf
from experiments.views.selection import IN_ADDRESS, chosen_of
from mlportal.lib.errors import DomainError
from projects.access import ProjectView
from projects.permissions import Permission

Kind = BulkAction.Kind
OFFERED = 300
AT_ONCE = (Kind.TAG, Kind.UNTAG)


class RunBulk(RunsOf):
    """One change to the chosen runs."""

    write_permission = Permission.RUN_EDIT

    def post(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """Tag a few runs at once; before anything else, show how many runs it would change."""
        place = self.place(experiment)
        chosen, kind = chosen_of(self, place, request.POST), request.POST.get("action", "")
        if kind == Kind.MOVE and not request.POST.get("to", "").strip():
            return self._ask_where(request, place)
        try:
            action = bulk.prepare(
                self.actor, project=self.project, kind=kind, chosen=chosen, given=_given(kind, request)
            )  # fmt: skip
        except DomainError as error:
            if kind == Kind.MOVE and error.field == "to":
                return self._ask_where(request, place, error)
            raise
        if kind in AT_ONCE and chosen.run_ids is not None and len(chosen.run_ids) <= IN_ADDRESS:
            action = bulk.confirm(self.actor, action=action)
            return redirect(_back(request, action))
        context = {"action": action, "runs": _table(action), "experiment": action.experiment}
        context["back"] = request.POST.get("back", "")
        return render(request, "experiments/bulk_confirm.html", context)

    def _ask_where(self, request: HttpRequest, place: Place, error: DomainError | None = None) -> HttpResponse:
        others = self.rows().in_project(self.project).active().order_by("-updated_at", "-pk")
        others = others.exclude(pk=place.pk) if isinstance(place, Experiment) else others
        fields = [(name, value) for name, values in request.POST.lists() for value in values]
        context = {
            "place": place, "at": Addresses.of(place), "others": others[:OFFERED], "error": error,
            "given": request.POST,
            "fields": [(name, value) for name, value in fields if name not in ("to", "csrfmiddlewaretoken")],
        }  # fmt: skip
        return render(request, "experiments/bulk_move.html", context, status=422 if error else 200)


class BulkPage(ProjectView):
    """Base of the pages of one bulk action."""

    abstract = True
    reads = BulkAction
    permission = Permission.RUN_VIEW
    write_permission = Permission.RUN_EDIT

    def load(self, number: int) -> BulkAction:
        """The action of the address, or 404."""
        rows = self.rows().in_project(self.project).select_related("project", "experiment", "created_by")
        return self.find(rows, pk=number)


class BulkShow(BulkPage):
    """What became of a bulk action."""

    def get(self, request: HttpRequest, bulk_action: int) -> HttpResponse:
        """Show it; a page that waits for its end takes the part alone."""
        action = self.load(bulk_action)
        context = {"action": action, "undoable": not bulk.undo_refusal(action), "runs": _table(action)}
        part = request.headers.get("HX-Target") == f"bulk-{action.pk}"
        return render(request, f"experiments/{'_bulk_note' if part else 'bulk_show'}.html", context)


class BulkConfirm(BulkPage):
    """Do what was announced."""

    def post(self, request: HttpRequest, bulk_action: int) -> HttpResponse:
        """Begin, and go back to the runs."""
        action = bulk.confirm(self.actor, action=self.load(bulk_action))
        return redirect(_back(request, action))


class BulkUndo(BulkPage):
    """Take an action back."""

    def post(self, request: HttpRequest, bulk_action: int) -> HttpResponse:
        """Undo it, and go back to the runs."""
        inverse = bulk.undo(self.actor, action=self.load(bulk_action))
        return redirect(_back(request, inverse))


class BulkStop(BulkPage):
    """End an action that is at work."""

    def post(self, request: HttpRequest, bulk_action: int) -> HttpResponse:
        """Stop after the page of runs that is being changed."""
        action = bulk.stop(self.actor, action=self.load(bulk_action))
        return redirect(_back(request, action))


def _given(kind: str, request: HttpRequest) -> dict[str, Any]:
    if kind in AT_ONCE:
        key, _, value = request.POST.get("tag", "").strip().partition("=")
        return {"key": key, "value": value}
    return {"experiment": request.POST.get("to", "").strip()} if kind == Kind.MOVE else {}


def _table(action: BulkAction) -> str:
    """The address of the table that an action was begun on, empty where there is none."""
    place = action.experiment
    if place is None:  # all runs of the project, or the trash
        return "" if action.kind == Kind.REMOVE else Addresses(action.project.slug)["runs"]
    return Addresses(action.project.slug, place.address)["runs"] if place.lifecycle == "active" else ""


def _back(request: HttpRequest, action: BulkAction) -> str:
    """The table the action came from, with a word about it; the action's own page where there is none."""
    said, top = request.POST.get("back", ""), _table(action)
    if not top:
        return reverse("experiments:bulk-show", args=[action.project.slug, action.pk])
    pairs = parse_qsl(said[1:]) if said.startswith("?") else []
    kept = [(name, value) for name, value in pairs if name not in ("sel", "bulk", "cursor", "before")]
    return f"{top}?{urlencode([*kept, ('bulk', action.pk)])}"
