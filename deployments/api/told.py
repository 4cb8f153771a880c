"""REST routes of explanations of logged predictions."""

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.models import PredictionExplanation
from deployments.services import explanations, told
from monitoring.models import Prediction
from projects.access import ScopedAPIView
from projects.permissions import Permission


class PredictionExplanationSerializer(serializers.ModelSerializer[PredictionExplanation]):
    """What each column added to one answer, as far as it is."""

    version = serializers.IntegerField(source="version.number", read_only=True)
    result = serializers.SerializerMethodField()

    class Meta:
        model = PredictionExplanation
        fields = ("state", "progress", "failure", "version", "queued_at", "ended_at", "result")
        read_only_fields = fields

    def get_result(self, row: PredictionExplanation) -> dict[str, Any] | None:
        """Contributions, without the values of columns whose marks hide them."""
        if row.result is None:
            return None
        return explanations.readable(self.context["actor"], version=row.version, result=row.result)


class PredictionExplain(ScopedAPIView):
    """Why one logged prediction said what it said."""

    reads = Prediction
    permissions = {"GET": Permission.PREDICTION_VIEW, "POST": Permission.PREDICTION_VIEW}

    @extend_schema(
        operation_id="predictions_explanation", tags=["predictions"], responses=PredictionExplanationSerializer
    )
    def get(self, request: Request, prediction: uuid.UUID) -> Response:
        """Read the explanation; ``state`` is ``none`` while nobody asked."""
        del request
        found = told.found(self.actor, prediction=self.one(prediction))
        return Response(self.shown(found) if found else {"state": "none"})

    @extend_schema(
        operation_id="predictions_explain", tags=["predictions"], request=None,
        responses={202: PredictionExplanationSerializer},
    )  # fmt: skip
    def post(self, request: Request, prediction: uuid.UUID) -> Response:
        """Have it explained by a worker; asked again it is the same explanation."""
        del request
        made = told.ask(self.actor, prediction=self.one(prediction))
        return Response(self.shown(made), status=202)

    def one(self, key: uuid.UUID) -> Prediction:
        """Return the prediction of the address."""
        rows = Prediction.objects.visible_to(self.actor).in_project(self.project).with_origin()
        return self.find(rows.select_related("project"), pk=key)

    def shown(self, row: PredictionExplanation) -> dict[str, Any]:
        """Return what the answer holds."""
        return dict(PredictionExplanationSerializer(row, context={"actor": self.actor}).data)
