"""What every way to a role shares: the words of roles, end dates, the lock of a project, its last admin."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Membership, Project, User
from projects.permissions import Role

MAX_DAYS = 5 * 366


def role_named(value: object, *, field: str = "role") -> Role:
    """Read the word of a role.

    Raises
    ------
    Invalid
        For any other word.
    """
    try:
        return Role(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise Invalid(
            f"{field} is one of {', '.join(Role)}.", field=field, limit=list(Role), got=str(value)[:50]
        ) from error


def end_date(value: datetime | None, *, field: str = "until") -> datetime | None:
    """Check when a role shall end by itself; None means that it does not.

    Raises
    ------
    Invalid
        For a moment that has passed, or one more than five years ahead.
    """
    now = timezone.now()
    if value is None:
        return None
    if not now < value <= now + timedelta(days=MAX_DAYS):
        raise Invalid(f"{field} lies ahead, by at most five years.", field=field, limit=MAX_DAYS, got=value.isoformat())
    return value


def giver(actor: Actor) -> User | None:
    """Return who gives a role: the person who acts, nobody where a part of the portal does."""
    return actor.user if actor.kind != "system" else None


def lock(projects: Iterable[int]) -> None:
    """Let changes of the members of these projects wait for each other: two must not remove the last two admins."""
    list(Project.objects.select_for_update(no_key=True).filter(pk__in=set(projects)).order_by("pk"))


def need_an_admin(project: Project) -> None:
    """Refuse when nobody is left who could look after a project; a service account does not count, nor an end ahead.

    Raises
    ------
    Conflict
        Naming the project.
    """
    admins = Membership.objects.open().filter(
        project=project, role=Role.ADMIN, user__is_active=True, user__service_project=None, valid_until=None
    )
    if not admins.exists():
        raise Conflict(
            f"This would take away the last admin of {project.name}. Make somebody else admin first.",
            code="last_admin",
        )  # fmt: skip
