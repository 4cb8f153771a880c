"""REST routes of datasets: list, register from a sample, upload, versions, profile, rows, download."""

from typing import Any, ClassVar, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import blobs, names
from mlportal.lib.errors import Conflict, Invalid
from projects.access import ScopedAPIView
from projects.forms.uploads import StoredUpload, TableUploadHandler
from projects.models import Dataset, DatasetVersion
from projects.permissions import Permission
from projects.services import datasets
from projects.tabular import sniff
from projects.views.dataset_files import download

MAX_ROWS = 1_000
P = Permission


class VersionSerializer(serializers.ModelSerializer[DatasetVersion]):
    """A version without its profile."""

    dataset = serializers.CharField(source="dataset.name", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True)

    class Meta:
        model = DatasetVersion
        fields = (
            "dataset", "number", "state", "phase", "progress", "failure", "sample", "filename", "format", "size_bytes",
            "sha256", "parquet_sha256", "row_count", "column_count", "created_by", "created_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class ColumnSerializer(serializers.Serializer[dict[str, Any]]):
    """One column of a schema."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(
        choices=["numeric", "integer", "boolean", "categorical", "text", "datetime", "id"], help_text="Role of values."
    )
    dtype = serializers.CharField(help_text="Type in the Parquet copy.")
    nullable = serializers.BooleanField()


class RemarkSerializer(serializers.Serializer[dict[str, Any]]):
    """Something worth knowing, in words."""

    code = serializers.CharField()
    message = serializers.CharField()
    column = serializers.CharField(allow_blank=True)
    level = serializers.ChoiceField(choices=["info", "warning"])


class ProfileSerializer(serializers.Serializer[dict[str, Any]]):
    """Schema, profile by column, remarks."""

    dataset = serializers.CharField()
    number = serializers.IntegerField()
    row_count = serializers.IntegerField()
    column_count = serializers.IntegerField()
    schema = ColumnSerializer(many=True)
    columns = serializers.DictField(
        child=serializers.DictField(),
        help_text="By name: nulls, distinct, min, max, mean, std, quantiles, histogram {edges, counts}, top, warnings.",
    )
    warnings = RemarkSerializer(many=True)
    facts = serializers.DictField(help_text="How the file was read: encoding, delimiter, exact, duplicate_rows.")


class RowsSerializer(serializers.Serializer[dict[str, Any]]):
    """Some rows."""

    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.ListField())
    offset = serializers.IntegerField()
    total = serializers.IntegerField()


class DatasetListSerializer(serializers.ListSerializer[Any]):
    """Loads the newest versions of a page with one query."""

    def to_representation(self, data: Any) -> list[Any]:
        """Attach the newest versions, then represent each dataset."""
        found = list(data)
        versions = DatasetVersion.objects.light().select_related("created_by", "dataset")
        newest = versions.in_bulk([dataset.latest_id for dataset in found if dataset.latest_id])
        for dataset in found:
            dataset.newest = newest.get(dataset.latest_id)
        return super().to_representation(found)


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    """A dataset with its newest version. The rows come from ``with_latest``."""

    created_by = serializers.CharField(source="created_by.username", read_only=True)
    latest = VersionSerializer(source="newest", read_only=True, allow_null=True)
    version_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Dataset
        list_serializer_class = DatasetListSerializer
        fields = ("id", "name", "description", "created_by", "created_at", "version_count", "latest")
        read_only_fields = fields


class SampleSerializer(serializers.Serializer[dict[str, Any]]):
    """Which sample to register, and under which name."""

    sample = serializers.ChoiceField(choices=list(datasets.SAMPLES))
    name = serializers.CharField(required=False, max_length=100, help_text="The sample's own name by default.")


class UploadWordsSerializer(serializers.Serializer[dict[str, Any]]):
    """What the address of an upload says about the file."""

    filename = serializers.CharField(default="", allow_blank=True, max_length=255)
    description = serializers.CharField(default="", allow_blank=True, max_length=10_000)
    encoding = serializers.CharField(default="", allow_blank=True, max_length=20)
    delimiter = serializers.CharField(default="", allow_blank=True, max_length=10, trim_whitespace=False)


class RowsAskedSerializer(serializers.Serializer[dict[str, Any]]):
    """Which rows."""

    offset = serializers.IntegerField(default=0, min_value=0, max_value=10**12)
    limit = serializers.IntegerField(default=50, min_value=1, max_value=MAX_ROWS)


class UploadedSerializer(VersionSerializer):
    """The version that holds the uploaded bytes."""

    created = serializers.BooleanField(help_text="False when the dataset had these bytes already.")

    class Meta(VersionSerializer.Meta):
        fields = (*VersionSerializer.Meta.fields, "created")
        read_only_fields = fields


class RawParser(BaseParser):
    """Leaves the body where it is, so that the view streams it."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Nothing is read here."""
        return {}


class _InProject(ScopedAPIView):
    """Finds datasets and versions by the names in the address."""

    abstract = True
    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW}

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name."""
        rows = Dataset.objects.visible_to(self.actor).in_project(self.project).with_latest()
        return self.find(rows.select_related("created_by"), name_key=names.key(name))

    def version(self, name: str, number: int) -> DatasetVersion:
        """The numbered version of the dataset of that name."""
        rows = DatasetVersion.objects.visible_to(self.actor).in_project(self.project)
        rows = rows.select_related("dataset__project", "created_by")
        return self.find(rows, dataset__name_key=names.key(name), number=number)


class Datasets(ScopedAPIView):
    """Datasets of a project."""

    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_CREATE}

    @extend_schema(
        operation_id="datasets_list",
        tags=["datasets"],
        responses=DatasetSerializer(many=True),
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
    )
    def get(self, request: Request) -> Response:
        """List datasets, newest first."""
        del request
        rows = self.rows().in_project(self.project).with_latest().select_related("created_by")
        return self.page(rows, DatasetSerializer)

    @extend_schema(
        operation_id="datasets_register_sample",
        tags=["datasets"],
        request=SampleSerializer,
        responses={201: VersionSerializer},
    )
    def post(self, request: Request) -> Response:
        """Register a bundled sample as a dataset; a worker builds and profiles it."""
        asked = SampleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        version = datasets.register_sample(self.actor, project=self.project, **asked.validated_data)
        return Response(VersionSerializer(version).data, status=201)


class DatasetDetail(_InProject):
    """One dataset."""

    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(operation_id="datasets_read", tags=["datasets"], responses=DatasetSerializer)
    def get(self, request: Request, name: str) -> Response:
        """Read one dataset with its newest version."""
        del request
        dataset = self.dataset(name)
        versions = DatasetVersion.objects.light().select_related("created_by", "dataset")
        dataset.newest = versions.filter(pk=dataset.latest_id).first()
        return Response(DatasetSerializer(dataset).data)


_UPLOAD_WORDS = [
    OpenApiParameter("filename", str, description="Name of the file, shown on its page."),
    OpenApiParameter("description", str, description="What the dataset is; used when it is new."),
    OpenApiParameter("encoding", str, enum=["", *sniff.ENCODINGS], description="Empty: detect."),
    OpenApiParameter("delimiter", str, enum=["", *sniff.DELIMITERS], description="Empty: detect."),
]


class DatasetVersions(_InProject):
    """Versions of a dataset; uploading makes the dataset when it is new."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_CREATE}
    parser_classes: ClassVar = [RawParser]
    idempotent = False  # the content is the key: the same bytes give the same version

    @extend_schema(
        operation_id="dataset_versions_list",
        tags=["datasets"],
        responses=VersionSerializer(many=True),
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
    )
    def get(self, request: Request, name: str) -> Response:
        """List the versions of a dataset, newest first."""
        del request
        rows = self.dataset(name).versions.light().select_related("dataset", "created_by")
        return self.page(rows, VersionSerializer, ordering="-number")

    @extend_schema(
        operation_id="dataset_versions_upload",
        tags=["datasets"],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={201: UploadedSerializer, 200: UploadedSerializer},
        parameters=_UPLOAD_WORDS,
    )
    def post(self, request: Request, name: str) -> Response:
        """Upload a table as the next version: the file as the body (``curl --data-binary @table.csv``).

        A multipart form with the part ``file`` is taken too. Bytes that are a version already answer 200
        with that version.
        """
        words = UploadWordsSerializer(data=request.query_params)
        words.is_valid(raise_exception=True)
        try:
            version, status = self._register(request, name, words.validated_data), 201
        except datasets.SameContent as same:
            version, status = same.version, 200
        version.created = status == 201
        return Response(UploadedSerializer(version).data, status=status)

    def _register(self, request: Request, name: str, words: dict[str, str]) -> DatasetVersion:
        if request.content_type.startswith("multipart/"):
            return self._register_form(request._request, name, words)
        return datasets.register_upload(self.actor, project=self.project, name=name, stream=request._request, **words)

    def _register_form(self, request: HttpRequest, name: str, words: dict[str, str]) -> DatasetVersion:
        handler = TableUploadHandler(request)
        request.upload_handlers = [handler]
        try:
            upload = cast("StoredUpload | None", request.FILES.get("file"))
            if handler.problem is not None:
                raise handler.problem
        finally:
            handler.close()
        if upload is None:
            raise Invalid("The form has no part called file.", field="file")
        reading = datasets.Reading(words["filename"] or upload.name or "", words["encoding"], words["delimiter"])
        return datasets.register_blob(
            self.actor,
            project=self.project,
            name=name,
            blob=upload.blob,
            file_type=upload.file_type,
            reading=reading,
            description=words["description"],
        )


class DatasetVersionDetail(_InProject):
    """One version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(operation_id="dataset_versions_read", tags=["datasets"], responses=VersionSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read one version: its state, its size, and why it failed."""
        del request
        return Response(VersionSerializer(self.version(name, number)).data)


class DatasetVersionProfile(_InProject):
    """Profile of a version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(operation_id="dataset_versions_profile", tags=["datasets"], responses=ProfileSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read the schema, the profile of each column, and the remarks; 409 until profiling has succeeded."""
        del request
        version = _ready(self.version(name, number))
        return Response(
            {
                "dataset": version.dataset.name,
                "number": version.number,
                "row_count": version.row_count,
                "column_count": version.column_count,
                "schema": version.schema,
                "columns": version.profile,
                "warnings": version.warnings,
                "facts": version.facts,
            }
        )


class DatasetVersionRows(_InProject):
    """Rows of a version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(
        operation_id="dataset_versions_preview",
        tags=["datasets"],
        responses=RowsSerializer,
        parameters=[RowsAskedSerializer],
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read some rows; long text is cut."""
        from projects.tabular import preview  # pyarrow is loaded by those who look at rows only

        asked = RowsAskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        version = _ready(self.version(name, number))
        page = preview.page(blobs.local_path(version.parquet_sha256), **asked.validated_data)
        return Response({"columns": page.names, "rows": page.rows, "offset": page.offset, "total": page.total})


class DatasetVersionDownload(_InProject):
    """Content of a version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(
        operation_id="dataset_versions_download",
        tags=["datasets"],
        responses={200: OpenApiTypes.BINARY},
        parameters=[OpenApiParameter("format", str, enum=["original", "parquet", "csv"])],
    )
    def get(self, request: Request, name: str, number: int) -> HttpResponseBase:
        """Download the uploaded bytes, the typed Parquet copy, or a CSV that is safe in a spreadsheet."""
        return download(self.version(name, number), request.query_params.get("format", "original"))


def _ready(version: DatasetVersion) -> DatasetVersion:
    if not version.is_ready:
        raise Conflict(
            f"{version} is {version.get_state_display()}. {version.failure}".strip(), code="dataset_not_ready"
        )
    return version
