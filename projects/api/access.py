"""REST routes that say why somebody can or cannot do something, and who can."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import ScopedAPIView, asked_moment
from projects.models import Membership
from projects.permissions import Permission
from projects.services import who, why

P = Permission
ASKED = [
    OpenApiParameter("permission", str, required=True, description="A right inside a project, such as run.log."),
    OpenApiParameter("on", str, description="Empty for the project, else environment:production, folder:3, run:7 …"),
]


class AccessReasonSerializer(serializers.Serializer[Any]):
    """One link of the chain: it gives the right, stops it, or is there without either."""

    effect = serializers.ChoiceField(choices=["gives", "stops", "plain"])
    words = serializers.CharField()


class AccessAnswerSerializer(serializers.Serializer[Any]):
    """Whether they may, what they would be told, and what the answer rests on."""

    person = serializers.CharField()
    token = serializers.IntegerField(allow_null=True)
    permission = serializers.CharField()
    on = serializers.CharField()
    may = serializers.BooleanField()
    refusal = serializers.CharField()
    code = serializers.CharField()
    reasons = AccessReasonSerializer(many=True)
    first = serializers.ListField(child=serializers.CharField(), help_text="What a person still has to do.")
    remedies = serializers.ListField(child=serializers.CharField(), help_text="What would change the answer.")
    granters = serializers.ListField(child=serializers.CharField(), help_text="Who can give a role.")


class AccessHolderSerializer(serializers.Serializer[Any]):
    """Somebody who holds the right; ``excluded`` says why they may not all the same."""

    person = serializers.CharField()
    service = serializers.BooleanField()
    may = serializers.BooleanField()
    excluded = serializers.CharField()
    sources = serializers.ListField(child=serializers.CharField())


class AccessHoldersSerializer(serializers.Serializer[Any]):
    """One page by sign-in name; ``after`` leads to the next, empty on the last."""

    results = AccessHolderSerializer(many=True)
    after = serializers.CharField()


class AccessWhy(ScopedAPIView):
    """Why a person or a token may or may not do something."""

    reads = Membership
    permissions: ClassVar = {"GET": P.PROJECT_VIEW}

    @extend_schema(
        operation_id="access_why", tags=["access"], responses=AccessAnswerSerializer,
        parameters=[
            *ASKED, OpenApiParameter("person", str, description="Sign-in name; empty: the token of this call."),
            OpenApiParameter("token", int, description="Number of one of their tokens."),
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Answer as the services would, with the chain of reasons."""
        given = {key: request.query_params.get(key, "") for key in ("permission", "on", "person", "token")}
        return Response(why.explain(self.actor, project=self.project, **given).as_dict())


class AccessWho(ScopedAPIView):
    """Who may do something."""

    reads = Membership
    permissions: ClassVar = {"GET": P.AUDIT_VIEW}

    @extend_schema(
        operation_id="access_who", tags=["access"], responses=AccessHoldersSerializer,
        parameters=[
            *ASKED, OpenApiParameter("as_of", str, description="A day or a moment: who could then."),
            OpenApiParameter("after", str, description="Where the page before ended."),
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List everybody who holds the right, with the source."""
        given = {key: request.query_params.get(key, "") for key in ("permission", "on", "after")}
        found = who.holders(self.actor, project=self.project, span=asked_moment(request._request), **given)
        return Response({"results": [each.as_dict() for each in found.rows], "after": found.after})
