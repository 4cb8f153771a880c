"""REST routes of projects, members and tokens."""

from typing import Any, ClassVar

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib.errors import Invalid
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.models import ApiToken, Membership, Project, User
from projects.permissions import SCOPES, Permission, Role
from projects.services import members, past, projects, tokens
from projects.services.past import Section

P = Permission
PAGES = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]


def person(username: str, field: str) -> User:
    """The active account with this name, or a refusal that names the field."""
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    if user is None:
        raise Invalid("There is no active account with this name.", field=field, got=username)
    return user


# ---------------------------------------------------------------- projects


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project."""

    created_by = serializers.CharField(source="created_by.username", read_only=True)

    class Meta:
        model = Project
        fields = ("slug", "name", "description", "is_example", "trash_days", "created_by", "created_at")
        read_only_fields = fields


class NewProjectSerializer(serializers.Serializer[Any]):
    """A project to make; without a slug the address is made from the name."""

    name = serializers.CharField(max_length=100)
    slug = serializers.CharField(max_length=50, required=False, allow_blank=True)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    owner = serializers.CharField(max_length=100, required=False, help_text="First admin; the caller by default.")


class EditProjectSerializer(serializers.Serializer[Any]):
    """What changes; the rest stays."""

    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    trash_days = serializers.IntegerField(required=False, help_text="Days that the trash keeps, 1 to 3,650.")


class Projects(ScopedAPIView):
    """Projects of the caller."""

    reads = Project
    permissions: ClassVar = {"GET": P.ACCOUNT_VIEW, "POST": P.SITE_ADMIN}

    @extend_schema(
        operation_id="projects_list", tags=["projects"], responses=ProjectSerializer(many=True), parameters=PAGES
    )
    def get(self, request: Request) -> Response:
        """List the projects the caller belongs to, newest first."""
        del request
        return self.page(self.rows().select_related("created_by"), ProjectSerializer)

    @extend_schema(
        operation_id="projects_create",
        tags=["projects"],
        request=NewProjectSerializer,
        responses={201: ProjectSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a project."""
        asked = NewProjectSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        owner = person(values.pop("owner"), "owner") if "owner" in values else None
        return Response(ProjectSerializer(projects.create(self.actor, owner=owner, **values)).data, status=201)


class ProjectDetail(ScopedAPIView):
    """One project."""

    reads = Project
    permissions: ClassVar = {"GET": P.PROJECT_VIEW, "PATCH": P.PROJECT_EDIT, "DELETE": P.PROJECT_EDIT}

    @extend_schema(operation_id="projects_read", tags=["projects"], responses=ProjectSerializer)
    def get(self, request: Request) -> Response:
        """Read a project."""
        del request
        return Response(ProjectSerializer(self.project).data)

    @extend_schema(
        operation_id="projects_edit", tags=["projects"], request=EditProjectSerializer, responses=ProjectSerializer
    )
    def patch(self, request: Request) -> Response:
        """Change name or description."""
        asked = EditProjectSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        days = given.pop("trash_days", None)
        if days is not None:
            projects.keep_trash(self.actor, project=self.project, days=days)
        if days is not None and not given:
            return Response(ProjectSerializer(self.project).data)
        values = {"name": self.project.name, "description": self.project.description, **given}
        return Response(ProjectSerializer(projects.edit(self.actor, project=self.project, **values)).data)

    @extend_schema(operation_id="projects_archive", tags=["projects"], responses={204: None})
    def delete(self, request: Request) -> Response:
        """Archive the project: it disappears for everybody, nothing is deleted."""
        del request
        projects.archive(self.actor, project=self.project)
        return Response(status=204)


# ---------------------------------------------------------------- members


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A role of a person."""

    user = serializers.CharField(source="user.username", read_only=True)
    group = serializers.CharField(source="group.name", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Membership
        fields = ("id", "user", "role", "group", "valid_from", "valid_until")
        read_only_fields = fields


class NewMemberSerializer(serializers.Serializer[Any]):
    """A person and a role."""

    user = serializers.CharField(max_length=100)
    role = serializers.ChoiceField(choices=[role.value for role in Role])
    until = serializers.DateTimeField(required=False, allow_null=True, help_text="When it ends by itself.")


class ChangeRoleSerializer(serializers.Serializer[Any]):
    """Another role, or another end; null takes the end away."""

    role = serializers.ChoiceField(choices=[role.value for role in Role], required=False)
    until = serializers.DateTimeField(required=False, allow_null=True)


class Members(ScopedAPIView):
    """Who belongs to the project."""

    reads = Membership
    permissions: ClassVar = {"GET": P.PROJECT_VIEW, "POST": P.MEMBER_MANAGE}

    def past(self, span: Span) -> list[Section]:
        """Return who belonged to the project, and who could have approved."""
        return past.members(self.project, span)

    @extend_schema(
        operation_id="members_list", tags=["members"], responses=MemberSerializer(many=True), parameters=PAGES
    )
    def get(self, request: Request) -> Response:
        """List the roles held now, newest first."""
        del request
        return self.page(
            self.project.memberships.filter(valid_to=None).select_related("user", "group"), MemberSerializer
        )

    @extend_schema(
        operation_id="members_add", tags=["members"], request=NewMemberSerializer, responses={201: MemberSerializer}
    )
    def post(self, request: Request) -> Response:
        """Give a person a role."""
        asked = NewMemberSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = person(asked.validated_data.pop("user"), "user")
        member = members.add(self.actor, project=self.project, user=user, **asked.validated_data)
        return Response(MemberSerializer(member).data, status=201)


class MemberDetail(ScopedAPIView):
    """One role of one person."""

    reads = Membership
    permissions: ClassVar = {"PATCH": P.MEMBER_MANAGE, "DELETE": P.MEMBER_MANAGE}

    @extend_schema(
        operation_id="members_change", tags=["members"], request=ChangeRoleSerializer, responses=MemberSerializer
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Replace the role by another, or give it another end."""
        asked = ChangeRoleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        member, given = self._member(pk), asked.validated_data
        with transaction.atomic():
            if "role" in given and (given["role"] != member.role or "until" not in given):
                member = members.change_role(self.actor, member=member, role=given["role"])
            if "until" in given:
                member = members.change_end(self.actor, member=member, until=given["until"])
        return Response(MemberSerializer(member).data)

    @extend_schema(operation_id="members_remove", tags=["members"], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Take the role away."""
        del request
        members.remove(self.actor, member=self._member(pk))
        return Response(status=204)

    def _member(self, pk: int) -> Membership:
        return self.find(
            self.project.memberships.filter(valid_to=None).select_related("user", "project", "group"), pk=pk
        )


# ---------------------------------------------------------------- tokens


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token without its secret."""

    scopes = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ApiToken
        fields = ("id", "name", "hint", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
        read_only_fields = fields


class NewTokenSerializer(serializers.Serializer[Any]):
    """A token to make."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=list(SCOPES)), min_length=1, max_length=20)
    days = serializers.IntegerField(min_value=1, max_value=tokens.MAX_DAYS, default=90)


class MadeTokenSerializer(TokenSerializer):
    """The token just made; the secret is in this answer only."""

    secret = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "secret")
        read_only_fields = fields


class Tokens(ScopedAPIView):
    """The caller's own tokens in the project."""

    reads = ApiToken
    permissions: ClassVar = {"GET": P.PROJECT_VIEW, "POST": P.TOKEN_CREATE}
    idempotent = False  # the kept answer would hold the secret

    @extend_schema(operation_id="tokens_list", tags=["tokens"], responses=TokenSerializer(many=True), parameters=PAGES)
    def get(self, request: Request) -> Response:
        """List own tokens, newest first."""
        del request
        return self.page(self.rows().filter(project=self.project), TokenSerializer)

    @extend_schema(
        operation_id="tokens_create", tags=["tokens"], request=NewTokenSerializer, responses={201: MadeTokenSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a token with at most the scopes of the calling one."""
        asked = NewTokenSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        new = tokens.create(self.actor, project=self.project, **asked.validated_data)
        return Response({**TokenSerializer(new.token).data, "secret": new.secret}, status=201)


class TokenDetail(ScopedAPIView):
    """One of the caller's own tokens."""

    reads = ApiToken
    permissions: ClassVar = {"DELETE": P.TOKEN_CREATE}

    @extend_schema(operation_id="tokens_revoke", tags=["tokens"], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Revoke it; it stops working at once."""
        del request
        rows = self.rows().filter(project=self.project).select_related("user", "project")
        tokens.revoke(self.actor, token=self.find(rows, pk=pk))
        return Response(status=204)
