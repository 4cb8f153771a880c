"""A bound condition is broken: suspend the approval and do what the approver asked for, in one transaction."""

from datetime import datetime

from django.db import transaction

from deployments import gates
from deployments.models import Condition, Endpoint, EndpointRevision, PromotionRequest, Rollout, Trial
from deployments.services import conditions, dividing, divisions, endpoints, holds, rollouts
from mlportal.lib import again
from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.models import Event
from projects.permissions import Permission
from projects.services import events

Action, State = Condition.Action, Condition.State


def react(event: Event) -> None:
    """Suspend the approvals whose condition the alert is about; called by a worker in the event's transaction."""
    if event.verb != "alert.firing":
        return
    rows = Condition.objects.filter(rule_id=event.data.get("rule_id"), state=State.WATCHED)
    for item in rows.filter(request__project=event.project).select_related("request__environment", "request__version"):
        if event.data.get("version") != item.request.version.label:
            continue  # of a version that was live before
        title = str(event.data.get("title") or event.data.get("rule") or "an alert fired")
        breach(item, now=event.at, found=f"Alert {event.data.get('alert')}: {title}")


@again.after_deadlock
def breach(condition: Condition, *, now: datetime, found: str) -> PromotionRequest | None:
    """Suspend the approval of a broken condition and do what the condition says. None when that is done already.

    Parameters
    ----------
    now
        When it broke.
    found
        What was seen, in words.
    """
    with transaction.atomic():
        held = holds.lock(condition.request)
        endpoint = holds.endpoint_of(held)
        holds.lock_watch(held.project, held.version.model_id, held.environment_id, held.endpoint_name)
        item = Condition.objects.select_for_update(no_key=True).get(pk=condition.pk)
        if held.state != PromotionRequest.State.APPROVED or item.state == State.BREACHED:
            return None
        by = Actor.system(
            f"conditions of promotion {held.pk}", project=held.project,
            grants={Permission.ENDPOINT_DEPLOY, Permission.MONITOR_EDIT}, on_behalf_of=held.decided_by,
        )  # fmt: skip
        item.breached_at, item.found = now, found[:2000]
        conditions.end(item, actor=by, state=State.BREACHED)
        holds.end_approval(
            held, PromotionRequest.State.SUSPENDED, actor=by, note=f"Broken: {item.words}. {found}"[:2000],
            condition=item.pk, words=item.words, action=item.action,
        )  # fmt: skip
        item.done = _act(by, held, endpoint, item, now)
        item.save(update_fields=["done"])
    return held


def _act(by: Actor, held: PromotionRequest, endpoint: Endpoint | None, item: Condition, now: datetime) -> str:
    live = endpoint.current_revision if endpoint else None
    if endpoint is None or live is None:
        return "Not live, so nothing moved."
    if live.promotion_id != held.pk:
        return _beside(by, held, endpoint, item, now)
    if item.action == Action.NOTIFY:
        return f"{endpoint.name} answers on; its people were told."
    if item.action == Action.FREEZE:
        return _freeze(by, endpoint, item, now)
    return _roll_back(by, held, endpoint, item, now)


def _beside(by: Actor, held: PromotionRequest, endpoint: Endpoint, item: Condition, now: datetime) -> str:
    """Give back what the version got beside what is live: nothing shares requests without an approval."""
    row = dividing.divided_by(endpoint)
    if row is None or row.promotion_id != held.pk:
        return "Not live, so nothing moved."
    note = f"Promotion {held.pk} broke its condition: {item.words}."
    if isinstance(row, Rollout):
        rollouts.give_back(divisions.hold(row), note, actor=by)
    else:
        trial = divisions.hold(row)
        divisions.lay(trial, EndpointRevision.Kind.TRIAL, f"Trial {trial.pk} ended: {note}", [], actor=by)
        dividing.close_trial(trial, Trial.Decision.KEEP, note, actor=by)
    live = endpoint.current_revision  # as it was before: what divides leaves the version that is live in its place
    words = f"{endpoint.name} gave its requests back to {live.version.label if live else 'what was live'}."
    return f"{words} {_freeze(by, endpoint, item, now)}" if item.action == Action.FREEZE else words


def _freeze(by: Actor, endpoint: Endpoint, item: Condition, now: datetime) -> str:
    Endpoint.objects.filter(pk=endpoint.pk).update(frozen_at=now, frozen_by=item)
    events.record(by, "endpoint.frozen", project=item.request.project, target=endpoint, data={"condition": item.pk})
    return f"{endpoint.name} is frozen until a newer approval."


def _roll_back(by: Actor, held: PromotionRequest, endpoint: Endpoint, item: Condition, now: datetime) -> str:
    """Return to the version before; freeze when there is none that may answer."""
    goal = endpoints.previous_version(endpoint)
    if goal is not None and not gates.damage(goal):
        try:
            with transaction.atomic():
                made = endpoints.rollback(
                    by,
                    endpoint=endpoint,
                    version=goal,
                    reason=f"Promotion {held.pk} broke its condition: {item.words}.",
                )
        except Conflict as error:
            return f"{error.message} {_freeze(by, endpoint, item, now)}"
        return f"{endpoint.name} answers with {made.version.label} again."
    return f"No earlier version may answer. {_freeze(by, endpoint, item, now)}"
