"""Who holds a right, through what, now or at a moment that has been."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from mlportal.lib.moments import Span
from projects.actor import Actor
from projects.models import GroupMember, Project, User
from projects.permissions import (
    FOLDER_RIGHTS,
    ROLE_LABELS,
    SITE_ADMIN_GRANTS,
    WORDS,
    Permission,
    Role,
    require,
    roles_with,
)
from projects.services import past, things, why
from projects.services.things import Thing
from projects.services.why import Question

PAGE = 50


@dataclass(frozen=True)
class Holder:
    """Somebody who holds the right: through what, and whether a rule excludes them all the same."""

    user: User
    sources: list[str]
    excluded: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the line for programs."""
        return {
            "person": self.user.username, "service": self.user.is_service, "may": not self.excluded,
            "excluded": self.excluded, "sources": self.sources,
        }  # fmt: skip


@dataclass(frozen=True)
class Holders:
    """One page of them by sign-in name; ``after`` leads to the next page, empty on the last."""

    permission: Permission
    thing: Thing
    rows: list[Holder]
    after: str

    @property
    def words(self) -> str:
        """What was asked, as people say it."""
        return WORDS[self.permission]


def holders(
    by: Actor, *, project: Project, permission: str, on: str = "", span: Span | None = None, after: str = ""
) -> Holders:
    """List everybody who holds a right, with the source; ``span`` asks how it was, by the roles of then.

    What a role may do is read from the roles of today: they change with a release only. At a moment that has been,
    four eyes still excludes who asked and who trained, while the step that was asked then is not looked at. On what
    approvals are given for, delegations of then count, and say for whom.
    """
    require(by, Permission.AUDIT_VIEW, project)
    rows = _Rows(project, why.permission_named(permission), things.find(project, on), span)
    found = list(rows.people().filter(username__gt=after[:150]).order_by("username")[: PAGE + 1])
    shown = found[:PAGE]
    return Holders(rows.asked, rows.thing, rows.lines(shown), shown[-1].username if len(found) > PAGE else "")


class _Rows:
    """Rows that give a right in a project, at a moment or now."""

    def __init__(self, project: Project, asked: Permission, thing: Thing, span: Span | None) -> None:
        self._project, self._span, self.asked, self.thing = project, span, asked, thing
        self._roles = [role.value for role in roles_with(asked)]
        self._by_folder = bool(thing.folders) and asked in FOLDER_RIGHTS
        self._by_site = asked in SITE_ADMIN_GRANTS
        self._handed = thing.handed(asked, span) if thing.handed else []

    def people(self) -> QuerySet[User]:
        """Everybody with such a row."""
        through = Q(Exists(self._members().filter(user=OuterRef("pk"), role__in=self._roles)))
        if self._by_folder:
            member = Exists(self._members().filter(user=OuterRef("pk")))
            through |= Q(member) & Q(Exists(self._of_folders()))
        if self._by_site:
            born = {"created_at__lte": self._span.end} if self._span else {}
            through |= Q(is_site_admin=True, **born)
        if self._span is None:  # today's answer is that of the portal, which knows the role a delegation asks for
            return User.objects.filter(through, is_active=True)
        return User.objects.filter(through | Q(pk__in=[taker for taker, _ in self._handed]))

    def lines(self, users: list[User]) -> list[Holder]:
        """Each of them with what they hold it through, and what excludes them."""
        sources = self._sources(users)
        closed = past.closed({each.pk for each in users}, self._span.end) if self._span else set()
        return [
            Holder(each, sources[each.pk], "the account was closed" if each.pk in closed else self._excluded(each))
            for each in users
        ]

    def _excluded(self, user: User) -> str:
        """Why somebody who holds the right may not all the same; only things with rules of their own are asked."""
        barred = self.thing.barred(user, self.asked) if self.thing.barred else ""
        if barred or self._span is not None or self.thing.check is None:
            return barred
        refusal = why.refusal_of(Question(user, None, self.asked, self._project, self.thing))
        return refusal.message if refusal else ""

    def _sources(self, users: list[User]) -> dict[int, list[str]]:
        """Through what each of them holds it; a query for each kind of source."""
        found: dict[int, list[str]] = defaultdict(list)
        rows = self._members().filter(user__in=users, role__in=self._roles).select_related("group")
        for row in rows.order_by("role", "pk"):
            found[row.user_id].append(_words(row))
        if self._by_folder:
            members = self._groups().filter(user__in=users).values_list("group", "user")
            groups: dict[int, list[int]] = defaultdict(list)
            for group, user in members:
                groups[group].append(user)
            for row in self._folder_rows().select_related("group").order_by("folder_name", "role"):
                for user in groups[row.group_id] if row.group_id else [row.user_id]:
                    found[user].append(f"{_words(row)} on the folder {row.folder_name}")
        for taker, words in self._handed:
            found[taker].append(words)
        if self._by_site:
            for user in users:
                found[user.pk] += ["Site administrator"] if user.is_site_admin else []
        return found

    def _held(self, rows: Any) -> Any:
        """Narrow rows to those that gave something then, or give it now."""
        since = self._span.start if self._span else timezone.now()
        lasting = Q(valid_until=None) | Q(valid_until__gt=since)
        return rows.filter(lasting, past.held(self._span)) if self._span else rows.filter(lasting, valid_to=None)

    def _members(self) -> Any:
        return self._held(self._project.memberships.all())

    def _folder_rows(self) -> Any:
        rows = self._project.folder_roles.filter(folder__in=self.thing.folders, role__in=self._roles)
        return self._held(rows)

    def _groups(self) -> Any:
        rows = GroupMember.objects.filter(is_owner=False)
        return rows.filter(past.held(self._span)) if self._span else rows.filter(valid_to=None)

    def _of_folders(self) -> Any:
        groups = self._groups().filter(user=OuterRef(OuterRef("pk"))).values("group")
        return self._folder_rows().filter(Q(user=OuterRef("pk")) | Q(group__in=groups))


def _words(row: Any) -> str:
    end = f" until {row.valid_until:%Y-%m-%d %H:%M} UTC" if row.valid_until else ""
    return f"{ROLE_LABELS[Role(row.role)]} {f'through the group {row.group}' if row.group else 'directly'}{end}"
