"""Groups of people: who is in them, which roles they hold where, and which names of a sign-in provider mean them."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q

from projects.permissions import Role

if TYPE_CHECKING:
    from projects.actor import Actor
    from projects.models.accounts import User

BY_HAND = ""


class GroupQuerySet(models.QuerySet["Group"]):
    """Reads of groups."""

    def visible_to(self, actor: "Actor") -> Self:
        """Groups the person is in or owns; all of them for a site administrator."""
        if actor.user is None or not actor.user.is_active or actor.is_bound:
            return self.none()
        if actor.user.is_site_admin:
            return self
        mine = GroupMember.objects.filter(group=OuterRef("pk"), user=actor.user, valid_to=None)
        return self.filter(Exists(mine))

    def active(self) -> Self:
        """Leave out archived groups."""
        return self.filter(archived_at=None)


class Group(models.Model):
    """People who hold roles together, across projects."""

    name = models.CharField(max_length=100)
    # Folded form: two names that differ only in case are one.
    name_key = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True)

    objects = GroupQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name_key"], condition=Q(archived_at=None), name="group_name_once")
        ]

    def __str__(self) -> str:
        return self.name

    def is_owned_by(self, user: "User") -> bool:
        """Whether the person may change who is in it."""
        return self.people.filter(user=user, is_owner=True, valid_to=None).exists()


class GroupMember(models.Model):
    """A person in a group, or its owner, for a span of time. ``source`` is the provider that put them there."""

    group = models.ForeignKey(Group, models.CASCADE, related_name="people")
    user = models.ForeignKey("projects.User", models.PROTECT, related_name="group_rows")
    # An owner changes who is in the group; that alone does not put them into it.
    is_owner = models.BooleanField(default=False)
    source = models.CharField(max_length=100, blank=True, default=BY_HAND)
    valid_from = models.DateTimeField(auto_now_add=True)
    valid_to = models.DateTimeField(null=True)
    added_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["group", "user", "is_owner", "source"], condition=Q(valid_to=None), name="in_a_group_once"
            )
        ]
        indexes: ClassVar = [
            # serves a person's groups: folder roles, sign-in, their list
            models.Index(fields=["user", "group"], condition=Q(valid_to=None), name="group_member_open")
        ]

    def __str__(self) -> str:
        return f"{self.user} {'owns' if self.is_owner else 'is in'} {self.group}"


class GroupGrant(models.Model):
    """A role of a group in a project, for a span of time; each member holds it by a row of ``Membership``."""

    group = models.ForeignKey(Group, models.CASCADE, related_name="grants")
    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="group_grants")
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in Role])
    valid_from = models.DateTimeField(auto_now_add=True)
    valid_to = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True, help_text="It ends by itself then.")
    granted_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["group", "project", "role"], condition=Q(valid_to=None), name="one_open_grant_a_role"
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} is {self.role} in {self.project}"


class GroupMapping(models.Model):
    """Who carries this name at a sign-in provider is in the group."""

    provider = models.CharField(max_length=100)
    external_name = models.CharField(max_length=255)
    group = models.ForeignKey(Group, models.CASCADE, related_name="mappings")
    valid_from = models.DateTimeField(auto_now_add=True)
    valid_to = models.DateTimeField(null=True)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+", null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider", "external_name", "group"], condition=Q(valid_to=None), name="mapped_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.external_name} of {self.provider} is {self.group}"
