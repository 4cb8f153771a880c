"""What each kind of bulk action does to one page of runs, and how it is taken back.

Every step locks its runs, leaves out those that are no longer as the action needs them, and returns what each changed
run was before, by its number as text: that is the inverse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q, QuerySet
from django.utils import timezone

from experiments import metricstore
from experiments.models import BulkAction, BulkPage, Experiment, Lifecycle, LoggedModel, Run, RunTag
from experiments.queries.holding import runs_held, runs_kept
from experiments.services import moving
from experiments.services.runs import NAME_TAG, NOTES_TAG, PARENT_TAG
from mlportal.lib.errors import Invalid
from mlportal.lib.failpoints import failpoint
from projects.models import Project
from projects.services import legal_holds

Kind = BulkAction.Kind
Before = dict[str, Any]
AT_WORK = "its training job still works"
WRONG_STATE = {
    Kind.TAG: "it is archived", Kind.UNTAG: "it is archived", Kind.MOVE: "it is archived",
    Kind.ARCHIVE: "it is archived already", Kind.RESTORE: "it is not archived",
    Kind.REMOVE: "it is not in the trash",
}  # fmt: skip
_JOB_AT_WORK = Q(source=Run.Source.JOB, state__in=[Run.State.QUEUED, Run.State.RUNNING])
EXPERIMENTS_AT_ONCE = 20


def checked(project: Project, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a kind needs, checked.

    Raises
    ------
    Invalid
        If one is missing or wrong.
    """
    if kind in (Kind.TAG, Kind.UNTAG):
        return _tag_of(kind, given)
    if kind == Kind.MOVE:
        named = str(given.get("experiment", "")).strip()
        rows = Experiment.objects.filter(project=project).active()
        found = rows.addressed(named).first() or rows.filter(name=named).first()
        if found is None:
            raise Invalid("Name an experiment of this project to move the runs to.", field="to", got=named[:100])
        return {"experiment": found.pk, "name": found.name}
    if kind == Kind.REMOVE:
        return {**given, "before": str(given.get("before") or timezone.now().isoformat())}
    return {}


def _tag_of(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    key, value = str(given.get("key", "")).strip(), str(given.get("value", "")).strip()
    metricstore.check_batch((), {}, {key: value})
    if key in (NAME_TAG, NOTES_TAG, PARENT_TAG):
        raise Invalid(f"The tag {key} tells one run's name, notes or parent; set it on the run.", field="tag", got=key)
    return {"key": key, "value": value} if kind == Kind.TAG else {"key": key}


def fitting(action: BulkAction, run_ids: Sequence[int], held: Mapping[int, str]) -> tuple[list[int], Counter[str]]:
    """Part runs into those that the action can change and the reasons of the others."""
    kind = Kind(action.kind)
    needed = _lifecycle(kind)
    fit, refused = [], Counter[str]()
    for start in range(0, len(run_ids), 500):
        rows = Run.objects.filter(pk__in=run_ids[start : start + 500]).order_by("pk")
        tagged = _tagged(action, rows) if kind == Kind.UNTAG else set()
        facts = rows.values_list("pk", "lifecycle", "experiment", "experiment__lifecycle", "source", "state")
        for pk, lifecycle, place, place_lifecycle, source, state in facts:
            if lifecycle != needed:
                refused[WRONG_STATE[kind]] += 1
            elif pk in held:
                refused[held[pk]] += 1
            elif kind == Kind.ARCHIVE and source == Run.Source.JOB and state not in Run.TERMINAL:
                refused[AT_WORK] += 1
            elif kind == Kind.RESTORE and place_lifecycle == Lifecycle.DELETED:
                refused["its experiment is in the trash"] += 1
            elif kind == Kind.UNTAG and pk not in tagged:
                refused["it has no such tag"] += 1
            elif kind == Kind.MOVE and place == action.given["experiment"]:
                refused["it is there already"] += 1
            else:
                fit.append(pk)
    return fit, refused


def _tagged(action: BulkAction, rows: QuerySet[Run]) -> set[int]:
    found = RunTag.objects.filter(run__in=rows.values("pk"), key__name=action.given["key"])
    return set(found.values_list("run", flat=True))


def apply(action: BulkAction, page: BulkPage) -> Before:
    """Do the step to the runs of a page; call inside the writing transaction."""
    return _STEPS[Kind(action.kind)](action, page)


def close(action: BulkAction) -> bool:
    """Do what comes after the last page; say whether more of it is left."""
    place = action.given.get("place")  # one experiment, or "all" of those in the trash
    if action.kind != Kind.REMOVE or not place or legal_holds.stands(action.project, alone=True):
        return False
    gone = Experiment.objects.filter(
        project=action.project, lifecycle=Lifecycle.DELETED, deleted_at__lte=action.given["before"], runs=None
    )
    gone = gone if place == "all" else gone.filter(pk=place)
    removed = 0
    for pk in gone.order_by("pk").values_list("pk", flat=True):
        removed += _remove_place(pk)
        if removed == EXPERIMENTS_AT_ONCE:
            return True
    return False


def _lifecycle(kind: str) -> str:
    return Lifecycle.DELETED if kind in (Kind.RESTORE, Kind.REMOVE) else Lifecycle.ACTIVE


def _rows(action: BulkAction, page: BulkPage) -> QuerySet[Run]:
    """The runs of a page that are still where and as they were, locked in one order."""
    rows = Run.objects.filter(project=action.project, pk__in=page.run_ids, lifecycle=_lifecycle(action.kind))
    if action.experiment_id is not None and action.undo_of_id is None:
        rows = rows.filter(experiment=action.experiment_id)
    # What is being logged waits only where it must: when runs change their place or go.
    return rows.order_by("pk").select_for_update(no_key=action.kind not in (Kind.MOVE, Kind.REMOVE))


def _tag(action: BulkAction, page: BulkPage) -> Before:
    key = action.given["key"]
    if action.undo_of_id is None:
        wanted = dict.fromkeys(_rows(action, page).values_list("pk", flat=True), action.given.get("value"))
        return _texts(metricstore.retag_many(key, wanted)) if wanted else {}
    wanted = {int(number): value for number, value in page.wanted.items()}
    return _texts(metricstore.retag_many(key, wanted, only_if=action.given.get("value")))


def _texts(before: Mapping[int, Any]) -> Before:
    return {str(number): value for number, value in before.items()}


def _move(action: BulkAction, page: BulkPage) -> Before:
    target = action.given["experiment"]
    rows = _rows(action, page)
    if action.undo_of_id is None:
        found = dict(rows.exclude(experiment=target).values_list("pk", "experiment"))
        moving.move(list(found), target)
        return _texts(found)
    found = dict(rows.filter(experiment=target).values_list("pk", "experiment"))
    for place in sorted(set(page.wanted.values())):
        moving.move([pk for pk in found if page.wanted[str(pk)] == place], place)
    return _texts(found)


def _archive(action: BulkAction, page: BulkPage) -> Before:
    rows = _rows(action, page).exclude(_JOB_AT_WORK)
    found = list(rows.values_list("pk", flat=True))
    if action.undo_of_id is not None:
        return _archive_as_before(found, page.wanted)
    held = runs_held(action.project, found)
    fit, now = [pk for pk in found if pk not in held], timezone.now()
    Run.objects.filter(pk__in=fit).update(lifecycle=Lifecycle.DELETED, deleted_at=now, deleted_by=action.created_by)
    return dict.fromkeys(map(str, fit), now.isoformat())


def _archive_as_before(found: Sequence[int], wanted: Mapping[str, Any]) -> Before:
    """Put runs back in the trash with the moment and the person of the first time."""
    for moment, person in sorted({tuple(wanted[str(pk)]) for pk in found}, key=str):
        same = [pk for pk in found if tuple(wanted[str(pk)]) == (moment, person)]
        Run.objects.filter(pk__in=same).update(lifecycle=Lifecycle.DELETED, deleted_at=moment, deleted_by=person)
    return {str(pk): True for pk in found}


def _restore(action: BulkAction, page: BulkPage) -> Before:
    rows = _rows(action, page).filter(experiment__in=Experiment.objects.active().filter(project=action.project))
    found: dict[int, tuple[datetime | None, int | None]] = {
        pk: (moment, person) for pk, moment, person in rows.values_list("pk", "deleted_at", "deleted_by")
    }
    if action.undo_of_id is not None:  # one that was restored and archived again since has another moment
        found = {pk: mark for pk, mark in found.items() if mark[0] and page.wanted[str(pk)] == mark[0].isoformat()}
    Run.objects.filter(pk__in=list(found)).update(lifecycle=Lifecycle.ACTIVE, deleted_at=None, deleted_by=None)
    return {str(pk): [moment.isoformat() if moment else None, person] for pk, (moment, person) in found.items()}


def _remove(action: BulkAction, page: BulkPage) -> Before:
    if legal_holds.stands(action.project, alone=True):  # placed since it was confirmed
        return {}
    rows = _rows(action, page).filter(deleted_at__lte=action.given["before"])
    found = list(rows.values_list("pk", flat=True))
    held = runs_kept(action.project, found)
    fit = [pk for pk in found if pk not in held]
    if not _remove_runs(fit):  # something began to need one of them this moment: find the others one by one
        fit = [pk for pk in fit if _remove_runs([pk])]
    failpoint("removing")
    return dict.fromkeys(map(str, fit), True)


def _remove_runs(run_ids: Sequence[int]) -> bool:
    try:
        with transaction.atomic():
            LoggedModel.objects.filter(source_run__in=run_ids).delete()
            Run.objects.filter(pk__in=run_ids).delete()
    except (ProtectedError, IntegrityError):
        return False
    return True


def _remove_place(pk: int) -> bool:
    """Remove an experiment that has no runs; one whose models are registered stays."""
    try:
        with transaction.atomic():
            Experiment.objects.filter(pk=pk).delete()
    except (ProtectedError, IntegrityError):
        return False
    return True


_STEPS: dict[str, Callable[[BulkAction, BulkPage], Before]] = {
    Kind.TAG: _tag, Kind.UNTAG: _tag, Kind.MOVE: _move, Kind.ARCHIVE: _archive, Kind.RESTORE: _restore,
    Kind.REMOVE: _remove,
}  # fmt: skip
