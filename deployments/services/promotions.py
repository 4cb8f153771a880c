"""Ask that a version goes to an environment, and decide on it with four eyes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments import gates
from deployments.models import (
    Decision,
    Endpoint,
    EndpointRevision,
    Environment,
    Evaluation,
    GateOverride,
    GateResult,
    ModelVersion,
    PromotionRequest,
)
from deployments.proof import quorum, seal
from deployments.proof.rules import Outcome
from deployments.services import (
    cards,
    deciders,
    endpoints,
    evidence,
    holds,
    policies,
    registry,
    rollouts,
    signatures,
    trials,
    votes,
    ways,
)
from deployments.services import conditions as bindings
from deployments.services.deciders import Standing
from deployments.services.votes import Vote
from mlportal.lib import again, names, queue
from mlportal.lib.errors import Conflict, DomainError, Forbidden, Missing, Unprocessable
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events, stepup

State = PromotionRequest.State
Verdict = Decision.Verdict
MIN_OVERRIDE = 20
CLOSED_BY = {Verdict.APPROVE: State.APPROVED, Verdict.REJECT: State.REJECTED, Verdict.CHANGES: State.CHANGES}


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
        When the version is damaged, has no safe format, is live there already, a request for it is open, or no
        allowed move leads there from where the version stands.
    """
    require(by, Permission.PROMOTION_REQUEST, version.model.project)
    project = version.model.project
    reason = names.reason(reason)
    if environment.project_id != project.pk:
        raise Missing(f"There is no environment {environment.name!r} in this project.", field="environment")
    if version.state == ModelVersion.State.DAMAGED:
        raise Conflict(f"{version} is damaged and cannot be promoted.", code="artifact_damaged")
    if unfit := gates.cargo(version):
        raise Conflict(unfit, code="not_servable", field="version")
    with transaction.atomic():
        ways.check(version, holds.lock_environment(environment))
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


@again.after_deadlock
def decide(
    by: Actor,
    *,
    request: PromotionRequest,
    verdict: str,
    comment: str = "",
    acknowledged: list[str] | tuple[str, ...] = (),
    conditions: list[Any] | tuple[Any, ...] = (),
    seen: str = "",
) -> PromotionRequest:
    """Approve, reject or ask for changes. The approval that completes the last step switches the endpoint.

    Rights, the step that is asked, four eyes, seal and gates are read again inside the transaction, on locked rows.

    Parameters
    ----------
    conditions
        Limits the approval is bound to, see :func:`deployments.services.conditions.parse`.
    seen
        Seal of what the person was shown; when given, another one is refused.

    Raises
    ------
    Forbidden
        When the person may not decide this request, or not in the step that is asked.
    Conflict
        When somebody decided before (with who and when), or it is stale, expired, damaged or a gate is red.
    Invalid, Unprocessable
        When a comment is missing, a condition is wrong, or an advisory failure was not ticked.
    """
    require(by, Permission.PROMOTION_SIGN, request.project)
    stepup.require_recent(by)
    vote = votes.read(verdict, comment, acknowledged, conditions)
    damaged = gates.damage(request.version) if vote.verdict == Verdict.APPROVE else ()
    with transaction.atomic():
        held = holds.lock(request)
        holds.lock_watch(held.project, held.version.model_id, held.environment_id, held.endpoint_name)
        standing = deciders.check(by, held)
        refused = holds.refusal(by, held) or _damaged(by, held, damaged)
        if refused is None:
            _check_seen(held, seen)
            _settle(by, held, standing, vote)
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
    stepup.require_recent(by)
    reason = names.reason(reason, least=MIN_OVERRIDE)
    with transaction.atomic():
        held = holds.lock(request)
        deciders.hold_rights(held, by)
        require(by, Permission.GATE_OVERRIDE, held.project, fresh=True)
        _check_override(by, held, gate)
        gate = evidence.sealed_names(by, request=held).get(gate, gate)
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
    card = cards.keep(held)
    events.record(
        actor, "promotion.evaluated", project=held.project, target=held,
        data={
            "seal": held.seal, "failed": [item.name for item in outcomes if not item.passed],
            "card": card.number, "card_sha256": card.sha256,
        },
    )  # fmt: skip
    return held


def _create(by: Actor, version: ModelVersion, environment: Environment, reason: str, **extra: Any) -> PromotionRequest:
    live = Endpoint.objects.filter(model=version.model, environment=environment).select_related(
        "current_revision__version__model", "current_revision__promotion"
    )
    endpoint = live.first()
    revision = endpoint.current_revision if endpoint else None
    if revision and revision.version_id == version.pk and not _is_suspended(revision):
        raise Conflict(f"{version} is live in {environment.name} already.", code="already_live")
    policy = policies.current(environment)
    try:
        with transaction.atomic():
            return PromotionRequest.objects.create(
                project=environment.project, version=version, environment=environment, policy=policy,
                baseline=revision.version if revision else None,
                endpoint_name=endpoints.name_for(version.model, environment),
                reason=reason, requested_by=by.user, expires_at=timezone.now() + policy.expiry,
                asked_roles=roles_asked(quorum.read(policy.steps)[0].roles), **extra,
            )  # fmt: skip
    except IntegrityError as error:
        known = PromotionRequest.objects.pending().filter(version=version, environment=environment).first()
        if known is None:
            raise
        raise Conflict(
            f"Promotion {known.pk} for {version} to {environment.name} is open already.",
            code="already_requested", got=known.pk,
        ) from error  # fmt: skip


def _is_suspended(revision: EndpointRevision) -> bool:
    """Tell whether what is live needs a new approval."""
    return revision.promotion is not None and revision.promotion.state == State.SUSPENDED


def _settle(by: Actor, held: PromotionRequest, standing: Standing, vote: Vote) -> None:
    approving = vote.verdict == Verdict.APPROVE
    sealed = evidence.sealed_names(by, request=held)
    vote = replace(vote, ticked=[sealed.get(name, name) for name in vote.ticked])
    outcomes = _check_approval(held, standing, vote.ticked) if approving else []
    mark = _write(by, held, standing, vote)
    progress = deciders.progress(held)
    if approving and not progress.is_complete:
        _ask_next(held, progress)
        events.record(
            by, "promotion.approval_added", project=held.project, target=held,
            data={
                "approvals": sum(progress.counts), "needed": held.policy.min_approvals, "comment": vote.comment,
                "waits_for": [f"{missing} of {step.name}" for step, missing in progress.missing], **mark,
            },
            on_behalf_of=standing.giver,
        )  # fmt: skip
        return
    gates.store(held, outcomes, GateResult.Phase.DECISION)
    _finish(by, held, standing, vote, mark)


def _write(by: Actor, held: PromotionRequest, standing: Standing, vote: Vote) -> dict[str, Any]:
    """Keep the decision with its conditions. Returns what its audit entry says of it."""
    made = Decision.objects.create(
        request=held, user=standing.person, verdict=vote.verdict, comment=vote.comment, acknowledged=vote.ticked,
        seal=held.seal, step=held.step, role=standing.role, delegation=standing.delegation,
        token_id=by.token.pk if by.token else None,
    )  # fmt: skip
    bound = bindings.bind(made, vote.terms)
    facts: dict[str, Any] = {"decision": signatures.mark(made, bound), "role": standing.role}
    if standing.delegation:
        facts["for"] = standing.delegation.giver_id
    if bound:
        facts["conditions"] = [f"{item.words}, else {item.get_action_display()}" for item in bound]
    return facts


def _ask_next(held: PromotionRequest, progress: quorum.Progress) -> None:
    """Point the request at the step that is asked now."""
    held.step, held.asked_roles = progress.present, roles_asked(progress.steps[progress.present].roles)
    held.save(update_fields=["step", "asked_roles"])


def _finish(by: Actor, held: PromotionRequest, standing: Standing, vote: Vote, mark: dict[str, Any]) -> None:
    approving = vote.verdict == Verdict.APPROVE
    held.single_person = approving and any(
        holds.same_person(standing.person, other) for other, _ in deciders.involved(held)
    )
    held.save(update_fields=["single_person"])
    holds.close(
        held, CLOSED_BY[Verdict(vote.verdict)], actor=by, person=standing.person, giver=standing.giver,
        comment=vote.comment, seal=held.seal, single_person=held.single_person, **mark,
    )  # fmt: skip
    if approving and held.policy.switch_at_approval:
        _go_live(_switcher(by, held), held)


def _go_live(by: Actor, held: PromotionRequest) -> None:
    """Switch at once, or start the rollout or the trial that was planned for it."""
    if not rollouts.start_planned(by, request=held) and not trials.start_registered(by, request=held):
        endpoints.switch(by, request=held)


def roles_asked(roles: Sequence[str]) -> str:
    """Write the roles of a step so that one of them can be searched for: ``,manager,ops,``."""
    return f",{','.join(sorted(roles))},"


def approvals(request: PromotionRequest) -> int:
    """Count the people who approved; two accounts of one mail box are one."""
    return sum(deciders.progress(request).counts)


def _check_seen(held: PromotionRequest, seen: object) -> None:
    if seen and seen != held.seal:
        raise Conflict(
            f"Promotion {held.pk} is not what you were shown. Look at it again.", code="seal_changed", field="seen",
            got=str(seen)[:64],
        )  # fmt: skip


def _switcher(by: Actor, held: PromotionRequest) -> Actor:
    """Return the portal acting for the approver: the approval itself is the right to switch."""
    grants = {Permission.ENDPOINT_DEPLOY, Permission.MONITOR_EDIT}
    return Actor.system(f"promotion {held.pk}", project=held.project, grants=grants, on_behalf_of=by.user)


def _check_approval(held: PromotionRequest, standing: Standing, ticked: list[str]) -> list[Outcome]:
    if not held.seal:
        raise Conflict("The evaluation is still running. Approve once its results are here.", code="not_evaluated")
    outcomes = gates.run_all(held)
    overrides = {item.gate: item for item in GateOverride.objects.filter(request=held).select_related("user")}
    red = [item for item in outcomes if not item.passed and item.level == "blocking" and item.name not in overrides]
    if red:
        raise gates.refusal(held, red)
    if any(holds.same_person(one, item.user) for item in overrides.values() for one in standing.people):
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
    deciders.check_override(by, held)
    red = {item.name for item in gates.run_all(held) if not item.passed and item.level == "blocking"}
    if gate not in red:
        raise Conflict(f"{gate!r} is not a red blocking gate of this request.", code="gate_not_red", field="gate")


def _damaged(by: Actor, held: PromotionRequest, damaged: tuple[str, ...]) -> DomainError | None:
    if not damaged:
        return None
    registry.mark(held.version, damaged)
    events.record(by, "version.damaged", project=held.project, target=held.version, data={"damaged": list(damaged)})
    return Conflict(f"{held.version} is damaged: {damaged[0]}", code="artifact_damaged", got=list(damaged))
