"""REST routes of rollouts: plan, start, hold, go on, put live, abort."""

from collections.abc import Callable
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.endpoints import OneEndpoint
from deployments.api.models import PAGE, checked
from deployments.models import Endpoint, PromotionRequest, Rollout, RolloutCheck
from deployments.services import rollouts
from projects.permissions import Permission

P = Permission
TAGS = ["endpoints"]
Data = dict[str, Any]


class RolloutStepSerializer(serializers.Serializer[Data]):
    """One step of a rollout."""

    share = serializers.FloatField(help_text="Share of the requests, over 0 and at most 1.")
    minutes = serializers.IntegerField(required=False, help_text="Least time; 10 by default.")
    requests = serializers.IntegerField(required=False, help_text="Least requests of the version; 500 by default.")


class PlanRolloutSerializer(serializers.Serializer[Data]):
    """A plan; what is left out is usual."""

    promotion = serializers.IntegerField(help_text="Whose approval the version goes live by.")
    reason = serializers.CharField(max_length=4000)
    steps = RolloutStepSerializer(many=True, required=False)
    shadow = serializers.BooleanField(default=False, help_text="Whether the version first answers beside, unheard.")
    label_margin = serializers.FloatField(default=0.0, help_text="How much worse the labelled metric may be.")


class RolloutReasonSerializer(serializers.Serializer[Data]):
    """Why."""

    reason = serializers.CharField(max_length=4000)


class CriterionSerializer(serializers.Serializer[Data]):
    """What one criterion found."""

    key = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(choices=["ok", "waiting", "pause", "abort"])
    found = serializers.CharField()
    limit = serializers.CharField()
    numbers = serializers.DictField()


class CheckSerializer(serializers.ModelSerializer[RolloutCheck]):
    """One evaluation with its numbers."""

    criteria = CriterionSerializer(many=True, read_only=True)

    class Meta:
        model = RolloutCheck
        fields = ("at", "state", "step", "verdict", "requests", "criteria")
        read_only_fields = fields


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    """A rollout and where it stands."""

    endpoint = serializers.CharField(source="endpoint.name", read_only=True)
    promotion = serializers.IntegerField(source="promotion_id", read_only=True)
    version = serializers.IntegerField(source="promotion.version.number", read_only=True)
    stable = serializers.IntegerField(source="stable.number", read_only=True, default=None, allow_null=True)
    share = serializers.FloatField(read_only=True, help_text="Of the requests, which the version gets now.")
    steps = RolloutStepSerializer(many=True, read_only=True)
    planned_by = serializers.CharField(source="planned_by.username", read_only=True)

    class Meta:
        model = Rollout
        fields = (
            "id", "endpoint", "promotion", "version", "stable", "state", "paused_in", "share", "step", "steps",
            "shadow", "label_margin", "accepted", "reason", "note", "planned_by", "planned_at", "started_at",
            "entered_at", "judged_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class OneRollout(OneEndpoint):
    """Finds the rollout of the address."""

    abstract = True
    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    def rollout_of(self, endpoint: str, number: int) -> Rollout:
        """Return one rollout of the endpoint."""
        rows = Rollout.objects.with_subject().filter(endpoint=self.endpoint_of(endpoint))
        return self.find(rows, pk=min(number, 2**63 - 1))

    def told(self, rollout: Rollout, status: int = 200) -> Response:
        """Answer with a rollout as it is now."""
        return Response(RolloutSerializer(Rollout.objects.with_subject().get(pk=rollout.pk)).data, status=status)


class Rollouts(OneRollout):
    """Rollouts of an endpoint."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW, "POST": P.ENDPOINT_DEPLOY}

    @extend_schema(operation_id="rollouts_list", tags=TAGS, responses=RolloutSerializer(many=True), parameters=PAGE)
    def get(self, request: Request, endpoint: str) -> Response:
        """List rollouts, newest first."""
        del request
        rows = Rollout.objects.with_subject().filter(endpoint=self.endpoint_of(endpoint))
        return self.page(rows, RolloutSerializer)

    @extend_schema(
        operation_id="rollouts_plan", tags=TAGS, request=PlanRolloutSerializer, responses={201: RolloutSerializer}
    )
    def post(self, request: Request, endpoint: str) -> Response:
        """Write down how a version goes live; an approval that would switch at once starts it."""
        values = checked(PlanRolloutSerializer, request)
        found = self.endpoint_of(endpoint)
        rows = PromotionRequest.objects.visible_to(self.actor).with_subject()
        asked = self.find(
            rows.filter(version__model=found.model_id, environment=found.environment_id),
            pk=min(max(values.pop("promotion"), 0), 2**63 - 1),
        )
        return self.told(rollouts.plan(self.actor, request=asked, **values), status=201)


class RolloutDetail(OneRollout):
    """One rollout."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW}

    @extend_schema(operation_id="rollouts_read", tags=TAGS, responses=RolloutSerializer)
    def get(self, request: Request, endpoint: str, number: int) -> Response:
        """Read one rollout."""
        del request
        return self.told(self.rollout_of(endpoint, number))


class RolloutChecks(OneRollout):
    """What was found."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW}

    @extend_schema(operation_id="rollouts_checks", tags=TAGS, responses=CheckSerializer(many=True), parameters=PAGE)
    def get(self, request: Request, endpoint: str, number: int) -> Response:
        """List the evaluations with their numbers, newest first."""
        del request
        return self.page(RolloutCheck.objects.filter(rollout=self.rollout_of(endpoint, number)), CheckSerializer)


class _Move(OneRollout):
    """Does one thing to a rollout."""

    abstract = True
    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}
    act: ClassVar[Callable[..., Rollout]]

    def moved(self, endpoint: str, number: int, **values: Any) -> Response:
        """Do it and answer with the rollout."""
        return self.told(type(self).act(self.actor, rollout=self.rollout_of(endpoint, number), **values))


class RolloutStart(_Move):
    """Start."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}
    act = staticmethod(rollouts.start)

    @extend_schema(operation_id="rollouts_start", tags=TAGS, request=None, responses=RolloutSerializer)
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Load the version beside what is live; asks for all that a switch asks for."""
        del request
        return self.moved(endpoint, number)


class RolloutPause(_Move):
    """Hold."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}
    act = staticmethod(rollouts.pause)

    @extend_schema(
        operation_id="rollouts_pause", tags=TAGS, request=RolloutReasonSerializer, responses=RolloutSerializer
    )
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Keep the present split until somebody goes on."""
        return self.moved(endpoint, number, **checked(RolloutReasonSerializer, request))


class RolloutResume(_Move):
    """Go on."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}
    act = staticmethod(rollouts.resume)

    @extend_schema(operation_id="rollouts_resume", tags=TAGS, request=None, responses=RolloutSerializer)
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Go on; what held it is accepted."""
        del request
        return self.moved(endpoint, number)


class RolloutAdvance(_Move):
    """Next step."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}
    act = staticmethod(rollouts.advance)

    @extend_schema(operation_id="rollouts_advance", tags=TAGS, request=None, responses=RolloutSerializer)
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Go to the next step now."""
        del request
        return self.moved(endpoint, number)


class RolloutPromote(_Move):
    """Put live."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}
    act = staticmethod(rollouts.promote)

    @extend_schema(operation_id="rollouts_promote", tags=TAGS, request=None, responses=RolloutSerializer)
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Put the version live for all requests now."""
        del request
        return self.moved(endpoint, number)


class RolloutAbort(_Move):
    """Give back."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}
    act = staticmethod(rollouts.abort)

    @extend_schema(
        operation_id="rollouts_abort", tags=TAGS, request=RolloutReasonSerializer, responses=RolloutSerializer
    )
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Give all requests back to what was live; loads nothing."""
        return self.moved(endpoint, number, **checked(RolloutReasonSerializer, request))
