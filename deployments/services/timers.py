"""What time does to requests and approvals: reminders, time-outs, expiry, broken dates and caps.

Every step looks at one row under its lock and at the clock it is given, so a second run at the same moment changes
nothing.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from deployments.models import Condition, PromotionRequest
from deployments.proof import seal
from deployments.services import caps, conditions, deciders, holds, shares, suspensions
from mlportal.lib import apart
from projects.actor import Actor
from projects.services import events

State = PromotionRequest.State
AT_ONCE = 500
HOUR = timedelta(hours=1)
Act = Callable[[PromotionRequest, datetime, Actor], bool]


def tick(*, now: datetime) -> dict[str, int]:
    """Do everything that is due at a moment. Returns how many rows each step moved.

    Parameters
    ----------
    now
        The clock; every comparison uses it.
    """
    pending = PromotionRequest.objects.pending()
    return {
        "expired": _each(pending.filter(expires_at__lte=now), _expire, now),
        "timed_out": _each(pending.filter(policy__timeout_hours__gt=0, escalated_at=None), _time_out, now),
        "lapsed": _each(PromotionRequest.objects.unused(), _lapse, now),
        "stale": _each(pending.exclude(seal="") | PromotionRequest.objects.unused(), _freshen, now),
        "reminded": _each(pending.filter(policy__reminder_hours__gt=0), _remind, now),
        "suspended": _dates(now) + _caps(now) + _shares(now),
        "watched_again": _rules(),
    }


def _each(rows: QuerySet[PromotionRequest], act: Act, now: datetime) -> int:
    due = list(rows.select_related("environment__project", "project", "policy").order_by("pk")[:AT_ONCE])
    return sum(apart.do(partial(_one, row, act, now), what="promotion request", row=row.pk) for row in due)


def _one(row: PromotionRequest, act: Act, now: datetime) -> bool:
    with transaction.atomic():
        held = holds.lock(row)
        return act(held, now, Actor.system("clock", project=held.project))


def _expire(held: PromotionRequest, now: datetime, by: Actor) -> bool:
    if not held.is_pending or held.expires_at > now:
        return False
    holds.close(held, State.EXPIRED, actor=by, note="Nobody decided in time.")
    return True


def _time_out(held: PromotionRequest, now: datetime, by: Actor) -> bool:
    hours = held.policy.timeout_hours
    if not held.is_pending or held.escalated_at or held.requested_at + hours * HOUR > now:
        return False
    action, note = held.policy.timeout_action, f"Nobody decided within {hours} h."
    if action == "escalate":
        held.escalated_at = now
        held.save(update_fields=["escalated_at"])
        events.record(by, "promotion.escalated", project=held.project, target=held, data=_facts(held, note))
        return True
    holds.close(held, State.REJECTED if action == "reject" else State.EXPIRED, actor=by, note=note)
    return True


def _lapse(held: PromotionRequest, now: datetime, by: Actor) -> bool:
    if held.state != State.APPROVED or held.decided_at is None or held.decided_at + held.policy.approval_life > now:
        return False
    holds.lapse(held, actor=by)
    return True


def _freshen(held: PromotionRequest, now: datetime, by: Actor) -> bool:
    """Close a request at once when something it was sealed over has changed, not only when somebody acts on it."""
    del now
    if held.state not in (State.PENDING, State.APPROVED) or not held.seal:
        return False
    changed = seal.changed(held.snapshot, holds.current_snapshot(held))
    if not changed:
        return False
    words = ", ".join(holds.PART_WORDS[name] for name in changed)
    holds.close(held, State.STALE, actor=by, note=f"Changed after the request: {words}.")
    return True


def _remind(held: PromotionRequest, now: datetime, by: Actor) -> bool:
    hours = held.policy.reminder_hours
    last = held.reminded_at or held.sealed_at or held.requested_at
    if not held.is_pending or last + hours * HOUR > now:
        return False
    held.reminded_at = now
    held.save(update_fields=["reminded_at"])
    events.record(by, "promotion.reminder", project=held.project, target=held, data=_facts(held, ""))
    return True


def _facts(held: PromotionRequest, note: str) -> dict[str, Any]:
    step = deciders.asked(held)
    return {
        "version": str(held.version), "environment": held.environment.name, "note": note,
        "waits_for": deciders.role_words(step.roles) if step else "", "step": step.name if step else "",
        "since": held.requested_at.isoformat(), "expires": held.expires_at.isoformat(),
    }  # fmt: skip


def _open(kind: str, *states: str) -> Iterable[Condition]:
    rows = Condition.objects.filter(kind=kind, state__in=states, request__state=State.APPROVED)
    return rows.select_related("request__environment", "request__project", "request__version__model").order_by("pk")


def _dates(now: datetime) -> int:
    """Suspend approvals that hold no longer: unused ones and live ones, not those another version has replaced."""
    due = [
        item
        for item in _open(Condition.Kind.UNTIL, Condition.State.BOUND, Condition.State.WATCHED)
        if item.until is not None and item.until <= now
    ]
    return sum(suspensions.breach(item, now=now, found=f"It is {now:%Y-%m-%d %H:%M} UTC.") is not None for item in due)


def _caps(now: datetime) -> int:
    """Suspend approvals whose version answered more requests in an hour than they allow."""
    moved = 0
    for item in _open(Condition.Kind.TRAFFIC, Condition.State.WATCHED):
        if found := caps.broken(item, now=now):
            moved += suspensions.breach(item, now=now, found=found) is not None
    return moved


def _shares(now: datetime) -> int:
    """Suspend approvals whose version got a larger share of the requests than they allow."""
    moved = 0
    for item in _open(Condition.Kind.SHARE, Condition.State.BOUND, Condition.State.WATCHED):
        if found := shares.broken(item, now=now):
            moved += suspensions.breach(item, now=now, found=found) is not None
    return moved


def _rules() -> int:
    """Put back the alert rules of conditions that somebody changed: an approver bound them, not whoever edits rules."""
    moved = 0
    for kind in (Condition.Kind.METRIC, Condition.Kind.DRIFT):
        for item in _open(kind, Condition.State.WATCHED):
            with transaction.atomic():
                held = holds.lock(item.request)
                endpoint = holds.endpoint_of(held)
                fresh = Condition.objects.select_for_update(no_key=True).get(pk=item.pk)
                if endpoint is not None and fresh.state == Condition.State.WATCHED:
                    moved += conditions.reassert(fresh, endpoint)
    return moved
