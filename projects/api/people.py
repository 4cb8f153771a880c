"""REST routes of the caller's account and, for a site administrator, of users."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import ScopedAPIView
from projects.models import User
from projects.permissions import Permission
from projects.services import accounts

P = Permission
PAGES = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]


class UserSerializer(serializers.ModelSerializer[User]):
    """A person, without anything secret."""

    class Meta:
        model = User
        fields = (
            "username", "email", "display_name", "is_active", "is_site_admin", "must_change_password", "created_at",
            "last_login",
        )  # fmt: skip
        read_only_fields = fields


class AccountSerializer(UserSerializer):
    """The caller, and what the token may do."""

    default_project: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    scopes = serializers.SerializerMethodField()
    project = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "scopes", "project", "default_project")
        read_only_fields = fields

    def get_scopes(self, user: User) -> list[str]:
        """Scopes of the token."""
        del user
        return list(self.context["token"].scopes)

    def get_project(self, user: User) -> str | None:
        """The one project the token works in; null for all of its owner's."""
        del user
        project = self.context["token"].project
        return project.slug if project else None


class NewUserSerializer(serializers.Serializer[Any]):
    """A user to add. Without a password one is generated."""

    username = serializers.CharField(max_length=100)
    email = serializers.CharField(max_length=254)
    display_name = serializers.CharField(max_length=100, required=False, allow_blank=True)
    site_admin = serializers.BooleanField(required=False)
    password = serializers.CharField(max_length=1000, required=False, trim_whitespace=False)


class AddedUserSerializer(UserSerializer):
    """The user just added; the generated password is in this answer only."""

    generated_password = serializers.CharField(read_only=True, allow_blank=True)

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "generated_password")
        read_only_fields = fields


class UserChangeSerializer(serializers.Serializer[Any]):
    """Open or close an account."""

    is_active = serializers.BooleanField()


class Account(ScopedAPIView):
    """Who am I."""

    reads = User
    permissions: ClassVar = {"GET": P.ACCOUNT_VIEW}

    @extend_schema(operation_id="account_read", tags=["account"], responses=AccountSerializer)
    def get(self, request: Request) -> Response:
        """Read the token's owner, its scopes and its project."""
        del request
        return Response(AccountSerializer(self.actor.user, context={"token": self.actor.token}).data)


class Users(ScopedAPIView):
    """People of the portal."""

    reads = User
    permissions: ClassVar = {"GET": P.SITE_ADMIN, "POST": P.SITE_ADMIN}
    idempotent = False  # the kept answer would hold the generated password

    @extend_schema(operation_id="users_list", tags=["users"], responses=UserSerializer(many=True), parameters=PAGES)
    def get(self, request: Request) -> Response:
        """List users, newest first."""
        del request
        return self.page(User.objects.all(), UserSerializer)

    @extend_schema(
        operation_id="users_add", tags=["users"], request=NewUserSerializer, responses={201: AddedUserSerializer}
    )
    def post(self, request: Request) -> Response:
        """Add a user."""
        asked = NewUserSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        new = accounts.add(self.actor, **asked.validated_data)
        body = {**UserSerializer(new.user).data, "generated_password": new.password}
        return Response(body, status=201)


class UserDetail(ScopedAPIView):
    """One person."""

    reads = User
    permissions: ClassVar = {"GET": P.SITE_ADMIN, "PATCH": P.SITE_ADMIN}

    @extend_schema(operation_id="users_read", tags=["users"], responses=UserSerializer)
    def get(self, request: Request, username: str) -> Response:
        """Read a user."""
        del request
        return Response(UserSerializer(self.find(User.objects.all(), username__iexact=username)).data)

    @extend_schema(operation_id="users_change", tags=["users"], request=UserChangeSerializer, responses=UserSerializer)
    def patch(self, request: Request, username: str) -> Response:
        """Deactivate or activate a user."""
        asked = UserChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = self.find(User.objects.all(), username__iexact=username)
        change = accounts.activate if asked.validated_data["is_active"] else accounts.deactivate
        return Response(UserSerializer(change(self.actor, user=user)).data)


class EraseSerializer(serializers.Serializer[Any]):
    """Why somebody is erased."""

    reason = serializers.CharField(max_length=1000)


class UserErase(ScopedAPIView):
    """Erasure of a person."""

    reads = User
    permissions: ClassVar = {"POST": P.SITE_ADMIN}

    @extend_schema(operation_id="users_erase", tags=["users"], request=EraseSerializer, responses=UserSerializer)
    def post(self, request: Request, username: str) -> Response:
        """Erase the name and addresses of a deactivated account, in the audit log too; what they did stays."""
        asked = EraseSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = self.find(User.objects.all(), username__iexact=username)
        return Response(UserSerializer(accounts.erase(self.actor, user=user, **asked.validated_data)).data)
