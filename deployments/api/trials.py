"""REST routes of trials: register, start, read, decide."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.endpoints import OneEndpoint
from deployments.api.models import PAGE, checked
from deployments.models import Endpoint, PromotionRequest, Trial, TrialJudgement, TrialLook
from deployments.services import trials
from projects.permissions import Permission

P = Permission
TAGS = ["endpoints"]
Data = dict[str, Any]


class RegisterTrialSerializer(serializers.Serializer[Data]):
    """The plan; frozen when the trial starts."""

    promotion = serializers.IntegerField(help_text="Of the treatment; its approval lets it answer.")
    name = serializers.CharField(max_length=200)
    hypothesis = serializers.CharField(max_length=4000)
    metric = serializers.ChoiceField(
        choices=Trial.Metric.choices,
        help_text="auc and f1 are judged once, when minimum_days and minimum_units are reached.",
    )
    positive = serializers.CharField(max_length=200, required=False, help_text="Ground truth that is a conversion.")
    minimum_effect = serializers.FloatField()
    alpha = serializers.FloatField(required=False, help_text="0.05 by default.")
    share = serializers.FloatField(required=False, help_text="Of the units, for the treatment; 0.5 by default.")
    minimum_days = serializers.IntegerField(required=False, help_text="7 by default.")
    minimum_units = serializers.IntegerField(required=False, help_text="2,000 by default.")


class StopTrialSerializer(serializers.Serializer[Data]):
    """What came of it."""

    decision = serializers.ChoiceField(choices=Trial.Decision.choices)
    reason = serializers.CharField(max_length=4000)


class TrialLookSerializer(serializers.ModelSerializer[TrialLook]):
    """One look."""

    class Meta:
        model = TrialLook
        fields = (
            "at", "control_units", "treatment_units", "control_mean", "treatment_mean", "difference", "low", "high",
            "assigned_control", "assigned_treatment", "mismatch_p",
        )  # fmt: skip
        read_only_fields = fields


class TrialJudgementSerializer(serializers.ModelSerializer[TrialJudgement]):
    """What came of a trial that is judged once."""

    class Meta:
        model = TrialJudgement
        fields = (
            "at", "control_units", "treatment_units", "control", "treatment", "difference", "low", "high", "rounds",
        )  # fmt: skip
        read_only_fields = fields


class TrialSerializer(serializers.ModelSerializer[Trial]):
    """A trial with its plan."""

    endpoint = serializers.CharField(source="endpoint.name", read_only=True)
    promotion = serializers.IntegerField(source="promotion_id", read_only=True)
    treatment = serializers.IntegerField(source="promotion.version.number", read_only=True)
    control = serializers.IntegerField(source="control.number", read_only=True, default=None, allow_null=True)
    judgement = TrialJudgementSerializer(
        read_only=True, default=None, allow_null=True, help_text="Of auc and f1 only, once their horizon was reached."
    )

    class Meta:
        model = Trial
        fields = (
            "id", "endpoint", "promotion", "treatment", "control", "state", "name", "hypothesis", "metric", "positive",
            "minimum_effect", "alpha", "share", "minimum_days", "minimum_units", "plan_sha256", "planned_at",
            "started_at", "looked_at", "ended_at", "decision", "reason", "judgement",
        )  # fmt: skip
        read_only_fields = fields


class _OneTrial(OneEndpoint):
    """Finds the trial of the address."""

    abstract = True
    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    def trial_of(self, endpoint: str, number: int) -> Trial:
        """Return one trial of the endpoint."""
        rows = Trial.objects.with_subject().filter(endpoint=self.endpoint_of(endpoint))
        return self.find(rows, pk=min(number, 2**63 - 1))

    def told(self, trial: Trial, status: int = 200) -> Response:
        """Answer with a trial as it is now."""
        return Response(TrialSerializer(Trial.objects.with_subject().get(pk=trial.pk)).data, status=status)


class Trials(_OneTrial):
    """Trials of an endpoint."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW, "POST": P.ENDPOINT_DEPLOY}

    @extend_schema(operation_id="trials_list", tags=TAGS, responses=TrialSerializer(many=True), parameters=PAGE)
    def get(self, request: Request, endpoint: str) -> Response:
        """List trials, newest first."""
        del request
        rows = Trial.objects.with_subject().filter(endpoint=self.endpoint_of(endpoint))
        return self.page(rows, TrialSerializer)

    @extend_schema(
        operation_id="trials_register", tags=TAGS, request=RegisterTrialSerializer, responses={201: TrialSerializer}
    )
    def post(self, request: Request, endpoint: str) -> Response:
        """Write down what is asked and how it is answered, before anything is seen."""
        values = checked(RegisterTrialSerializer, request)
        found = self.endpoint_of(endpoint)
        rows = PromotionRequest.objects.visible_to(self.actor).with_subject()
        asked = self.find(
            rows.filter(version__model=found.model_id, environment=found.environment_id),
            pk=min(max(values.pop("promotion"), 0), 2**63 - 1),
        )
        return self.told(trials.register(self.actor, request=asked, **values), status=201)


class TrialDetail(_OneTrial):
    """One trial."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW}

    @extend_schema(operation_id="trials_read", tags=TAGS, responses=TrialSerializer)
    def get(self, request: Request, endpoint: str, number: int) -> Response:
        """Read one trial."""
        del request
        return self.told(self.trial_of(endpoint, number))


class TrialLooks(_OneTrial):
    """What was found at each look."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW}

    @extend_schema(operation_id="trials_looks", tags=TAGS, responses=TrialLookSerializer(many=True), parameters=PAGE)
    def get(self, request: Request, endpoint: str, number: int) -> Response:
        """List the looks with their intervals, newest first; of auc and f1 they tell how many units, and no value."""
        del request
        return self.page(TrialLook.objects.filter(trial=self.trial_of(endpoint, number)), TrialLookSerializer)


class TrialStart(_OneTrial):
    """Start."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    @extend_schema(operation_id="trials_start", tags=TAGS, request=None, responses=TrialSerializer)
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Freeze the plan and divide the units; asks for all that a switch asks for."""
        del request
        return self.told(trials.start(self.actor, trial=self.trial_of(endpoint, number)))


class TrialStop(_OneTrial):
    """Decide."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    @extend_schema(operation_id="trials_stop", tags=TAGS, request=StopTrialSerializer, responses=TrialSerializer)
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Decide: ``promote`` puts the treatment live, ``keep`` gives all requests back to the control."""
        values = checked(StopTrialSerializer, request)
        return self.told(trials.stop(self.actor, trial=self.trial_of(endpoint, number), **values))
