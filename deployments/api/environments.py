"""REST routes of environments: make, rename, order, archive, and the moves that lead into them."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api import environment_shapes as shapes
from deployments.api.models import PAGE, checked
from deployments.models import Environment
from deployments.services import environments, past, ways
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services.past import Section

P = Permission
TAGS = ["environments"]


class Environments(ScopedAPIView):
    """Places a version can go to."""

    reads = Environment
    permissions = {"GET": P.MODEL_VIEW, "POST": P.POLICY_EDIT}

    def past(self, span: Span) -> list[Section]:
        """Return the environments as they were: moves, rules, and what answered."""
        return [
            *past.environments(self.project, span),
            *past.policies(self.project, span),
            *past.production(self.project, span),
        ]

    @extend_schema(
        operation_id="environments_list", tags=TAGS, responses=shapes.EnvironmentSerializer(many=True), parameters=PAGE
    )
    def get(self, request: Request) -> Response:
        """List environments; staging and production appear with the first registered model."""
        del request
        return self.page(self.rows().in_project(self.project), shapes.EnvironmentSerializer)

    @extend_schema(
        operation_id="environments_create", tags=TAGS, request=shapes.CreateSerializer,
        responses={201: shapes.EnvironmentSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Add an environment with the default rules; its name is governed from then on."""
        made = environments.create(self.actor, project=self.project, **checked(shapes.CreateSerializer, request))
        return Response(shapes.EnvironmentSerializer(made).data, status=201)


class _OneEnvironment(ScopedAPIView):
    """Finds the environment that the address names."""

    abstract = True
    reads = Environment
    permissions = {"POST": P.POLICY_EDIT}

    def place(self, name: str) -> Environment:
        """Return the environment."""
        rows = self.rows().in_project(self.project).select_related("project")
        found: Environment = self.find(rows, name=name)
        return found

    def answer(self, place: Environment) -> Response:
        """Write an environment."""
        return Response(shapes.EnvironmentSerializer(place).data)


class EnvironmentDetail(_OneEnvironment):
    """One environment."""

    reads = Environment
    permissions = {"GET": P.MODEL_VIEW, "PATCH": P.POLICY_EDIT}

    @extend_schema(operation_id="environments_read", tags=TAGS, responses=shapes.EnvironmentSerializer)
    def get(self, request: Request, name: str) -> Response:
        """Read one environment."""
        del request
        return self.answer(self.place(name))

    @extend_schema(
        operation_id="environments_rename", tags=TAGS, request=shapes.RenameSerializer,
        responses=shapes.EnvironmentSerializer,
    )  # fmt: skip
    def patch(self, request: Request, name: str) -> Response:
        """Give an environment another name, as long as nothing was ever promoted to it."""
        values = checked(shapes.RenameSerializer, request)
        return self.answer(environments.rename(self.actor, environment=self.place(name), **values))


class EnvironmentArchive(_OneEnvironment):
    """Out of use."""

    reads = Environment
    permissions = {"POST": P.POLICY_EDIT}

    @extend_schema(operation_id="environments_archive", tags=TAGS, request=None, responses=shapes.EnvironmentSerializer)
    def post(self, request: Request, name: str) -> Response:
        """Take an environment out of use; its open requests become stale."""
        del request
        return self.answer(environments.archive(self.actor, environment=self.place(name)))


class EnvironmentRestore(_OneEnvironment):
    """Into use again."""

    reads = Environment
    permissions = {"POST": P.POLICY_EDIT}

    @extend_schema(operation_id="environments_restore", tags=TAGS, request=None, responses=shapes.EnvironmentSerializer)
    def post(self, request: Request, name: str) -> Response:
        """Take an archived environment into use again."""
        del request
        return self.answer(environments.restore(self.actor, environment=self.place(name)))


class EnvironmentOrder(ScopedAPIView):
    """The order of the environments."""

    reads = Environment
    permissions = {"PUT": P.POLICY_EDIT}

    @extend_schema(
        operation_id="environments_reorder", tags=TAGS, request=shapes.OrderSerializer,
        responses=shapes.EnvironmentSerializer(many=True),
    )  # fmt: skip
    def put(self, request: Request) -> Response:
        """Put the environments into an order, the highest last."""
        values = checked(shapes.OrderSerializer, request)
        places = environments.reorder(self.actor, project=self.project, **values)
        return Response(shapes.EnvironmentSerializer(places, many=True).data)


class EnvironmentMoves(ScopedAPIView):
    """The moves that lead into environments."""

    reads = Environment
    permissions = {"GET": P.MODEL_VIEW, "PUT": P.POLICY_EDIT}

    def past(self, span: Span) -> list[Section]:
        """Return the moves there were."""
        return past.environments(self.project, span)

    @extend_schema(operation_id="moves_read", tags=TAGS, responses=shapes.MovesSerializer)
    def get(self, request: Request) -> Response:
        """Read the allowed moves."""
        del request
        return Response(shapes.moves(ways.of(self.project)))

    @extend_schema(
        operation_id="moves_set", tags=TAGS, request=shapes.MovesSerializer, responses=shapes.MovesSerializer
    )
    def put(self, request: Request) -> Response:
        """Set the allowed moves, all of them; requests that none leads to any more become stale."""
        values = checked(shapes.MovesSerializer, request)
        pairs = [(row["start"], row["to"]) for row in values["moves"]]
        made = environments.set_moves(self.actor, project=self.project, moves=pairs, seen=values.get("seen", ""))
        return Response(shapes.moves(made))
