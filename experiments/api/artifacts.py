"""REST routes of artifacts: streamed up, and down by ranges."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import shapes
from experiments.models import Artifact, Run
from experiments.services import artifacts, delivery
from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.permissions import Permission

PATH = OpenApiParameter("path", str, required=True, description="Path of the file inside the run.")


class Raw(BaseParser):
    """Leaves a body of any type on the wire, to be streamed."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the stream itself."""
        return stream


class Artifacts(ScopedAPIView):
    """Files of a run."""

    reads = Artifact
    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(operation_id="artifacts_list", responses=shapes.ArtifactOut(many=True))
    def get(self, request: Request, run: int) -> Response:
        """List a run's files by path."""
        self.find(Run.objects.visible_to(self.actor).in_project(self.project), pk=run)
        rows = self.rows().in_project(self.project).filter(run_id=run)
        return self.page(rows, shapes.ArtifactOut, ordering="path")


class ArtifactContent(ScopedAPIView):
    """The bytes of one file."""

    reads = Run
    permissions = {"GET": Permission.RUN_VIEW, "PUT": Permission.RUN_LOG, "DELETE": Permission.RUN_EDIT}
    parser_classes = [Raw]

    @extend_schema(
        operation_id="artifacts_download",
        parameters=[PATH],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, run: int) -> HttpResponseBase:
        """Download a file, whole or a range of it."""
        artifact = artifacts.find(self._run(run), _path(request))
        return delivery.download(artifact, request.headers.get("Range", ""))

    @extend_schema(
        operation_id="artifacts_upload", parameters=[PATH, OpenApiParameter("kind", str)],
        request={"application/octet-stream": OpenApiTypes.BINARY}, responses={201: shapes.ArtifactOut},
    )  # fmt: skip
    def put(self, request: Request, run: int) -> Response:
        """Store a file; the body is streamed, the same path again replaces it."""
        stored = artifacts.store(
            self.actor, owner=self._run(run), path=_path(request), stream=delivery.body(request._request),
            expected_bytes=delivery.announced(request._request), media_type=request.content_type or "",
            kind=request.query_params.get("kind", "file"),
        )  # fmt: skip
        return Response(shapes.ArtifactOut(stored).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="artifacts_delete", parameters=[PATH], responses={204: None})
    def delete(self, request: Request, run: int) -> Response:
        """Take a file off a run."""
        found, path = self._run(run), _path(request)
        artifacts.find(found, path)
        artifacts.remove(self.actor, owner=found, path=path)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _run(self, number: int) -> Run:
        return self.find(self.rows().in_project(self.project).select_related("project"), pk=number)


def _path(request: Request) -> str:
    path = request.query_params.get("path", "")
    if not path:
        raise Invalid("path is required.", field="path")
    return path
