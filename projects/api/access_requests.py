"""REST routes of requests for access."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import ScopedAPIView
from projects.models import AccessRequest
from projects.permissions import Permission, Role
from projects.services import access_requests

P = Permission
PAGES = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]


class AccessRequestSerializer(serializers.ModelSerializer[AccessRequest]):
    """A request; the answer to asking is the same whether or not the project exists."""

    project = serializers.CharField(source="asked_for")
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = AccessRequest
        fields = (
            "id", "project", "user", "role", "reason", "state", "created_at", "expires_at", "answer", "granted_role",
            "granted_until",
        )  # fmt: skip
        read_only_fields = ("id", "state", "created_at", "expires_at", "answer", "granted_role", "granted_until")


class AnswerSerializer(serializers.Serializer[Any]):
    """Grant, with the role asked for unless another is named, or decline with a word."""

    verdict = serializers.ChoiceField(choices=["grant", "decline"])
    role = serializers.ChoiceField(choices=[role.value for role in Role], required=False)
    until = serializers.DateTimeField(required=False, allow_null=True)
    answer = serializers.CharField(max_length=1000, required=False, allow_blank=True, default="")


class OwnAccessRequests(ScopedAPIView):
    """The caller's own requests."""

    reads = AccessRequest
    permissions: ClassVar = {"GET": P.ACCESS_ASK, "POST": P.ACCESS_ASK}

    @extend_schema(
        operation_id="own_access_requests_list", tags=["access"], responses=AccessRequestSerializer(many=True),
        parameters=PAGES,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List them, newest first."""
        del request
        rows = AccessRequest.objects.filter(user=self.actor.user).select_related("user")
        return self.page(rows, AccessRequestSerializer)

    @extend_schema(
        operation_id="own_access_requests_create", tags=["access"], request=AccessRequestSerializer,
        responses={201: AccessRequestSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Ask for a role in a project."""
        asked = AccessRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        made = access_requests.ask(self.actor, slug=values["asked_for"], role=values["role"], reason=values["reason"])
        return Response(AccessRequestSerializer(made).data, status=201)


class OwnAccessRequest(ScopedAPIView):
    """One of the caller's own requests."""

    reads = AccessRequest
    permissions: ClassVar = {"DELETE": P.ACCESS_ASK}

    @extend_schema(operation_id="own_access_requests_withdraw", tags=["access"], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Take it back."""
        del request
        rows = AccessRequest.objects.filter(user=self.actor.user)
        access_requests.withdraw(self.actor, request=self.find(rows, pk=pk))
        return Response(status=204)


class AccessRequests(ScopedAPIView):
    """Requests that wait for the project's admins."""

    reads = AccessRequest
    permissions: ClassVar = {"GET": P.MEMBER_MANAGE}

    @extend_schema(
        operation_id="access_requests_list", tags=["access"], responses=AccessRequestSerializer(many=True),
        parameters=PAGES,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List those that wait, newest first."""
        del request
        return self.page(self.project.access_requests.waiting().select_related("user"), AccessRequestSerializer)


class AccessRequestAnswer(ScopedAPIView):
    """The answer to a request."""

    reads = AccessRequest
    permissions: ClassVar = {"POST": P.MEMBER_MANAGE}

    @extend_schema(
        operation_id="access_requests_answer", tags=["access"], request=AnswerSerializer,
        responses=AccessRequestSerializer,
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        """Grant or decline."""
        asked = AnswerSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        row = self.find(self.project.access_requests.select_related("project", "user"), pk=pk)
        if given["verdict"] == "decline":
            done = access_requests.decline(self.actor, request=row, answer=given["answer"])
        else:
            role, until = given.get("role", ""), given.get("until")
            done = access_requests.grant(self.actor, request=row, role=role, until=until)
        return Response(AccessRequestSerializer(done).data)
