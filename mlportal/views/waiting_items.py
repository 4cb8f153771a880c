"""One line of the inbox, and where a person's roles give them a right."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from projects.actor import Actor
from projects.models import Membership, Project
from projects.permissions import GRANTS, Permission, Role

AT_MOST = 100


@dataclass(frozen=True)
class Item:
    """One thing that waits: a state word with its label, a sentence, a place to act.

    Parameters
    ----------
    kind : str
        What it is, for programs: ``promotion``, ``alert`` and so on.
    call : str
        Where a program acts on it or reads it, below the address of the project's REST routes.
    risk_class : str
        That of the model it is about.
    ends_at : datetime, optional
        When it ends by itself.
    """

    state: str
    label: str
    title: str
    detail: str
    href: str
    action: str
    project: Project
    at: datetime
    rank: int
    kind: str
    call: str
    risk: int = 0
    oldest_first: bool = False
    risk_class: str = ""
    ends_at: datetime | None = None

    @property
    def order(self) -> tuple[int, int, float]:
        """Worst first, then by risk, then by age."""
        seconds = self.at.timestamp()
        return self.rank, self.risk, seconds if self.oldest_first else -seconds


def holding(actor: Actor, permission: Permission) -> QuerySet[Membership]:
    """Projects (as ids) in which the person's roles give them the permission."""
    roles = [role for role in Role if permission in GRANTS[role]]
    mine = Membership.objects.open().filter(user=actor.user, role__in=roles, project__archived_at=None)
    return mine.values("project")  # type: ignore[return-value]
