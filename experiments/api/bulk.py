"""REST routes of changes to many runs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments import queries
from experiments.api.shapes import Strict, Text
from experiments.models import BulkAction, Experiment
from experiments.queries import Place
from experiments.services import bulk
from experiments.services.bulk import Chosen
from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.permissions import Permission


class BulkIn(Strict):
    """A change to many runs: those named by ``runs``, or all that the filter ``q`` keeps.

    The filter holds for one ``experiment``, for a ``folder`` with those in it, or for ``all`` of the project.
    """

    action = serializers.ChoiceField(BulkAction.Kind.values)
    experiment = Text(max_length=500, required=False, default="", help_text="Its number or exact name.")
    runs = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), max_length=bulk.MAX_CHOSEN, required=False
    )
    folder = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
    all = serializers.BooleanField(default=False, help_text="All experiments of the project.")
    q = Text(max_length=10_000, allow_blank=True, required=False, default="")
    deleted = serializers.BooleanField(default=False, help_text="Choose among archived runs.")
    key = Text(max_length=250, required=False, default="", help_text="Of the tag.")
    value = Text(max_length=8000, allow_blank=True, required=False, default="")
    to = Text(max_length=500, required=False, default="", help_text="Experiment to move to: number or exact name.")
    dry_run = serializers.BooleanField(
        default=False, help_text="Only say what would be done; confirm it by its number."
    )


class BulkOut(serializers.ModelSerializer[BulkAction]):
    """A bulk action: how many runs it means, what is done, what was left out and why."""

    action = serializers.CharField(source="kind")
    confirmed = serializers.SerializerMethodField()
    skipped = serializers.SerializerMethodField()
    excluded = serializers.DictField(child=serializers.IntegerField())

    class Meta:
        model = BulkAction
        fields = (
            "id", "action", "state", "confirmed", "expected", "done", "skipped", "excluded", "progress", "failure",
            "undo_of",
        )  # fmt: skip

    def get_confirmed(self, row: BulkAction) -> bool:
        """Whether it was confirmed; until then nothing changes."""
        return row.confirmed_at is not None

    def get_skipped(self, row: BulkAction) -> int:
        """Runs that had changed since the action was announced; known at its end."""
        return row.skipped if row.is_terminal else 0


def answer(action: BulkAction) -> Response:
    """The action: 202 while a worker does it."""
    waits = action.confirmed_at is not None and not action.is_terminal
    body = dict(BulkOut(action).data)
    return Response(body, status=status.HTTP_202_ACCEPTED if waits else status.HTTP_200_OK)


class BulkActions(ScopedAPIView):
    """Changes to many runs."""

    reads = BulkAction
    permissions = {"GET": Permission.RUN_VIEW, "POST": Permission.RUN_EDIT}

    @extend_schema(operation_id="bulk_list", responses=BulkOut(many=True))
    def get(self, request: Request) -> Response:
        """List bulk actions, newest first."""
        rows = self.rows().in_project(self.project).filter(confirmed_at__isnull=False)
        return self.page(rows, BulkOut)

    @extend_schema(operation_id="bulk_start", request=BulkIn, responses={200: BulkOut, 202: BulkOut})
    def post(self, request: Request) -> Response:
        """Change many runs; more than 500 are changed by a worker (202)."""
        asked = BulkIn(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        kind = given["action"]
        values = {"key": given["key"], "value": given["value"], "experiment": given["to"]}
        values = values if kind in ("tag", "untag", "move") else {}
        begin = bulk.prepare if given["dry_run"] else bulk.run
        return answer(begin(self.actor, project=self.project, kind=kind, chosen=self._chosen(given), given=values))

    def _chosen(self, given: dict[str, Any]) -> Chosen:
        named, folder = given["experiment"], given.get("folder")
        if sum((bool(named), folder is not None, given["all"])) > 1:
            raise Invalid("Name an experiment, a folder or all, not several of these.", field="experiment")
        place: Place | None = None
        if folder is not None or given["all"]:
            place = queries.run_set(self.actor, self.project, folder)
        if named:
            rows = Experiment.objects.visible_to(self.actor).in_project(self.project)
            place = rows.addressed(named).first() or rows.filter(name=named).first()
            if place is None:
                raise Invalid("There is no such experiment here.", field="experiment", got=named[:100])
        if given.get("runs") is None and place is None:
            raise Invalid("Name runs, or an experiment or a folder whose runs are meant, or all.", field="runs")
        return Chosen(place, given.get("runs"), given["q"], given["deleted"])


class _OneAction(ScopedAPIView):
    abstract = True
    reads = BulkAction
    permissions = {"POST": Permission.RUN_EDIT}

    def load(self, number: int) -> BulkAction:
        """The action of the address, or 404."""
        return self.find(self.rows().in_project(self.project).select_related("project", "created_by"), pk=number)


class BulkDetail(_OneAction):
    """One bulk action."""

    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(operation_id="bulk_get", responses=BulkOut)
    def get(self, request: Request, bulk_action: int) -> Response:
        """Read how far it is."""
        return Response(BulkOut(self.load(bulk_action)).data)


class BulkConfirm(_OneAction):
    """Do what a dry run announced."""

    @extend_schema(operation_id="bulk_confirm", request=None, responses={200: BulkOut, 202: BulkOut})
    def post(self, request: Request, bulk_action: int) -> Response:
        """Confirm it; again changes nothing more."""
        return answer(bulk.confirm(self.actor, action=self.load(bulk_action)))


class BulkUndo(_OneAction):
    """Take an action back."""

    @extend_schema(operation_id="bulk_undo", request=None, responses={200: BulkOut, 202: BulkOut})
    def post(self, request: Request, bulk_action: int) -> Response:
        """Undo it within ten minutes; runs that changed since are left and counted."""
        return answer(bulk.undo(self.actor, action=self.load(bulk_action)))


class BulkStop(_OneAction):
    """End an action that is at work."""

    @extend_schema(operation_id="bulk_stop", request=None, responses={200: BulkOut, 202: BulkOut})
    def post(self, request: Request, bulk_action: int) -> Response:
        """Stop after the page of runs that is being changed."""
        return answer(bulk.stop(self.actor, action=self.load(bulk_action)))
