"""Predictions through the portal's own address."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.models import Endpoint
from deployments.services import predicting
from mlportal.lib.names import key
from projects.access import ScopedAPIView
from projects.permissions import Permission


class PredictIn(serializers.Serializer):
    """Records in the columns of the model's signature."""

    records = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=10_000)
    inference_ids = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, help_text="Your own id for each record."
    )


class PredictedOut(serializers.Serializer):
    """One answer."""

    prediction = serializers.JSONField(help_text="A class or a number.")
    probability = serializers.DictField(child=serializers.FloatField(), required=False)
    prediction_id = serializers.UUIDField()


class PredictOut(serializers.Serializer):
    """Answers in the order of the records."""

    predictions = PredictedOut(many=True)
    model = serializers.CharField()
    version = serializers.IntegerField()
    revision = serializers.IntegerField()
    warnings = serializers.ListField(child=serializers.DictField(), required=False)


class Predict(ScopedAPIView):
    """Predictions of an endpoint."""

    reads = Endpoint
    permissions = {"POST": Permission.ENDPOINT_PREDICT}
    idempotent = False  # asking twice predicts twice, which changes nothing

    @extend_schema(operation_id="endpoints_predict", request=PredictIn, responses=PredictOut)
    def post(self, request: Request, endpoint: str) -> Response:
        """Predict 1 to 10,000 records; the answer names the version that gave it."""
        found = self.find(self.rows().in_project(self.project).select_related("project"), name_key=key(endpoint))
        plain = request._request
        body = plain.read(predicting.MAX_BODY_BYTES + 1)
        kind = plain.META.get("CONTENT_TYPE") or "application/json"
        return Response(predicting.predict(self.actor, endpoint=found, body=body, content_type=kind))
