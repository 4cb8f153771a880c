"""REST routes of the trash of datasets, and of what came of a version."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import ScopedAPIView
from projects.api.datasets import InProject, P
from projects.models import Dataset, DatasetVersion
from projects.services import dataset_removal, lineage


class TrashedOut(serializers.Serializer[dict[str, Any]]):
    """A dataset, or one version of it, in the trash."""

    kind = serializers.ChoiceField(["dataset", "version"])
    id = serializers.IntegerField()
    name = serializers.CharField()
    number = serializers.IntegerField(allow_null=True)
    deleted_by = serializers.CharField(allow_null=True)
    deleted_at = serializers.DateTimeField()


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


class Trash(ScopedAPIView):
    """Deleted datasets and versions of a project."""

    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_DELETE}

    @extend_schema(operation_id="dataset_trash_list", tags=["datasets"], responses=TrashedOut(many=True))
    def get(self, request: Request) -> Response:
        """List what waits in the trash, newest first."""
        del request
        found = dataset_removal.trashed(self.actor, project=self.project)
        rows = [(dataset, version, version or dataset) for dataset, version in found]
        return Response(
            [
                {
                    "kind": "version" if version else "dataset", "id": row.pk, "name": dataset.name,
                    "number": version.number if version else None, "deleted_at": row.deleted_at,
                    "deleted_by": row.deleted_by.username if row.deleted_by else None,
                }
                for dataset, version, row in rows
            ]
        )  # fmt: skip

    @extend_schema(operation_id="dataset_trash_restore", tags=["datasets"], request=RestoreIn, responses={204: None})
    def post(self, request: Request) -> Response:
        """Take a dataset or a version out of the trash."""
        asked = RestoreIn(data=request.data)
        asked.is_valid(raise_exception=True)
        pk, version = asked.validated_data["id"], None
        if asked.validated_data["kind"] == "dataset":
            dataset = self.find(Dataset.objects.trashed(self.project).select_related("project"), pk=pk)
        else:
            rows = DatasetVersion.objects.light().filter(dataset__project=self.project, deleted_at__isnull=False)
            version = self.find(rows.select_related("dataset__project"), pk=pk)
            dataset = version.dataset
        dataset_removal.restore(self.actor, dataset=dataset, version=version)
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
