"""REST routes of sessions: one's own, and for a site administrator those of others."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import ScopedAPIView
from projects.api.people import PAGES
from projects.models import Session, User
from projects.permissions import Permission
from projects.services import devices, sessions

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
