"""Roll a version out by steps: plan, start, hold, go on, put live, abort.

Every move is a fresh revision of the endpoint. The clock that judges and moves is in
:mod:`deployments.services.rollout_clock`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments.models import Endpoint, EndpointRevision, PromotionRequest, Rollout
from deployments.services import admission, dividing, divisions, endpoints, holds
from deployments.services.rollout_plans import checked_margin, checked_steps
from mlportal.lib import again, names
from mlportal.lib.errors import Conflict, Missing
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

State = Rollout.State
Kind = EndpointRevision.Kind
CANARY = "canary"
CHAMPION = "champion"
SHADOW = "shadow"


def plan(
    by: Actor,
    *,
    request: PromotionRequest,
    reason: str,
    steps: Sequence[Any] | None = None,
    shadow: bool = False,
    label_margin: float = 0.0,
) -> Rollout:
    """Write down how a version is to go live. It starts by hand, or by the approval that would switch at once.

    Raises
    ------
    Invalid
        When a step is out of its limits, or the reason is too short.
    Conflict
        When the request is closed, has a plan already, or nothing is live that it could be compared with.
    """
    require(by, Permission.ENDPOINT_DEPLOY, request.project)
    values = {"steps": checked_steps(steps), "label_margin": checked_margin(label_margin), "shadow": bool(shadow)}
    text = names.reason(reason)
    with transaction.atomic():
        held = holds.lock(request)
        endpoint = _endpoint(held)
        if held.state not in (PromotionRequest.State.PENDING, PromotionRequest.State.APPROVED):
            raise holds.closed_error(held)
        dividing.check_divisible(endpoint, held.version)
        try:
            with transaction.atomic():
                made = Rollout.objects.create(
                    endpoint=endpoint, promotion=held, salt=dividing.salt(), reason=text, planned_by=by.user, **values
                )
        except IntegrityError as error:
            raise Conflict(f"Promotion {held.pk} has a rollout already.", code="rollout_planned") from error
        events.record(
            by, "rollout.planned", project=held.project, target=made,
            data={"version": held.version.label, "endpoint": endpoint.name, "steps": made.steps, "reason": text},
        )  # fmt: skip
    return made


@again.after_deadlock
def start(by: Actor, *, rollout: Rollout) -> Rollout:
    """Let the serving processes load the version; requests come once they have. Asks for all that a switch asks for.

    Raises
    ------
    Conflict
        When the promotion is not approved, lapsed, stale or suspended, a gate is red, a file is damaged, the endpoint
        is frozen or divided already, or the schemas differ.
    """
    require(by, Permission.ENDPOINT_DEPLOY, rollout.endpoint.project)
    return divisions.begin(rollout, partial(_lay_first, actor=by), actor=by)


@again.after_deadlock
def pause(by: Actor, *, rollout: Rollout, reason: str) -> Rollout:
    """Hold: the present split stays, nothing advances.

    Raises
    ------
    Conflict
        When it does not move, or is held already.
    """
    require(by, Permission.ENDPOINT_DEPLOY, rollout.endpoint.project)
    text = names.reason(reason)
    with transaction.atomic():
        held = divisions.hold(rollout)
        _check_open(held)
        if held.state == State.PAUSED:
            raise Conflict(f"{held} is held already: {held.note}", code="paused_already")
        set_paused(held, text, actor=by)
    return held


@again.after_deadlock
def resume(by: Actor, *, rollout: Rollout) -> Rollout:
    """Go on with the present step from its beginning; what held it is accepted and holds it no more.

    Raises
    ------
    Conflict
        When it is not held.
    """
    require(by, Permission.ENDPOINT_DEPLOY, rollout.endpoint.project)
    with transaction.atomic():
        held = divisions.hold(rollout)
        if held.state != State.PAUSED:
            raise Conflict(f"{held} is {held.get_state_display()}, not paused.", code="not_paused")
        last = held.checks.order_by("-at").first()
        stopped = [row["key"] for row in last.criteria if row["state"] == "pause"] if last else []
        held.accepted = sorted({*held.accepted, *stopped})
        held.state, held.paused_in, held.note, held.entered_at = held.paused_in, "", "", timezone.now()
        held.save(update_fields=["state", "paused_in", "note", "accepted", "entered_at"])
        _tell(by, held, "resumed", accepted=held.accepted)
    return held


@again.after_deadlock
def advance(by: Actor, *, rollout: Rollout) -> Rollout:
    """Go to the next step now, without waiting for the present one; the last step puts the version live.

    Raises
    ------
    Conflict
        When it does not move, the version is not loaded yet, or the approval holds no longer or for less.
    """
    require(by, Permission.ENDPOINT_DEPLOY, rollout.endpoint.project)
    with transaction.atomic():
        held = divisions.hold(rollout)
        _check_open(held)
        if State.VALIDATING in (held.state, held.paused_in):
            raise Conflict("The serving processes have not loaded the version yet.", code="validating")
        if trouble := dividing.check_approval(held.promotion):
            raise Conflict(trouble, code="not_approved")
        onward = next_step(held)
        if onward is not None:
            admission.check_share(held.promotion, held.steps[onward]["share"])
            move(held, State.CANARY, onward, actor=by)
    return promote(by, rollout=rollout) if onward is None else held


def promote(by: Actor, *, rollout: Rollout) -> Rollout:
    """Put the version live for all requests: the switch that its approval allows, with every check of one.

    Raises
    ------
    Conflict
        As :func:`deployments.services.endpoints.switch`.
    """
    require(by, Permission.ENDPOINT_DEPLOY, rollout.endpoint.project)
    _check_open(rollout)
    endpoints.switch(by, request=rollout.promotion)
    rollout.refresh_from_db()
    return rollout


@again.after_deadlock
def abort(by: Actor, *, rollout: Rollout, reason: str) -> Rollout:
    """Give all requests back to what was live, at once: a fresh revision that copies it and loads nothing.

    Raises
    ------
    Conflict
        When it has ended.
    """
    require(by, Permission.ENDPOINT_DEPLOY, rollout.endpoint.project)
    text = names.reason(reason)
    with transaction.atomic():
        held = divisions.hold(rollout)
        if held.state in (State.PROMOTED, State.ABORTED):
            raise Conflict(f"{held} is {held.get_state_display()}.", code="ended")
        give_back(held, text, actor=by)
    return held


def start_planned(by: Actor, *, request: PromotionRequest) -> bool:
    """Start the rollout that was planned for a request which was just approved; tells whether there was one."""
    require(by, Permission.ENDPOINT_DEPLOY, request.project)
    planned = Rollout.objects.with_subject().filter(promotion=request, state=State.DRAFT).first()
    if planned is not None:
        start(by, rollout=planned)
    return planned is not None


def next_step(held: Rollout) -> int | None:
    """Return the place of the step after the present one, None after the last."""
    moving = held.paused_in or held.state
    onward = 0 if moving == State.SHADOW else held.step + 1
    return onward if onward < len(held.steps) else None


def move(held: Rollout, state: str, step: int = 0, *, actor: Actor) -> None:
    """Enter a state or a step: a fresh revision with its split. The caller holds the rollout."""
    held.state, held.step, held.paused_in, held.note = state, step, "", ""
    held.entered_at = held.judged_at = timezone.now()
    held.save(update_fields=["state", "step", "paused_in", "note", "entered_at", "judged_at"])
    words = {
        State.VALIDATING: f"{held.version.label} is loaded beside",
        State.SHADOW: f"{held.version.label} listens",
        State.CANARY: f"{held.share:.0%} to {held.version.label}",
    }[State(state)]
    made = divisions.lay(held, Kind.ROLLOUT, f"Rollout {held.pk}: {words}", _routes(held), actor=actor)
    _tell(actor, held, "moved", state=state, share=held.share, revision=made.number)


def set_paused(held: Rollout, note: str, *, actor: Actor) -> None:
    """Hold a rollout that the caller has locked."""
    held.paused_in, held.state, held.note = held.state, State.PAUSED, note
    held.save(update_fields=["paused_in", "state", "note"])
    _tell(actor, held, "paused", note=note)


def give_back(held: Rollout, note: str, *, actor: Actor) -> None:
    """Abort a rollout that the caller has locked."""
    if held.is_open:
        divisions.lay(held, Kind.ROLLOUT, f"Rollout {held.pk} aborted: {note}"[:4000], [], actor=actor)
    dividing.close_rollout(held, State.ABORTED, note, actor=actor)


def _lay_first(held: Rollout, live: EndpointRevision, *, actor: Actor) -> None:
    held.stable, held.state = live.version, State.VALIDATING
    held.save(update_fields=["stable", "started_by", "started_at", "state"])
    move(held, State.VALIDATING, actor=actor)


def _routes(held: Rollout) -> list[dict[str, Any]]:
    live = held.endpoint.current_revision
    assert live is not None
    if held.state == State.SHADOW:
        return [
            dividing.route(SHADOW, held.version, 0.0, dividing.SHADOW), dividing.route(CHAMPION, live.version, 1.0)
        ]  # fmt: skip
    share = held.share
    return [dividing.route(CANARY, held.version, share), dividing.route(CHAMPION, live.version, 1.0 - share)]


def _endpoint(request: PromotionRequest) -> Endpoint:
    found = Endpoint.objects.filter(model=request.version.model_id, environment=request.environment_id).first()
    if found is None:
        raise Missing(
            f"Nothing answers in {request.environment.name} yet, so there is nothing to compare with. Switch instead.",
            field="promotion",
        )
    return endpoints.lock(found)


def _check_open(held: Rollout) -> None:
    if not held.is_open:
        raise Conflict(f"{held} is {held.get_state_display()}; it moves nothing.", code="not_moving")


def _tell(by: Actor, held: Rollout, word: str, **data: Any) -> None:
    facts = {"version": held.version.label, "endpoint": held.endpoint.name, **data}
    events.record(by, f"rollout.{word}", project=held.endpoint.project, target=held, data=facts)
