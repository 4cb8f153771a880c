"""Roles on folders: what a person or a group may do with the experiments, runs and files below one.

They add to the roles of the project and never take away. Whoever moves something between folders changes what others
may do with it, so a move neither gives nor takes a right that the mover does not hold at both ends.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from experiments.models import Folder, FolderRole
from experiments.models.folders import chain_of
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import Group, Project, User
from projects.permissions import (
    FOLDER_RIGHTS,
    GRANTS,
    ROLE_LABELS,
    Permission,
    Place,
    Role,
    allowed,
    require,
)
from projects.services import events, terms

MAX_ROLES = 200


class Everywhere:
    """The whole project: no folder adds a right."""

    def roles_here(self, user: User) -> list[str]:
        """None."""
        del user
        return []


def give(
    by: Actor, *, folder: Folder, role: str, user: User | None = None, group: Group | None = None,
    until: datetime | None = None,
) -> FolderRole:  # fmt: skip
    """Give a person or a group a role on a folder and all that lies below it.

    Raises
    ------
    Invalid
        Unless one of ``user`` and ``group`` is named, and a role that can do more than look.
    Conflict
        When they hold it already, the person does not belong to the project, or the folder has too many roles.
    """
    require(by, Permission.MEMBER_MANAGE, folder.project)
    chosen, end = _useful(role), terms.end_date(until)
    if (user is None) == (group is None):
        raise Invalid("Name a person or a group, not both.", field="user")
    with transaction.atomic():
        terms.lock([folder.project_id])
        held = folder.roles.filter(valid_to=None)
        if held.count() >= MAX_ROLES:
            raise Conflict(f"A folder has at most {MAX_ROLES} roles.", field="role", limit=MAX_ROLES)
        if held.filter(user=user, group=group, role=chosen).exists():
            raise Conflict(f"{user or group} is {ROLE_LABELS[chosen]} on this folder already.", field="role")
        _check_holder(folder, user, group)
        made = FolderRole.objects.create(
            project=folder.project, folder=folder, folder_name=folder.name, user=user, group=group, role=chosen,
            valid_until=end, granted_by=terms.giver(by),
        )  # fmt: skip
        _note(by, "folder.role_given", made)
    return made


def end(by: Actor, *, held: FolderRole) -> FolderRole:
    """Take a role on a folder away.

    Raises
    ------
    Conflict
        When it has ended already.
    """
    require(by, Permission.MEMBER_MANAGE, held.project)
    with transaction.atomic():
        if not _ended(held, timezone.now()):
            raise Conflict("This role has ended already.")
        _note(by, "folder.role_ended", held)
    return held


def end_due(*, limit: int = 500) -> int:
    """End roles on folders whose end date has passed. Returns how many; the beat calls it."""
    by, ended = Actor.system("role end dates"), 0
    due = FolderRole.objects.filter(valid_to=None, valid_until__lte=timezone.now()).order_by("valid_until")
    for held in due.select_related("project", "folder", "user", "group")[:limit]:
        with transaction.atomic():
            if held.valid_until and _ended(held, held.valid_until):
                _note(by, "folder.role_ended", held)
                ended += 1
    return ended


def check_move(actor: Actor, project: Project, *, source: Folder | None, target: Folder | None, within: Place) -> None:
    """Refuse to move something where that would give or take rights the mover does not hold.

    Parameters
    ----------
    source, target : Folder or None
        Where it lies and where it shall lie; None is the top.
    within : Place
        What moves.

    Raises
    ------
    Forbidden
        Without the right to edit at the target, or over roles on folders between the two.
    """
    require(actor, Permission.RUN_EDIT, project, within=target)
    if allowed(actor, Permission.MEMBER_MANAGE, project):
        return
    here = set(chain_of(source.pk if source else None))
    there = set(chain_of(target.pk if target else None))
    crossed = FolderRole.objects.open().filter(folder__in=here ^ there)
    given = frozenset().union(*(GRANTS[Role(role)] for role in set(crossed.values_list("role", flat=True))))
    lacking = [right for right in sorted(given & FOLDER_RIGHTS) if not _both(actor, right, project, within, target)]
    if lacking:
        raise Forbidden(
            f"This move would give or take rights that you do not hold yourself: {', '.join(lacking)}. "
            "Somebody who manages the members of the project can move it.",
            code="move_changes_rights", limit=lacking,
        )  # fmt: skip


def _both(actor: Actor, right: Permission, project: Project, within: Place, target: Folder | None) -> bool:
    return allowed(actor, right, project, within=within) and allowed(actor, right, project, within=target)


def _useful(value: str) -> Role:
    role = terms.role_named(value)
    if not GRANTS[role] & FOLDER_RIGHTS - GRANTS[Role.VIEWER]:
        raise Invalid(f"{ROLE_LABELS[role]} adds nothing on a folder.", field="role", got=role.value)
    return role


def _check_holder(folder: Folder, user: User | None, group: Group | None) -> None:
    if user is not None:
        if not user.is_active or not folder.project.memberships.open().filter(user=user).exists():
            raise Conflict(f"{user.username} needs a role in the project first, if only to look.", field="user")
    elif group is not None and group.archived_at is not None:
        raise Conflict(f"The group {group.name} is archived.", field="group")


def _ended(held: FolderRole, at: datetime) -> bool:
    held.valid_to = at
    return bool(FolderRole.objects.filter(pk=held.pk, valid_to=None).update(valid_to=at))


def _note(by: Actor, verb: str, held: FolderRole) -> None:
    data = {
        "role": held.role, "group": held.group_id, "member": held.user_id,
        "until": held.valid_until.isoformat() if held.valid_until else None,
    }  # fmt: skip
    who = (held.user_id, held.user.username) if held.user and held.user_id else None
    events.record(by, verb, project=held.project, target=held.folder, data=data, whom=who)
