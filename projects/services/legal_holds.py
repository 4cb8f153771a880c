"""Legal holds: while one stands, nothing that it covers is removed for good, by hand or after its days.

Removals ask in the transaction that removes, with the row of the project locked, as the placing of a hold does: once
a hold is acknowledged, no removal that began before can still take something away.
"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, LegalHold, Project, User
from projects.permissions import Permission, require
from projects.services import events, stepup

MAX_REASON = 1_000
CODE = "legal_hold"
WORDS = "kept by a legal hold"


def place(by: Actor, *, project: Project, reason: str, dataset: Dataset | None = None) -> LegalHold:
    """Keep a project, or one dataset of it, until the hold is lifted.

    Raises
    ------
    Invalid
        Without a reason of 10 to 1,000 characters.
    Conflict
        When such a hold stands already.
    """
    require(by, Permission.PROJECT_EDIT, project)
    why, person = names.reason(reason, limit=MAX_REASON), _person(by)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if LegalHold.objects.standing().filter(project=project, dataset=dataset).exists():
            what = f"the dataset {dataset.name}" if dataset else "the whole project"
            raise Conflict(f"A legal hold on {what} stands already.", code="hold_stands", field="dataset")
        made = LegalHold.objects.create(project=project, dataset=dataset, reason=why, placed_by=person)
        data = {"dataset": dataset.name if dataset else None, "reason": why}
        events.record(by, "hold.placed", project=project, target=made, data=data)
    return made


def lift(by: Actor, *, hold: LegalHold, reason: str) -> LegalHold:
    """End a hold; what its days have passed for is removed by the next round.

    Raises
    ------
    Conflict
        When it is lifted already.
    """
    require(by, Permission.PROJECT_EDIT, hold.project)
    stepup.require_recent(by)
    why, person = names.reason(reason, limit=MAX_REASON), _person(by)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=hold.project_id)
        rows = LegalHold.objects.standing().filter(pk=hold.pk)
        if not rows.update(lifted_by=person, lifted_at=timezone.now(), lift_reason=why):
            raise Conflict("This hold is lifted already.", code="hold_lifted")
        hold.refresh_from_db()
        events.record(by, "hold.lifted", project=hold.project, target=hold, data={"reason": why})
    return hold


def stands(project: Project, *, dataset: Dataset | None = None, alone: bool = False) -> bool:
    """Whether a hold covers the project, or one of its datasets.

    Parameters
    ----------
    alone : bool
        Lock the project until the end of the transaction: no hold is placed meanwhile.
    """
    if alone:
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    covers = Q(dataset=None) | Q(dataset=dataset) if dataset is not None else Q(dataset=None)
    return LegalHold.objects.standing().filter(covers, project=project).exists()


def refuse(project: Project, *, dataset: Dataset | None = None, what: str) -> None:
    """Refuse a removal that a hold forbids; call it first in the transaction that removes.

    Raises
    ------
    Conflict
        With the code ``legal_hold``.
    """
    if stands(project, dataset=dataset, alone=True):
        raise Conflict(f"{what} cannot be removed: it is {WORDS}.", code=CODE)


def over_versions(versions: Sequence[int]) -> set[int]:
    """Return which of these dataset versions a hold covers; one query."""
    held = LegalHold.objects.standing()
    rows = DatasetVersion.objects.filter(pk__in=versions).filter(
        Q(dataset__project__in=held.filter(dataset=None).values("project"))
        | Q(dataset__in=held.filter(dataset__isnull=False).values("dataset"))
    )
    return set(rows.values_list("pk", flat=True))


def held_projects() -> Q:
    """Return the condition that a hold covers a project as a whole."""
    return Q(pk__in=LegalHold.objects.standing().filter(dataset=None).values("project"))


def held_datasets() -> Q:
    """Return the condition that a hold covers a dataset."""
    held = LegalHold.objects.standing()
    return Q(project__in=held.filter(dataset=None).values("project")) | Q(
        pk__in=held.filter(dataset__isnull=False).values("dataset")
    )


def _person(by: Actor) -> User:
    if by.user is None:
        raise Invalid("A legal hold needs a person.", field="by")
    return by.user
