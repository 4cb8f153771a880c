"""REST routes of saved splits: list, save, read, remove, and the row numbers as a file."""

from typing import Any

from django.http.response import FileResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import blobs, names
from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.models import DatasetVersion, SplitRecipe
from projects.permissions import Permission
from projects.services import splits
from projects.tabular.split.recipe import KINDS

P = Permission


class SplitIn(serializers.Serializer[Any]):
    """A split to save. The service judges the values and names each fault."""

    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(choices=list(KINDS))
    test_share = serializers.FloatField(required=False, help_text="0.01 to 0.9 of the rows, of the groups for group.")
    validation_share = serializers.FloatField(required=False, help_text="0 for no validation part.")
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**32 - 1)
    column = serializers.CharField(required=False, help_text="Labels, dates or groups.")
    balance = serializers.CharField(required=False, help_text="Column whose shares are reported for each part.")


class SplitOut(serializers.ModelSerializer[SplitRecipe]):
    """A saved split."""

    dataset = serializers.CharField(source="version.dataset.name", read_only=True)
    version = serializers.IntegerField(source="version.number", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True)

    class Meta:
        model = SplitRecipe
        fields = (
            "name", "dataset", "version", "kind", "params", "seed", "state", "progress", "phase", "failure", "report",
            "rows_sha256", "created_by", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class _OfVersion(ScopedAPIView):
    abstract = True
    reads = SplitRecipe
    permissions = {"GET": P.DATASET_VIEW}

    def version(self, name: str, number: int) -> DatasetVersion:
        """The version that the address names."""
        rows = DatasetVersion.objects.visible_to(self.actor).in_project(self.project)
        rows = rows.select_related("dataset__project", "created_by")
        return self.find(rows, dataset__name_key=names.key(name), number=number)

    def split(self, name: str, number: int, split: str) -> SplitRecipe:
        """The split that the address names."""
        rows = self.version(name, number).splits.select_related("created_by", "version__dataset__project")
        return self.find(rows, name_key=names.key(split))


class Splits(_OfVersion):
    """Splits of a version."""

    reads = SplitRecipe
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_CREATE}

    @extend_schema(operation_id="splits_list", tags=["datasets"], responses=SplitOut(many=True))
    def get(self, request: Request, name: str, number: int) -> Response:
        """List the splits of a version by name; there are at most 50."""
        del request
        rows = splits.of_version(self.actor, version=self.version(name, number))
        return Response(SplitOut(rows, many=True).data)

    @extend_schema(operation_id="splits_save", tags=["datasets"], request=SplitIn, responses={201: SplitOut})
    def post(self, request: Request, name: str, number: int) -> Response:
        """Save a split; a worker cuts it. Read it to follow."""
        if not isinstance(request.data, dict):
            raise Invalid("The body must be an object with name and kind.", field="name")
        given = dict(request.data)
        named = given.pop("name", "")
        made = splits.save(self.actor, version=self.version(name, number), name=named, recipe=given)
        return Response(SplitOut(made).data, status=201)


class SplitDetail(_OfVersion):
    """One split."""

    reads = SplitRecipe
    permissions = {"GET": P.DATASET_VIEW, "DELETE": P.DATASET_CREATE}

    @extend_schema(operation_id="splits_read", tags=["datasets"], responses=SplitOut)
    def get(self, request: Request, name: str, number: int, split: str) -> Response:
        """Read a split: its state, and the sizes, balance and leakage of its parts."""
        del request
        return Response(SplitOut(self.split(name, number, split)).data)

    @extend_schema(operation_id="splits_remove", tags=["datasets"], responses={204: None})
    def delete(self, request: Request, name: str, number: int, split: str) -> Response:
        """Remove a split that no training has used."""
        del request
        splits.remove(self.actor, split=self.split(name, number, split))
        return Response(status=204)


class SplitRows(_OfVersion):
    """Row numbers of a split."""

    reads = SplitRecipe
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(operation_id="splits_rows", tags=["datasets"], responses={200: OpenApiTypes.BINARY})
    def get(self, request: Request, name: str, number: int, split: str) -> HttpResponseBase:
        """Download Parquet with the columns row (from 0, as in the typed copy) and part."""
        del request
        found = splits.ready(self.actor, version=self.version(name, number), name=split)
        return FileResponse(
            blobs.open_blob(found.rows_sha256),
            as_attachment=True,
            filename=f"{found.version.dataset.name}-v{number}-{found.name}.parquet",
            content_type="application/vnd.apache.parquet",
        )
