"""Hand one's right to decide to another member until a date, and take it back."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from deployments.models import Delegation
from deployments.services import holds
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.actor import Actor
from projects.models import Membership, Project, User
from projects.permissions import GRANTS, Permission, Role, allowed, require
from projects.services import events, stepup

MAX_DAYS = 90
ELIGIBLE = tuple(role for role in Role if Permission.PROMOTION_SIGN in GRANTS[role])


def give(by: Actor, *, project: Project, taker: str, until: datetime, reason: str) -> Delegation:
    """Hand the right to decide to another member. It gives no more than the giver has, and is not passed on.

    Parameters
    ----------
    taker
        Sign-in name of an active member who is more than a viewer.
    until
        End, at most 90 days away.

    Raises
    ------
    Invalid
        Naming the field: reason, until, taker.
    Missing
        When no such member may decide here.
    Conflict
        When it is handed to that person already.
    Forbidden
        For a part of the portal: only a person hands over a right. For a session that was left open: as a decision, it
        asks for a recent proof.
    """
    require(by, Permission.PROMOTION_SIGN, project)
    stepup.require_recent(by)
    if by.user is None or by.kind == "system":
        raise Forbidden("Only a person hands over the right to decide.", code="people_only")
    now = timezone.now()
    reason, until = names.reason(reason, limit=1000), _until(until, now)
    with transaction.atomic():
        giver = User.objects.select_for_update(no_key=True).get(pk=by.user.pk)
        person = _taker(project, giver, taker)
        if Delegation.objects.in_project(project).active(now).filter(giver=giver, taker=person).exists():
            raise Conflict(f"You have handed your right to {person} already.", code="already_delegated", field="taker")
        made = Delegation.objects.create(
            project=project, giver=giver, taker=person, reason=reason, valid_from=now, until=until
        )
        events.record(
            by, "delegation.given", project=project, target=made,
            data={"giver": giver.pk, "taker": person.pk, "until": until.isoformat(), "reason": reason},
            whom=(person.pk, person.username),
        )  # fmt: skip
    return made


def revoke(by: Actor, *, delegation: Delegation) -> Delegation:
    """Take a delegation back, as its giver or as somebody who manages the members.

    Raises
    ------
    Forbidden
        When it is another's.
    Conflict
        When it has ended.
    """
    require(by, Permission.PROMOTION_SIGN, delegation.project)
    with transaction.atomic():
        held = Delegation.objects.select_for_update(of=("self",), no_key=True).with_people().get(pk=delegation.pk)
        mine = by.user is not None and held.giver_id == by.user.pk
        if not mine and not allowed(by, Permission.MEMBER_MANAGE, held.project):
            raise Forbidden("Only its giver or a project admin takes a delegation back.", code="not_yours")
        if held.revoked_at or held.until <= timezone.now():
            raise Conflict("This delegation has ended.", code="already_ended")
        held.revoked_at, held.revoked_by = timezone.now(), by.user
        held.save(update_fields=["revoked_at", "revoked_by"])
        events.record(
            by, "delegation.revoked", project=held.project, target=held,
            data={"giver": held.giver_id, "taker": held.taker_id}, whom=(held.taker_id, held.taker.username),
        )  # fmt: skip
    return held


def eligible(project: Project, *, roles: Sequence[str] = ELIGIBLE) -> list[User]:
    """Active people with one of the roles, by name: one query."""
    rows = User.objects.filter(
        is_active=True,
        service_project=None,
        memberships__in=Membership.objects.open().filter(project=project, role__in=roles),
    )
    return list(rows.distinct().order_by("username"))


def _taker(project: Project, giver: User, name: object) -> User:
    person = next((each for each in eligible(project) if each.username == name), None)
    if person is None:
        raise Missing(
            f"There is no active member {str(name)[:100]!r} here who is more than a viewer.", field="taker",
            got=str(name)[:100],
        )  # fmt: skip
    if holds.same_person(person, giver):
        raise Invalid("Hand it to another person than yourself.", field="taker", got=person.username)
    return person


def _until(given: object, now: datetime) -> datetime:
    if not isinstance(given, datetime) or timezone.is_naive(given):
        raise Invalid("until must be a date and time with its zone.", field="until", got=str(given)[:50])
    if not now < given <= now + timedelta(days=MAX_DAYS):
        raise Invalid(
            f"until must lie in the next {MAX_DAYS} days.", field="until", limit=MAX_DAYS, got=given.isoformat()
        )
    return given
