"""REST routes of folders and of the trash."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import shapes
from experiments.api.bulk import BulkOut, answer
from experiments.api.shapes import Strict, Text
from experiments.models import BulkAction, Experiment, Folder, Run
from experiments.queries import recounted
from experiments.queries.folders import FolderLine, tree_of
from experiments.queries.trash import trashed_experiments, trashed_runs
from experiments.services import experiments, folders, trash
from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.permissions import Permission

BIGGEST = 2**63 - 1


class FolderIn(Strict):
    """A new folder; without a parent it lies at the top."""

    name = Text(max_length=100)
    parent = serializers.IntegerField(min_value=1, max_value=BIGGEST, required=False, allow_null=True, default=None)


class FolderChange(Strict):
    """What of a folder changes; null as parent is the top."""

    name = Text(max_length=100, required=False)
    parent = serializers.IntegerField(min_value=1, max_value=BIGGEST, required=False, allow_null=True)


class FolderOut(serializers.Serializer):
    """A folder with its path, and what lies in it at any depth."""

    id = serializers.IntegerField(source="folder.pk")
    name = serializers.CharField(source="folder.name")
    parent = serializers.IntegerField(source="folder.parent_id", allow_null=True)
    path = serializers.CharField()
    experiments = serializers.IntegerField()
    folders = serializers.IntegerField()


class _InFolders(ScopedAPIView):
    abstract = True
    reads = Folder

    def folder(self, number: int | None, field: str = "parent") -> Folder | None:
        """The folder with this number; None is the top."""
        if number is None:
            return None
        found = self.rows().in_project(self.project).select_related("project", "parent").filter(pk=number).first()
        if found is None:
            raise Invalid("There is no such folder here.", field=field, got=number)
        return found

    def line(self, folder: Folder) -> dict[str, Any]:
        """The folder as it is now."""
        return dict(FolderOut(_line(folder)).data)


def _line(folder: Folder) -> FolderLine:
    return next(each for each in tree_of(folder.project).every() if each.folder.pk == folder.pk)


class Folders(_InFolders):
    """Folders of a project."""

    permissions = {"GET": Permission.RUN_VIEW, "POST": Permission.RUN_EDIT}

    @extend_schema(operation_id="folders_list", responses=FolderOut(many=True))
    def get(self, request: Request) -> Response:
        """List all folders, each behind the one it lies in."""
        return Response(FolderOut(tree_of(self.project).every(), many=True).data)

    @extend_schema(operation_id="folders_create", request=FolderIn, responses={201: FolderOut})
    def post(self, request: Request) -> Response:
        """Make a folder."""
        given = _valid(FolderIn, request)
        parent = self.folder(given["parent"])
        made = folders.create(self.actor, project=self.project, name=given["name"], parent=parent)
        return Response(self.line(made), status=status.HTTP_201_CREATED)


class FolderDetail(_InFolders):
    """One folder."""

    permissions = {"GET": Permission.RUN_VIEW, "PATCH": Permission.RUN_EDIT, "DELETE": Permission.RUN_EDIT}

    def load(self, number: int) -> Folder:
        """The folder of the address, or 404."""
        rows = self.rows().in_project(self.project).select_related("project", "parent")
        found: Folder = self.find(rows, pk=number)
        return found

    @extend_schema(operation_id="folders_get", responses=FolderOut)
    def get(self, request: Request, folder: int) -> Response:
        """Read a folder."""
        return Response(self.line(self.load(folder)))

    @extend_schema(operation_id="folders_update", request=FolderChange, responses=FolderOut)
    def patch(self, request: Request, folder: int) -> Response:
        """Rename a folder, or put it into another one."""
        found, given = self.load(folder), _valid(FolderChange, request)
        if "name" in given:
            folders.rename(self.actor, folder=found, name=given["name"])
        if "parent" in given:
            folders.move(self.actor, folder=found, parent=self.folder(given["parent"]))
        return Response(self.line(found))

    @extend_schema(
        operation_id="folders_delete", responses={204: None},
        parameters=[OpenApiParameter("content", str, enum=["up"], description="Let what lies in it go one level up.")],
    )  # fmt: skip
    def delete(self, request: Request, folder: int) -> Response:
        """Delete an empty folder; never an experiment."""
        folders.delete(self.actor, folder=self.load(folder), content_up=request.query_params.get("content") == "up")
        return Response(status=status.HTTP_204_NO_CONTENT)


class PlaceIn(Strict):
    """Where an experiment shall lie; null is the top."""

    folder = serializers.IntegerField(min_value=1, max_value=BIGGEST, allow_null=True)


class _OneExperiment(ScopedAPIView):
    abstract = True
    reads = Experiment
    lifecycle = "active"

    def load(self, address: str) -> Experiment:
        """The experiment of the address, or 404."""
        rows = self.rows().in_project(self.project).filter(lifecycle=self.lifecycle).select_related("project")
        found: Experiment = self.find(rows.addressed(address))
        return found


class ExperimentPlace(_OneExperiment):
    """The folder of an experiment."""

    permissions = {"PUT": Permission.RUN_EDIT}

    @extend_schema(operation_id="experiments_place", request=PlaceIn, responses=shapes.ExperimentOut)
    def put(self, request: Request, experiment: str) -> Response:
        """Put an experiment into a folder."""
        found, number = self.load(experiment), _valid(PlaceIn, request)["folder"]
        place = Folder.objects.in_project(self.project).filter(pk=number).first() if number is not None else None
        if number is not None and place is None:
            raise Invalid("There is no such folder here.", field="folder", got=number)
        moved = folders.place(self.actor, experiment=found, folder=place)
        return Response(shapes.ExperimentOut(recounted(moved)).data)


class ExperimentArchive(_OneExperiment):
    """Put an experiment into the trash."""

    permissions = {"POST": Permission.RUN_EDIT}

    @extend_schema(operation_id="experiments_archive", request=None, responses={204: None})
    def post(self, request: Request, experiment: str) -> Response:
        """Archive it with its runs."""
        experiments.delete(self.actor, experiment=self.load(experiment))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExperimentRestore(_OneExperiment):
    """Bring an experiment back."""

    permissions = {"POST": Permission.RUN_EDIT}
    lifecycle = "deleted"

    @extend_schema(operation_id="experiments_restore", request=None, responses=shapes.ExperimentOut)
    def post(self, request: Request, experiment: str) -> Response:
        """Restore it with the runs that went with it."""
        found = experiments.restore(self.actor, experiment=self.load(experiment))
        return Response(shapes.ExperimentOut(recounted(found)).data)


class ExperimentRemove(_OneExperiment):
    """Remove an experiment of the trash for good."""

    permissions = {"POST": Permission.RUN_DELETE}
    lifecycle = "deleted"

    @extend_schema(operation_id="experiments_remove", request=None, responses={200: BulkOut, 202: BulkOut})
    def post(self, request: Request, experiment: str) -> Response:
        """Remove it and its runs, but for those that something needs."""
        return answer(trash.remove_experiment(self.actor, experiment=self.load(experiment)))


class TrashedOut(serializers.Serializer):
    """A run or an experiment in the trash."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    deleted_at = serializers.DateTimeField()
    deleted_by = serializers.CharField(source="deleted_by.username", default=None, allow_null=True)


class TrashRuns(ScopedAPIView):
    """Runs in the trash that did not go with their experiment."""

    reads = Run
    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(operation_id="trash_runs", responses=TrashedOut(many=True))
    def get(self, request: Request) -> Response:
        """List them, the newest first."""
        rows = trashed_runs(self.actor, self.project).select_related("deleted_by").defer("params", "tags", "latest")
        return self.page(rows, TrashedOut, ordering=("-deleted_at", "-id"))


class TrashExperiments(ScopedAPIView):
    """Experiments in the trash."""

    reads = Experiment
    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(operation_id="trash_experiments", responses=TrashedOut(many=True))
    def get(self, request: Request) -> Response:
        """List them, the newest first."""
        return self.page(trashed_experiments(self.actor, self.project), TrashedOut, ordering=("-deleted_at", "-id"))


class TrashEmpty(ScopedAPIView):
    """Remove all that is in the trash."""

    reads = BulkAction
    permissions = {"POST": Permission.RUN_DELETE}

    @extend_schema(operation_id="trash_empty", request=None, responses={200: BulkOut, 202: BulkOut})
    def post(self, request: Request) -> Response:
        """Empty the trash; what something needs stays."""
        return answer(trash.empty(self.actor, project=self.project))


def _valid(shape: type[Strict], request: Request) -> dict[str, Any]:
    found = shape(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)
