"""What a client asks before it logs: is somebody there, which protocol, which abilities."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from experiments.mlflow import wire
from mlportal.lib.public import public

# The level of the protocol spoken here, not our own version: below 3.4 a client sends no OTLP spans.
PROTOCOL_VERSION = "3.3.2"


@public
def health(request: HttpRequest, project: str = "") -> HttpResponse:
    """Say that the door is open; deeper checks are at ``/readyz``."""
    return HttpResponse("OK", content_type="text/plain")


@public
def version(request: HttpRequest, project: str = "") -> HttpResponse:
    """Say which MLflow protocol is spoken."""
    return HttpResponse(PROTOCOL_VERSION, content_type="text/plain")


@public
def info(request: HttpRequest, project: str = "") -> HttpResponse:
    """Say what the door can do: workspaces are projects, files are sent in one piece."""
    return wire.answer(
        {
            "store_type": "SqlStore",
            "workspaces_enabled": True,
            "trace_archival_enabled": False,
            "multipart_uploads_enabled": False,
            "multipart_downloads_enabled": False,
            "presigned_upload_run_id_supported": False,
            "presigned_upload_model_id_supported": False,
            "features_enabled": {},
        }
    )
