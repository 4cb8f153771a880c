"""Groups of people: made by site administrators, filled by their owners or by a sign-in provider."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.actor import Actor
from projects.models import Event, Group, GroupGrant, GroupMapping, GroupMember, User
from projects.models.groups import BY_HAND
from projects.permissions import Permission, require
from projects.services import events, terms
from projects.services.group_roles import Note, settle, tell

MAX_MEMBERS = 1000
MAX_MAPPINGS = 1000


def create(by: Actor, *, name: str, description: str = "", owner: User | None = None) -> Group:
    """Make a group without members, with one owner if one is named.

    Raises
    ------
    Conflict
        When a group has this name.
    """
    require(by, Permission.SITE_ADMIN, None)
    clean = _name(name)
    with transaction.atomic():
        _check_free(clean)
        group = Group.objects.create(
            name=clean, name_key=names.key(clean), created_by=_person(by),
            description=names.clean_text(description, field="description", limit=2000),
        )  # fmt: skip
        if owner is not None:
            _check_person(owner)
            GroupMember.objects.create(group=group, user=owner, is_owner=True, added_by=by.user)
        events.record(by, "group.created", project=None, target=group, data={"owner": owner.pk if owner else None})
    return group


def edit(by: Actor, *, group: Group, name: str, description: str) -> Group:
    """Change a group's name and description."""
    require(by, Permission.SITE_ADMIN, None)
    clean = _name(name)
    with transaction.atomic():
        held = _locked(group)
        _check_free(clean, without=held)
        held.name, held.name_key = clean, names.key(clean)
        held.description = names.clean_text(description, field="description", limit=2000)
        held.save(update_fields=["name", "name_key", "description"])
        events.record(by, "group.edited", project=None, target=held)
    return held


def archive(by: Actor, *, group: Group) -> Group:
    """End a group: its roles, its members and its mappings end; what was stays in the history.

    Raises
    ------
    Conflict
        When it is archived already, or a project would be left without an admin.
    """
    require(by, Permission.SITE_ADMIN, None)
    now = timezone.now()
    with transaction.atomic():
        held = _locked(group)
        for rows in (held.grants, held.people, held.mappings):
            rows.filter(valid_to=None).update(valid_to=now)
        notes = settle(held, by=by)
        held.archived_at = now
        held.save(update_fields=["archived_at"])
        tell(notes, by=by)
        events.record(by, "group.archived", project=None, target=held)
    return held


def add(by: Actor, *, group: Group, user: User, as_owner: bool = False) -> GroupMember:
    """Put a person into a group, or make them its owner; owners of the group may do both.

    Raises
    ------
    Conflict
        When they are there already, are no active person, or the group is full.
    """
    require(by, Permission.GROUP_MANAGE, None)
    with transaction.atomic():
        held = _locked(group)
        _check_may_change(by, held)
        _check_person(user)
        if held.people.filter(user=user, is_owner=as_owner, source=BY_HAND, valid_to=None).exists():
            raise Conflict(f"{user.username} {'owns' if as_owner else 'is in'} this group already.", field="user")
        if held.people.filter(valid_to=None).count() >= MAX_MEMBERS:
            raise Conflict(f"A group has at most {MAX_MEMBERS:,} people.", field="user", limit=MAX_MEMBERS)
        made = GroupMember.objects.create(group=held, user=user, is_owner=as_owner, added_by=terms.giver(by))
        tell(settle(held, by=by, people=[user.pk]), by=by)
        _note(by, "group.owner_added" if as_owner else "group.member_added", held, user)
    return made


def remove(by: Actor, *, member: GroupMember) -> GroupMember:
    """Take a person out of a group, or its ownership from them.

    Raises
    ------
    Conflict
        When that has ended already, a sign-in provider put them there, or a project would lose its last admin.
    """
    require(by, Permission.GROUP_MANAGE, None)
    with transaction.atomic():
        held = _locked(member.group)
        _check_may_change(by, held)
        if member.source != BY_HAND:
            raise Conflict(f"{member.source} put {member.user.username} here; change it there.", field="user")
        _end(member)
        tell(settle(held, by=by, people=[member.user_id]), by=by)
        _note(by, "group.owner_removed" if member.is_owner else "group.member_removed", held, member.user)
    return member


def map_name(by: Actor, *, provider: str, external_name: str, group: Group) -> GroupMapping:
    """Say that whoever carries a name at a sign-in provider is in a group, from their next sign-in on.

    Raises
    ------
    Conflict
        When that is said already.
    """
    require(by, Permission.SITE_ADMIN, None)
    where = names.clean(provider, field="provider")
    name = names.exact(external_name, field="external_name", limit=255, required=True)
    with transaction.atomic():
        held = _locked(group)
        known = GroupMapping.objects.filter(provider=where, valid_to=None)
        if known.filter(external_name=name, group=held).exists():
            raise Conflict(f"{name} of {where} is mapped to {held.name} already.", field="external_name")
        if known.count() >= MAX_MAPPINGS:
            raise Conflict(f"A provider has at most {MAX_MAPPINGS:,} mappings.", field="provider", limit=MAX_MAPPINGS)
        made = GroupMapping.objects.create(provider=where, external_name=name, group=held, created_by=by.user)
        events.record(by, "group.mapped", project=None, target=held, data={"provider": where, "name": name})
    return made


def unmap(by: Actor, *, mapping: GroupMapping) -> GroupMapping:
    """End a mapping; with the last one of its provider, those whom the provider put into the group leave it at once.

    Raises
    ------
    Conflict
        When it has ended already, or a project would lose its last admin.
    """
    require(by, Permission.SITE_ADMIN, None)
    now = timezone.now()
    with transaction.atomic():
        held = _locked(mapping.group)
        if not GroupMapping.objects.filter(pk=mapping.pk, valid_to=None).update(valid_to=now):
            raise Conflict("This mapping has ended already.")
        mapping.valid_to = now
        if not held.mappings.filter(provider=mapping.provider, valid_to=None).exists():
            held.people.filter(source=mapping.provider, valid_to=None).update(valid_to=now)
            tell(settle(held, by=by), by=by)
        data = {"provider": mapping.provider, "name": mapping.external_name}
        events.record(by, "group.unmapped", project=None, target=held, data=data)
    return mapping


def sync_external(*, user: User, provider: str, names: Iterable[str]) -> list[Group]:
    """Put a person into exactly the groups that a provider's names are mapped to; call it when they sign in.

    What was done by hand stays. Somebody who would be missed as the last admin of a project stays in that group,
    which the audit log says: a sign-in does not fail for it.

    Parameters
    ----------
    names : iterable of str
        Names of groups as the provider wrote them; unknown ones are ignored.

    Returns
    -------
    list of Group
        The groups the provider puts the person into, by name.
    """
    by = Actor.system(f"sign-in through {provider}"[:100])
    carried = {name for name in names if isinstance(name, str)}
    with transaction.atomic():
        mapped = GroupMapping.objects.filter(provider=provider, valid_to=None).select_related("group")
        wanted = {item.group_id: item.group for item in mapped if item.external_name in carried}
        rows = GroupMember.objects.filter(user=user, source=provider, is_owner=False, valid_to=None)
        held = {row.group_id: row for row in rows.select_related("group", "user")}
        come, gone = wanted.keys() - held.keys(), held.keys() - wanted.keys()
        _lock_all(come | gone)
        entries = [_come(by, wanted[pk], user, provider) for pk in sorted(come)]
        entries += [_go(by, held[pk]) for pk in sorted(gone)]
        for entry in entries:
            entry.write(by)
    return sorted(wanted.values(), key=lambda group: group.name_key)


@dataclass(frozen=True)
class _Entry:
    """What happened to one person and one group at a sign-in; written when every lock is held."""

    verb: str
    member: GroupMember
    notes: list[Note]
    refusal: str = ""

    def write(self, by: Actor) -> None:
        """Put it into the audit log."""
        tell(self.notes, by=by)
        why = {"why": self.refusal} if self.refusal else {}
        result = Event.Result.REFUSED if self.refusal else Event.Result.DONE
        facts = {"provider": self.member.source, **why}
        _note(by, self.verb, self.member.group, self.member.user, result=result, **facts)


def _lock_all(groups: set[int]) -> None:
    if not groups:
        return
    list(Group.objects.select_for_update(no_key=True).filter(pk__in=groups).order_by("pk"))
    terms.lock(GroupGrant.objects.filter(group__in=groups, valid_to=None).values_list("project", flat=True))


def _come(by: Actor, group: Group, user: User, provider: str) -> _Entry:
    made = GroupMember.objects.create(group=group, user=user, source=provider)
    return _Entry("group.member_added", made, settle(group, by=by, people=[user.pk]))


def _go(by: Actor, member: GroupMember) -> _Entry:
    try:
        with transaction.atomic():
            _end(member)
            return _Entry("group.member_removed", member, settle(member.group, by=by, people=[member.user_id]))
    except Conflict as refusal:
        return _Entry("group.member_kept", member, [], refusal.message)


def _note(by: Actor, verb: str, group: Group, user: User, *, result: str = Event.Result.DONE, **data: str) -> None:
    facts = {"member": user.pk, **data}
    who = (user.pk, user.username)
    events.record(by, verb, project=None, target=group, data=facts, whom=who, result=result)


def _end(member: GroupMember) -> None:
    now = timezone.now()
    if not GroupMember.objects.filter(pk=member.pk, valid_to=None).update(valid_to=now):
        raise Conflict("They have left the group already.")
    member.valid_to = now


def _check_may_change(by: Actor, group: Group) -> None:
    """Site administrators and owners; to anybody else the group is not there."""
    if Permission.SITE_ADMIN in by.permissions_in(None):
        return
    if not Group.objects.visible_to(by).filter(pk=group.pk).exists():
        raise Missing("There is no such group here.")
    if by.user is None or not group.is_owned_by(by.user):
        raise Forbidden(f"Only owners of {group.name} and site administrators change who is in it.", code="not_owner")


def _check_person(user: User) -> None:
    if not user.is_active:
        raise Conflict(f"The account of {user.username} is not active.", field="user")
    if user.is_service:
        raise Conflict("A service account belongs to one project and to no group.", field="user")


def _check_free(name: str, *, without: Group | None = None) -> None:
    same = Group.objects.active().filter(name_key=names.key(name))
    if same.exclude(pk=without.pk if without else None).exists():
        raise Conflict(f"There is a group {name} already.", field="name")


def _name(value: str) -> str:
    text = names.clean_text(value, field="name", limit=100, required=True)
    if "\n" in text:
        raise Invalid("name must be one line.", field="name")
    return text


def _person(by: Actor) -> User:
    if by.user is None:
        raise Invalid("A person makes a group.", field="created_by")
    return by.user


def _locked(group: Group) -> Group:
    held = Group.objects.select_for_update(no_key=True).get(pk=group.pk)
    if held.archived_at is not None:
        raise Conflict(f"The group {held.name} is archived.", field="group")
    return held
