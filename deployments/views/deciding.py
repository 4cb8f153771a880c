"""What the decision part of a promotion's page says: who signed, who is still needed, what this reader may do."""

from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from django.utils import timezone

from deployments.models import Condition, PromotionRequest
from deployments.proof.quorum import Progress
from deployments.services import deciders, delegations, late_roles
from monitoring.models.rules import Metric
from projects.actor import Actor
from projects.models import User
from projects.permissions import Permission, allowed

MOST_NAMES = 6


@dataclass
class StepLine:
    """One step as the page prints it."""

    name: str
    roles: str
    needed: int
    have: int
    state: str
    people: list[str] = field(default_factory=list)


def context(actor: Actor, held: PromotionRequest) -> dict[str, Any]:
    """Return what the decision part prints, for a request whose decisions are joined with their people.

    Templates: ``_decision.html``, ``_decision_bar.html``, ``_approvals.html``.
    """
    decisions, since = list(held.decisions.all()), late_roles.since(held)
    progress = deciders.count(held, decisions)
    may = allowed(actor, Permission.PROMOTION_SIGN, held.project)
    why = deciders.barred(actor.user, held) if may and held.is_pending else ""
    mine = actor.user is not None and any(deciders.keys([actor.user]) & deciders.signature(i).people for i in decisions)
    open_to_me = may and held.is_pending and not why and not mine and actor.user is not None
    standing = deciders.standing_of(actor.user, held) if open_to_me and actor.user else None
    unused = held.state == PromotionRequest.State.APPROVED and not held.revisions.all()
    return {
        "approvals": sum(progress.counts),
        "steps": _lines(held, progress, since),
        "late_roles": since,
        "conditions": list(held.conditions.all()),
        "may_decide": standing is not None,
        "deciding_for": standing.delegation.giver if standing and standing.delegation else None,
        "barred": f"You {why}." if why else "",
        "waits_for_me": standing is not None and bool(held.seal),
        "decided_myself": mine,
        "may_withdraw": held.is_pending and held.requested_by_id == getattr(actor.user, "pk", None),
        "may_override": held.is_pending and not why and allowed(actor, Permission.GATE_OVERRIDE, held.project),
        "may_switch": unused and allowed(actor, Permission.ENDPOINT_DEPLOY, held.project),
        "condition_metrics": Metric.choices,
        "condition_actions": Condition.Action.choices,
        "today": timezone.now(),
    }


def terms(given: QueryDict) -> list[dict[str, Any]]:
    """Read the conditions of the decision form; the service checks them."""
    action = given.get("condition_action", "") or Condition.Action.NOTIFY
    found: list[dict[str, Any]] = []
    if until := given.get("condition_until", "").strip():
        found.append({"kind": "until", "until": until})
    if rate := given.get("condition_rate", "").strip():
        found.append({"kind": "traffic", "limit": _number(rate)})
    if share := given.get("condition_share", "").strip():
        found.append({"kind": "share", "limit": _number(share)})
    if drift := given.get("condition_drift", "").strip():
        found.append({"kind": "drift", "limit": _number(drift)})
    if limit := given.get("condition_limit", "").strip():
        found.append(
            {
                "kind": "metric",
                "metric": given.get("condition_metric", ""),
                "op": given.get("condition_op", ""),
                "limit": _number(limit),
            }
        )
    return [{**item, "action": action} for item in found]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _lines(held: PromotionRequest, progress: Progress, since: list[late_roles.Change]) -> list[StepLine]:
    """Write the steps of the policy, with the people who could sign the one that is asked now."""
    lines = []
    for place, step in enumerate(progress.steps):
        state = "done" if progress.counts[place] >= step.needed else "now" if place == progress.present else "later"
        if not held.is_pending and state != "done":
            state = "later"
        line = StepLine(step.name, deciders.role_words(step.roles), step.needed, progress.counts[place], state)
        if state == "now":
            line.people = _could_sign(held, step.roles, since)
        lines.append(line)
    return lines


def _could_sign(held: PromotionRequest, roles: tuple[str, ...], since: list[late_roles.Change]) -> list[str]:
    """Name members who could sign now: with a role of the step that counts, not involved, not signed yet."""
    signed = {person for item in held.decisions.all() for person in deciders.signature(item).people}
    barred = deciders.keys([person for person, _ in _excluded(held) if person is not None])
    members = delegations.eligible(held.project, roles=roles)
    late = {each.person.pk for each in since if each.gained and each.by and deciders.keys([each.by]) & barred}
    free = [
        person
        for person in members
        if not deciders.keys([person]) & (signed | barred)
        and (person.pk not in late or deciders.standing_of(person, held))
    ]
    return [str(person) for person in free[:MOST_NAMES]]


def _excluded(held: PromotionRequest) -> list[tuple[User | None, str]]:
    return deciders.involved(held) if held.policy.four_eyes else []
