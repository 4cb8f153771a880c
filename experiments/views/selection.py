"""Which runs are chosen: in the address up to 100, beyond that in a selection of the person, or all of a filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from experiments import queries
from experiments.models import BulkAction, Experiment, Selection
from experiments.queries import Place
from experiments.services import bulk
from experiments.services.bulk import Chosen
from experiments.views.runs_of import RunsOf, numbers
from mlportal.lib.errors import Invalid
from projects.access import ProjectView
from projects.permissions import Permission

IN_ADDRESS = 100
IN_STORE = 5000
ALL, STORED = "all", "stored"


@dataclass(frozen=True, slots=True)
class Picked:
    """What is chosen on a page of runs."""

    mode: str = ""
    run_ids: Sequence[int] = ()
    ids: frozenset[int] = field(default=frozenset())

    @property
    def text(self) -> str:
        """The numbers, parted by commas."""
        return ",".join(map(str, self.run_ids))


def picked(view: ProjectView, place: Place, given: QueryDict) -> Picked:
    """Read what an address or a form says is chosen."""
    said = given.get("sel", "")
    if said == ALL:
        return Picked(ALL)
    if said == STORED:
        kept = Selection.objects.visible_to(view.actor).filter(**_owner(place)).first()
        found = kept.run_ids if kept is not None else []
    else:
        found = numbers(said)[:IN_STORE]
    return Picked(said, found, frozenset(found))


def _owner(place: Place) -> dict[str, Any]:
    """Where a selection belongs: to an experiment, or to all of a project, whatever folder is looked at."""
    return {"project": place.project, "experiment": place if isinstance(place, Experiment) else None}


def context(view: ProjectView, place: Place, request: HttpRequest) -> dict[str, Any]:
    """What the table of runs shows of choosing, and of the bulk action just done."""
    number = request.GET.get("bulk", "")
    action = None
    if number.isascii() and number.isdigit() and len(number) < 19:
        rows = BulkAction.objects.visible_to(view.actor).in_project(view.project).select_related("created_by")
        action = rows.filter(pk=int(number), confirmed_at__isnull=False).first()
    shown = {} if action is None else {"action": action, "undoable": not bulk.undo_refusal(action)}
    return {"picked": picked(view, place, request.GET), **shown}


def chosen_of(view: ProjectView, place: Place, given: QueryDict) -> Chosen:
    """Return the runs that a form means: those ticked on the page, those chosen elsewhere, or all of its filter.

    Raises
    ------
    Invalid
        If none is chosen.
    """
    text, deleted = given.get("q", ""), given.get("deleted") == "1"
    before = picked(view, place, given)
    if before.mode == ALL or given.get("all") == "1":
        return Chosen(place, None, text, deleted)
    shown = set(numbers(given.get("shown", "")))
    ticked = numbers(",".join(given.getlist("run")))
    found = sorted({*ticked, *(pk for pk in before.run_ids if pk not in shown)})
    if not found:
        raise Invalid("Choose at least one run.", field="run")
    return Chosen(place, found, text, deleted)


class RunSelection(RunsOf):
    """A person's selection in one table, kept here once it is too long for an address."""

    write_permission = Permission.RUN_VIEW

    def post(self, request: HttpRequest, experiment: str = "") -> HttpResponse:
        """Keep it: the numbers in ``runs``, parted by commas."""
        found = self.place(experiment)
        wanted = numbers(request.POST.get("runs", ""))
        if len(wanted) > IN_STORE:
            raise Invalid(
                f"At most {IN_STORE:,} runs can be chosen one by one; choose more by a filter.",
                field="runs", limit=IN_STORE, got=len(wanted),
            )  # fmt: skip
        known = queries.runs_of(found).filter(pk__in=wanted).order_by("pk").values_list("pk", flat=True)
        facts = {"run_ids": list(known), "updated_at": timezone.now()}
        Selection.objects.update_or_create(user=request.user, **_owner(found), defaults=facts)
        return HttpResponse(status=204)
