"""REST routes that set versions side by side and tell what answers where."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.models import InProject
from deployments.models import ModelVersion, RegisteredModel
from deployments.services import compared, past, serving
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services.past import Section

P = Permission
TAGS = ["models"]
NAMED = "MODEL@NUMBER"


class StripSerializer(serializers.Serializer[Any]):
    """What answers in one environment."""

    environment = serializers.CharField(source="environment.name")
    state = serializers.ChoiceField(choices=["live", "off", "frozen", "nothing"])
    version = serializers.IntegerField(source="revision.version.number", default=None, allow_null=True)
    since = serializers.DateTimeField(allow_null=True)
    kind = serializers.CharField(source="revision.kind", default=None, allow_null=True)
    approved_by = serializers.ListField(child=serializers.CharField())
    promotion = serializers.IntegerField(source="revision.promotion_id", default=None, allow_null=True)
    endpoint = serializers.CharField(source="endpoint.name", default=None, allow_null=True)
    previous = serializers.IntegerField(source="previous.version.number", default=None, allow_null=True)


class ModelServing(InProject):
    """What of a model answers where."""

    reads = RegisteredModel
    permissions = {"GET": P.MODEL_VIEW}

    def past(self, span: Span, name: str) -> list[Section]:
        """Return what answered, and who had allowed it."""
        return past.production(self.project, span, model=self.model(name))

    @extend_schema(operation_id="models_serving", tags=TAGS, responses=StripSerializer(many=True))
    def get(self, request: Request, name: str) -> Response:
        """Tell of each environment which version answers, since when, by whose approval, and what was before."""
        del request
        return Response(StripSerializer(serving.strips(self.actor, model=self.model(name)), many=True).data)


class ModelComparison(ScopedAPIView):
    """Two versions side by side."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(
        operation_id="versions_compare", tags=TAGS, responses=OpenApiTypes.OBJECT,
        parameters=[OpenApiParameter(name, str, required=True, description=NAMED) for name in ("a", "b")],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Compare any two versions of the project, part by part; ``verdict`` is the second against the first."""
        left, right = (request.GET.get(name, "")[:300] for name in ("a", "b"))
        return Response(compared.compare(self.actor, project=self.project, left=left, right=right).plain())
