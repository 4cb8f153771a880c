"""REST routes of retrainings: what alerts came to, what each cost and brought."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.models import PAGE, InProject
from deployments.models import Endpoint, RegisteredModel, RetrainTrigger, VersionGap
from deployments.services import ledger
from mlportal.lib import names
from projects.access import ScopedAPIView
from projects.permissions import Permission


class RetrainingSerializer(serializers.ModelSerializer[RetrainTrigger]):
    """One alert that reached an automation: the guard that held it back, or the training and what it brought."""

    endpoint = serializers.CharField(source="automation.endpoint.name", read_only=True)
    model = serializers.CharField(source="model.name", read_only=True)
    trigger = serializers.CharField(source="automation.trigger", read_only=True)
    alert = serializers.IntegerField(source="alert_id", read_only=True)
    rule = serializers.IntegerField(source="rule_id", read_only=True)
    run = serializers.IntegerField(source="run_id", read_only=True, allow_null=True)
    promotion = serializers.IntegerField(source="request_id", read_only=True, allow_null=True)
    promotion_state = serializers.CharField(
        source="request.state", read_only=True, default=None, allow_null=True, help_text="What the approvers decided."
    )
    replaces = serializers.CharField(source="version.label", read_only=True, default=None, allow_null=True)
    brought = serializers.CharField(source="request.version.label", read_only=True, default=None, allow_null=True)

    class Meta:
        model = RetrainTrigger
        fields = (
            "id", "endpoint", "model", "trigger", "alert", "rule", "window", "state", "guard", "reason", "facts",
            "report", "replaces", "brought", "run", "promotion", "promotion_state", "cpu_seconds", "trained_at",
            "live_at", "before", "after", "effect", "measured_at", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class EndpointRetrainings(ScopedAPIView):
    """What alerts of an endpoint came to."""

    reads = Endpoint
    permissions = {"GET": Permission.ENDPOINT_VIEW}

    @extend_schema(
        operation_id="endpoint_retrainings_list", tags=["endpoints"], responses=RetrainingSerializer(many=True),
        parameters=PAGE,
    )  # fmt: skip
    def get(self, request: Request, endpoint: str) -> Response:
        """List the alerts that asked for a retraining, newest first, with the guard that held each back."""
        del request
        found: Endpoint = self.find(self.rows().in_project(self.project), name_key=names.key(endpoint))
        rows = RetrainTrigger.objects.filter(automation__endpoint=found).with_story()
        return self.page(rows, RetrainingSerializer)


class VersionGapSerializer(serializers.ModelSerializer[VersionGap]):
    """What the approval promised of a version and what came at an endpoint; a gain below zero is a loss."""

    version = serializers.IntegerField(source="version.number", read_only=True)

    class Meta:
        model = VersionGap
        fields = (
            "version", "endpoint", "metric", "promised", "promised_low", "promised_high", "estimated", "value", "low",
            "high", "gain", "gain_low", "gain_high", "verdict", "labelled", "answered", "since", "until",
            "measured_at",
        )  # fmt: skip
        read_only_fields = fields


class ModelRetrainings(InProject):
    """The ledger of a model's retrainings."""

    reads = RegisteredModel
    permissions = {"GET": Permission.MODEL_VIEW}

    @extend_schema(
        operation_id="model_retrainings_list", tags=["models"], responses=RetrainingSerializer(many=True),
        parameters=PAGE,
    )  # fmt: skip
    def get(self, request: Request, name: str) -> Response:
        """List what each retraining cost and brought, newest first; ``effect`` goes by labelled performance."""
        del request
        return self.page(ledger.of_model(self.model(name)), RetrainingSerializer)


class ModelGaps(InProject):
    """The offline-online gap of a model's versions."""

    reads = RegisteredModel
    permissions = {"GET": Permission.MODEL_VIEW}

    @extend_schema(
        operation_id="model_gaps_list", tags=["models"], responses=VersionGapSerializer(many=True), parameters=PAGE
    )
    def get(self, request: Request, name: str) -> Response:
        """List the metric at the approval against the metric live, for each version and endpoint."""
        del request
        rows = VersionGap.objects.filter(version__model=self.model(name)).select_related("version")
        return self.page(rows, VersionGapSerializer)
