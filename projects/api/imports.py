"""REST routes of imports and of the stored connections they use."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import names
from projects.access import ScopedAPIView
from projects.models import Connection, DatasetImport, DatasetVersion
from projects.permissions import Permission
from projects.services import connections, imports

P = Permission


class ImportOut(serializers.ModelSerializer[DatasetImport]):
    """An import: where it stands, and what it made."""

    dataset = serializers.CharField(source="name", read_only=True)
    connection = serializers.CharField(source="connection.name", default="", read_only=True)
    version = serializers.IntegerField(source="version.number", default=None, read_only=True, allow_null=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True)

    class Meta:
        model = DatasetImport
        fields = (
            "id", "dataset", "kind", "spec", "connection", "state", "phase", "progress", "fetched_bytes",
            "fetched_rows", "total_bytes", "failure", "outcome", "version", "created_by", "created_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class ImportIn(serializers.Serializer[dict[str, Any]]):
    """What to fetch."""

    dataset = serializers.CharField(max_length=100, help_text="Dataset that gets the version; made when it is new.")
    kind = serializers.ChoiceField([kind.value for kind in imports.KINDS])
    spec = serializers.DictField(
        child=serializers.CharField(max_length=20_000, allow_blank=True, trim_whitespace=False),
        help_text="url: url. s3: bucket, key. postgres: query. folder: root, folder. Text also encoding, delimiter.",
    )
    connection = serializers.CharField(default="", allow_blank=True, max_length=100)
    description = serializers.CharField(default="", allow_blank=True, max_length=10_000)


class ConnectionOut(serializers.ModelSerializer[Connection]):
    """A connection; its secret is never shown."""

    created_by = serializers.CharField(source="created_by.username", read_only=True)

    class Meta:
        model = Connection
        fields = ("id", "name", "kind", "facts", "created_by", "created_at", "updated_at")
        read_only_fields = fields


class ConnectionChange(serializers.Serializer[dict[str, Any]]):
    """Another place, another secret, or both."""

    facts = serializers.DictField(
        required=False, help_text="host, port, database, user, sslmode; or endpoint, region, access_key."
    )
    secret = serializers.CharField(required=False, max_length=1_000, trim_whitespace=False, write_only=True)


class ConnectionIn(ConnectionChange):
    """A new connection."""

    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(Connection.Kind.values)
    facts = serializers.DictField()
    secret = serializers.CharField(default="", allow_blank=True, max_length=1_000, trim_whitespace=False)


class Imports(ScopedAPIView):
    """Imports of a project."""

    reads = DatasetImport
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_CREATE}

    @extend_schema(
        operation_id="dataset_imports_list", tags=["datasets"], responses=ImportOut(many=True),
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List imports, newest first."""
        del request
        rows = self.rows().in_project(self.project).select_related("connection", "version", "created_by")
        return self.page(rows, ImportOut)

    @extend_schema(
        operation_id="dataset_imports_start", tags=["datasets"], request=ImportIn, responses={201: ImportOut}
    )
    def post(self, request: Request) -> Response:
        """Have a dataset fetched by a worker."""
        asked = ImportIn(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        found = imports.start(self.actor, project=self.project, name=given.pop("dataset"), **given)
        return Response(ImportOut(found).data, status=201)


class _OneImport(ScopedAPIView):
    abstract = True
    reads = DatasetImport
    permissions = {"GET": P.DATASET_VIEW}

    def found(self, number: int) -> DatasetImport:
        """The import of the address."""
        rows = self.rows().in_project(self.project)
        found: DatasetImport = self.find(
            rows.select_related("project", "connection", "version", "created_by"), pk=number
        )
        return found


class ImportDetail(_OneImport):
    """One import."""

    reads = DatasetImport
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(operation_id="dataset_imports_read", tags=["datasets"], responses=ImportOut)
    def get(self, request: Request, number: int) -> Response:
        """Read how far it is, or how it ended."""
        del request
        return Response(ImportOut(self.found(number)).data)


class ImportCancel(_OneImport):
    """Stop an import."""

    reads = DatasetImport
    permissions = {"POST": P.DATASET_CREATE}

    @extend_schema(operation_id="dataset_imports_cancel", tags=["datasets"], request=None, responses=ImportOut)
    def post(self, request: Request, number: int) -> Response:
        """Stop it; nothing of it is kept."""
        del request
        return Response(ImportOut(imports.cancel(self.actor, found=self.found(number))).data)


class VersionRefresh(ScopedAPIView):
    """Ask the source of a version again."""

    reads = DatasetVersion
    permissions = {"POST": P.DATASET_CREATE}

    @extend_schema(operation_id="dataset_versions_refresh", tags=["datasets"], request=None, responses={201: ImportOut})
    def post(self, request: Request, name: str, number: int) -> Response:
        """Fetch again; the next version is made only when the source has changed."""
        del request
        rows = self.rows().in_project(self.project).select_related("dataset__project")
        version = self.find(rows, dataset__name_key=names.key(name), number=number)
        return Response(ImportOut(imports.refresh(self.actor, version=version)).data, status=201)


class Connections(ScopedAPIView):
    """Stored connections of a project."""

    reads = Connection
    permissions = {"GET": P.CONNECTION_EDIT, "POST": P.CONNECTION_EDIT}
    idempotent = False  # a body with a secret is not kept; the unique name makes a repeated call a conflict

    @extend_schema(operation_id="connections_list", tags=["datasets"], responses=ConnectionOut(many=True))
    def get(self, request: Request) -> Response:
        """List connections, newest first."""
        del request
        return self.page(self.rows().in_project(self.project).select_related("created_by"), ConnectionOut)

    @extend_schema(
        operation_id="connections_create", tags=["datasets"], request=ConnectionIn, responses={201: ConnectionOut}
    )
    def post(self, request: Request) -> Response:
        """Keep a connection; its secret is sealed and never shown again."""
        asked = ConnectionIn(data=request.data)
        asked.is_valid(raise_exception=True)
        made = connections.create(self.actor, project=self.project, **asked.validated_data)
        return Response(ConnectionOut(made).data, status=201)


class ConnectionDetail(ScopedAPIView):
    """One connection."""

    reads = Connection
    permissions = {"GET": P.CONNECTION_EDIT, "PATCH": P.CONNECTION_EDIT, "DELETE": P.CONNECTION_EDIT}

    def connection(self, number: int) -> Connection:
        """The connection of the address."""
        rows = self.rows().in_project(self.project).select_related("project", "created_by")
        found: Connection = self.find(rows, pk=number)
        return found

    @extend_schema(operation_id="connections_read", tags=["datasets"], responses=ConnectionOut)
    def get(self, request: Request, number: int) -> Response:
        """Read where it leads; never its secret."""
        del request
        return Response(ConnectionOut(self.connection(number)).data)

    @extend_schema(
        operation_id="connections_update", tags=["datasets"], request=ConnectionChange, responses=ConnectionOut
    )
    def patch(self, request: Request, number: int) -> Response:
        """Change where it leads, its secret, or both; another host needs its secret with it."""
        asked = ConnectionChange(data=request.data)
        asked.is_valid(raise_exception=True)
        changed = connections.update(self.actor, connection=self.connection(number), **asked.validated_data)
        return Response(ConnectionOut(changed).data)

    @extend_schema(operation_id="connections_remove", tags=["datasets"], responses={204: None})
    def delete(self, request: Request, number: int) -> Response:
        """Take it away and forget its secret."""
        del request
        connections.remove(self.actor, connection=self.connection(number))
        return Response(status=204)
