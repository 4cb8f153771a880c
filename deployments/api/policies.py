"""REST routes of the rules of environments: versions, drafts, activation, back-tests, the kinds of gates."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api import policy_shapes as shapes
from deployments.api.models import PAGE, checked
from deployments.models import Backtest, Environment, Policy
from deployments.proof.rules_catalogue import KINDS
from deployments.services import backtests, past, policies
from mlportal.lib.errors import Missing
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services import marks
from projects.services.past import Section

P = Permission
TAGS = ["policies"]


class GateKinds(ScopedAPIView):
    """The catalogue of gates."""

    reads = Policy
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(operation_id="gate_kinds_list", tags=TAGS, responses=shapes.GateKindSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List every kind of gate with its values, their types, limits and defaults."""
        del request
        return Response([shapes.kind(item) for item in KINDS.values()])


class _OfEnvironment(ScopedAPIView):
    """Finds the environment and the version of its rules that the address names."""

    abstract = True
    reads = Policy
    permissions = {"GET": P.MODEL_VIEW}

    def place(self, name: str) -> Environment:
        """Return the environment."""
        rows = Environment.objects.visible_to(self.actor).in_project(self.project).select_related("project")
        found: Environment = self.find(rows, name=name)
        return found

    def versions(self) -> QuerySet[Policy]:
        """Return the versions of rules the actor may see."""
        rows: QuerySet[Policy] = self.rows().in_project(self.project)
        return rows.select_related("environment__project", "proposed_by", "confirmed_by")

    def hidden(self) -> dict[str, marks.Hidden]:
        """Return the columns of the project whose values the actor may not see."""
        return marks.hidden_anywhere(self.actor, project=self.project)

    def told(self, policy: Policy) -> Any:
        """Return rules as the actor may read them."""
        return shapes.PolicySerializer(policy, context={"hidden": self.hidden()}).data

    def policy(self, name: str, number: int) -> Policy:
        """Return one version of the rules."""
        found: Policy = self.find(self.versions(), environment__name=name, number=min(number, 2**31 - 1))
        return found


class EnvironmentPolicy(_OfEnvironment):
    """Rules in force in an environment."""

    reads = Policy
    permissions = {"GET": P.MODEL_VIEW, "PATCH": P.POLICY_EDIT}

    def past(self, span: Span, name: str) -> list[Section]:
        """Return the rules that were in force."""
        return past.policies(self.project, span, environment=self.place(name))

    @extend_schema(operation_id="policies_read", tags=TAGS, responses=shapes.PolicySerializer)
    def get(self, request: Request, name: str) -> Response:
        """Read the rules in force."""
        del request
        return Response(self.told(policies.current(self.place(name))))

    @extend_schema(
        operation_id="policies_change",
        tags=TAGS,
        request=shapes.ChangePolicySerializer,
        responses=shapes.PolicySerializer,
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change the rules; with four eyes on, the answer says ``proposed`` until another admin confirms."""
        values = checked(shapes.ChangePolicySerializer, request)
        made = policies.change(self.actor, environment=self.place(name), **values)
        return Response(self.told(made))


class Policies(_OfEnvironment):
    """Versions of the rules of an environment."""

    reads = Policy
    permissions = {"GET": P.MODEL_VIEW, "POST": P.POLICY_EDIT}

    @extend_schema(
        operation_id="policies_list", tags=TAGS, responses=shapes.PolicySerializer(many=True), parameters=PAGE
    )
    def get(self, request: Request, name: str) -> Response:
        """List every version with who wrote it and from when to when it was in force, the newest first."""
        del request
        rows = self.versions().filter(environment=self.place(name))
        return self.page(rows, shapes.PolicySerializer, context={"hidden": self.hidden()})

    @extend_schema(
        operation_id="policies_draft",
        tags=TAGS,
        request=shapes.ChangePolicySerializer,
        responses={201: shapes.PolicyDetailSerializer},
    )
    def post(self, request: Request, name: str) -> Response:
        """Write a draft from the rules in force; nothing changes until it is activated."""
        values = checked(shapes.ChangePolicySerializer, request)
        made = policies.draft(self.actor, environment=self.place(name), **values)
        return Response(shapes.detail(made, self.hidden()), status=201)


class PolicyDetail(_OfEnvironment):
    """One version of the rules."""

    reads = Policy
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(operation_id="policies_version", tags=TAGS, responses=shapes.PolicyDetailSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read a version with what it changes against the rules in force, and who is missing to approve."""
        del request
        return Response(shapes.detail(self.policy(name, number), self.hidden()))


class PolicyActivate(_OfEnvironment):
    """A draft comes into force."""

    reads = Policy
    permissions = {"POST": P.POLICY_EDIT}

    @extend_schema(operation_id="policies_activate", tags=TAGS, request=None, responses=shapes.PolicySerializer)
    def post(self, request: Request, name: str, number: int) -> Response:
        """Activate a draft; the answer says ``proposed`` when a second admin has to confirm."""
        del request
        made = policies.activate(self.actor, policy=self.policy(name, number))
        return Response(self.told(made))


class PolicyConfirm(_OfEnvironment):
    """Second admin's agreement."""

    reads = Policy
    permissions = {"POST": P.POLICY_EDIT}

    @extend_schema(operation_id="policies_confirm", tags=TAGS, request=None, responses=shapes.PolicySerializer)
    def post(self, request: Request, name: str, number: int) -> Response:
        """Put proposed rules into force, as another admin than the one who proposed them."""
        del request
        made = policies.confirm(self.actor, policy=self.policy(name, number))
        return Response(self.told(made))


class PolicyDrop(_OfEnvironment):
    """A draft or a proposal is taken back or refused."""

    reads = Policy
    permissions = {"POST": P.POLICY_EDIT}

    @extend_schema(operation_id="policies_drop", tags=TAGS, request=None, responses=shapes.PolicySerializer)
    def post(self, request: Request, name: str, number: int) -> Response:
        """Drop a draft or a proposal."""
        del request
        made = policies.drop(self.actor, policy=self.policy(name, number))
        return Response(self.told(made))


class PolicyBacktest(_OfEnvironment):
    """What a version would have said about the past."""

    reads = Policy
    permissions = {"GET": P.MODEL_VIEW, "POST": P.POLICY_EDIT}

    @extend_schema(operation_id="policies_backtest_read", tags=TAGS, responses=shapes.BacktestSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read the newest back-test of a version, with its progress while it is under way."""
        del request
        policy = self.policy(name, number)
        joined = Backtest.objects.filter(policy=policy).select_related("asked_by", "policy__environment__project")
        found = joined.order_by("-pk").first()
        if found is None:
            raise Missing(f"Version {number} was not back-tested yet. POST here to start one.", code="no_backtest")
        found.result = backtests.told(self.actor, backtest=found)
        return Response(shapes.BacktestSerializer(found).data)

    @extend_schema(
        operation_id="policies_backtest",
        tags=TAGS,
        request=shapes.AskBacktestSerializer,
        responses={202: shapes.BacktestSerializer},
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Replay a version over past requests and over everything live; nothing else changes."""
        values = checked(shapes.AskBacktestSerializer, request)
        made = backtests.start(self.actor, policy=self.policy(name, number), **values)
        return Response(shapes.BacktestSerializer(made).data, status=202)
