"""REST routes of service accounts and their tokens."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import ScopedAPIView
from projects.api.projects import MadeTokenSerializer, NewTokenSerializer, TokenSerializer
from projects.models import ApiToken, User
from projects.permissions import Permission, Role
from projects.services import principals, service_accounts, tokens

P = Permission
PAGES = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]
ROLES = [role.value for role in Role if role != Role.ADMIN]


class ServiceAccountSerializer(serializers.ModelSerializer[User]):
    """A service account; ``owner_left`` says that nobody answers for it any more."""

    owner = serializers.CharField(source="owner_name", read_only=True)
    owner_left = serializers.BooleanField(read_only=True)
    live_tokens = serializers.SerializerMethodField()
    token_used_at = serializers.DateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = User
        fields = (
            "id", "username", "is_active", "owner", "owner_left", "live_tokens", "token_used_at", "created_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_live_tokens(self, account: Any) -> int:
        """How many tokens of it work now."""
        return account.live_tokens or 0


class NewServiceAccountSerializer(serializers.Serializer[Any]):
    """A service account to make; it is called ``<project>.<name>``."""

    name = serializers.CharField(max_length=100)
    owner = serializers.CharField(max_length=100, help_text="Sign-in name of the member who answers for it.")
    role = serializers.ChoiceField(choices=ROLES)


class ServiceAccountChangeSerializer(serializers.Serializer[Any]):
    """Another owner, or open or closed."""

    owner = serializers.CharField(max_length=100, required=False)
    is_active = serializers.BooleanField(required=False)


class ServiceTokenSerializer(TokenSerializer):
    """A token of a service account, with who minted it."""

    minted_by = serializers.CharField(source="created_by.username", read_only=True, allow_null=True, default=None)

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "minted_by")
        read_only_fields = fields


class OneServiceAPI(ScopedAPIView):
    """Base of what is about one account."""

    abstract = True

    def account(self, username: str) -> User:
        """The account of the address, or 404."""
        rows = service_accounts.listed(self.project).select_related("service_project")
        return self.find(rows, username__iexact=username)


class ServiceAccounts(ScopedAPIView):
    """Service accounts of the project."""

    reads = User
    permissions: ClassVar = {"GET": P.PROJECT_VIEW, "POST": P.MEMBER_MANAGE}

    @extend_schema(
        operation_id="service_accounts_list", tags=["service accounts"],
        responses=ServiceAccountSerializer(many=True), parameters=PAGES,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List them by name."""
        del request
        return self.page(service_accounts.listed(self.project), ServiceAccountSerializer, ordering="username")

    @extend_schema(
        operation_id="service_accounts_create", tags=["service accounts"], request=NewServiceAccountSerializer,
        responses={201: ServiceAccountSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Make one with a role and the person who answers for it."""
        asked = NewServiceAccountSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        owner = principals.person(values.pop("owner"), field="owner")
        made = service_accounts.create(self.actor, project=self.project, owner=owner, **values)
        row = service_accounts.listed(self.project).get(pk=made.pk)
        return Response(ServiceAccountSerializer(row).data, status=201)


class ServiceAccountDetail(OneServiceAPI):
    """One service account."""

    reads = User
    permissions: ClassVar = {"GET": P.PROJECT_VIEW, "PATCH": P.MEMBER_MANAGE}

    @extend_schema(operation_id="service_accounts_read", tags=["service accounts"], responses=ServiceAccountSerializer)
    def get(self, request: Request, username: str) -> Response:
        """Read it."""
        del request
        return Response(ServiceAccountSerializer(self.account(username)).data)

    @extend_schema(
        operation_id="service_accounts_change", tags=["service accounts"], request=ServiceAccountChangeSerializer,
        responses=ServiceAccountSerializer,
    )  # fmt: skip
    def patch(self, request: Request, username: str) -> Response:
        """Name another owner, disable it (its tokens end for good) or enable it; one of them in a call."""
        asked = ServiceAccountChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given, account = asked.validated_data, self.account(username)
        if len(given) != 1:
            raise serializers.ValidationError("Give either owner or is_active.")
        if "owner" in given:
            owner = principals.person(given["owner"], field="owner")
            service_accounts.change_owner(self.actor, account=account, owner=owner)
        else:
            change = service_accounts.enable if given["is_active"] else service_accounts.disable
            change(self.actor, account=account)
        return Response(ServiceAccountSerializer(self.account(username)).data)


class ServiceTokens(OneServiceAPI):
    """Tokens of a service account."""

    reads = ApiToken
    permissions: ClassVar = {"GET": P.MEMBER_MANAGE, "POST": P.MEMBER_MANAGE}
    idempotent = False  # the kept answer would hold the secret

    @extend_schema(
        operation_id="service_tokens_list", tags=["service accounts"], responses=ServiceTokenSerializer(many=True),
        parameters=PAGES,
    )  # fmt: skip
    def get(self, request: Request, username: str) -> Response:
        """List them, newest first."""
        del request
        return self.page(self.account(username).tokens.select_related("created_by"), ServiceTokenSerializer)

    @extend_schema(
        operation_id="service_tokens_create", tags=["service accounts"], request=NewTokenSerializer,
        responses={201: MadeTokenSerializer},
    )  # fmt: skip
    def post(self, request: Request, username: str) -> Response:
        """Mint one; the secret is in this answer only."""
        asked = NewTokenSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        account = self.account(username)
        new = tokens.create(self.actor, project=self.project, owner=account, **asked.validated_data)
        return Response({**TokenSerializer(new.token).data, "secret": new.secret}, status=201)


class ServiceTokenDetail(OneServiceAPI):
    """One token of a service account."""

    reads = ApiToken
    permissions: ClassVar = {"DELETE": P.MEMBER_MANAGE}

    @extend_schema(operation_id="service_tokens_revoke", tags=["service accounts"], responses={204: None})
    def delete(self, request: Request, username: str, token: int) -> Response:
        """Revoke it; it stops working at once."""
        del request
        rows = self.account(username).tokens.select_related("user", "project")
        tokens.revoke(self.actor, token=self.find(rows, pk=token))
        return Response(status=204)
