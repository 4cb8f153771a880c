"""Roles that let people decide and changed after a request was made: what its page tells the decider."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from deployments.models import PromotionRequest
from deployments.proof import quorum
from projects.models import Membership, User
from projects.permissions import ROLE_LABELS, Role

MOST = 50


@dataclass(frozen=True)
class Change:
    """A role that somebody got or lost, by whom (nobody: the portal) and when."""

    person: User
    role: str
    gained: bool
    by: User | None
    at: datetime


def since(request: PromotionRequest) -> list[Change]:
    """List what changed among the roles that the request's rules name, from its making to its end, newest first."""
    roles = {role for step in quorum.read(request.policy.steps) for role in step.roles}
    late = Q(valid_from__gt=request.requested_at) | Q(valid_to__gt=request.requested_at)
    rows = Membership.objects.filter(late, project=request.project, role__in=roles).select_related("user", "granted_by")
    found = [change for row in rows.order_by("-pk")[:MOST] for change in _changes(row)]
    until = request.decided_at or timezone.now()
    return sorted(
        (one for one in found if request.requested_at < one.at <= until), key=lambda one: one.at, reverse=True
    )


def _changes(row: Membership) -> list[Change]:
    role = ROLE_LABELS[Role(row.role)]
    gained = Change(row.user, role, True, row.granted_by, row.valid_from)
    return [gained, Change(row.user, role, False, None, row.valid_to)] if row.valid_to else [gained]
