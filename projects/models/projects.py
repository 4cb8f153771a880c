"""Projects and who belongs to them."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.utils import timezone

from projects.permissions import Role

if TYPE_CHECKING:
    from projects.actor import Actor
    from projects.models.accounts import User


class ProjectQuerySet(models.QuerySet["Project"]):
    """Reads of projects."""

    def visible_to(self, actor: "Actor") -> Self:
        """Projects the actor belongs to; all of them for a site administrator."""
        if actor.kind == "system":
            return self.filter(pk=actor.project_id)
        user = actor.user
        if user is None or not user.is_active:
            return self.none()
        seen = self.filter(archived_at=None)
        if actor.token is not None and actor.token.project_id is not None:
            seen = seen.filter(pk=actor.token.project_id)
        if user.is_site_admin:
            return seen
        mine = Membership.objects.open().filter(user=user).values("project")
        return seen.filter(pk__in=mine)

    def with_activity(self) -> Self:
        """Add ``member_count`` and ``last_event_at``; subqueries, since joins would multiply members by events."""
        from projects.models.events import Event

        people = Membership.objects.filter(project=OuterRef("pk"), valid_to=None).order_by().values("project")
        newest = Event.objects.filter(project=OuterRef("pk")).order_by("-seq")
        return self.annotate(
            member_count=Subquery(people.annotate(n=Count("user", distinct=True)).values("n")),
            last_event_at=Subquery(newest.values("at")[:1]),
        )


class Project(models.Model):
    """A team's room: everything else belongs to exactly one project."""

    name = models.CharField(max_length=100)
    slug = models.CharField(max_length=50, unique=True)
    description = models.TextField(blank=True)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    is_example = models.BooleanField(default=False)
    listed = models.BooleanField(default=False, help_text="Its name is offered to everybody who asks for access.")
    trash_days = models.PositiveSmallIntegerField(
        default=30, help_text="Days after which what lies in the trash is removed for good."
    )

    objects = ProjectQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def initials(self) -> str:
        """Two letters for the project switcher."""
        words = self.name.split()
        return ("".join(word[0] for word in words[:2]) or "?").upper()

    def roles_of(self, user: "User") -> list[str]:
        """Roles the user holds here now."""
        return list(self.memberships.open().filter(user=user).values_list("role", flat=True))


class Somewhere:
    """Any folder of a project: lets a person through to the service, which knows the folder at hand and decides."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._read: dict[int, list[str]] = {}

    def roles_here(self, user: "User") -> list[str]:
        """Roles of the person on any folder of the project; read once, since a page asks for many rights."""
        if user.pk not in self._read:
            self._read[user.pk] = list(self._project.folder_roles.held_by(user).values_list("role", flat=True))
        return self._read[user.pk]


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Reads of memberships."""

    def visible_to(self, actor: "Actor") -> Self:
        """Memberships of projects the actor may see."""
        return self.filter(project__in=Project.objects.visible_to(actor))

    def open(self) -> Self:
        """Memberships that hold now; one whose end has passed does not, whether or not the beat has ended it."""
        return self.filter(Q(valid_until=None) | Q(valid_until__gt=timezone.now()), valid_to=None)


class Membership(models.Model):
    """A role of a person in a project, for a span of time. A person may hold several roles.

    With a ``group`` the person holds the role through that group: ``projects.services.groups`` makes and ends
    such rows, nobody by hand.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey("projects.User", models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in Role])
    valid_from = models.DateTimeField(auto_now_add=True)
    valid_to = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, help_text="It ends by itself then.")
    granted_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)
    group = models.ForeignKey("projects.Group", models.PROTECT, related_name="memberships", null=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "user", "role"],
                condition=Q(valid_to=None, group=None),
                name="one_open_membership_a_role",
            ),
            models.UniqueConstraint(
                fields=["project", "user", "role", "group"],
                condition=Q(valid_to=None),
                name="one_open_membership_a_group",
            ),
        ]
        indexes: ClassVar = [
            # serves visible_to and roles_of, which run in every request
            models.Index(fields=["user", "project"], condition=Q(valid_to=None), name="membership_open"),
            # serves the beat that ends what has an end
            models.Index(
                fields=["valid_until"], condition=Q(valid_to=None, valid_until__isnull=False), name="membership_ending"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} in {self.project}"
