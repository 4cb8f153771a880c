"""Who belongs to a project, and as what."""

from django.db import transaction
from django.utils import timezone

from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Membership, Project, User
from projects.permissions import ROLE_LABELS, Permission, Role, require
from projects.services import events


def add(by: Actor, *, project: Project, user: User, role: str) -> Membership:
    """Give a person a role in a project, besides the roles they hold.

    Raises
    ------
    Conflict
        When they hold it already or their account is not active.
    """
    require(by, Permission.MEMBER_MANAGE, project)
    chosen = _role(role)
    with transaction.atomic():
        _lock(project)
        if not user.is_active:
            raise Conflict(f"The account of {user.username} is not active.", field="user")
        if project.memberships.filter(user=user, role=chosen, valid_to=None).exists():
            raise Conflict(f"{user.username} is {ROLE_LABELS[chosen]} here already.", field="role")
        member = Membership.objects.create(project=project, user=user, role=chosen, granted_by=by.user)
        events.record(by, "member.added", project=project, target=user, data={"role": chosen.value})
    return member


def change_role(by: Actor, *, member: Membership, role: str) -> Membership:
    """Replace one role of a person by another; the old one stays in the history."""
    require(by, Permission.MEMBER_MANAGE, member.project)
    chosen = _role(role)
    with transaction.atomic():
        _lock(member.project)
        if member.role == chosen:
            raise Conflict(f"{member.user.username} is {ROLE_LABELS[chosen]} already.", field="role")
        if member.project.memberships.filter(user=member.user, role=chosen, valid_to=None).exists():
            raise Conflict(f"{member.user.username} holds {ROLE_LABELS[chosen]} besides; remove one.", field="role")
        _end(member)
        changed = Membership.objects.create(project=member.project, user=member.user, role=chosen, granted_by=by.user)
        data = {"role": chosen.value, "before": member.role}
        events.record(by, "member.changed", project=member.project, target=member.user, data=data)
    return changed


def remove(by: Actor, *, member: Membership) -> Membership:
    """Take one role away. Effective at the person's next request.

    Raises
    ------
    Conflict
        For the last admin of the project.
    """
    require(by, Permission.MEMBER_MANAGE, member.project)
    with transaction.atomic():
        _lock(member.project)
        _end(member)
        events.record(by, "member.removed", project=member.project, target=member.user, data={"role": member.role})
    return member


def _role(value: str) -> Role:
    try:
        return Role(value)
    except ValueError as error:
        raise Invalid(
            f"role is one of {', '.join(Role)}.", field="role", limit=list(Role), got=str(value)[:50]
        ) from error


def _lock(project: Project) -> None:
    """Changes of one project's members wait for each other, so that two cannot remove the last two admins."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _end(member: Membership) -> None:
    if member.role == Role.ADMIN:
        others = Membership.objects.filter(
            project=member.project, role=Role.ADMIN, valid_to=None, user__is_active=True
        ).exclude(pk=member.pk)
        if not others.exists():
            raise Conflict(
                f"{member.user.username} is the last admin of {member.project.name}. Make somebody else admin first."
            )
    now = timezone.now()
    if not Membership.objects.filter(pk=member.pk, valid_to=None).update(valid_to=now):
        raise Conflict("This membership has ended already.")
    member.valid_to = now
