"""Ask that a version goes to an environment, and decide on it with four eyes."""

from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments import gates
from deployments.models import (
    Decision,
    Endpoint,
    Environment,
    Evaluation,
    GateOverride,
    GateResult,
    ModelVersion,
    PromotionRequest,
)
from deployments.proof import seal
from deployments.proof.rules import Outcome
from deployments.services import endpoints, holds, policies, registry
from mlportal.lib import names, queue
from mlportal.lib.errors import Conflict, DomainError, Forbidden, Invalid, Missing, Unprocessable
from projects.actor import Actor
from projects.models import User
from projects.permissions import Permission, require
from projects.services import events

State = PromotionRequest.State
Verdict = Decision.Verdict
MIN_REASON = 10
MIN_COMMENT = 10
MIN_OVERRIDE = 20
MAX_TEXT = 4000
CLOSED_BY = {Verdict.APPROVE: State.APPROVED, Verdict.REJECT: State.REJECTED, Verdict.CHANGES: State.CHANGES}


@dataclass(frozen=True)
class Vote:
    """What one person says: verdict, comment and the advisory failures they ticked."""

    verdict: str
    comment: str
    ticked: list[str]


def request(
    by: Actor,
    *,
    version: ModelVersion,
    environment: Environment,
    reason: str,
    alert_id: int | None = None,
    by_automation: bool = False,
) -> PromotionRequest:
    """Ask that a version goes live in an environment; a worker then measures it against what is live.

    Raises
    ------
    Invalid
        When the reason is missing or too short.
    Conflict
        When the version is damaged, has no safe format, is live there already, or a request for it is open.
    """
    require(by, Permission.PROMOTION_REQUEST, version.model.project)
    project = version.model.project
    reason = _text(reason, "reason", MIN_REASON)
    if environment.project_id != project.pk:
        raise Missing(f"There is no environment {environment.name!r} in this project.", field="environment")
    if version.state == ModelVersion.State.DAMAGED:
        raise Conflict(f"{version} is damaged and cannot be promoted.", code="artifact_damaged")
    if unfit := gates.cargo(version):
        raise Conflict(unfit, code="not_servable", field="version")
    with transaction.atomic():
        holds.lock_environment(environment)
        made = _create(by, version, environment, reason, alert_id=alert_id, by_automation=by_automation)
        evaluation = Evaluation.objects.create(request=made)
        events.record(
            by, "promotion.requested", project=project, target=made,
            data={
                "version": str(version), "environment": environment.name, "reason": reason, "alert": alert_id,
                "policy": made.policy.number,
            },
        )  # fmt: skip
        queue.enqueue("deployments.evaluate_request", evaluation.pk)
    return made


def decide(
    by: Actor,
    *,
    request: PromotionRequest,
    verdict: str,
    comment: str = "",
    acknowledged: list[str] | tuple[str, ...] = (),
) -> PromotionRequest:
    """Approve, reject or ask for changes. The approval that completes the quorum switches the endpoint.

    Rights, four eyes, seal and gates are read again inside the transaction, on locked rows.

    Raises
    ------
    Forbidden
        When the person may not decide this request.
    Conflict
        When somebody decided before (with who and when), or it is stale, expired, damaged or a gate is red.
    Invalid, Unprocessable
        When a comment is missing, or an advisory failure was not ticked.
    """
    require(by, Permission.PROMOTION_DECIDE, request.project)
    chosen = _verdict(verdict)
    least = 0 if chosen == Verdict.APPROVE else MIN_COMMENT
    vote = Vote(chosen, _text(comment, "comment", least), _names(acknowledged))
    damaged = gates.damage(request.version) if chosen == Verdict.APPROVE else ()
    with transaction.atomic():
        held = holds.lock(request)
        person = holds.check_decider(by, held)
        refused = holds.refusal(by, held) or _damaged(by, held, damaged)
        if refused is None:
            _settle(by, held, person, vote)
    if refused is not None:
        raise refused
    return held


def override(by: Actor, *, request: PromotionRequest, gate: str, reason: str) -> GateOverride:
    """Let one red blocking gate pass, with a written reason; another person still has to approve.

    Raises
    ------
    Invalid
        When the reason has fewer than 20 characters.
    Conflict
        When the request is closed, not measured yet, the gate is not red, or it is overridden already.
    Forbidden
        When the person counts as requester.
    """
    require(by, Permission.GATE_OVERRIDE, request.project)
    reason = _text(reason, "reason", MIN_OVERRIDE)
    with transaction.atomic():
        held = holds.lock(request)
        require(by, Permission.GATE_OVERRIDE, held.project, fresh=True)
        _check_override(by, held, gate)
        made, fresh = GateOverride.objects.get_or_create(
            request=held, gate=gate, defaults={"user": by.user, "reason": reason}
        )
        if not fresh:
            raise Conflict(f"{made.user} has overridden this gate already.", code="already_overridden")
        events.record(by, "gate.overridden", project=held.project, target=held, data={"gate": gate, "reason": reason})
    return made


def withdraw(by: Actor, *, request: PromotionRequest) -> PromotionRequest:
    """Take one's own request back.

    Raises
    ------
    Forbidden
        When somebody else asked.
    Conflict
        When it is closed.
    """
    require(by, Permission.PROMOTION_REQUEST, request.project)
    with transaction.atomic():
        held = holds.lock(request)
        if by.user is None or held.requested_by_id != by.user.pk:
            raise Forbidden("Only the person who asked can withdraw a request.", code="not_yours")
        if not held.is_pending:
            raise holds.closed_error(held)
        holds.close(held, State.WITHDRAWN, actor=by, person=by.user)
    return held


def complete_evaluation(evaluation_id: int, *, actor: Actor) -> PromotionRequest | None:
    """Judge the gates and seal an open request once its evaluation has ended, in the caller's transaction.

    Called by the worker right after the evaluation's own last write, and by the sweeper for one that was lost.
    """
    found = PromotionRequest.objects.filter(evaluation=evaluation_id).select_related("environment__project").get()
    held = holds.lock(found)
    if not held.is_pending or held.seal:
        return None
    outcomes = gates.run_all(held)
    gates.store(held, outcomes, GateResult.Phase.REQUEST)
    held.snapshot = holds.current_snapshot(held)
    held.seal, held.sealed_at = seal.compute(held.snapshot), timezone.now()
    held.save(update_fields=["snapshot", "seal", "sealed_at"])
    events.record(
        actor, "promotion.evaluated", project=held.project, target=held,
        data={"seal": held.seal, "failed": [item.name for item in outcomes if not item.passed]},
    )  # fmt: skip
    return held


def _create(by: Actor, version: ModelVersion, environment: Environment, reason: str, **extra: Any) -> PromotionRequest:
    live = Endpoint.objects.filter(model=version.model, environment=environment).select_related("current_revision")
    endpoint = live.first()
    revision = endpoint.current_revision if endpoint else None
    if revision and revision.version_id == version.pk:
        raise Conflict(f"{version} is live in {environment.name} already.", code="already_live")
    policy = policies.current(environment)
    try:
        with transaction.atomic():
            return PromotionRequest.objects.create(
                project=environment.project, version=version, environment=environment, policy=policy,
                baseline=revision.version if revision else None,
                endpoint_name=endpoints.name_for(version.model, environment),
                reason=reason, requested_by=by.user, expires_at=timezone.now() + policy.expiry, **extra,
            )  # fmt: skip
    except IntegrityError as error:
        known = PromotionRequest.objects.pending().filter(version=version, environment=environment).first()
        if known is None:
            raise
        raise Conflict(
            f"Promotion {known.pk} for {version} to {environment.name} is open already.",
            code="already_requested", got=known.pk,
        ) from error  # fmt: skip


def _settle(by: Actor, held: PromotionRequest, person: User, vote: Vote) -> None:
    approving = vote.verdict == Verdict.APPROVE
    outcomes = _check_approval(held, person, vote.ticked) if approving else []
    if Decision.objects.filter(request=held, user=person).exists():
        raise Conflict("You have decided on this request already.", code="decided_before")
    Decision.objects.create(
        request=held, user=person, verdict=vote.verdict, comment=vote.comment, acknowledged=vote.ticked,
        seal=held.seal, token_id=by.token.pk if by.token else None,
    )  # fmt: skip
    if approving and approvals(held) < held.policy.min_approvals:
        events.record(
            by, "promotion.approval_added", project=held.project, target=held,
            data={"approvals": approvals(held), "needed": held.policy.min_approvals, "comment": vote.comment},
        )  # fmt: skip
        return
    gates.store(held, outcomes, GateResult.Phase.DECISION)
    _finish(by, held, person, vote)


def _finish(by: Actor, held: PromotionRequest, person: User, vote: Vote) -> None:
    approving = vote.verdict == Verdict.APPROVE
    held.single_person = approving and any(holds.same_person(person, other) for other, _ in holds.involved(held))
    held.save(update_fields=["single_person"])
    holds.close(
        held, CLOSED_BY[Verdict(vote.verdict)], actor=by, person=person,
        comment=vote.comment, seal=held.seal, single_person=held.single_person,
    )  # fmt: skip
    if approving and held.policy.switch_at_approval:
        endpoints.switch(_switcher(by, held), request=held)


def approvals(request: PromotionRequest) -> int:
    """Count the people who approved; two accounts of one mail box are one."""
    given = Decision.objects.filter(request=request, verdict=Verdict.APPROVE).select_related("user")
    return len({holds.mailbox(item.user.email) for item in given})


def _switcher(by: Actor, held: PromotionRequest) -> Actor:
    """Return the portal acting for the approver: the approval itself is the right to switch."""
    grants = {Permission.ENDPOINT_DEPLOY, Permission.MONITOR_EDIT}
    return Actor.system(f"promotion {held.pk}", project=held.project, grants=grants, on_behalf_of=by.user)


def _check_approval(held: PromotionRequest, person: User, ticked: list[str]) -> list[Outcome]:
    if not held.seal:
        raise Conflict("The evaluation is still running. Approve once its results are here.", code="not_evaluated")
    outcomes = gates.run_all(held)
    overrides = {item.gate: item for item in GateOverride.objects.filter(request=held).select_related("user")}
    red = [item for item in outcomes if not item.passed and item.level == "blocking" and item.name not in overrides]
    if red:
        words = "; ".join(f"{item.title}: {item.found}" for item in red)
        raise Conflict(f"Blocked by {words}.", code="gates_failed", got=[item.name for item in red])
    if any(holds.same_person(person, item.user) for item in overrides.values()):
        raise Forbidden("You overrode a gate of this request, so another person has to decide.", code="four_eyes")
    unread = [item for item in outcomes if not item.passed and item.level == "advisory" and item.name not in ticked]
    if unread:
        raise Unprocessable(
            f"Tick that you have read: {', '.join(item.title for item in unread)}.",
            code="advisory_not_acknowledged", field="acknowledged", got=[item.name for item in unread],
        )  # fmt: skip
    return outcomes


def _check_override(by: Actor, held: PromotionRequest, gate: str) -> None:
    if not held.is_pending:
        raise holds.closed_error(held)
    if not held.seal:
        raise Conflict("The evaluation is still running.", code="not_evaluated")
    for other, why in holds.involved(held):
        if holds.same_person(by.user, other):
            raise Forbidden(f"You {why}, so another person has to override a gate.", code="four_eyes")
    red = {item.name for item in gates.run_all(held) if not item.passed and item.level == "blocking"}
    if gate not in red:
        raise Conflict(f"{gate!r} is not a red blocking gate of this request.", code="gate_not_red", field="gate")


def _damaged(by: Actor, held: PromotionRequest, damaged: tuple[str, ...]) -> DomainError | None:
    if not damaged:
        return None
    registry.mark(held.version, damaged)
    events.record(by, "version.damaged", project=held.project, target=held.version, data={"damaged": list(damaged)})
    return Conflict(f"{held.version} is damaged: {damaged[0]}", code="artifact_damaged", got=list(damaged))


def _verdict(given: object) -> str:
    if given not in Verdict.values:
        raise Invalid(
            f"verdict must be one of {', '.join(Verdict.values)}.", field="verdict", limit=Verdict.values,
            got=str(given)[:50],
        )  # fmt: skip
    return str(given)


def _text(given: object, field: str, least: int) -> str:
    text = names.clean_text(given, field=field, limit=MAX_TEXT)
    if len(text) < least:
        raise Invalid(
            f"{field} needs at least {least} characters; it has {len(text)}.", field=field, limit=least, got=len(text)
        )
    return text


def _names(given: object) -> list[str]:
    if not isinstance(given, list | tuple) or len(given) > 100 or not all(isinstance(item, str) for item in given):
        raise Invalid("acknowledged must be a list of gate names.", field="acknowledged")
    return [item[:130] for item in given]
