"""Who belongs to a project, and as what."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.models import Membership, Project, User
from projects.permissions import ROLE_LABELS, Permission, Role, require
from projects.services import events, terms


def add(by: Actor, *, project: Project, user: User, role: str, until: datetime | None = None) -> Membership:
    """Give a person a role in a project, besides the roles they hold; ``until`` ends it by itself.

    Raises
    ------
    Conflict
        When they hold it already, their account is not active, or it is another project's service account.
    """
    require(by, Permission.MEMBER_MANAGE, project)
    chosen, end = terms.role_named(role), terms.end_date(until)
    with transaction.atomic():
        terms.lock([project.pk])
        if not user.is_active:
            raise Conflict(f"The account of {user.username} is not active.", field="user")
        _check_service(user, project, chosen)
        if _own(project, user).filter(role=chosen).exists():
            raise Conflict(f"{user.username} is {ROLE_LABELS[chosen]} here already.", field="role")
        member = _give(by, project, user, chosen, end)
        events.record(by, "member.added", project=project, target=user, data=_facts(chosen, end))
    return member


def change_role(by: Actor, *, member: Membership, role: str) -> Membership:
    """Replace one role of a person by another; the old one stays in the history, its end date goes on."""
    require(by, Permission.MEMBER_MANAGE, member.project)
    chosen = terms.role_named(role)
    with transaction.atomic():
        terms.lock([member.project_id])
        _check_service(member.user, member.project, chosen)
        if member.role == chosen:
            raise Conflict(f"{member.user.username} is {ROLE_LABELS[chosen]} already.", field="role")
        if _own(member.project, member.user).filter(role=chosen).exists():
            raise Conflict(f"{member.user.username} holds {ROLE_LABELS[chosen]} besides; remove one.", field="role")
        _end(member)
        changed = _give(by, member.project, member.user, chosen, member.valid_until)
        _need_an_admin(member)
        data = {**_facts(chosen, member.valid_until), "before": member.role}
        events.record(by, "member.changed", project=member.project, target=member.user, data=data)
    return changed


def change_end(by: Actor, *, member: Membership, until: datetime | None) -> Membership:
    """Give a role another end, or none; the row with the former one stays in the history.

    Raises
    ------
    Conflict
        When the project would have no admin without an end.
    """
    require(by, Permission.MEMBER_MANAGE, member.project)
    end = terms.end_date(until)
    with transaction.atomic():
        terms.lock([member.project_id])
        _end(member)
        changed = _give(by, member.project, member.user, Role(member.role), end)
        _need_an_admin(member)
        data = {**_facts(Role(member.role), end), "before": member.role}
        events.record(by, "member.changed", project=member.project, target=member.user, data=data)
    return changed


def remove(by: Actor, *, member: Membership) -> Membership:
    """Take one role away. Effective at the person's next request.

    Raises
    ------
    Conflict
        For the last admin of the project, and for a role held through a group.
    """
    require(by, Permission.MEMBER_MANAGE, member.project)
    with transaction.atomic():
        terms.lock([member.project_id])
        _end(member)
        _need_an_admin(member)
        events.record(by, "member.removed", project=member.project, target=member.user, data={"role": member.role})
    return member


def end_due(*, limit: int = 500) -> int:
    """End the roles of people whose end date has passed. Returns how many; the beat calls it."""
    by, ended = Actor.system("role end dates"), 0
    due = Membership.objects.filter(valid_to=None, valid_until__lte=timezone.now(), group=None)
    for row in due.select_related("project", "user").order_by("valid_until")[:limit]:
        with transaction.atomic():
            if Membership.objects.filter(pk=row.pk, valid_to=None).update(valid_to=row.valid_until):
                data = {"role": row.role, "due": True}
                events.record(by, "member.removed", project=row.project, target=row.user, data=data)
                ended += 1
    return ended


def _own(project: Project, user: User) -> QuerySet[Membership]:
    return project.memberships.filter(user=user, group=None, valid_to=None)


def _give(by: Actor, project: Project, user: User, role: Role, until: datetime | None) -> Membership:
    return Membership.objects.create(
        project=project, user=user, role=role, valid_until=until, granted_by=terms.giver(by)
    )


def _check_service(user: User, project: Project, role: Role) -> None:
    if user.service_project_id not in (None, project.pk):
        raise Conflict("This service account belongs to another project.", field="user")
    if user.is_service and role == Role.ADMIN:
        raise Conflict("A service account is never project admin.", field="role")


def _facts(role: Role, until: datetime | None) -> dict[str, str]:
    return {"role": role.value, **({"until": until.isoformat()} if until else {})}


def _need_an_admin(ended: Membership) -> None:
    if ended.role == Role.ADMIN:
        terms.need_an_admin(ended.project)


def _end(member: Membership) -> None:
    if member.group_id is not None:
        raise Conflict(
            f"{member.user.username} holds this role through the group {member.group}; change the group, or its role.",
            code="through_a_group", field="role",
        )  # fmt: skip
    now = timezone.now()
    if not Membership.objects.filter(pk=member.pk, valid_to=None).update(valid_to=now):
        raise Conflict("This membership has ended already.")
    member.valid_to = now
