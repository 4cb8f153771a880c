"""REST routes of predictions and of what turned out to be true."""

import io
import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib.api import StrictJSONParser
from mlportal.lib.errors import Invalid, TooLarge
from monitoring.models import GroundTruth, Prediction
from monitoring.services import predictionlog, predictions, truthfiles
from projects.access import ScopedAPIView
from projects.permissions import Permission

MOST_CSV_BYTES = 16 << 20


class CsvParser(BaseParser):
    """A CSV of at most 16 MiB, as bytes."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Read at most the limit."""
        body = stream.read(MOST_CSV_BYTES + 1)
        if len(body) > MOST_CSV_BYTES:
            raise TooLarge(f"The body is over {MOST_CSV_BYTES:,} bytes.", limit=MOST_CSV_BYTES)
        return io.BytesIO(body)


class PredictionOut(serializers.ModelSerializer):
    """A prediction without its features."""

    model = serializers.CharField(source="chunk.model")
    version = serializers.IntegerField(source="chunk.version")
    revision = serializers.IntegerField(source="chunk.revision")
    backend = serializers.CharField(source="chunk.backend")
    prediction = serializers.CharField(source="value")
    inference_id = serializers.CharField(source="external_id", allow_null=True)

    class Meta:
        model = Prediction
        fields = (
            "id", "endpoint", "model", "version", "revision", "backend", "at", "latency_us", "prediction", "score",
            "inference_id", "protocol",
        )  # fmt: skip


class TruthOut(serializers.ModelSerializer):
    """A label of a prediction."""

    class Meta:
        model = GroundTruth
        fields = ("label", "observed_at", "recorded_at")


class PredictionDetailOut(PredictionOut):
    """A prediction with its features and labels."""

    features = serializers.DictField(help_text="Empty when the endpoint keeps none.")
    probability = serializers.DictField(child=serializers.FloatField())
    truths = TruthOut(many=True)

    class Meta(PredictionOut.Meta):
        fields = (*PredictionOut.Meta.fields, "features", "probability", "truths")


class TruthIn(serializers.Serializer):
    """What turned out to be true for one prediction; exactly one of the two ids."""

    prediction_id = serializers.UUIDField(required=False)
    inference_id = serializers.CharField(max_length=200, required=False)
    label = serializers.JSONField(help_text="A text, a number, true or false.")
    observed_at = serializers.DateTimeField(required=False)


class TruthBody(serializers.Serializer):
    """Up to 10,000 labels."""

    items = TruthIn(many=True)


class RecordedOut(serializers.Serializer):
    """How many labels found their prediction."""

    matched = serializers.IntegerField()
    waiting = serializers.IntegerField(help_text="Kept for 30 days, in case the prediction is still under way.")


class Predictions(ScopedAPIView):
    """Predictions of a project."""

    reads = Prediction
    permissions = {"GET": Permission.PREDICTION_VIEW}

    @extend_schema(
        operation_id="predictions_list",
        parameters=[
            OpenApiParameter("endpoint", str, description="Name of an endpoint."),
            OpenApiParameter("inference_id", str, description="The caller's own id."),
            OpenApiParameter("version", str, description="Label of a version, as `v3`."),
            OpenApiParameter("variant", str, description="Which route of a rollout answered, as `champion`."),
            OpenApiParameter(
                "protocol",
                str,
                enum=[word for word in Prediction.Protocol.values if word],
                description="How it was asked.",
            ),
            OpenApiParameter("answer", str, description="The answer as text."),
            OpenApiParameter("label", str, enum=list(predictionlog.LABELS), description="What is known of its truth."),
            OpenApiParameter("since", str, description="A day, or an ISO 8601 time."),
            OpenApiParameter("until", str, description="A day, or an ISO 8601 time."),
            OpenApiParameter("limit", int, description="1 to 1,000; 100 by default."),
            OpenApiParameter("cursor", str),
        ],
        responses=PredictionOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """List predictions, newest first."""
        given = request.query_params
        chosen = predictionlog.Chosen.read({name: given.get(name, "") for name in predictionlog.FIELDS if name != "q"})
        rows = predictionlog.found(self.actor, project=self.project, chosen=chosen)
        if inference_id := given.get("inference_id"):
            rows = rows.filter(external_id=inference_id)
        return self.page(rows, PredictionOut)


class PredictionDetail(ScopedAPIView):
    """One prediction."""

    reads = Prediction
    permissions = {"GET": Permission.PREDICTION_VIEW}

    @extend_schema(operation_id="predictions_get", responses=PredictionDetailOut)
    def get(self, request: Request, prediction: str) -> Response:
        """Read a prediction with its features, probabilities and labels."""
        rows = self.rows().in_project(self.project).with_origin().select_related("project")
        found = self.find(rows.prefetch_related("truths"), pk=_key(prediction))
        inside = predictions.content(self.actor, prediction=found)
        found.features, found.probability = inside.features, inside.probability
        return Response(PredictionDetailOut(found).data)


class GroundTruths(ScopedAPIView):
    """Labels of a project."""

    reads = GroundTruth
    permissions = {"POST": Permission.PREDICTION_LABEL}
    parser_classes: ClassVar = [StrictJSONParser, CsvParser]

    @extend_schema(operation_id="ground_truth_record", request=TruthBody, responses=RecordedOut)
    def post(self, request: Request) -> Response:
        """Record what turned out to be true, as JSON or a CSV; sent again or corrected it replaces what was there."""
        body: Any = request.data
        if isinstance(body, io.BytesIO):
            recorded = truthfiles.record(self.actor, project=self.project, file=body)
            return Response(RecordedOut(recorded).data, status=status.HTTP_200_OK)
        if not isinstance(body, dict) or set(body) != {"items"}:
            raise Invalid(
                'Send an object such as {"items": [{"prediction_id": "...", "label": "yes"}]}.', field="items"
            )
        recorded = predictions.record_truth(self.actor, project=self.project, items=body["items"])
        return Response(RecordedOut(recorded).data, status=status.HTTP_200_OK)


def _key(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)
