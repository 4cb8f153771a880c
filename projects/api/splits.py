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
from projects.permissions import Permission, allowed
from projects.services import marks, split_carrying, split_preview, splits
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
    carried_from = serializers.IntegerField(
        source="carried_from.version.number", default=None, read_only=True, allow_null=True,
        help_text="Version whose recipe it is.",
    )  # fmt: skip
    report = serializers.SerializerMethodField()

    class Meta:
        model = SplitRecipe
        fields = (
            "id", "name", "dataset", "version", "kind", "params", "seed", "state", "progress", "phase", "failure",
            "report", "rows_sha256", "carried_from", "created_by", "created_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_report(self, split: SplitRecipe) -> dict[str, Any]:
        """Sizes, balance and leakage of the parts; values of marked columns only for who may see them."""
        return splits.shown_report(split, self.context["hidden"])


class CarrySplitsIn(serializers.Serializer[Any]):
    """Which splits to carry over."""

    names = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=50, allow_empty=False,
        help_text="All that the version has not, when left out.",
    )  # fmt: skip

    def get_fields(self) -> dict[str, Any]:
        """The field ``from`` is a word of Python."""
        version = serializers.IntegerField(
            required=False, min_value=1, help_text="Version to take them from; the ready one before, when left out."
        )
        return super().get_fields() | {"from": version}


class PreviewPartOut(serializers.Serializer[Any]):
    """One part as it would be."""

    name = serializers.CharField()
    rows = serializers.IntegerField()
    share = serializers.FloatField()
    groups = serializers.IntegerField(allow_null=True)


class PreviewClassOut(serializers.Serializer[Any]):
    """One value of the column that is shared out."""

    value = serializers.CharField()
    share = serializers.FloatField(help_text="Of all rows.")
    rows = serializers.ListField(child=serializers.IntegerField(), help_text="In each part, within one row.")


class PreviewOut(serializers.Serializer[Any]):
    """Sizes that a recipe would give."""

    sentence = serializers.CharField()
    exact = serializers.BooleanField(help_text="False by time and by group, where rows are estimates.")
    parts = PreviewPartOut(many=True)
    column = serializers.CharField(allow_blank=True)
    classes = PreviewClassOut(many=True)
    problems = serializers.ListField(child=serializers.CharField(), help_text="Why the cut would fail.")
    notes = serializers.ListField(child=serializers.CharField())


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
        rows = self.version(name, number).splits
        return self.find(
            rows.select_related("created_by", "version__dataset__project", "carried_from__version"),
            name_key=names.key(split),
        )

    def told(self, version: DatasetVersion, found: object, *, many: bool = False, status: int = 200) -> Response:
        """Splits of a version, as the reader may see them."""
        dataset = version.dataset
        # a token that may only write reads no value
        reader = allowed(self.actor, P.DATASET_VIEW, self.project)
        context = {"hidden": marks.hidden(self.actor, dataset=dataset) if reader else frozenset(dataset.marks)}
        return Response(SplitOut(found, many=many, context=context).data, status=status)


def _object(request: Request) -> dict[str, Any]:
    if not isinstance(request.data, dict):
        raise Invalid("The body must be an object with name and kind.", field="name")
    return dict(request.data)


class Splits(_OfVersion):
    """Splits of a version."""

    reads = SplitRecipe
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_CREATE}

    @extend_schema(operation_id="splits_list", tags=["datasets"], responses=SplitOut(many=True))
    def get(self, request: Request, name: str, number: int) -> Response:
        """List the splits of a version by name; there are at most 50."""
        del request
        version = self.version(name, number)
        return self.told(version, splits.of_version(self.actor, version=version), many=True)

    @extend_schema(operation_id="splits_save", tags=["datasets"], request=SplitIn, responses={201: SplitOut})
    def post(self, request: Request, name: str, number: int) -> Response:
        """Save a split; a worker cuts it. Read it to follow."""
        given = _object(request)
        named, version = given.pop("name", ""), self.version(name, number)
        made = splits.save(self.actor, version=version, name=named, recipe=given)
        return self.told(version, made, status=201)


class SplitPreview(_OfVersion):
    """Sizes before a split is saved."""

    reads = SplitRecipe
    permissions = {"POST": P.DATASET_CREATE}
    idempotent = False  # it only reads

    @extend_schema(operation_id="splits_preview", tags=["datasets"], request=SplitIn, responses=PreviewOut)
    def post(self, request: Request, name: str, number: int) -> Response:
        """Read what a recipe would give, from the stored profile; nothing is saved and no row is read."""
        given = _object(request)
        given.pop("name", None)
        found = split_preview.preview(self.actor, version=self.version(name, number), recipe=given)
        return Response(PreviewOut(found).data)


class SplitCarry(_OfVersion):
    """Splits of one version for another."""

    reads = SplitRecipe
    permissions = {"POST": P.DATASET_CREATE}

    @extend_schema(
        operation_id="splits_carry", tags=["datasets"], request=CarrySplitsIn, responses={201: SplitOut(many=True)}
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Carry recipes over from another version; one whose columns are gone is kept as failed, with the reason."""
        asked = CarrySplitsIn(data=request.data)
        asked.is_valid(raise_exception=True)
        version, given = self.version(name, number), asked.validated_data
        source = self.version(name, given["from"]) if "from" in given else None
        made = split_carrying.carry(self.actor, version=version, source=source, names=given.get("names"))
        return self.told(version, made, many=True, status=201)


class SplitDetail(_OfVersion):
    """One split."""

    reads = SplitRecipe
    permissions = {"GET": P.DATASET_VIEW, "DELETE": P.DATASET_CREATE}

    @extend_schema(operation_id="splits_read", tags=["datasets"], responses=SplitOut)
    def get(self, request: Request, name: str, number: int, split: str) -> Response:
        """Read a split: its state, and the sizes, balance and leakage of its parts."""
        del request
        found = self.split(name, number, split)
        return self.told(found.version, found)

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
