"""REST routes of decision thresholds: what one costs by the counts of the evaluation, and keeping one."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.models import checked
from deployments.api.promotions import TAGS
from deployments.models import PromotionRequest, ThresholdChoice
from deployments.services import thresholds
from deployments.services.thresholds import Asked
from deployments.views import costs
from mlportal.lib.errors import Conflict
from projects.access import ScopedAPIView
from projects.permissions import Permission

P = Permission
WEIGHED = [OpenApiParameter(name, float, description="Without it what was chosen last.") for name in costs.NAMES]


class AskThresholdSerializer(serializers.Serializer[dict[str, Any]]):
    """A threshold, and what one mistake costs."""

    threshold = serializers.FloatField(min_value=0, max_value=1, help_text="Rounded to hundredths.")
    false_positive = serializers.FloatField(min_value=0, max_value=thresholds.MOST, default=1.0)
    false_negative = serializers.FloatField(min_value=0, max_value=thresholds.MOST, default=1.0)


class ThresholdChoiceSerializer(serializers.ModelSerializer[ThresholdChoice]):
    """One choice that was kept."""

    chosen_by = serializers.CharField(source="chosen_by.username", default="", read_only=True)

    class Meta:
        model = ThresholdChoice
        fields = ("threshold", "false_positive", "false_negative", "found", "chosen_by", "chosen_at")
        read_only_fields = fields


class PromotionThreshold(ScopedAPIView):
    """Threshold and costs of one request."""

    reads = PromotionRequest
    permissions = {"GET": P.MODEL_VIEW, "POST": P.PROMOTION_SIGN}

    def one(self, number: int) -> PromotionRequest:
        """Return the request of the address."""
        rows = self.rows().in_project(self.project).with_subject().select_related("evaluation")
        return self.find(rows, pk=min(number, 2**62))

    @extend_schema(operation_id="promotions_threshold", tags=TAGS, parameters=WEIGHED, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, number: int) -> Response:
        """Read cost by threshold of both models, one threshold with intervals, and what was chosen."""
        held = self.one(number)
        asked = thresholds.checked(costs.read(request.GET, thresholds.usual(held)))
        weighed = thresholds.weigh(held.evaluation.result or {}, asked)
        if weighed is None:
            raise Conflict("The evaluation has no counts by threshold for this model.", code="no_threshold")
        kept = ThresholdChoice.objects.filter(request=held).select_related("chosen_by").first()
        return Response({
            **vars(asked), **weighed, "chosen": ThresholdChoiceSerializer(kept).data if kept else None,
        })  # fmt: skip

    @extend_schema(
        operation_id="promotions_choose_threshold",
        tags=TAGS,
        request=AskThresholdSerializer,
        responses={201: ThresholdChoiceSerializer},
    )
    def post(self, request: Request, number: int) -> Response:
        """Keep a threshold with the evidence; a record, endpoints answer with the more probable class."""
        asked = Asked(**checked(AskThresholdSerializer, request))
        made = thresholds.choose(self.actor, request=self.one(number), asked=asked)
        return Response(ThresholdChoiceSerializer(made).data, status=201)
