"""Second looks: somebody who may approve looks at a rollback or a break-glass after it has happened."""

from django.db import transaction
from django.utils import timezone

from deployments import gates
from deployments.models import EndpointRevision, RollbackReview
from deployments.services import endpoints, holds
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events, stepup

Outcome = RollbackReview.Outcome
MIN_COMMENT = 10


def close(by: Actor, *, review: RollbackReview, comment: str, outcome: str = "") -> RollbackReview:
    """Say what came of a second look, as somebody who may approve and did not act.

    Parameters
    ----------
    outcome
        For a rollback ``noted`` (the default). For a break-glass ``confirmed`` or ``rolled_back``, with a comment;
        nothing else closes it. ``rolled_back`` returns to the version before at once, or switches the endpoint off
        when there is none.

    Raises
    ------
    Forbidden
        When the same person acted, or the proof of who it is is too old.
    Conflict
        When it is closed already, or the version to roll back is not live any more.
    Invalid
        When the outcome does not fit or the comment is too short.
    """
    require(by, Permission.PROMOTION_DECIDE, review.revision.endpoint.project)
    stepup.require_recent(by)
    comment = names.clean_text(comment, field="comment", limit=4000)
    chosen = _outcome(review, outcome, comment)
    goal = endpoints.previous_version(review.revision.endpoint) if chosen == Outcome.ROLLED_BACK else None
    damaged = gates.damage(goal) if goal else ()
    with transaction.atomic():
        holds.lock_environment(review.revision.endpoint.environment)
        held = _lock(review)
        require(by, Permission.PROMOTION_DECIDE, held.revision.endpoint.project, fresh=True)
        if holds.same_person(by.user, held.revision.created_by):
            raise Forbidden("You did this yourself, so another person has to look at it.", code="four_eyes")
        if chosen == Outcome.ROLLED_BACK:
            _undo(by, held.revision, comment, safe=goal is not None and not damaged)
        held.closed_at, held.closed_by, held.comment, held.outcome = timezone.now(), by.user, comment, chosen
        held.save(update_fields=["closed_at", "closed_by", "comment", "outcome"])
        _record(by, held)
    return held


def _outcome(review: RollbackReview, given: str, comment: str) -> str:
    forced = review.revision.kind == EndpointRevision.Kind.BREAK_GLASS
    allowed = [Outcome.CONFIRMED, Outcome.ROLLED_BACK] if forced else [Outcome.NOTED]
    chosen = given or ("" if forced else Outcome.NOTED)
    if chosen not in allowed:
        raise Invalid(
            f"outcome must be one of {', '.join(allowed)}.", field="outcome", limit=list(allowed), got=str(given)[:50]
        )
    if forced and len(comment) < MIN_COMMENT:
        raise Invalid(
            f"comment needs at least {MIN_COMMENT} characters; it has {len(comment)}.", field="comment",
            limit=MIN_COMMENT, got=len(comment),
        )  # fmt: skip
    return str(chosen)


def _lock(review: RollbackReview) -> RollbackReview:
    held = RollbackReview.objects.select_for_update(of=("self",), no_key=True).select_related(
        "revision__endpoint__project", "revision__endpoint__environment", "revision__created_by", "closed_by",
        "revision__promotion",
    ).get(pk=review.pk)  # fmt: skip
    if held.closed_at:
        raise Conflict(
            f"{held.closed_by} closed this review at {held.closed_at:%H:%M:%S} UTC.", code="already_closed",
            got={"by": str(held.closed_by), "at": held.closed_at.isoformat()},
        )  # fmt: skip
    return held


def _undo(by: Actor, revision: EndpointRevision, comment: str, *, safe: bool) -> None:
    """Take a break-glass back: the version before answers, or nothing does."""
    endpoint = endpoints.lock(revision.endpoint)
    if endpoint.current_revision_id != revision.pk:
        raise Conflict(
            f"{revision.version.label} of revision {revision.number} is not live any more. Confirm what happened.",
            code="not_live",
        )  # fmt: skip
    portal = Actor.system(
        f"second look at {endpoint.name}", project=endpoint.project,
        grants={Permission.ENDPOINT_DEPLOY, Permission.MONITOR_EDIT}, on_behalf_of=by.user,
    )  # fmt: skip
    reason = f"Second look at break-glass revision {revision.number}: {comment}"[:4000]
    if safe:
        endpoints.rollback(portal, endpoint=endpoint, reason=reason)
    else:
        endpoints.disable(portal, endpoint=endpoint, reason=reason)


def _record(by: Actor, held: RollbackReview) -> None:
    forced = held.revision.kind == EndpointRevision.Kind.BREAK_GLASS
    place = held.revision.endpoint
    events.record(
        by, "break_glass.reviewed" if forced else "rollback.reviewed", project=place.project, target=place,
        data={"revision": held.revision.number, "comment": held.comment, "outcome": held.outcome},
    )  # fmt: skip
