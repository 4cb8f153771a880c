"""REST routes of reproductions: have a version trained again, read the signed certificate."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.models import PAGE, InProject, checked
from deployments.models import Reproduction
from deployments.services import reproductions
from projects.permissions import Permission

P = Permission
TAGS = ["models"]
MOST = reproductions.MAX_TOLERANCE


class ReproductionSerializer(serializers.ModelSerializer[Reproduction]):
    """One reproduction, without its certificate."""

    version = serializers.IntegerField(source="version.number", read_only=True)
    job = serializers.IntegerField(source="job_id", read_only=True, allow_null=True)
    training = serializers.CharField(source="job.state", default="", read_only=True, help_text="State of the job.")
    asked_by = serializers.CharField(source="asked_by.username", default="", read_only=True)

    class Meta:
        model = Reproduction
        fields = (
            "id", "version", "state", "progress", "phase", "failure", "verdict", "metric_tolerance",
            "prediction_tolerance", "job", "training", "asked_by", "asked_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class AskReproductionSerializer(serializers.Serializer[dict[str, Any]]):
    """How much may differ; without a value the usual tolerance."""

    metric_tolerance = serializers.FloatField(
        required=False, min_value=0, max_value=MOST, help_text="Share of each recorded metric."
    )
    prediction_tolerance = serializers.FloatField(
        required=False, min_value=0, max_value=MOST,
        help_text="Probability; for numbers a share of the standard deviation of the recorded predictions.",
    )  # fmt: skip


class VersionReproductions(InProject):
    """Reproductions of a version."""

    reads = Reproduction
    permissions = {"GET": P.MODEL_VIEW, "POST": P.JOB_LAUNCH}

    @extend_schema(
        operation_id="reproductions_list", tags=TAGS, responses=ReproductionSerializer(many=True), parameters=PAGE
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """List them, newest first."""
        del request
        rows = reproductions.found(self.actor, version=self.version(name, number)).order_by()
        return self.page(rows, ReproductionSerializer, ordering="-pk")

    @extend_schema(
        operation_id="reproductions_ask",
        tags=TAGS,
        request=AskReproductionSerializer,
        responses={202: ReproductionSerializer},
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Train the version again from its recorded recipe; while that is under way it is the same reproduction."""
        version = self.version(name, number)
        made = reproductions.ask(self.actor, version=version, **checked(AskReproductionSerializer, request))
        return Response(ReproductionSerializer(made).data, status=202)


class VersionReproduction(InProject):
    """One reproduction of a version."""

    reads = Reproduction
    permissions = {"GET": P.MODEL_VIEW}

    def one(self, name: str, number: int, reproduction: int) -> Reproduction:
        """Return the reproduction that the address names."""
        rows = reproductions.found(self.actor, version=self.version(name, number))
        return self.find(rows, pk=min(reproduction, 2**62))

    @extend_schema(operation_id="reproductions_read", tags=TAGS, responses=ReproductionSerializer)
    def get(self, request: Request, name: str, number: int, reproduction: int) -> Response:
        """Read how far it is, and the verdict."""
        del request
        return Response(ReproductionSerializer(self.one(name, number, reproduction)).data)


class VersionCertificate(VersionReproduction):
    """The certificate of one reproduction."""

    reads = Reproduction
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(operation_id="reproductions_certificate", tags=TAGS, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, name: str, number: int, reproduction: int) -> Response:
        """Read the certificate with its signature and the key to check it: every comparison, every difference."""
        del request
        return Response(reproductions.whole(self.actor, row=self.one(name, number, reproduction)))
