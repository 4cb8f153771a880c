"""REST route of what changed between two versions of a dataset."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import names
from projects.access import ScopedAPIView
from projects.models import Dataset
from projects.permissions import Permission
from projects.services import dataset_diff
from projects.tabular.diff import ColumnChange
from projects.views.dataset_diff import number_of


class DatasetChangeSerializer(serializers.Serializer[Any]):
    """One change in words."""

    kind = serializers.ChoiceField(choices=["bad", "warn", "info", "ok"])
    what = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)


class BinSerializer(serializers.Serializer[Any]):
    """Share of the values in one bin, in both versions."""

    label = serializers.CharField()
    before = serializers.FloatField()
    after = serializers.FloatField()


class ColumnChangeSerializer(serializers.Serializer[Any]):
    """One column in both versions."""

    name = serializers.CharField()
    status = serializers.ChoiceField(choices=["same", "changed", "added", "removed", "retyped", "renamed"])
    renamed_from = serializers.CharField(allow_blank=True)
    kind_before = serializers.CharField(allow_blank=True)
    kind_after = serializers.CharField(allow_blank=True)
    missing_before = serializers.FloatField(allow_null=True)
    missing_after = serializers.FloatField(allow_null=True)
    psi = serializers.FloatField(allow_null=True)
    js = serializers.FloatField(allow_null=True)
    bins = BinSerializer(many=True)
    new_values = serializers.ListField(child=serializers.CharField())
    gone_values = serializers.ListField(child=serializers.CharField())


class DifferenceSerializer(serializers.Serializer[Any]):
    """Everything that differs, columns by size of change."""

    dataset = serializers.CharField()
    a = serializers.IntegerField()
    b = serializers.IntegerField()
    headline = serializers.CharField()
    rows_before = serializers.IntegerField()
    rows_after = serializers.IntegerField()
    changes = DatasetChangeSerializer(many=True)
    columns = ColumnChangeSerializer(many=True)


class DatasetDifference(ScopedAPIView):
    """Two versions of a dataset."""

    reads = Dataset
    permissions = {"GET": Permission.DATASET_VIEW}

    @extend_schema(
        operation_id="datasets_diff",
        tags=["datasets"],
        parameters=[
            OpenApiParameter("a", int, description="Earlier version; the one before b by default."),
            OpenApiParameter("b", int, description="Later version; the newest ready one by default."),
        ],
        responses=DifferenceSerializer,
    )
    def get(self, request: Request, name: str) -> Response:
        """Compare two versions by their stored profiles: schema, rows, distributions."""
        rows = Dataset.objects.visible_to(self.actor).in_project(self.project).select_related("project")
        dataset = self.find(rows, name_key=names.key(name))
        a, b = (number_of(request.query_params.get(field, ""), field) for field in ("a", "b"))
        found = dataset_diff.compare(self.actor, dataset=dataset, a=a, b=b)
        difference = found.difference
        return Response(
            {
                "dataset": dataset.name,
                "a": found.before.number,
                "b": found.after.number,
                "headline": difference.headline,
                "rows_before": difference.rows[0],
                "rows_after": difference.rows[1],
                "changes": DatasetChangeSerializer(difference.changes, many=True).data,
                "columns": [_column(change) for change in difference.columns],
            }
        )


def _column(change: ColumnChange) -> dict[str, Any]:
    apart = change.distance
    bins = zip(apart.labels, apart.before, apart.after, strict=True) if apart else ()
    return {
        "name": change.name,
        "status": change.status,
        "renamed_from": change.renamed_from,
        "kind_before": change.kinds[0],
        "kind_after": change.kinds[1],
        "missing_before": change.nulls[0],
        "missing_after": change.nulls[1],
        "psi": apart.psi if apart else None,
        "js": apart.js if apart else None,
        "bins": [{"label": label, "before": old, "after": new} for label, old, new in bins],
        "new_values": list(change.new),
        "gone_values": list(change.gone),
    }
