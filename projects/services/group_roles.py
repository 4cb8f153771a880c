"""Roles of groups in projects, and the rows that give them to each member.

A role of a group is kept twice: as a grant, and as one membership row for each person in the group. So whatever
asks for somebody's roles reads one table, whether they hold a role themselves or through a group.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone

from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.models import Group, GroupGrant, GroupMember, Membership, Project, User
from projects.permissions import ROLE_LABELS, Permission, Role, require
from projects.services import events, terms

MAX_GRANTS = 200


class Note(NamedTuple):
    """One entry of the audit log that is still to be written."""

    verb: str
    project: Project
    user: User
    data: dict[str, Any]


class Held(NamedTuple):
    """One role that one person holds through a group, and until when."""

    project: int
    user: int
    role: str
    until: datetime | None


def grant(by: Actor, *, project: Project, group: Group, role: str, until: datetime | None = None) -> GroupGrant:
    """Give a group a role in a project: everybody in it holds it from now on.

    Raises
    ------
    Conflict
        When the group holds it already, is archived, or holds too many.
    """
    require(by, Permission.MEMBER_MANAGE, project)
    chosen, end = terms.role_named(role), terms.end_date(until)
    with transaction.atomic():
        held = _locked(group)
        if held.grants.filter(project=project, role=chosen, valid_to=None).exists():
            raise Conflict(f"{held.name} is {ROLE_LABELS[chosen]} here already.", field="role")
        if held.grants.filter(valid_to=None).count() >= MAX_GRANTS:
            raise Conflict(f"A group holds at most {MAX_GRANTS} roles.", field="group", limit=MAX_GRANTS)
        made = GroupGrant.objects.create(
            group=held, project=project, role=chosen, valid_until=end, granted_by=terms.giver(by)
        )
        tell(settle(held, by=by), by=by)
        data = {"role": chosen.value, "until": end.isoformat() if end else None}
        events.record(by, "group.role_given", project=project, target=held, data=data)
    return made


def change(by: Actor, *, grant: GroupGrant, role: str, until: datetime | None = None) -> GroupGrant:
    """Replace the role of a group by another, or give it another end; the old one stays in the history."""
    require(by, Permission.MEMBER_MANAGE, grant.project)
    chosen, end = terms.role_named(role), terms.end_date(until)
    with transaction.atomic():
        held = _locked(grant.group)
        _end(grant)
        if held.grants.filter(project=grant.project, role=chosen, valid_to=None).exists():
            raise Conflict(f"{held.name} is {ROLE_LABELS[chosen]} here besides; end one.", field="role")
        made = GroupGrant.objects.create(
            group=held, project=grant.project, role=chosen, valid_until=end, granted_by=terms.giver(by)
        )
        tell(settle(held, by=by), by=by)
        data = {"role": chosen.value, "before": grant.role, "until": end.isoformat() if end else None}
        events.record(by, "group.role_changed", project=grant.project, target=held, data=data)
    return made


def end(by: Actor, *, grant: GroupGrant) -> GroupGrant:
    """Take a role of a group away, from everybody who held it through the group.

    Raises
    ------
    Conflict
        When it has ended already, or the project would be left without an admin.
    """
    require(by, Permission.MEMBER_MANAGE, grant.project)
    with transaction.atomic():
        held = _locked(grant.group)
        _end(grant)
        tell(settle(held, by=by), by=by)
        events.record(by, "group.role_ended", project=grant.project, target=held, data={"role": grant.role})
    return grant


def end_due(*, limit: int = 100) -> int:
    """End the roles of groups whose end date has passed. Returns how many; the beat calls it."""
    by, ended = Actor.system("role end dates"), 0
    due = GroupGrant.objects.filter(valid_to=None, valid_until__lte=timezone.now()).order_by("valid_until")
    for grant in due.select_related("project", "group")[:limit]:
        with transaction.atomic():
            held = Group.objects.select_for_update(no_key=True).get(pk=grant.group_id)
            if GroupGrant.objects.filter(pk=grant.pk, valid_to=None).update(valid_to=grant.valid_until):
                tell(settle(held, by=by), by=by)
                data = {"role": grant.role, "due": True}
                events.record(by, "group.role_ended", project=grant.project, target=held, data=data)
                ended += 1
    return ended


def settle(group: Group, *, by: Actor, people: Iterable[int] | None = None) -> list[Note]:
    """Make the membership rows of a group what its members and grants say; call it with the group locked.

    ``people`` narrows it to some accounts. Rows that stay right are not touched, so their history is true. What is
    returned goes to :func:`tell` in the same transaction.

    Raises
    ------
    Conflict
        When a project would be left without an admin.
    """
    rows = Membership.objects.filter(group=group, valid_to=None).select_related("user", "project")
    if people is not None:
        rows = rows.filter(user__in=people)
    grants = {item.project_id: item.project for item in group.grants.filter(valid_to=None).select_related("project")}
    terms.lock([*grants, *rows.values_list("project", flat=True)])
    wanted = _wanted(group, people)
    open_rows = {Held(row.project_id, row.user_id, row.role, row.valid_until): row for row in rows}
    gone = [row for held, row in open_rows.items() if held not in wanted]
    Membership.objects.filter(pk__in=[row.pk for row in gone]).update(valid_to=timezone.now())
    fresh = [held for held in wanted if held not in open_rows]
    persons = User.objects.in_bulk({held.user for held in fresh})
    for held in fresh:
        Membership.objects.create(
            project=grants[held.project], user=persons[held.user], role=held.role, group=group,
            valid_until=held.until, granted_by=terms.giver(by),
        )  # fmt: skip
    _need_admins(gone)
    came = [_came(group, grants[held.project], persons[held.user], held) for held in fresh]
    renewed = {(held.project, held.user, held.role) for held in fresh}
    return [*came, *(_left(group, row, renewed) for row in gone)]


def tell(notes: Iterable[Note], *, by: Actor) -> None:
    """Write what settling groups changed into the audit log; after every lock, since its head is the last."""
    for note in notes:
        events.record(by, note.verb, project=note.project, target=note.user, data=note.data)


def _need_admins(gone: list[Membership]) -> None:
    # One with an end never counted as the admin a project needs.
    lost = {row.project_id: row.project for row in gone if row.role == Role.ADMIN and row.valid_until is None}
    for project in lost.values():
        terms.need_an_admin(project)


def _wanted(group: Group, people: Iterable[int] | None) -> dict[Held, None]:
    members = GroupMember.objects.filter(group=group, is_owner=False, valid_to=None)
    if people is not None:
        members = members.filter(user__in=people)
    users = sorted(set(members.values_list("user", flat=True)))
    grants = group.grants.filter(valid_to=None).values_list("project", "role", "valid_until").order_by("pk")
    return {Held(project, user, role, until): None for project, role, until in grants for user in users}


def _came(group: Group, project: Project, user: User, held: Held) -> Note:
    data = {"role": held.role, "group": group.pk, "until": held.until.isoformat() if held.until else None}
    return Note("member.added", project, user, data)


def _left(group: Group, row: Membership, renewed: set[tuple[int, int, str]]) -> Note:
    data: dict[str, Any] = {"role": row.role, "group": group.pk}
    if (row.project_id, row.user_id, row.role) in renewed:
        data["replaced"] = True
    return Note("member.removed", row.project, row.user, data)


def _end(grant: GroupGrant) -> None:
    now = timezone.now()
    if not GroupGrant.objects.filter(pk=grant.pk, valid_to=None).update(valid_to=now):
        raise Conflict("This role has ended already.")
    grant.valid_to = now


def _locked(group: Group) -> Group:
    held = Group.objects.select_for_update(no_key=True).get(pk=group.pk)
    if held.archived_at is not None:
        raise Conflict(f"The group {held.name} is archived.", field="group")
    return held
