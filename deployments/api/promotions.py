"""REST routes of promotion requests and environments."""

from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api import shapes
from deployments.api.models import PAGE, checked
from deployments.models import Environment, ModelVersion, PromotionRequest
from deployments.services import breakglass, deciders, endpoints, promotions
from mlportal.lib.errors import Invalid, Missing
from projects.access import ScopedAPIView
from projects.permissions import Permission

P = Permission
TAGS = ["promotions"]
State = PromotionRequest.State


class _OneRequest(ScopedAPIView):
    """Finds the request of the address."""

    abstract = True
    reads = PromotionRequest
    permissions = {"GET": P.MODEL_VIEW}

    def request_of(self, number: int) -> PromotionRequest:
        """Return the request with what its answer shows."""
        rows = (
            self.rows()
            .in_project(self.project)
            .with_subject()
            .select_related("evaluation", "version__dataset_version__dataset")
        )
        joined = rows.prefetch_related("gate_results", Prefetch("decisions", deciders.with_people()), "conditions")
        found: PromotionRequest = self.find(joined, pk=min(number, 2**62))
        return found

    def answer(self, number: int, *, status: int = 200) -> Response:
        """Return the request as it is now."""
        told = shapes.PromotionDetailSerializer(self.request_of(number), context={"actor": self.actor})
        return Response(told.data, status=status)

    def asked(self, request: Request) -> dict[str, Any]:
        """Return the version, the environment and the reason that were asked for."""
        values = checked(shapes.AskSerializer, request)
        rows = ModelVersion.objects.visible_to(self.actor).in_project(self.project).with_origin()
        version = rows.filter(model__name=values["model"], number=values["version"]).first()
        if version is None:
            raise Missing(f"There is no {values['model']} v{values['version']} in this project.", field="version")
        places = Environment.objects.in_project(self.project).select_related("project")
        place = places.filter(name=values["environment"]).first()
        if place is None:
            raise Missing(f"There is no environment {values['environment']} in this project.", field="environment")
        return {"version": version, "environment": place, "reason": values["reason"]}


class Promotions(_OneRequest):
    """Requests of a project."""

    reads = PromotionRequest
    permissions = {"GET": P.MODEL_VIEW, "POST": P.PROMOTION_REQUEST}

    @extend_schema(
        operation_id="promotions_list",
        tags=TAGS,
        responses=shapes.PromotionSerializer(many=True),
        parameters=[*PAGE, OpenApiParameter("state", str, enum=State.values)],
    )
    def get(self, request: Request) -> Response:
        """List requests, newest first."""
        rows = self.rows().in_project(self.project).with_subject().defer("snapshot")
        state = request.query_params.get("state", "")
        if state and state not in State.values:
            raise Invalid(f"state must be one of {', '.join(State.values)}.", field="state", got=state[:50])
        return self.page(rows.filter(state=state) if state else rows, shapes.PromotionSerializer)

    @extend_schema(
        operation_id="promotions_request",
        tags=TAGS,
        request=shapes.AskSerializer,
        responses={201: shapes.PromotionDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        """Ask that a version goes live; a worker measures it, then an approver decides."""
        made = promotions.request(self.actor, **self.asked(request))
        return self.answer(made.pk, status=201)


class BreakGlass(_OneRequest):
    """Live without an approval."""

    reads = PromotionRequest
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    @extend_schema(
        operation_id="promotions_break_glass",
        tags=TAGS,
        request=shapes.AskSerializer,
        responses={201: shapes.PromotionDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        """Put a version live without an approval, where the rules allow it; a second look is forced afterwards."""
        made = breakglass.promote(self.actor, **self.asked(request))
        return self.answer(made.pk, status=201)


class PromotionDetail(_OneRequest):
    """One request."""

    reads = PromotionRequest
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(operation_id="promotions_read", tags=TAGS, responses=shapes.PromotionDetailSerializer)
    def get(self, request: Request, number: int) -> Response:
        """Read one request with its measurements, gates and decisions."""
        del request
        return self.answer(number)


class PromotionDecide(_OneRequest):
    """Decision on a request."""

    reads = PromotionRequest
    permissions = {"POST": P.PROMOTION_SIGN}

    @extend_schema(
        operation_id="promotions_decide",
        tags=TAGS,
        request=shapes.DecideSerializer,
        responses=shapes.PromotionDetailSerializer,
    )
    def post(self, request: Request, number: int) -> Response:
        """Approve, reject or ask for changes; an approval may be conditional. A token needs the scope approve."""
        values = checked(shapes.DecideSerializer, request)
        promotions.decide(self.actor, request=self.request_of(number), **values)
        return self.answer(number)


class PromotionWithdraw(_OneRequest):
    """Withdrawal of a request."""

    reads = PromotionRequest
    permissions = {"POST": P.PROMOTION_REQUEST}

    @extend_schema(
        operation_id="promotions_withdraw", tags=TAGS, request=None, responses=shapes.PromotionDetailSerializer
    )
    def post(self, request: Request, number: int) -> Response:
        """Take one's own request back."""
        del request
        promotions.withdraw(self.actor, request=self.request_of(number))
        return self.answer(number)


class PromotionOverride(_OneRequest):
    """Override of a red gate."""

    reads = PromotionRequest
    permissions = {"POST": P.GATE_OVERRIDE}

    @extend_schema(
        operation_id="promotions_override",
        tags=TAGS,
        request=shapes.OverrideSerializer,
        responses=shapes.PromotionDetailSerializer,
    )
    def post(self, request: Request, number: int) -> Response:
        """Let one red blocking gate pass, with a reason; another person still has to approve."""
        promotions.override(self.actor, request=self.request_of(number), **checked(shapes.OverrideSerializer, request))
        return self.answer(number)


class PromotionSwitch(_OneRequest):
    """Deployment of an approved request."""

    reads = PromotionRequest
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    @extend_schema(
        operation_id="promotions_switch", tags=TAGS, request=None, responses=shapes.PromotionDetailSerializer
    )
    def post(self, request: Request, number: int) -> Response:
        """Deploy an approved request, where the rules leave that to ops."""
        del request
        endpoints.switch(self.actor, request=self.request_of(number))
        return self.answer(number)
