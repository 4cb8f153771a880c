"""Changes to many runs: said before, done once for each run, taken back within ten minutes.

An action is a row with pages of run numbers. It is prepared with the exact set, confirmed by who asked, and applied
page by page: each page and the mark that it is done are one transaction. So a worker may die anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from experiments import metricstore, queries
from experiments.metricstore import NEWEST_FIRST, FilterError
from experiments.models import BulkAction, BulkPage, Experiment, Lifecycle, Run
from experiments.queries import Place
from experiments.queries.holding import runs_held, runs_kept
from experiments.services import bulk_places, bulk_steps
from mlportal.lib import lease, queue
from mlportal.lib.errors import Conflict, Invalid
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events, legal_holds

Kind = BulkAction.Kind
SMALL = 500  # up to so many runs are changed before the answer
PAGE = 500
REMOVED_AT_ONCE = 50  # a removed run takes thousands of rows with it
MAX_CHOSEN = 20_000  # that a call may name one by one; a filter has no such limit
UNDO_FOR = timedelta(minutes=10)
FORGET_PREPARED = timedelta(hours=1)
VERBS = {
    Kind.TAG: "runs.tagged", Kind.UNTAG: "runs.untagged", Kind.MOVE: "runs.moved", Kind.ARCHIVE: "runs.archived",
    Kind.RESTORE: "runs.restored", Kind.REMOVE: "runs.removed",
}  # fmt: skip
UNDONE_BY = {
    Kind.TAG: Kind.TAG, Kind.UNTAG: Kind.TAG, Kind.MOVE: Kind.MOVE, Kind.ARCHIVE: Kind.RESTORE,
    Kind.RESTORE: Kind.ARCHIVE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chosen:
    """The runs meant: those named, or those of one experiment or of several that a filter keeps."""

    place: Place | None = None
    run_ids: Sequence[int] | None = None
    text: str = ""
    deleted: bool = False

    @property
    def experiment(self) -> Experiment | None:
        """The one experiment, None where there are several."""
        return self.place if isinstance(self.place, Experiment) else None


def right_of(kind: str) -> Permission:
    """Return the permission that a kind of action needs."""
    return Permission.RUN_DELETE if kind == Kind.REMOVE else Permission.RUN_EDIT


def prepare(
    by: Actor, *, project: Project, kind: str, chosen: Chosen, given: Mapping[str, Any] | None = None
) -> BulkAction:
    """Write down what an action would do, with the exact runs; nothing changes before `confirm`.

    Raises
    ------
    Conflict
        If runs shall be removed for good that a legal hold covers.
    Invalid
        If the kind is unknown, its values or the filter are wrong, or no run is chosen.
    """
    require(by, right_of(kind), project, within=_place(kind, project, chosen))
    if kind not in Kind.values:
        raise Invalid(f"Choose one of {', '.join(Kind.values)}.", field="action", got=str(kind)[:40])
    given = bulk_steps.checked(project, kind, dict(given or {}))
    if kind == Kind.MOVE:
        target = Experiment.objects.select_related("folder").get(pk=given["experiment"])
        bulk_places.check_rights_of_move(by, project, _place(kind, project, chosen), target)
    if chosen.run_ids is not None and len(chosen.run_ids) > MAX_CHOSEN:
        raise Invalid(
            f"At most {MAX_CHOSEN:,} runs can be named; choose more by a filter.",
            field="runs", limit=MAX_CHOSEN, got=len(chosen.run_ids),
        )  # fmt: skip
    with metricstore.writing():
        if kind == Kind.REMOVE:
            legal_holds.refuse(project, what="What lies in the trash")
        action = BulkAction.objects.create(
            project=project, experiment=chosen.experiment, kind=kind, given=given, question=_question(chosen),
            expected=0, created_by=by.user, created_at=timezone.now(),
        )  # fmt: skip
        _write_pages(action, _numbers(by, project, chosen, kind, given))
    return action


def confirm(by: Actor, *, action: BulkAction) -> BulkAction:
    """Do what was prepared: at once for few runs, else by a worker; again changes nothing more."""
    require(by, right_of(action.kind), action.project, within=_place_of(action))
    with metricstore.writing():
        waiting = BulkAction.objects.filter(pk=action.pk, confirmed_at=None)
        if waiting.update(confirmed_at=timezone.now(), queued_at=timezone.now()):
            action.refresh_from_db()
            _begin(by, action)
    action.refresh_from_db()
    return action


def run(
    by: Actor, *, project: Project, kind: str, chosen: Chosen, given: Mapping[str, Any] | None = None
) -> BulkAction:
    """Prepare and confirm in one step."""
    require(by, right_of(kind), project, within=_place(kind, project, chosen))
    with metricstore.writing():
        return confirm(by, action=prepare(by, project=project, kind=kind, chosen=chosen, given=given))


def undo(by: Actor, *, action: BulkAction) -> BulkAction:
    """Take an action back: each run becomes what it was, but for those that changed since, which are counted.

    Raises
    ------
    Conflict
        If it still works, was undone, removed runs for good, or ended more than ten minutes ago.
    """
    # Runs that were moved lie elsewhere now: who takes that back needs the right in the whole project.
    require(by, right_of(action.kind), action.project, within=None if action.kind == Kind.MOVE else _place_of(action))
    with metricstore.writing():
        action = (
            BulkAction.objects.select_for_update(of=("self",), no_key=True).select_related("project").get(pk=action.pk)
        )
        if why := undo_refusal(action):
            raise Conflict(why, code="cannot_undo")
        inverse = BulkAction.objects.create(
            project=action.project, experiment=action.experiment, kind=UNDONE_BY[Kind(action.kind)],
            given={**action.given, "undone": action.kind}, expected=action.done, undo_of=action, created_by=by.user,
            created_at=timezone.now(), confirmed_at=timezone.now(),
        )  # fmt: skip
        for page in action.pages.exclude(before={}).order_by("pk").iterator():
            BulkPage.objects.create(action=inverse, run_ids=[int(n) for n in page.before], wanted=page.before)
        _begin(by, inverse)
    inverse.refresh_from_db()
    return inverse


def undo_refusal(action: BulkAction) -> str:
    """Say why an action cannot be undone, or return an empty text."""
    if action.kind == Kind.REMOVE:
        return "Runs that were removed for good cannot come back."
    if action.undo_of_id is not None:
        return "This took back an action; do that action again instead."
    if BulkAction.objects.filter(undo_of=action).exists():
        return "This was undone already."
    if not action.is_terminal or action.ended_at is None:
        return "This is still at work. Stop it first, or wait."
    if not action.done:
        return "Nothing was changed."
    if timezone.now() - action.ended_at > UNDO_FOR:
        return f"This can be undone for {UNDO_FOR.seconds // 60} minutes only."
    return ""


def stop(by: Actor, *, action: BulkAction) -> BulkAction:
    """End an action that a worker is doing; what is done stays and can be undone.

    Raises
    ------
    Conflict
        If it was never confirmed.
    """
    require(by, right_of(action.kind), action.project, within=_place_of(action))
    if action.confirmed_at is None:
        raise Conflict("This has not begun; nothing needs to be stopped.", code="not_confirmed")
    with metricstore.writing():
        before = action.state
        state = lease.request_cancel(_confirmed(), action.pk)
        action.refresh_from_db()
        if state == WorkState.CANCELLED and before != state:
            _record(by, action)
    return action


def _place(kind: str, project: Project, chosen: Chosen) -> Any:
    return bulk_places.of_choice(right_of(kind), project, chosen.place, chosen.run_ids)


def _place_of(action: BulkAction) -> Any:
    return bulk_places.of_action(right_of(action.kind), action)


def _begin(by: Actor, action: BulkAction) -> None:
    if action.expected > SMALL or (action.kind == Kind.REMOVE and action.expected > REMOVED_AT_ONCE):
        queue.enqueue("experiments.execute_bulk", action.pk)
        return
    for page in action.pages.filter(applied_at=None).order_by("pk"):
        _apply(action, page)
    now = timezone.now()
    BulkAction.objects.filter(pk=action.pk).update(
        state=WorkState.SUCCEEDED, started_at=now, ended_at=now, progress=1.0, done=action.done
    )
    action.state = WorkState.SUCCEEDED
    bulk_steps.close(action)
    _record(by, action)


def _apply(action: BulkAction, page: BulkPage) -> None:
    """Change the runs of a page and write down what they were; call inside the writing transaction."""
    before = bulk_steps.apply(action, page)
    BulkPage.objects.filter(pk=page.pk).update(applied_at=timezone.now(), before=before)
    action.done += len(before)


def _record(by: Actor, action: BulkAction) -> None:
    data = {
        "state": action.state, "runs": action.done, "skipped": action.skipped, "left_out": action.excluded,
        "given": action.given, "question": action.question, "undo_of": action.undo_of_id,
    }  # fmt: skip
    events.record(by, VERBS[Kind(action.kind)], project=action.project, target=action, data=data)


def _question(chosen: Chosen) -> dict[str, Any] | None:
    if chosen.run_ids is not None:
        return None
    folder = None if chosen.place is None or chosen.experiment is not None else chosen.place.folder
    return {"q": chosen.text, "deleted": chosen.deleted, **({"folder": folder.pk} if folder else {})}


def _numbers(by: Actor, project: Project, chosen: Chosen, kind: str, given: Mapping[str, Any]) -> Iterator[list[int]]:
    """The chosen runs, some thousands at a time."""
    if chosen.run_ids is None and chosen.place is None:
        yield from _trashed(project, given)
    elif chosen.run_ids is not None:
        named = sorted(set(chosen.run_ids))
        rows = Run.objects.filter(project=project)
        rows = rows.filter(experiment=chosen.experiment) if chosen.experiment is not None else rows
        for start in range(0, len(named), PAGE):
            yield list(rows.filter(pk__in=named[start : start + PAGE]).order_by("pk").values_list("pk", flat=True))
    elif chosen.place is not None:
        yield from _answers(by, chosen.place, chosen)


def _answers(by: Actor, place: Place, chosen: Chosen) -> Iterator[list[int]]:
    lifecycle = Lifecycle.DELETED if chosen.deleted else Lifecycle.ACTIVE
    last = 0
    try:
        question = queries.question(by, place, chosen.text, NEWEST_FIRST, lifecycle)
        while found := metricstore.numbers(question, after=last):
            yield found
            last = found[-1]
    except FilterError as fault:
        raise Invalid(
            fault.message, code="bad_filter", field="q", got={"start": fault.start, "stop": fault.stop}
        ) from fault


def _trashed(project: Project, given: Mapping[str, Any]) -> Iterator[list[int]]:
    rows = Run.objects.filter(project=project, lifecycle=Lifecycle.DELETED, deleted_at__lte=given["before"])
    if given["place"] != "all":
        rows = rows.filter(experiment=given["place"])
    last = 0
    while found := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:20_000]):
        yield found
        last = found[-1]


def _write_pages(action: BulkAction, numbers: Iterator[list[int]]) -> None:
    holds = {Kind.ARCHIVE: runs_held, Kind.REMOVE: runs_kept}.get(Kind(action.kind))
    held = holds(action.project) if holds else {}
    size = REMOVED_AT_ONCE if action.kind == Kind.REMOVE else PAGE
    excluded: Counter[str] = Counter()
    for found in numbers:
        fit, refused = bulk_steps.fitting(action, found, held)
        excluded.update(refused)
        parts = [fit[start : start + size] for start in range(0, len(fit), size)]
        BulkPage.objects.bulk_create(BulkPage(action=action, run_ids=part) for part in parts)
        action.expected += len(fit)
    action.excluded = dict(excluded)
    action.save(update_fields=["expected", "excluded"])


# ---------------------------------------------------------------- what a worker does


def _confirmed() -> Any:
    return BulkAction.objects.filter(confirmed_at__isnull=False)


def claim(action_id: int, *, worker: str) -> Claim | None:
    """Take a confirmed action; None when there is nothing to do."""
    return lease.claim(_confirmed(), action_id, worker=worker)


def advance(held: Claim) -> bool | None:
    """Apply the next page; False when there is none left and the action has ended, None when it is no longer ours."""
    with metricstore.writing():
        action = BulkAction.objects.select_related("project", "created_by").get(pk=held.pk)
        page = action.pages.filter(applied_at=None).order_by("pk").first()
        if page is None:
            return _end(action, held, WorkState.SUCCEEDED)
        # The row is locked by this first write, so a worker that lost it cannot apply the page as well.
        if not lease.heartbeat(_confirmed(), held):
            return _end(action, held, WorkState.CANCELLED) if action.cancel_requested_at else None
        _apply(action, page)
        share = min(1.0, action.done / action.expected) if action.expected else 1.0
        _confirmed().filter(pk=action.pk).update(done=action.done, progress=share)
    return True


def fail(held: Claim, cause: str) -> None:
    """End an action that cannot go on; what is done stays and can be undone."""
    with metricstore.writing():
        action = BulkAction.objects.select_related("project", "created_by").get(pk=held.pk)
        _end(action, held, WorkState.FAILED, cause)


def _end(action: BulkAction, held: Claim, state: str, cause: str = "") -> bool | None:
    if state == WorkState.SUCCEEDED and bulk_steps.close(action):
        return True if lease.heartbeat(_confirmed(), held) else None
    if not lease.finish(_confirmed(), held, state=state, failure=cause):
        return None
    action.refresh_from_db()
    _record(actor_of(action), action)
    return False


def hand_back(held: Claim) -> None:
    """Let other short work go first, and go on afterwards."""
    if lease.hand_back(_confirmed(), held):
        queue.publish("experiments.execute_bulk", held.pk)


def sweep() -> int:
    """Requeue or end actions whose worker has gone silent, and forget what was never confirmed."""
    old = timezone.now() - FORGET_PREPARED
    BulkAction.objects.filter(confirmed_at=None, created_at__lt=old).delete()
    return lease.sweep(_confirmed(), on_end=_swept_end, on_requeue=lambda action: None)


def republish() -> int:
    """Publish queued actions that no message is known to be under way for."""
    waiting = _confirmed().filter(queued_at__lt=timezone.now() - timedelta(seconds=1))
    return lease.republish(waiting, task="experiments.execute_bulk")


def _swept_end(action: BulkAction) -> None:
    _record(actor_of(action), action)


def actor_of(action: BulkAction) -> Actor:
    """Return the actor that does an action's work, on behalf of who asked for it."""
    return Actor.system(
        f"bulk action {action.pk}", project=action.project, grants={right_of(action.kind)},
        on_behalf_of=action.created_by,
    )  # fmt: skip
