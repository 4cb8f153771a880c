"""REST routes of conversions to ONNX."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.models import InProject
from deployments.models import Conversion, ModelVersion
from deployments.services import conversions
from projects.permissions import Permission


class ConversionSerializer(serializers.ModelSerializer[Conversion]):
    """A conversion as far as it is."""

    class Meta:
        model = Conversion
        fields = ("state", "progress", "failure", "passed", "figures", "graph_sha256", "queued_at", "ended_at")
        read_only_fields = fields


class VersionConversion(InProject):
    """The estimator of a version as ONNX, and its parity with the pipeline."""

    reads = ModelVersion
    permissions = {"GET": Permission.MODEL_VIEW, "POST": Permission.MODEL_REGISTER}

    @extend_schema(operation_id="versions_conversion", tags=["models"], responses=ConversionSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read the conversion of a version and the figures of its parity gate."""
        del request
        found = conversions.found(self.actor, version=self.version(name, number))
        return Response(ConversionSerializer(found).data if found else _none())

    @extend_schema(
        operation_id="versions_convert", tags=["models"], request=None, responses={202: ConversionSerializer}
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Have a version converted; asked again it is the same conversion."""
        del request
        made = conversions.ask(self.actor, version=self.version(name, number))
        return Response(ConversionSerializer(made).data, status=202)


def _none() -> dict[str, Any]:
    return {"state": "none"}
