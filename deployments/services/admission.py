"""Whether an approval may be used: asked whenever something is about to answer, whichever door it comes through."""

import json
from typing import Any

from django.db.models import Q
from django.utils import timezone

from deployments import gates
from deployments.models import (
    Condition,
    Endpoint,
    EndpointRevision,
    GateOverride,
    GateResult,
    ModelVersion,
    PromotionRequest,
    RollbackReview,
)
from deployments.proof import manifest, seal
from deployments.services import conditions, holds, registry, shares, signatures
from mlportal.lib.errors import Conflict, DomainError
from projects.actor import Actor
from projects.services import events

State = PromotionRequest.State
Kind = EndpointRevision.Kind


def refusal(held: PromotionRequest, damaged: tuple[str, ...], *, actor: Actor) -> DomainError | None:
    """Return why a request may not go live; what has lapsed or become stale is closed on the way.

    Raises
    ------
    Conflict
        At once when it is no approval, was used, or its decisions do not fit the audit log.
    """
    _check_open(held)
    if held.decided_at and held.decided_at + held.policy.approval_life <= timezone.now():
        holds.lapse(held, actor=actor)
        return holds.closed_error(held)
    if changed := seal.changed(held.snapshot, holds.current_snapshot(held)):
        words = ", ".join(holds.PART_WORDS[name] for name in changed)
        holds.close(held, State.STALE, actor=actor, note=f"Changed after the request: {words}.")
        return holds.closed_error(held)
    if (date := conditions.broken_date(held, now=timezone.now())) is not None:
        return Conflict(f"The approval held {date.words} only. Ask again with a new request.", code="approval_over")
    if reason := gates.cargo(held.version):
        return Conflict(reason, code="not_servable")
    if damaged:
        registry.mark(held.version, damaged)
        events.record(
            actor, "version.damaged", project=held.project, target=held.version, data={"damaged": list(damaged)}
        )
        return Conflict(f"{held.version} is damaged: {damaged[0]}", code="artifact_damaged", got=list(damaged))
    return None


def _check_open(held: PromotionRequest) -> None:
    if held.state == State.PENDING:
        raise Conflict(f"Promotion {held.pk} waits for a decision.", code="not_approved", got=held.state)
    if held.state != State.APPROVED:
        raise holds.closed_error(held)
    if held.revisions.exclude(kind=Kind.ROLLBACK).exists():
        raise Conflict(f"Promotion {held.pk} went live already.", code="already_live")
    check_signatures(held)


def check_signatures(held: PromotionRequest) -> None:
    """Refuse an approval whose decisions were changed, added, removed or copied."""
    if found := signatures.faults(held):
        raise Conflict(
            f"The decisions of promotion {held.pk} do not fit the audit log. {found[0]}", code="decision_altered",
            got=found,
        )  # fmt: skip


def check_gates(held: PromotionRequest, *, keep: bool = True) -> None:
    """Judge the gates again, right before the switch, and keep the verdicts; a rollout that starts keeps none."""
    outcomes = gates.run_all(held)
    passed_over = set(GateOverride.objects.filter(request=held).values_list("gate", flat=True))
    red = [item for item in outcomes if not item.passed and item.level == "blocking" and item.name not in passed_over]
    if red:
        raise gates.refusal(held, red)
    if keep:
        gates.store(held, outcomes, GateResult.Phase.SWITCH)


def check_frozen(endpoint: Endpoint, held: PromotionRequest) -> None:
    """Refuse an approval given before its endpoint was frozen."""
    if endpoint.frozen_at and held.decided_at and held.decided_at <= endpoint.frozen_at:
        raise frozen_error(endpoint)


def check_share(held: PromotionRequest, share: float) -> None:
    """Refuse to give a version a larger share of the requests than its approval is bound to."""
    if trouble := shares.over(held, share):
        raise Conflict(trouble, code="share_bound", got=share)


def frozen_error(endpoint: Endpoint) -> Conflict:
    """Say since when an endpoint is frozen, and why."""
    why = f" Broken: {endpoint.frozen_by.words}." if endpoint.frozen_by else ""
    return Conflict(
        f"{endpoint.name} is frozen since {endpoint.frozen_at:%Y-%m-%d %H:%M} UTC.{why} "
        "A newer approval lifts that; going back and switching off are open.",
        code="endpoint_frozen",
    )  # fmt: skip


def lift(endpoint: Endpoint, held: PromotionRequest) -> dict[str, list[int]]:
    """Lift suspensions and a freeze: a newer approval stands for the endpoint. Returns what to record."""
    rows = PromotionRequest.objects.suspended().filter(
        version__model=endpoint.model_id, environment=held.environment_id
    )
    lifted = list(rows.exclude(pk=held.pk).order_by("pk").values_list("pk", flat=True))
    PromotionRequest.objects.filter(pk__in=lifted).update(lifted_by=held)
    if endpoint.frozen_at:
        endpoint.frozen_at = endpoint.frozen_by = None
        endpoint.save(update_fields=["frozen_at", "frozen_by"])
    return {"lifts": lifted} if lifted else {}


def revisions_by_approval(endpoint: Endpoint) -> Any:
    """Return the revisions that an approval made which still holds: only their versions may be returned to.

    A break-glass counts once its second look has confirmed it.
    """
    rows = EndpointRevision.objects.filter(endpoint=endpoint).select_related(
        "version__model__project", "promotion__environment__project", "promotion__policy", "promotion__project",
        "promotion__version__model",
    )  # fmt: skip
    confirmed = Q(kind=Kind.BREAK_GLASS, review__outcome=RollbackReview.Outcome.CONFIRMED)
    over = Condition.objects.filter(kind=Condition.Kind.UNTIL, until__lte=timezone.now()).values("request")
    return rows.filter(Q(kind=Kind.PROMOTION) | confirmed, promotion__state=State.APPROVED).exclude(promotion__in=over)


def returnable(held: Endpoint, goal: ModelVersion) -> EndpointRevision:
    """Return the revision by whose approval an endpoint may go back to a version.

    Raises
    ------
    Conflict
        When no approval that still holds is found.
    """
    found = revisions_by_approval(held).filter(version=goal).order_by("-number").first()
    if found is None:
        _refuse_suspended(held, goal)
        raise Conflict(
            f"{goal.label} was never approved for {held.name}; ask for a promotion instead.", code="never_approved"
        )
    check_return(found)
    return found


def check_return(approved: EndpointRevision) -> None:
    """Ask that what was approved is what would answer: same files, and decisions as the audit log has them."""
    request = approved.promotion
    assert request is not None  # the database asks for it
    sealed = json.loads(request.snapshot)["manifest_sha256"]
    if sealed != manifest.digest(approved.version.manifest, approved.version.provenance):
        raise Conflict(
            f"The files of {approved.version.label} are not those that promotion {request.pk} was sealed over.",
            code="approval_stale", got=request.pk,
        )  # fmt: skip
    check_signatures(request)


def _refuse_suspended(held: Endpoint, goal: ModelVersion) -> None:
    """Say it when there was an approval that holds no longer."""
    rows = EndpointRevision.objects.filter(endpoint=held, version=goal, kind__in=[Kind.PROMOTION, Kind.BREAK_GLASS])
    last = rows.select_related("promotion").order_by("-number").first()
    if last is not None and last.promotion is not None:
        word = last.promotion.get_state_display() if last.promotion.state != State.APPROVED else "over or not confirmed"
        raise Conflict(
            f"The approval of {goal.label} for {held.name} is {word}; ask for a new promotion.",
            code="approval_suspended", got=last.promotion_id,
        )  # fmt: skip


def check_whole(version: ModelVersion, damaged: tuple[str, ...]) -> None:
    """Refuse a version that cannot be served or whose files have changed."""
    if reason := gates.cargo(version):
        raise Conflict(reason, code="not_servable")
    if damaged:
        raise Conflict(f"{version} is damaged: {damaged[0]}", code="artifact_damaged", got=list(damaged))
