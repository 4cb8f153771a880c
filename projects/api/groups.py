"""REST routes of groups, their people, their roles in projects, and the names that mean them."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.models import Group, GroupGrant, GroupMapping, GroupMember
from projects.permissions import Permission, Role
from projects.services import group_roles, groups, past, principals
from projects.services.past import Section

P = Permission
PAGES = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]
ROLES = [role.value for role in Role]


class GroupSerializer(serializers.ModelSerializer[Group]):
    """A group."""

    class Meta:
        model = Group
        fields = ("id", "name", "description", "created_at")
        read_only_fields = ("id", "created_at")


class GroupMemberSerializer(serializers.ModelSerializer[GroupMember]):
    """A person in a group; ``source`` is the sign-in provider that put them there, empty by hand."""

    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = GroupMember
        fields = ("id", "user", "is_owner", "source", "valid_from")
        read_only_fields = fields


class NewGroupMemberSerializer(serializers.Serializer[Any]):
    """A person to put into a group."""

    user = serializers.CharField(max_length=100)
    as_owner = serializers.BooleanField(default=False)


class GroupRoleSerializer(serializers.ModelSerializer[GroupGrant]):
    """A role of a group in a project."""

    group = serializers.CharField(source="group.name", read_only=True)

    class Meta:
        model = GroupGrant
        fields = ("id", "group", "role", "valid_from", "valid_until")
        read_only_fields = fields


class NewGroupRoleSerializer(serializers.Serializer[Any]):
    """A group and its role."""

    group = serializers.CharField(max_length=100)
    role = serializers.ChoiceField(choices=ROLES)
    until = serializers.DateTimeField(required=False, allow_null=True)


class GroupRoleChangeSerializer(serializers.Serializer[Any]):
    """Another role, or another end; null takes the end away, what is left out stays."""

    role = serializers.ChoiceField(choices=ROLES, required=False)
    until = serializers.DateTimeField(required=False, allow_null=True)


class MappingSerializer(serializers.ModelSerializer[GroupMapping]):
    """A provider's name that means a group."""

    group = serializers.CharField(source="group.name")

    class Meta:
        model = GroupMapping
        fields = ("id", "provider", "external_name", "group", "valid_from")
        read_only_fields = ("id", "valid_from")


def _given(kind: type[serializers.BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    asked = kind(data=request.data)
    asked.is_valid(raise_exception=True)
    return dict(asked.validated_data)


class Groups(ScopedAPIView):
    """Groups the caller may see."""

    reads = Group
    permissions: ClassVar = {"GET": P.GROUP_MANAGE, "POST": P.SITE_ADMIN}

    @extend_schema(operation_id="groups_list", tags=["groups"], responses=GroupSerializer(many=True), parameters=PAGES)
    def get(self, request: Request) -> Response:
        """List groups, newest first."""
        del request
        return self.page(self.rows().active(), GroupSerializer)

    @extend_schema(
        operation_id="groups_create", tags=["groups"], request=GroupSerializer, responses={201: GroupSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a group."""
        made = groups.create(self.actor, **_given(GroupSerializer, request))
        return Response(GroupSerializer(made).data, status=201)


class _OneGroup(ScopedAPIView):
    abstract = True
    reads = Group

    def group(self, pk: int) -> Group:
        """The group of the address, or 404."""
        found: Group = self.find(self.rows().active(), pk=pk)
        return found


class GroupDetail(_OneGroup):
    """One group."""

    permissions: ClassVar = {"GET": P.GROUP_MANAGE, "PATCH": P.SITE_ADMIN, "DELETE": P.SITE_ADMIN}

    def past(self, span: Span, pk: int) -> list[Section]:
        """Return who was in it and what it held; of an archived group too."""
        return past.group(self.find(self.rows(), pk=pk), span)

    @extend_schema(operation_id="groups_read", tags=["groups"], responses=GroupSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Read a group."""
        del request
        return Response(GroupSerializer(self.group(pk)).data)

    @extend_schema(operation_id="groups_edit", tags=["groups"], request=GroupSerializer, responses=GroupSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Change name or description."""
        group = self.group(pk)
        asked = GroupSerializer(data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        values = {"name": group.name, "description": group.description, **asked.validated_data}
        return Response(GroupSerializer(groups.edit(self.actor, group=group, **values)).data)

    @extend_schema(operation_id="groups_archive", tags=["groups"], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Archive it: its roles, members and mappings end."""
        del request
        groups.archive(self.actor, group=self.group(pk))
        return Response(status=204)


class GroupMembers(_OneGroup):
    """Who is in a group."""

    permissions: ClassVar = {"GET": P.GROUP_MANAGE, "POST": P.GROUP_MANAGE}

    @extend_schema(
        operation_id="group_members_list", tags=["groups"], responses=GroupMemberSerializer(many=True),
        parameters=PAGES,
    )  # fmt: skip
    def get(self, request: Request, pk: int) -> Response:
        """List people and owners, newest first."""
        del request
        return self.page(self.group(pk).people.filter(valid_to=None).select_related("user"), GroupMemberSerializer)

    @extend_schema(
        operation_id="group_members_add", tags=["groups"], request=NewGroupMemberSerializer,
        responses={201: GroupMemberSerializer},
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        """Put a person into the group, or make them its owner."""
        group = self.group(pk)  # first: whoever may not know it learns no names of people here
        values = _given(NewGroupMemberSerializer, request)
        user = principals.person(values["user"])
        made = groups.add(self.actor, group=group, user=user, as_owner=values["as_owner"])
        return Response(GroupMemberSerializer(made).data, status=201)


class GroupMemberDetail(_OneGroup):
    """One person of a group."""

    permissions: ClassVar = {"DELETE": P.GROUP_MANAGE}

    @extend_schema(operation_id="group_members_remove", tags=["groups"], responses={204: None})
    def delete(self, request: Request, pk: int, member: int) -> Response:
        """Take the person out."""
        del request
        rows = self.group(pk).people.filter(valid_to=None).select_related("group", "user")
        groups.remove(self.actor, member=self.find(rows, pk=member))
        return Response(status=204)


class Mappings(ScopedAPIView):
    """Names at sign-in providers that mean groups."""

    reads = GroupMapping
    permissions: ClassVar = {"GET": P.SITE_ADMIN, "POST": P.SITE_ADMIN}

    @extend_schema(
        operation_id="group_mappings_list", tags=["groups"], responses=MappingSerializer(many=True), parameters=PAGES
    )
    def get(self, request: Request) -> Response:
        """List mappings, newest first."""
        del request
        return self.page(GroupMapping.objects.filter(valid_to=None).select_related("group"), MappingSerializer)

    @extend_schema(
        operation_id="group_mappings_create", tags=["groups"], request=MappingSerializer,
        responses={201: MappingSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Map a provider's name to a group."""
        values = _given(MappingSerializer, request)
        group = principals.group(values.pop("group")["name"])
        return Response(MappingSerializer(groups.map_name(self.actor, group=group, **values)).data, status=201)


class MappingDetail(ScopedAPIView):
    """One mapping."""

    reads = GroupMapping
    permissions: ClassVar = {"DELETE": P.SITE_ADMIN}

    @extend_schema(operation_id="group_mappings_end", tags=["groups"], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """End it."""
        del request
        rows = GroupMapping.objects.filter(valid_to=None).select_related("group")
        groups.unmap(self.actor, mapping=self.find(rows, pk=pk))
        return Response(status=204)


class GroupRoles(ScopedAPIView):
    """Roles of groups in the project."""

    reads = GroupGrant
    permissions: ClassVar = {"GET": P.PROJECT_VIEW, "POST": P.MEMBER_MANAGE}

    @extend_schema(
        operation_id="group_roles_list", tags=["members"], responses=GroupRoleSerializer(many=True), parameters=PAGES
    )
    def get(self, request: Request) -> Response:
        """List them, newest first."""
        del request
        return self.page(self.project.group_grants.filter(valid_to=None).select_related("group"), GroupRoleSerializer)

    @extend_schema(
        operation_id="group_roles_give", tags=["members"], request=NewGroupRoleSerializer,
        responses={201: GroupRoleSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Give a group a role: everybody in it holds it."""
        values = _given(NewGroupRoleSerializer, request)
        group = principals.group(values.pop("group"))
        made = group_roles.grant(self.actor, project=self.project, group=group, **values)
        return Response(GroupRoleSerializer(made).data, status=201)


class GroupRoleDetail(ScopedAPIView):
    """One role of a group in the project."""

    reads = GroupGrant
    permissions: ClassVar = {"PATCH": P.MEMBER_MANAGE, "DELETE": P.MEMBER_MANAGE}

    @extend_schema(
        operation_id="group_roles_change", tags=["members"], request=GroupRoleChangeSerializer,
        responses=GroupRoleSerializer,
    )  # fmt: skip
    def patch(self, request: Request, pk: int) -> Response:
        """Replace the role by another, or give it another end, for everybody in the group."""
        values = _given(GroupRoleChangeSerializer, request)
        rows = self.project.group_grants.filter(valid_to=None).select_related("group", "project")
        grant = self.find(rows, pk=pk)
        changed = group_roles.change(
            self.actor, grant=grant, role=values.get("role", grant.role), until=values.get("until", grant.valid_until)
        )
        return Response(GroupRoleSerializer(changed).data)

    @extend_schema(operation_id="group_roles_end", tags=["members"], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """End it for everybody in the group."""
        del request
        rows = self.project.group_grants.filter(valid_to=None).select_related("group", "project")
        group_roles.end(self.actor, grant=self.find(rows, pk=pk))
        return Response(status=204)
