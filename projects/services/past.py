"""How things stood at a moment that has been: the shape of an answer, and who belonged to a project."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet

from mlportal.lib.moments import Span
from projects.models import Event, Group, LegalHold, Project
from projects.permissions import GRANTS, ROLE_LABELS, Permission, Role

SHOWN = 500


@dataclass(frozen=True)
class Section:
    """One table of an answer: ``columns`` names what people see, ``rows`` holds that and more for programs.

    A row may have ``href``, the address of what its first column names.
    """

    key: str
    title: str
    columns: dict[str, str]
    rows: list[dict[str, Any]]
    empty: str = "Nothing at that moment."
    start: int = 0

    def page(self, start: int) -> "Section":
        """Return the section as a page shows it from one of its rows on; programs and exports get it whole."""
        last = max(0, (len(self.rows) - 1) // SHOWN * SHOWN)
        return replace(self, start=min(max(0, start) // SHOWN * SHOWN, last))

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The rows of this page of the table."""
        return self.rows[self.start : self.start + SHOWN]

    @property
    def words(self) -> str:
        """Which rows are shown, empty for all."""
        count = len(self.rows)
        return f"{self.start + 1:,} to {self.start + len(self.shown):,} of {count:,}" if count > SHOWN else ""

    @property
    def before(self) -> int | None:
        """Where the page before begins."""
        return self.start - SHOWN if self.start else None

    @property
    def after(self) -> int | None:
        """Where the next page begins."""
        onward = self.start + SHOWN
        return onward if onward < len(self.rows) else None

    @property
    def lines(self) -> list[tuple[str, list[tuple[bool, Any]]]]:
        """What people see: the address of each row, and its cells with whether they are moments."""
        return [
            (
                row.get("href", ""),
                [(isinstance(row.get(name), datetime), row.get(name)) for name in self.columns],
            )
            for row in self.shown
        ]


def paged(sections: list[Section], *, key: str, start: str) -> list[Section]:
    """Turn one section to another page, as an address asks; anything else in it is the first page."""
    wanted = int(start) if start.isascii() and start.isdigit() and len(start) < 10 else 0
    return [section.page(wanted if section.key == key else 0) for section in sections]


def held(span: Span, *, prefix: str = "") -> Q:
    """Condition for interval rows that held at a moment, or at some time of a day."""
    begun = Q(**{f"{prefix}valid_from__lte": span.end})
    return begun & (Q(**{f"{prefix}valid_to": None}) | Q(**{f"{prefix}valid_to__gt": span.start}))


def standing(rows: QuerySet[Any], span: Span) -> QuerySet[Any]:
    """Narrow rows with ``valid_from`` and ``valid_to`` to those that held."""
    return rows.filter(held(span))


def words(row: Model | None) -> str:
    """Name of something that may be absent."""
    return str(row) if row is not None else ""


_GIVEN = {"role": "Role", "since": "Since", "until": "Until", "granted_by": "Role given by"}


def members(project: Project, span: Span) -> list[Section]:
    """Who held which role, who of them could have approved a promotion, what groups and folders held; four queries."""
    rows = standing(project.memberships.all(), span).select_related("user", "granted_by", "group")
    found = list(rows.order_by("user__username", "role", "valid_from"))
    gone = closed({member.user_id for member in found}, span.end)
    lines = [
        {
            "member": str(member.user), "username": member.user.username, "role": ROLE_LABELS[Role(member.role)],
            "could_approve": Permission.PROMOTION_DECIDE in GRANTS[Role(member.role)] and member.user_id not in gone,
            "approver": _approver(member.role, is_open=member.user_id not in gone),
            "source": f"through {member.group}" if member.group else "direct",
            "since": member.valid_from, "until": member.valid_to, "granted_by": words(member.granted_by),
        }
        for member in found
    ]  # fmt: skip
    columns = {
        "member": "Member", "role": "Role", "source": "Source", "approver": "Could approve", "since": "Since",
        "until": "Until", "granted_by": "Role given by",
    }  # fmt: skip
    people = Section("members", "Members and roles", columns, lines, "Nobody belonged to the project.")
    return [people, _of_groups(project, span), _on_folders(project, span)]


def _of_groups(project: Project, span: Span) -> Section:
    rows = standing(project.group_grants.all(), span).select_related("group", "granted_by")
    lines = [{"group": row.group.name, **_given(row)} for row in rows.order_by("group__name_key", "role", "pk")]
    columns = {"group": "Group", **_GIVEN}
    return Section("group_roles", "Roles of groups", columns, lines, "No group held a role.")


def group(found: Group, span: Span) -> list[Section]:
    """Who was in a group or owned it, and which roles it held where; two queries."""
    rows = standing(found.people.all(), span).select_related("user", "added_by")
    lines = [
        {
            "member": str(row.user), "username": row.user.username, "as": "owner" if row.is_owner else "member",
            "source": row.source or "by hand", "since": row.valid_from, "until": row.valid_to,
            "added_by": words(row.added_by),
        }
        for row in rows.order_by("-is_owner", "user__username", "valid_from", "pk")
    ]  # fmt: skip
    columns = {
        "member": "Name", "as": "As", "source": "Source", "since": "Since", "until": "Until", "added_by": "Added by",
    }  # fmt: skip
    grants = standing(found.grants.all(), span).select_related("project", "granted_by")
    held_roles = [{"project": row.project.name, **_given(row)} for row in grants.order_by("project__name", "pk")]
    return [
        Section("people", "People", columns, lines, "Nobody was in it."),
        Section("roles", "Roles in projects", {"project": "Project", **_GIVEN}, held_roles, "It held no role."),
    ]


def legal_holds(project: Project, span: Span) -> list[Section]:
    """Which legal holds stood; one query."""
    stood = Q(placed_at__lte=span.end) & (Q(lifted_at=None) | Q(lifted_at__gt=span.start))
    rows = LegalHold.objects.filter(stood, project=project).select_related(
        "project", "dataset", "placed_by", "lifted_by"
    )
    lines = [
        {
            "what": row.scope, "dataset": row.dataset.name if row.dataset else None, "reason": row.reason,
            "since": row.placed_at, "placed_by": str(row.placed_by), "until": row.lifted_at,
            "lifted_by": words(row.lifted_by), "lift_reason": row.lift_reason,
        }
        for row in rows.order_by("pk")
    ]  # fmt: skip
    columns = {
        "what": "What", "reason": "Reason", "since": "Since", "placed_by": "Placed by", "until": "Until",
        "lifted_by": "Lifted by", "lift_reason": "Because",
    }  # fmt: skip
    return [Section("legal_holds", "Legal holds", columns, lines, "No hold stood.")]


def _on_folders(project: Project, span: Span) -> Section:
    rows = standing(project.folder_roles.all(), span).select_related("user", "group", "granted_by")
    lines = [
        {"folder": row.folder_name, "who": f"{row.group} (group)" if row.group else str(row.user), **_given(row)}
        for row in rows.order_by("folder_name", "role", "pk")
    ]
    columns = {"folder": "Folder", "who": "Who", **_GIVEN}
    return Section("folder_roles", "Roles on folders", columns, lines, "Nobody held a role on a folder.")


def _given(row: Any) -> dict[str, Any]:
    return {
        "role": ROLE_LABELS[Role(row.role)], "since": row.valid_from, "until": row.valid_to or row.valid_until,
        "granted_by": words(row.granted_by),
    }  # fmt: skip


def _approver(role: str, *, is_open: bool) -> str:
    if Permission.PROMOTION_DECIDE not in GRANTS[Role(role)]:
        return "no"
    return "yes" if is_open else "no, the account was closed"


def closed(users: set[int], at: datetime) -> set[int]:
    """Accounts that were deactivated at a moment, by the audit log."""
    verbs = ("user.deactivated", "user.activated")
    rows = Event.objects.filter(target_type="user", target_id__in=users, verb__in=verbs, at__lte=at)
    last = dict(rows.order_by("seq").values_list("target_id", "verb"))
    return {user for user, verb in last.items() if user is not None and verb == "user.deactivated"}
