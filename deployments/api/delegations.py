"""REST routes of delegations: who may decide for whom."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api import shapes
from deployments.api.models import PAGE, checked
from deployments.models import Delegation
from deployments.services import delegations
from projects.access import ScopedAPIView
from projects.permissions import Permission

P = Permission
TAGS = ["promotions"]


class Delegations(ScopedAPIView):
    """Delegations of a project."""

    reads = Delegation
    permissions = {"GET": P.MODEL_VIEW, "POST": P.PROMOTION_SIGN}

    @extend_schema(
        operation_id="delegations_list",
        tags=TAGS,
        responses=shapes.DelegationSerializer(many=True),
        parameters=[*PAGE, OpenApiParameter("active", bool)],
    )
    def get(self, request: Request) -> Response:
        """List delegations, newest first; ``active=true`` those that hold now."""
        rows = self.rows().in_project(self.project).with_people()
        if request.query_params.get("active", "") == "true":
            rows = rows.active(timezone.now())
        return self.page(rows, shapes.DelegationSerializer)

    @extend_schema(
        operation_id="delegations_give",
        tags=TAGS,
        request=shapes.DelegateSerializer,
        responses={201: shapes.DelegationSerializer},
    )
    def post(self, request: Request) -> Response:
        """Hand the caller's right to decide to another member until a date. A token needs the scope approve."""
        values = checked(shapes.DelegateSerializer, request)
        made = delegations.give(self.actor, project=self.project, **values)
        return Response(shapes.DelegationSerializer(made).data, status=201)


class DelegationRevoke(ScopedAPIView):
    """End of a delegation."""

    reads = Delegation
    permissions = {"POST": P.PROMOTION_SIGN}

    @extend_schema(operation_id="delegations_revoke", tags=TAGS, request=None, responses=shapes.DelegationSerializer)
    def post(self, request: Request, number: int) -> Response:
        """Take a delegation back, as its giver or as an admin of the project."""
        del request
        found: Delegation = self.find(self.rows().in_project(self.project).with_people(), pk=min(number, 2**62))
        return Response(shapes.DelegationSerializer(delegations.revoke(self.actor, delegation=found)).data)
