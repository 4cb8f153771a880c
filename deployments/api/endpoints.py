"""REST routes of endpoints: read, roll back, switch on and off, settings, retraining."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api import shapes
from deployments.api.models import PAGE, checked
from deployments.models import Automation, Endpoint, EndpointRevision, ModelVersion, RollbackReview
from deployments.services import asking, automations, endpoints, looks, past
from mlportal.lib import names
from mlportal.lib.errors import Missing
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services.past import Section

P = Permission
TAGS = ["endpoints"]


class OneEndpoint(ScopedAPIView):
    """Finds the endpoint of the address."""

    abstract = True
    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW}

    def endpoint_of(self, name: str) -> Endpoint:
        """Return the endpoint with what answers there."""
        found: Endpoint = self.find(self.rows().in_project(self.project).with_live(), name_key=names.key(name))
        return found

    def answer(self, name: str) -> Response:
        """Return the endpoint as it is now."""
        return Response(shapes.EndpointSerializer(self.endpoint_of(name)).data)


class Endpoints(ScopedAPIView):
    """Endpoints of a project."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW}

    def past(self, span: Span) -> list[Section]:
        """Return what answered."""
        return past.production(self.project, span)

    @extend_schema(
        operation_id="endpoints_list", tags=TAGS, responses=shapes.EndpointSerializer(many=True), parameters=PAGE
    )
    def get(self, request: Request) -> Response:
        """List endpoints, newest first."""
        del request
        return self.page(self.rows().in_project(self.project).with_live(), shapes.EndpointSerializer)


class EndpointDetail(OneEndpoint):
    """One endpoint."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW, "PATCH": P.ENDPOINT_DEPLOY}

    def past(self, span: Span, endpoint: str) -> list[Section]:
        """Return what answered there."""
        found = self.endpoint_of(endpoint)
        rows = past.traffic(self.project, span, endpoint=found)
        return [*past.answers(rows), *past.revisions_until(found, span)]

    @extend_schema(operation_id="endpoints_read", tags=TAGS, responses=shapes.EndpointSerializer)
    def get(self, request: Request, endpoint: str) -> Response:
        """Read one endpoint and which version answers."""
        del request
        return self.answer(endpoint)

    @extend_schema(
        operation_id="endpoints_configure",
        tags=TAGS,
        request=shapes.ConfigureSerializer,
        responses=shapes.EndpointSerializer,
    )
    def patch(self, request: Request, endpoint: str) -> Response:
        """Choose what the prediction log keeps and how many requests are taken; what is not sent stays."""
        values = checked(shapes.ConfigureSerializer, request)
        endpoints.configure(self.actor, endpoint=self.endpoint_of(endpoint), **values)
        return self.answer(endpoint)


class EndpointOpenapi(OneEndpoint):
    """How an endpoint is asked."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW}

    @extend_schema(operation_id="endpoints_openapi", tags=TAGS, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, endpoint: str) -> Response:
        """Read the OpenAPI of an endpoint, made from the schema of the version that answers."""
        del request
        return Response(asking.described(self.actor, endpoint=self.endpoint_of(endpoint)))


class EndpointRevisions(OneEndpoint):
    """History of an endpoint."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW}

    @extend_schema(
        operation_id="endpoints_revisions", tags=TAGS, responses=shapes.RevisionSerializer(many=True), parameters=PAGE
    )
    def get(self, request: Request, endpoint: str) -> Response:
        """List revisions, newest first."""
        del request
        rows = EndpointRevision.objects.filter(endpoint=self.endpoint_of(endpoint))
        return self.page(
            rows.select_related("version", "created_by", "review"), shapes.RevisionSerializer, ordering="-number"
        )


class EndpointRollback(OneEndpoint):
    """Return to an earlier version."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    @extend_schema(
        operation_id="endpoints_rollback",
        tags=TAGS,
        request=shapes.RollbackSerializer,
        responses=shapes.EndpointSerializer,
    )
    def post(self, request: Request, endpoint: str) -> Response:
        """Return to a version that was approved and live before; an approver is asked to review it."""
        values = checked(shapes.RollbackSerializer, request)
        found = self.endpoint_of(endpoint)
        version = self._version(found, values.get("version"))
        endpoints.rollback(
            self.actor, endpoint=found, reason=values["reason"], version=version, alert=values.get("alert")
        )
        return self.answer(endpoint)

    def _version(self, endpoint: Endpoint, number: int | None) -> ModelVersion | None:
        if number is None:
            return None
        rows = ModelVersion.objects.filter(model=endpoint.model).select_related("model__project")
        found = rows.filter(number=number).first()
        if found is None:
            raise Missing(f"There is no version {number} of {endpoint.model.name}.", field="version")
        return found


class ReviewClose(OneEndpoint):
    """Second look at a rollback or a break-glass."""

    reads = Endpoint
    permissions = {"POST": P.PROMOTION_DECIDE}

    @extend_schema(
        operation_id="endpoints_second_look",
        tags=TAGS,
        request=shapes.LookSerializer,
        responses=shapes.EndpointSerializer,
    )
    def post(self, request: Request, endpoint: str, number: int) -> Response:
        """Say what came of it: ``noted`` for a rollback, ``confirmed`` or ``rolled_back`` for a break-glass."""
        values = checked(shapes.LookSerializer, request)
        rows = RollbackReview.objects.filter(revision__endpoint=self.endpoint_of(endpoint)).select_related(
            "revision__endpoint__project", "revision__endpoint__environment"
        )
        review = self.find(rows, revision__number=min(number, 2**31 - 1))
        looks.close(self.actor, review=review, **values)
        return self.answer(endpoint)


class EndpointDisable(OneEndpoint):
    """Switch off."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    @extend_schema(
        operation_id="endpoints_disable",
        tags=TAGS,
        request=shapes.ReasonSerializer,
        responses=shapes.EndpointSerializer,
    )
    def post(self, request: Request, endpoint: str) -> Response:
        """Stop answering."""
        values = checked(shapes.ReasonSerializer, request)
        endpoints.disable(self.actor, endpoint=self.endpoint_of(endpoint), **values)
        return self.answer(endpoint)


class EndpointEnable(OneEndpoint):
    """Switch on."""

    reads = Endpoint
    permissions = {"POST": P.ENDPOINT_DEPLOY}

    @extend_schema(operation_id="endpoints_enable", tags=TAGS, request=None, responses=shapes.EndpointSerializer)
    def post(self, request: Request, endpoint: str) -> Response:
        """Answer again."""
        del request
        endpoints.enable(self.actor, endpoint=self.endpoint_of(endpoint))
        return self.answer(endpoint)


class EndpointAutomations(OneEndpoint):
    """Retraining of an endpoint's model."""

    reads = Endpoint
    permissions = {"GET": P.ENDPOINT_VIEW, "PUT": P.AUTOMATION_EDIT}

    @extend_schema(
        operation_id="automations_list", tags=TAGS, responses=shapes.AutomationSerializer(many=True), parameters=PAGE
    )
    def get(self, request: Request, endpoint: str) -> Response:
        """List when the model is retrained by itself."""
        del request
        rows = Automation.objects.filter(endpoint=self.endpoint_of(endpoint)).select_related("endpoint", "owner")
        return self.page(rows, shapes.AutomationSerializer)

    @extend_schema(
        operation_id="automations_set",
        tags=TAGS,
        request=shapes.SetAutomationSerializer,
        responses=shapes.AutomationSerializer,
    )
    def put(self, request: Request, endpoint: str) -> Response:
        """Set retraining for one kind of alert."""
        values: dict[str, Any] = checked(shapes.SetAutomationSerializer, request)
        made = automations.configure(self.actor, endpoint=self.endpoint_of(endpoint), **values)
        return Response(shapes.AutomationSerializer(made).data)
