"""REST routes of roles on folders."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api.shapes import Strict, Text
from experiments.models import Folder, FolderRole
from experiments.services import folder_roles
from projects.access import ScopedAPIView
from projects.permissions import Permission, Role
from projects.services import principals


class FolderRoleOut(serializers.ModelSerializer[FolderRole]):
    """A role of a person or a group on a folder."""

    user = serializers.CharField(source="user.username", allow_null=True, default=None)
    group = serializers.CharField(source="group.name", allow_null=True, default=None)

    class Meta:
        model = FolderRole
        fields = ("id", "folder", "user", "group", "role", "valid_from", "valid_until")
        read_only_fields = fields


class FolderRoleIn(Strict):
    """A person or a group, and their role."""

    user = Text(max_length=100, required=False)
    group = Text(max_length=100, required=False)
    role = serializers.ChoiceField(choices=[role.value for role in Role])
    until = serializers.DateTimeField(required=False, allow_null=True)


class _OnFolder(ScopedAPIView):
    abstract = True
    reads = Folder

    def folder(self, number: int) -> Folder:
        """The folder of the address, or 404."""
        found: Folder = self.find(self.rows().in_project(self.project).select_related("project"), pk=number)
        return found

    def held(self, folder: Folder) -> Any:
        """Roles given on it that hold now."""
        return FolderRole.objects.open().filter(folder=folder).select_related("user", "group", "project", "folder")


class FolderRoles(_OnFolder):
    """Roles on a folder."""

    permissions = {"GET": Permission.RUN_VIEW, "POST": Permission.MEMBER_MANAGE}

    @extend_schema(operation_id="folder_roles_list", responses=FolderRoleOut(many=True))
    def get(self, request: Request, folder: int) -> Response:
        """List the roles given on the folder itself, newest first."""
        del request
        return self.page(self.held(self.folder(folder)), FolderRoleOut)

    @extend_schema(operation_id="folder_roles_give", request=FolderRoleIn, responses={201: FolderRoleOut})
    def post(self, request: Request, folder: int) -> Response:
        """Give a person or a group a role on the folder and all below it."""
        asked = FolderRoleIn(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        made = folder_roles.give(
            self.actor, folder=self.folder(folder), role=given["role"], until=given.get("until"),
            user=principals.person(given["user"]) if given.get("user") else None,
            group=principals.group(given["group"]) if given.get("group") else None,
        )  # fmt: skip
        return Response(FolderRoleOut(made).data, status=status.HTTP_201_CREATED)


class FolderRoleDetail(_OnFolder):
    """One role on a folder."""

    permissions = {"DELETE": Permission.MEMBER_MANAGE}

    @extend_schema(operation_id="folder_roles_end", responses={204: None})
    def delete(self, request: Request, folder: int, held: int) -> Response:
        """End it."""
        del request
        folder_roles.end(self.actor, held=self.find(self.held(self.folder(folder)), pk=held))
        return Response(status=status.HTTP_204_NO_CONTENT)
