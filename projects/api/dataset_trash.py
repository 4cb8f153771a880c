"""REST routes of the trash of datasets, and of what came of a version."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from mlportal.lib.api import CursorPages
from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.api.datasets import InProject, P
from projects.models import Dataset, DatasetVersion
from projects.services import dataset_trash, lineage


class TrashedDatasetOut(serializers.Serializer[dict[str, Any]]):
    """A dataset, or one version of it, in the trash."""

    kind = serializers.ChoiceField(["dataset", "version"])
    id = serializers.IntegerField()
    name = serializers.CharField()
    number = serializers.IntegerField(allow_null=True)
    versions = serializers.IntegerField(help_text="How many versions would go.")
    deleted_by = serializers.CharField(source="deleted_by.username", default=None, allow_null=True)
    deleted_at = serializers.DateTimeField()
    removed_at = serializers.DateTimeField(allow_null=True, help_text="Removed for good then; null while needed.")
    needed = serializers.CharField(allow_blank=True, help_text="What keeps it from being removed.")


class TrashPageOut(serializers.Serializer[Any]):
    """One page of the trash."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    results = TrashedDatasetOut(many=True)


class RestoreIn(serializers.Serializer[dict[str, Any]]):
    """What to take out of the trash."""

    kind = serializers.ChoiceField(["dataset", "version"])
    id = serializers.IntegerField()


class NodeOut(serializers.Serializer[Any]):
    """One thing in a lineage graph."""

    key = serializers.CharField()
    kind = serializers.CharField()
    label = serializers.CharField()
    url = serializers.CharField()
    note = serializers.CharField()


class LineageOut(serializers.Serializer[Any]):
    """Things, which came of which, and how many there are in truth."""

    nodes = NodeOut(many=True)
    edges = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    counts = serializers.DictField(child=serializers.IntegerField())


class _Trash(ScopedAPIView):
    """Finds what lies in the trash."""

    abstract = True
    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW}

    def trashed(self, kind: str, pk: int) -> tuple[Dataset, DatasetVersion | None]:
        """A dataset, or a version with its dataset, in the trash."""
        if kind == "dataset":
            return self.find(Dataset.objects.trashed(self.project).select_related("project"), pk=pk), None
        rows = DatasetVersion.objects.light().filter(dataset__project=self.project, deleted_at__isnull=False)
        version = self.find(rows.select_related("dataset__project"), pk=pk)
        return version.dataset, version


class Trash(_Trash):
    """Deleted datasets and versions of a project."""

    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_DELETE}

    @extend_schema(
        operation_id="trash_datasets", tags=["datasets"], responses=TrashPageOut,
        parameters=[
            OpenApiParameter("limit", int),
            OpenApiParameter("skip", int),
            OpenApiParameter("q", str, description="Part of a name."),
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List what waits in the trash, newest first: when it is removed for good, or what needs it."""
        limit, skip = CursorPages().get_page_size(request), request.query_params.get("skip", "0")
        if not skip.isascii() or not skip.isdigit() or len(skip) > 9:
            raise Invalid("skip must be a whole number.", field="skip", got=skip[:50])
        page = dataset_trash.trashed(
            self.actor, project=self.project, query=request.query_params.get("q", "")[:200], skip=int(skip), limit=limit
        )
        address = request.build_absolute_uri()
        onward = replace_query_param(address, "skip", page.after) if page.after is not None else None
        return Response({"count": page.count, "next": onward, "results": TrashedDatasetOut(page.rows, many=True).data})

    @extend_schema(operation_id="trash_datasets_restore", tags=["datasets"], request=RestoreIn, responses={204: None})
    def post(self, request: Request) -> Response:
        """Take a dataset or a version out of the trash."""
        asked = RestoreIn(data=request.data)
        asked.is_valid(raise_exception=True)
        dataset, version = self.trashed(asked.validated_data["kind"], asked.validated_data["id"])
        dataset_trash.restore(self.actor, dataset=dataset, version=version)
        return Response(status=204)


class TrashedDataset(_Trash):
    """One dataset in the trash."""

    permissions = {"DELETE": P.DATASET_DELETE}

    @extend_schema(operation_id="trash_datasets_remove", tags=["datasets"], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Remove it for good with all its versions; 409 names what needs it."""
        del request
        dataset_trash.remove(self.actor, dataset=self.trashed("dataset", pk)[0])
        return Response(status=204)


class TrashedVersion(_Trash):
    """One version in the trash."""

    reads = DatasetVersion
    permissions = {"DELETE": P.DATASET_DELETE}

    @extend_schema(operation_id="trash_dataset_versions_remove", tags=["datasets"], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Remove it for good; 409 names what needs it."""
        del request
        dataset, version = self.trashed("version", pk)
        dataset_trash.remove(self.actor, dataset=dataset, version=version)
        return Response(status=204)


class VersionLineage(InProject):
    """What came of a version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(operation_id="dataset_versions_lineage", tags=["datasets"], responses=LineageOut)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read its source, the runs, models and endpoints it led to, and the versions made from it."""
        del request
        graph = lineage.of_version(self.actor, version=self.version(name, number))
        nodes = [vars(node) for node in graph.nodes.values()]
        return Response({"nodes": nodes, "edges": [list(edge) for edge in graph.edges], "counts": graph.counts})
