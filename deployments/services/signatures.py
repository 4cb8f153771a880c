"""Whether the decisions of an approval are those that people gave: each is compared with its audit entry."""

from typing import Any

from deployments.models import Condition, Decision, PromotionRequest
from deployments.proof import canonical
from deployments.services import deciders
from projects.models import Event
from projects.services import events

VERBS = ("promotion.approval_added", "promotion.approved", "promotion.rejected", "promotion.changes_requested")


def digest(item: Decision, conditions: list[Condition]) -> str:
    """Return the sha256 over everything one decision says, as its audit entry keeps it."""
    return canonical.digest(
        {
            "request": item.request_id,
            "seal": item.seal,
            "user": item.user_id,
            "for": item.delegation.giver_id if item.delegation else None,
            "verdict": item.verdict,
            "comment": item.comment,
            "acknowledged": item.acknowledged,
            "step": item.step,
            "role": item.role,
            "token": item.token_id,
            "at": item.created_at.isoformat(),
            "conditions": [_plain(each) for each in conditions],
        }
    )


def mark(item: Decision, conditions: list[Condition]) -> dict[str, Any]:
    """Return what the audit entry of a decision keeps of it."""
    return {"id": item.pk, "sha256": digest(item, conditions)}


def faults(request: PromotionRequest) -> list[str]:
    """Name what does not fit between the decisions of a request and the audit log; empty when all is well.

    Finds a decision that was changed, added, removed or copied from another request, and an approval that the
    decisions do not add up to.
    """
    logged = _logged(request)
    found, decisions = [], list(deciders.given(request).prefetch_related("conditions"))
    for item in decisions:
        name = f"Decision {item.pk} of {item.user}"
        known = logged.pop(item.pk, None)
        if item.seal != request.seal:
            found.append(f"{name} was given for another seal.")
        if known is None:
            found.append(f"{name} is not in the audit log.")
        elif known != digest(item, list(item.conditions.all())):
            found.append(f"{name} was changed after it was given.")
    found += [f"Decision {pk} is in the audit log but not in the request." for pk in logged]
    progress = deciders.count(request, decisions)
    if request.state == PromotionRequest.State.APPROVED and not request.break_glass and not progress.is_complete:
        found += [f"{step.name} lacks {missing} of {step.needed} approvals." for step, missing in progress.missing]
    return found


def _logged(request: PromotionRequest) -> dict[int, str]:
    """Digests of the decisions in the audit log; an entry whose own hash is wrong does not count."""
    rows = Event.objects.filter(target_type="promotionrequest", target_id=request.pk, verb__in=VERBS)
    rows = rows.select_related("who", "whom")
    marks = [row.data.get("decision") for row in rows.order_by("seq") if row.hash == events.digest(row)]
    return {int(item["id"]): str(item["sha256"]) for item in marks if isinstance(item, dict)}


def _plain(item: Condition) -> dict[str, canonical.Plain]:
    return {
        "kind": item.kind, "action": item.action, "until": item.until.isoformat() if item.until else None,
        "metric": item.metric, "column": item.column, "op": item.op, "limit": item.limit,
    }  # fmt: skip
