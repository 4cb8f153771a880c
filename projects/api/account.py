"""REST routes of sessions: one's own, and for a site administrator those of others."""

from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import ScopedAPIView
from projects.api.people import PAGES
from projects.models import SecondFactor, Session, User
from projects.permissions import Permission
from projects.services import devices, factors, second_factor, sessions

P = Permission


class SessionSerializer(serializers.ModelSerializer[Session]):
    """One browser in which the person is signed in."""

    id = serializers.CharField(source="handle")
    device = serializers.SerializerMethodField()
    last_seen_at = serializers.DateTimeField(source="seen_at")

    class Meta:
        model = Session
        fields = ("id", "device", "address", "method", "started_at", "last_seen_at", "expire_date")
        read_only_fields = fields

    def get_device(self, row: Session) -> str:
        """Browser and system."""
        return devices.words(row.agent)


class EndedSerializer(serializers.Serializer[Any]):
    """How many sessions ended."""

    ended = serializers.IntegerField()


class Sessions(ScopedAPIView):
    """Where the token's owner is signed in."""

    reads = Session
    permissions: ClassVar = {"GET": P.ACCOUNT_VIEW, "DELETE": P.SESSION_END}

    @extend_schema(
        operation_id="sessions_list", tags=["account"], responses=SessionSerializer(many=True), parameters=PAGES
    )
    def get(self, request: Request) -> Response:
        """List sessions, the one used last first."""
        del request
        return self.page(self.rows(), SessionSerializer, ordering=("-seen_at", "-session_key"))

    @extend_schema(operation_id="sessions_end_all", tags=["account"], responses=EndedSerializer)
    def delete(self, request: Request) -> Response:
        """End every session; the token stays."""
        del request
        return Response({"ended": sessions.end_others(self.actor)})


class SessionDetail(ScopedAPIView):
    """One session."""

    reads = Session
    permissions: ClassVar = {"DELETE": P.SESSION_END}

    @extend_schema(operation_id="sessions_end", tags=["account"], responses={204: None})
    def delete(self, request: Request, handle: str) -> Response:
        """End it at once."""
        del request
        sessions.end(self.actor, handle=handle)
        return Response(status=204)


class SecondFactorSerializer(serializers.Serializer[Any]):
    """State of a second factor."""

    enabled = serializers.BooleanField()
    since = serializers.DateTimeField(allow_null=True)
    required = serializers.BooleanField()
    recovery_codes_left = serializers.IntegerField()


class FactorResetSerializer(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(max_length=1000)


class SecondFactorState(ScopedAPIView):
    """The second factor of the token's owner; it is switched on and off in the browser."""

    reads = SecondFactor
    permissions: ClassVar = {"GET": P.ACCOUNT_VIEW}

    @extend_schema(operation_id="second_factor_read", tags=["account"], responses=SecondFactorSerializer)
    def get(self, request: Request) -> Response:
        """Read whether it is on, since when, and whether a role wants it."""
        del request
        return Response(_state(cast(User, self.actor.user)))


class UserSecondFactor(ScopedAPIView):
    """The second factor of somebody."""

    reads = User
    permissions: ClassVar = {"POST": P.SITE_ADMIN}

    @extend_schema(
        operation_id="users_second_factor_reset", tags=["users"], request=FactorResetSerializer,
        responses=SecondFactorSerializer,
    )  # fmt: skip
    def post(self, request: Request, username: str) -> Response:
        """Take it away; their sessions end and they are told by mail."""
        asked = FactorResetSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = self.find(User.objects.all(), username__iexact=username)
        return Response(_state(second_factor.reset(self.actor, user=user, **asked.validated_data)))


def _state(user: User) -> dict[str, Any]:
    return {
        "enabled": user.second_factor_at is not None,
        "since": user.second_factor_at,
        "required": factors.is_wanted(user),
        "recovery_codes_left": second_factor.left(user),
    }


class UserSessions(ScopedAPIView):
    """Sessions of somebody."""

    reads = User
    permissions: ClassVar = {"DELETE": P.SITE_ADMIN}

    @extend_schema(operation_id="users_sessions_end", tags=["users"], responses=EndedSerializer)
    def delete(self, request: Request, username: str) -> Response:
        """End all of them; tokens stay."""
        del request
        user = self.find(User.objects.all(), username__iexact=username)
        return Response({"ended": sessions.end_all_of(self.actor, user=user)})
