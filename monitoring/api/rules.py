"""REST routes of alert rules."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring.api import shapes
from monitoring.models import AlertRule
from monitoring.services import rules
from projects.access import ScopedAPIView
from projects.permissions import Permission


class Rules(ScopedAPIView):
    """Alert rules of a project."""

    reads = AlertRule
    permissions = {"GET": Permission.MONITOR_VIEW, "POST": Permission.MONITOR_EDIT}

    @extend_schema(operation_id="alert_rules_list", responses=shapes.RuleOut(many=True))
    def get(self, request: Request) -> Response:
        """List rules, newest first."""
        return self.page(self.rows().in_project(self.project), shapes.RuleOut)

    @extend_schema(operation_id="alert_rules_create", request=shapes.RuleIn, responses={201: shapes.RuleOut})
    def post(self, request: Request) -> Response:
        """Add a rule."""
        made = rules.create(self.actor, project=self.project, **shapes.body(request, shapes.RuleIn))
        return Response(shapes.RuleOut(made).data, status=status.HTTP_201_CREATED)


class RuleDetail(ScopedAPIView):
    """One rule."""

    reads = AlertRule
    permissions = {"GET": Permission.MONITOR_VIEW, "PATCH": Permission.MONITOR_EDIT}

    @extend_schema(operation_id="alert_rules_get", responses=shapes.RuleOut)
    def get(self, request: Request, number: int) -> Response:
        """Read a rule."""
        return Response(shapes.RuleOut(self.rule(number)).data)

    @extend_schema(operation_id="alert_rules_update", request=shapes.RuleChange, responses=shapes.RuleOut)
    def patch(self, request: Request, number: int) -> Response:
        """Change a rule; ``enabled: false`` resolves what it has open."""
        given = shapes.body(request, shapes.RuleChange)
        return Response(shapes.RuleOut(rules.update(self.actor, rule=self.rule(number), **given)).data)

    def rule(self, number: int) -> AlertRule:
        """Return the rule of the address."""
        found: AlertRule = self.find(self.rows().in_project(self.project).select_related("project"), pk=number)
        return found
