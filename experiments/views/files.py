"""Pages of a run's artifacts: browse, look, download."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from experiments.models import Artifact, Run
from experiments.services import artifacts, delivery
from experiments.views.runs import RunPage
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError, Missing

LOOK_BYTES = 2**20
TABLE_ROWS = 200
TABLE_COLUMNS = 50
TABLES = {"text/csv": ",", "text/tab-separated-values": "\t"}
TEXTS = frozenset({"text/plain", "text/markdown", "application/yaml", "application/json"})
FRAMED = frozenset({"text/html", "image/svg+xml"})


class FileList(RunPage):
    """Files of a run."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """List them by folder."""
        found = self.load(run)
        return render(request, "experiments/artifact_show.html", _context(found))


class FileShow(RunPage):
    """One file, shown as its kind allows."""

    def get(self, request: HttpRequest, run: int, path: str) -> HttpResponse:
        """Show it beside the list of files."""
        found = self.load(run)
        artifact = artifacts.find(found, path)
        return render(
            request, "experiments/artifact_show.html", {**_context(found), "artifact": artifact, **_look(artifact)}
        )


class FileRaw(RunPage):
    """The bytes of a file: to save, as an image of a page, or inside a sandboxed frame."""

    def get(self, request: HttpRequest, run: int, path: str) -> HttpResponseBase:
        """Send them."""
        artifact = artifacts.find(self.load(run), path)
        if request.GET.get("as") == "image":
            return delivery.image(artifact)
        if request.GET.get("as") == "frame" and artifact.media_type in FRAMED:
            return delivery.sandboxed(artifact)
        return delivery.download(artifact, request.headers.get("Range", ""))


def _context(run: Run) -> dict[str, Any]:
    folders: dict[str, list[Artifact]] = {}
    for artifact in Artifact.objects.filter(run=run).order_by("path"):
        folders.setdefault(artifact.path.rpartition("/")[0], []).append(artifact)
    return {"run": run, "experiment": run.experiment, "folders": sorted(folders.items())}


def _look(artifact: Artifact) -> dict[str, Any]:
    """Choose the viewer and fill it; what is too large or unreadable is offered for download."""
    if artifact.media_type in artifacts.INLINE_IMAGES:
        return {"viewer": "image"}
    if artifact.media_type in FRAMED:
        return {"viewer": "frame"}
    if artifact.media_type not in TEXTS and artifact.media_type not in TABLES:
        return {"viewer": "none"}
    try:
        text, is_cut = _text(artifact)
    except Missing as error:
        return {"viewer": "none", "trouble": error.message}
    except (DomainError, UnicodeDecodeError):
        return {"viewer": "none", "trouble": "The file is not UTF-8 text."}
    if artifact.media_type in TABLES:
        return {"viewer": "table", "is_cut": is_cut, **_table(text, TABLES[artifact.media_type])}
    return {"viewer": "text", "is_cut": is_cut, "text": _pretty(text) if artifact.media_type.endswith("json") else text}


def _text(artifact: Artifact) -> tuple[str, bool]:
    with blobs.open_blob(artifact.sha256) as stream:
        head = stream.read(LOOK_BYTES)
    is_cut = artifact.size_bytes > LOOK_BYTES
    # A cut may fall inside a character.
    return head.decode("utf-8", "ignore" if is_cut else "strict"), is_cut


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _table(text: str, delimiter: str) -> dict[str, Any]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter):
            rows.append(row[:TABLE_COLUMNS])
            if len(rows) > TABLE_ROWS:
                break
    except csv.Error:
        return {"head": [], "rows": [], "trouble": "The table cannot be read."}
    return {"head": rows[0] if rows else [], "rows": rows[1:], "rows_cut": len(rows) > TABLE_ROWS}
