"""REST routes of the technical file."""

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.cards import TextsSerializer, whole
from deployments.api.models import PAGE, InProject, checked
from deployments.models import ModelVersion, TechnicalFile
from deployments.services import prints, technical_files, writings
from deployments.views.technical_files import zipped
from mlportal.lib.errors import Invalid
from projects.permissions import Permission

P = Permission
TAGS = ["technical files"]


class TechnicalFileSerializer(serializers.ModelSerializer[TechnicalFile]):
    """One issue, without its document."""

    version = serializers.IntegerField(source="version.number", read_only=True)
    issued_by = serializers.CharField(source="issued_by.username", read_only=True)
    issued_at = serializers.DateTimeField(source="ended_at", read_only=True)
    kept_until = serializers.DateTimeField(read_only=True)

    class Meta:
        model = TechnicalFile
        fields = (
            "id", "number", "version", "state", "progress", "phase", "failure", "sha256", "file_sha256",
            "size_bytes", "filled", "asked", "issued_by", "asked_at", "issued_at", "kept_until",
        )  # fmt: skip
        read_only_fields = fields


class _InVersion(InProject):
    """Finds issues by the number of the address."""

    abstract = True
    reads = TechnicalFile
    permissions = {"GET": P.MODEL_VIEW}

    def issue(self, name: str, number: int) -> TechnicalFile:
        """Return one issue of the model."""
        rows = TechnicalFile.objects.visible_to(self.actor).in_project(self.project)
        joined = rows.select_related("version__model__project", "issued_by")
        return self.find(joined, model__name=name, number=min(number, 2**31 - 1))


class VersionTechnicalFile(InProject):
    """The technical file of a version, as the records are now."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW, "PATCH": P.MODEL_REGISTER}

    @extend_schema(operation_id="technical_files_read", tags=TAGS, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read the nine sections of Annex IV: each field with source, age, and what is missing."""
        del request
        return Response(prints.readable(technical_files.read(self.actor, version=self.version(name, number))))

    @extend_schema(
        operation_id="technical_files_write", tags=TAGS, request=TextsSerializer, responses=OpenApiTypes.OBJECT
    )
    def patch(self, request: Request, name: str, number: int) -> Response:
        """Save texts that no record can tell."""
        version = self.version(name, number)
        technical_files.write(self.actor, version=version, **checked(TextsSerializer, request))
        return Response(prints.readable(technical_files.read(self.actor, version=version)))


class TechnicalFiles(InProject):
    """Issues of a model."""

    reads = TechnicalFile
    permissions = {"GET": P.MODEL_VIEW, "POST": P.FILE_ISSUE}

    @extend_schema(
        operation_id="technical_files_list",
        tags=TAGS,
        responses=TechnicalFileSerializer(many=True),
        parameters=PAGE,
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """List the issues of all versions of the model, newest first."""
        del request
        rows = technical_files.issues(self.actor, version=self.version(name, number)).order_by()
        return self.page(rows, TechnicalFileSerializer, ordering="-number")

    @extend_schema(
        operation_id="technical_files_issue", tags=TAGS, request=None, responses={202: TechnicalFileSerializer}
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Have the file issued; a worker packs it. While one is under way it is that one."""
        del request
        made = technical_files.issue(self.actor, version=self.version(name, number))
        return Response(TechnicalFileSerializer(made).data, status=202)


class TechnicalFileDetail(_InVersion):
    """One issue."""

    reads = TechnicalFile
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(operation_id="technical_files_issued", tags=TAGS, responses=TechnicalFileSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read one issue: its state, its hashes, how much is filled."""
        del request
        return Response(TechnicalFileSerializer(self.issue(name, number)).data)


class TechnicalFileDownload(_InVersion):
    """The files of one issue."""

    reads = TechnicalFile
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(
        operation_id="technical_files_download",
        tags=TAGS,
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, name: str, number: int) -> HttpResponseBase:
        """Download PDF, JSON, manifest of hashes and signature in one zip."""
        del request
        issued = self.issue(name, number)
        return zipped(issued, technical_files.content(self.actor, issued=issued))


class TechnicalFileDifference(_InVersion):
    """Two issues of a model."""

    reads = TechnicalFile
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(
        operation_id="technical_files_difference",
        tags=TAGS,
        parameters=[OpenApiParameter("since", int, required=True, description="The earlier issue.")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """Say which fields differ, and why that may be a substantial modification."""
        since = whole(request, "since")
        if since is None:
            raise Invalid("since is needed: the number of the earlier issue.", field="since")
        old, new = self.issue(name, since), self.issue(name, number)
        return Response(writings.named(technical_files.difference(self.actor, old=old, new=new)))
