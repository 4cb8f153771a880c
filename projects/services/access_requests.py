"""Asking for a role in a project, and the answer of its admins.

Nobody learns from it which projects there are: the same words answer an address of no project, and such a request is
kept, counted and expires like any other.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from mlportal.lib import names, throttle
from mlportal.lib.errors import Conflict, Forbidden, TooMany
from projects.actor import Actor
from projects.models import AccessRequest, Project, User
from projects.permissions import ROLE_LABELS, Permission, require
from projects.services import events, members, terms

DAYS = 14
MOST_WAITING = 5
MOST_A_DAY = 20
MAX_REASON = 1000
ANSWERED = "If there is such a project, its admins have your request. You will find their answer in your inbox."
State = AccessRequest.State


def ask(by: Actor, *, slug: str, role: str, reason: str) -> AccessRequest:
    """Ask for a role in the project with an address, whether or not there is one.

    Raises
    ------
    Invalid
        For what is no address, no role, or without a reason.
    Conflict
        When a request of the person for this address waits, or they hold the role.
    TooMany
        With five requests waiting, or twenty on one day.
    """
    require(by, Permission.ACCESS_ASK, None)
    address, chosen = names.slug(slug, field="project"), terms.role_named(role)
    why = names.clean_text(reason, field="reason", limit=MAX_REASON, required=True)
    person = _person(by)
    throttle.hit(f"access-request:{person.pk}", limit=MOST_A_DAY, seconds=86_400)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=person.pk)  # two at once must not pass the limit
        waiting = AccessRequest.objects.waiting().filter(user=person)
        if waiting.filter(asked_for=address).exists():
            raise Conflict(f"Your request for {address} waits already.", field="project")
        if waiting.count() >= MOST_WAITING:
            raise TooMany(f"At most {MOST_WAITING} requests wait at a time.", limit=MOST_WAITING)
        project = Project.objects.filter(slug=address, archived_at=None).first()
        if project is not None and chosen in project.roles_of(person):
            raise Conflict(f"You are {ROLE_LABELS[chosen]} in {address} already.", field="role")
        asked = AccessRequest.objects.create(
            asked_for=address, project=project, user=person, role=chosen, reason=why,
            expires_at=timezone.now() + timedelta(days=DAYS),
        )  # fmt: skip
        data = {"role": chosen.value, "asked_for": address, "reason": why}
        events.record(by, "access.requested", project=project, target=asked, data=data)
    return asked


def grant(by: Actor, *, request: AccessRequest, role: str = "", until: datetime | None = None) -> AccessRequest:
    """Give the person the role they asked for, or another one, with an end if one is named.

    Raises
    ------
    Conflict
        When it was answered, withdrawn or has expired, or the person holds the role already.
    """
    require(by, Permission.MEMBER_MANAGE, request.project)
    with transaction.atomic():
        chosen = terms.role_named(role or request.role)
        held = _answer(by, request, State.GRANTED, granted_role=chosen.value, granted_until=until)
        member = members.add(by, project=_project(held), user=held.user, role=chosen, until=until)
        data = {"role": chosen.value, "asked": held.role, "membership": member.pk}
        events.record(by, "access.granted", project=held.project, target=held, data=data)
    return held


def decline(by: Actor, *, request: AccessRequest, answer: str) -> AccessRequest:
    """Refuse with a word of why, which the person reads.

    Raises
    ------
    Conflict
        When it was answered, withdrawn or has expired.
    """
    require(by, Permission.MEMBER_MANAGE, request.project)
    word = names.clean_text(answer, field="answer", limit=MAX_REASON, required=True)
    with transaction.atomic():
        held = _answer(by, request, State.DECLINED, answer=word)
        events.record(by, "access.declined", project=held.project, target=held, data={"reason": word})
    return held


def withdraw(by: Actor, *, request: AccessRequest) -> AccessRequest:
    """Take one's own request back."""
    require(by, Permission.ACCESS_ASK, None)
    if by.user is None or request.user_id != by.user.pk:
        raise Forbidden("Only who asked takes a request back.", code="not_yours")
    with transaction.atomic():
        held = _answer(by, request, State.WITHDRAWN)
        events.record(by, "access.withdrawn", project=held.project, target=held)
    return held


def see(by: Actor) -> int:
    """Note that the person has seen the answers to their requests; they leave the inbox."""
    require(by, Permission.ACCESS_ASK, None)
    answered = AccessRequest.objects.filter(user=by.user, seen_at=None, state__in=[State.GRANTED, State.DECLINED])
    return answered.update(seen_at=timezone.now())


def list_project(by: Actor, *, project: Project, listed: bool) -> Project:
    """Offer a project by name to everybody who asks for access, or stop doing so."""
    require(by, Permission.PROJECT_EDIT, project)
    with transaction.atomic():
        project.listed = listed
        project.save(update_fields=["listed"])
        events.record(by, "project.edited", project=project, target=project, data={"listed": listed})
    return project


def expire(*, limit: int = 500) -> int:
    """End requests that nobody answered for two weeks. Returns how many; the beat calls it."""
    by, ended, now = Actor.system("access requests"), 0, timezone.now()
    for row in AccessRequest.objects.waiting().filter(expires_at__lte=now).select_related("project")[:limit]:
        with transaction.atomic():
            if AccessRequest.objects.waiting().filter(pk=row.pk).update(state=State.EXPIRED, answered_at=now):
                events.record(by, "access.expired", project=row.project, target=row)
                ended += 1
    return ended


def _answer(by: Actor, request: AccessRequest, state: str, **facts: object) -> AccessRequest:
    now = timezone.now()
    open_rows = AccessRequest.objects.waiting().filter(pk=request.pk, expires_at__gt=now)
    if not open_rows.update(state=state, answered_at=now, answered_by=by.user, **facts):
        raise Conflict("This request was answered, withdrawn or has expired.", code="answered")
    return AccessRequest.objects.select_related("project", "user").get(pk=request.pk)


def _person(by: Actor) -> User:
    if by.user is None or by.user.is_service:
        raise Forbidden("Only a person asks for access.", code="people_only")
    return by.user


def _project(held: AccessRequest) -> Project:
    if held.project is None:
        raise Conflict("This request is for no project.")
    return held.project
