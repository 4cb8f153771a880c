"""REST routes of datasets: list, register from a sample, upload, versions, profile, rows, download."""

from typing import Any, ClassVar, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from mlportal.lib import names
from mlportal.lib.api import CursorPages
from mlportal.lib.errors import Conflict, Invalid
from projects.access import ScopedAPIView
from projects.api.dataset_shapes import (
    DatasetSerializer,
    FactsSerializer,
    ProfileSerializer,
    SampleSerializer,
    UploadedSerializer,
    UploadWordsSerializer,
    VersionSerializer,
)
from projects.forms.uploads import StoredUpload, TableUploadHandler
from projects.models import Dataset, DatasetVersion
from projects.permissions import Permission
from projects.services import dataset_facts, dataset_listing, dataset_removal, datasets, marks
from projects.tabular import sniff
from projects.views.dataset_files import download

P = Permission


class RawParser(BaseParser):
    """Leaves the body where it is, so that the view streams it."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Nothing is read here."""
        return {}


class InProject(ScopedAPIView):
    """Finds datasets and versions by the names in the address."""

    abstract = True
    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW}

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name."""
        rows = Dataset.objects.visible_to(self.actor).in_project(self.project).with_latest()
        return self.find(rows.select_related("created_by", "owner", "project"), name_key=names.key(name))

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
        parameters=[
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
            OpenApiParameter("q", str, description="Words, tag:eu owner:ana column:age source:url checks:failed."),
            OpenApiParameter(
                "sort", str, description=f"As on the page, starred first: {', '.join(dataset_listing.SORTS)}; or -name."
            ),
            OpenApiParameter("after", int, description="Next page of a sorted list; stands in next."),
        ],
    )
    def get(self, request: Request) -> Response:
        """List datasets, newest first; with sort in the order of the page."""
        query, me = request.query_params.get("q", "").strip()[:200], self.actor.user
        if sort := request.query_params.get("sort"):
            return self._sorted(request, query, sort)
        rows = self.rows().in_project(self.project).with_latest().select_related("created_by", "owner")
        return self.page(rows.matching(query, me=me.username if me else "") if query else rows, DatasetSerializer)

    def _sorted(self, request: Request, query: str, sort: str) -> Response:
        page = dataset_listing.listed(
            self.actor, project=self.project, query=query, sort=sort, after=request.query_params.get("after", ""),
            limit=CursorPages().get_page_size(request),
        )  # fmt: skip
        onward = replace_query_param(request.build_absolute_uri(), "after", page.after) if page.after else None
        rows = DatasetSerializer(page.rows, many=True).data
        return Response({"next": onward, "previous": None, "results": rows})

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


class DatasetDetail(InProject):
    """One dataset."""

    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW, "PATCH": P.DATASET_EDIT, "DELETE": P.DATASET_DELETE}

    @extend_schema(operation_id="datasets_read", tags=["datasets"], responses=DatasetSerializer)
    def get(self, request: Request, name: str) -> Response:
        """Read one dataset with its newest version."""
        del request
        return self._shown(name)

    @extend_schema(
        operation_id="datasets_edit", tags=["datasets"], request=FactsSerializer, responses=DatasetSerializer
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change the owner, licence, description, tags or sensitivity marks of a dataset."""
        asked = FactsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        marked = given.pop("marks", None)
        dataset_facts.edit(self.actor, dataset=self.dataset(name), marked=marked, **given)
        return self._shown(name)

    @extend_schema(operation_id="datasets_delete", tags=["datasets"], responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Put a dataset into the trash; 409 names what uses it."""
        del request
        dataset_removal.delete_dataset(self.actor, dataset=self.dataset(name))
        return Response(status=204)

    def _shown(self, name: str) -> Response:
        dataset = self.dataset(name)
        versions = DatasetVersion.objects.light().select_related("created_by", "dataset")
        dataset.newest = versions.filter(pk=dataset.latest_id).first()
        return Response(DatasetSerializer(dataset).data)


_UPLOAD_WORDS = [
    OpenApiParameter("filename", str, description="Name of the file, shown on its page."),
    OpenApiParameter("description", str, description="What the dataset is; used when it is new."),
    OpenApiParameter("encoding", str, enum=["", *sniff.ENCODINGS], description="Empty: detect."),
    OpenApiParameter("derived_from", str, description="Version it was made from, as name@3; shown in the lineage."),
    OpenApiParameter("delimiter", str, enum=["", *sniff.DELIMITERS], description="Empty: detect."),
]


class DatasetVersions(InProject):
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
        rows = self.dataset(name).versions.kept().light().select_related("dataset", "created_by")
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
        stream, given = request._request, {**words, "derived_from": self._parent(words)}
        return datasets.register_upload(self.actor, project=self.project, name=name, stream=stream, **given)

    def _parent(self, words: dict[str, str]) -> DatasetVersion | None:
        name, _at, number = words["derived_from"].partition("@")
        if not name:
            return None
        if not number.removeprefix("v").isdigit():
            raise Invalid(
                "derived_from is a version, such as churn@3.", field="derived_from", got=words["derived_from"]
            )
        rows = DatasetVersion.objects.visible_to(self.actor).in_project(self.project)
        return self.find(rows, dataset__name_key=names.key(name), number=int(number.removeprefix("v")[:9]))

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
            origin=datasets.Origin(derived_from=self._parent(words)),
        )


class DatasetVersionDetail(InProject):
    """One version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW, "DELETE": P.DATASET_DELETE}

    @extend_schema(operation_id="dataset_versions_read", tags=["datasets"], responses=VersionSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read one version: its state, its size, and why it failed."""
        del request
        return Response(VersionSerializer(self.version(name, number)).data)

    @extend_schema(operation_id="dataset_versions_delete", tags=["datasets"], responses={204: None})
    def delete(self, request: Request, name: str, number: int) -> Response:
        """Put a version into the trash; 409 names what uses it."""
        del request
        dataset_removal.delete_version(self.actor, version=self.version(name, number))
        return Response(status=204)


class DatasetVersionProfile(InProject):
    """Profile of a version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(operation_id="dataset_versions_profile", tags=["datasets"], responses=ProfileSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read the schema, the profile of each column, and the remarks; 409 until profiling has succeeded."""
        del request
        version = ready(self.version(name, number))
        hidden = marks.hidden(self.actor, dataset=version.dataset)
        return Response(
            {
                "dataset": version.dataset.name,
                "number": version.number,
                "row_count": version.row_count,
                "column_count": version.column_count,
                "schema": version.schema,
                "columns": marks.profile(version, hidden),
                "warnings": marks.remarks(version, hidden),
                "facts": version.facts,
            }
        )


class DatasetVersionDownload(InProject):
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
        return download(self.actor, self.version(name, number), request.query_params.get("format", "original"))


def ready(version: DatasetVersion) -> DatasetVersion:
    """The version, when its rows can be read; else a conflict."""
    if not version.is_ready:
        raise Conflict(
            f"{version} is {version.get_state_display()}. {version.failure}".strip(), code="dataset_not_ready"
        )
    return version
