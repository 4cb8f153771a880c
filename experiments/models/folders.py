"""Folders that experiments lie in."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from projects.models import Membership
from projects.models.scoped import ProjectScoped
from projects.permissions import Role

if TYPE_CHECKING:
    from projects.models import User

MAX_DEPTH = 8


class Folder(models.Model):
    """A named place for experiments and further folders; the tree of a project."""

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="folders")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    name = models.CharField(max_length=100)
    # Folded form: two names that differ only in case are one.
    name_key = models.CharField(max_length=100)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    objects = ProjectScoped.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "parent", "name_key"], name="folder_name_once_in_folder"),
            models.UniqueConstraint(
                fields=["project", "name_key"], condition=Q(parent=None), name="folder_name_once_at_top"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def roles_here(self, user: User) -> list[str]:
        """Roles of the person on this folder and those it lies in."""
        return FolderRole.objects.at(self.pk, user)

    def chain(self) -> list[int]:
        """Return the folder and those it lies in, itself first; one query."""
        return chain_of(self.pk)


def chain_of(folder: int | None) -> list[int]:
    """Return a folder and those it lies in, itself first; one query, none for the top."""
    if folder is None:
        return []
    ways = ["__".join(["parent"] * depth + ["id"]) for depth in range(MAX_DEPTH)]
    found = Folder.objects.filter(pk=folder).values_list(*ways).first()
    return [number for number in found or () if number is not None]


class FolderRoleQuerySet(ProjectScoped):
    """Reads of roles on folders."""

    def open(self) -> Self:
        """Keep those that hold now."""
        return self.filter(Q(valid_until=None) | Q(valid_until__gt=timezone.now()), valid_to=None)

    def held_by(self, user: User) -> Self:
        """Keep those the person holds, by themselves or through a group; nothing outside their projects."""
        through = Q(group__people__user=user, group__people__is_owner=False, group__people__valid_to=None)
        member = Membership.objects.open().filter(user=user, project=OuterRef("project"))
        return self.open().filter(Q(user=user) | through).filter(Exists(member))

    def at(self, folder: int | None, user: User) -> list[str]:
        """Roles of a person on a folder and those around it; two queries, one for who holds none, none at the top."""
        if folder is None:
            return []
        around = chain_of(folder)
        return list(self.held_by(user).filter(folder__in=around).values_list("role", flat=True))


class FolderRole(models.Model):
    """A role of a person or a group on a folder and all that lies below it, for a span of time."""

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="folder_roles")
    # Empty once the folder is gone; its name stays, so that the history can be read.
    folder = models.ForeignKey(Folder, null=True, on_delete=models.SET_NULL, related_name="roles")
    folder_name = models.CharField(max_length=100)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="folder_roles")
    group = models.ForeignKey("projects.Group", null=True, on_delete=models.PROTECT, related_name="folder_roles")
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in Role])
    valid_from = models.DateTimeField(auto_now_add=True)
    valid_to = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True, help_text="It ends by itself then.")
    granted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    objects = FolderRoleQuerySet.as_manager()

    class Meta:
        verbose_name = "role on a folder"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["folder", "user", "role"],
                condition=Q(valid_to=None, group=None),
                name="folder_role_of_a_person",
            ),
            models.UniqueConstraint(
                fields=["folder", "group", "role"], condition=Q(valid_to=None, user=None), name="folder_role_of_a_group"
            ),
            models.CheckConstraint(
                condition=Q(user=None, group__isnull=False) | Q(group=None, user__isnull=False),
                name="folder_role_of_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group} is {self.role} on {self.folder_name}"
