"""Pages of the files of runs and logged models: browse, look, download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from experiments.models import Artifact, LoggedModel, Run
from experiments.queries import files
from experiments.services import artifacts, delivery, folder_zip
from experiments.views import viewers
from experiments.views.places import Place
from experiments.views.runs import RunPage
from mlportal.lib.errors import Missing
from projects.access import ProjectView
from projects.permissions import Permission

THUMBNAILS = 24


class FileList(RunPage):
    """Files of a run."""

    def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Show what lies at the top."""
        return browse(request, self.load(run), self.project.slug, "")


class FileShow(RunPage):
    """One folder, or one file shown as its kind allows."""

    def get(self, request: HttpRequest, run: int, path: str) -> HttpResponse:
        """Show it beside the folder it lies in."""
        return browse(request, self.load(run), self.project.slug, path)


class FileRaw(RunPage):
    """The bytes of a file: to save, as an image of a page, or inside a sandboxed frame."""

    def get(self, request: HttpRequest, run: int, path: str) -> HttpResponseBase:
        """Send them."""
        return send(request, artifacts.find(self.load(run), path))


class FileZip(RunPage):
    """A folder of a run's files, or all of them, as one zip."""

    def get(self, request: HttpRequest, run: int) -> HttpResponseBase:
        """Send it."""
        found = self.load(run)
        return send_folder(request, found, f"run-{found.pk}")


class LoggedModelPage(ProjectView):
    """Base of the pages of one logged model."""

    abstract = True
    reads = LoggedModel
    permission = Permission.RUN_VIEW

    def load(self, model: str) -> LoggedModel:
        """The logged model of the address, or 404."""
        rows = self.rows().in_project(self.project).select_related("project", "experiment", "source_run", "created_by")
        return self.find(rows, uuid=model)


class ModelFileList(LoggedModelPage):
    """Files of a logged model."""

    def get(self, request: HttpRequest, model: str) -> HttpResponse:
        """Show what lies at the top."""
        return browse(request, self.load(model), self.project.slug, "")


class ModelFileShow(LoggedModelPage):
    """One folder or file of a logged model."""

    def get(self, request: HttpRequest, model: str, path: str) -> HttpResponse:
        """Show it beside the folder it lies in."""
        return browse(request, self.load(model), self.project.slug, path)


class ModelFileRaw(LoggedModelPage):
    """The bytes of a file of a logged model."""

    def get(self, request: HttpRequest, model: str, path: str) -> HttpResponseBase:
        """Send them."""
        return send(request, artifacts.find(self.load(model), path))


class ModelFileZip(LoggedModelPage):
    """A folder of a logged model's files as one zip."""

    def get(self, request: HttpRequest, model: str) -> HttpResponseBase:
        """Send it."""
        found = self.load(model)
        return send_folder(request, found, found.name)


def browse(request: HttpRequest, owner: files.Owner, slug: str, path: str) -> HttpResponse:
    """Show a folder, or a file beside its folder."""
    place, offset = Place(owner, slug), _offset(request, "offset")
    context: dict[str, Any] = {"experiment": owner.experiment, "place": place, "owner": owner}
    context["run" if isinstance(owner, Run) else "model"] = owner
    is_folder = not path or path.endswith("/")
    folder = path.strip("/") if is_folder else path.rpartition("/")[0]
    if is_folder:
        if folder and not files.has_folder(owner, folder):
            raise Missing(f"There is no folder {folder[:200]!r}.", field="path")
    else:
        artifact = artifacts.find(owner, path)
        context |= {"artifact": artifact, "raw": place.raw(path), **_look(artifact, request, place.image)}
    listed = files.listing(owner, folder, offset=_offset(request, "files"))
    context |= tree(listed, place, current=path) | {"offset": offset, "zip": place.zip(folder)}
    return render(request, "experiments/artifact_show.html", context)


def tree(listed: files.Listing, place: Place, current: str = "") -> dict[str, Any]:
    """What the list of one folder shows, with every address."""
    parts = listed.path.split("/") if listed.path else []
    trail = [(name, place.folder("/".join(parts[: at + 1]))) for at, name in enumerate(parts)]
    lines = [
        {"file": f, "name": f.path.rpartition("/")[2], "url": place.show(f.path), "is_current": f.path == current,
         "thumbnail": place.image(f.path) if f.media_type in viewers.IMAGES else ""}
        for f in listed.files
    ]  # fmt: skip
    return {
        "listing": listed, "trail": trail, "folder_name": parts[-1] if parts else "All files",
        "up": place.folder("/".join(parts[:-1])) if parts else "",
        "folders": [{"folder": f, "url": place.folder(f.path)} for f in listed.folders], "files": lines,
        "thumbnails": [line for line in lines if line["thumbnail"]][:THUMBNAILS],
        "next_files": listed.next_offset, "previous_files": max(0, listed.offset - files.PAGE),
    }  # fmt: skip


def send(request: HttpRequest, artifact: Artifact) -> HttpResponseBase:
    """Send a file's bytes in the way asked for."""
    if request.GET.get("as") == "image":
        return delivery.image(artifact)
    if request.GET.get("as") == "frame" and artifact.media_type in viewers.FRAMED:
        return delivery.sandboxed(artifact)
    if request.GET.get("as") == "pdf" and artifact.media_type == viewers.PDF and viewers.is_pdf(artifact):
        return delivery.pdf(artifact)
    return delivery.download(artifact, request.headers.get("Range", ""))


def send_folder(request: HttpRequest, owner: files.Owner, name: str) -> HttpResponseBase:
    """Send all files below a folder as one zip."""
    folder = request.GET.get("folder", "").strip("/")
    if not files.has_folder(owner, folder):
        raise Missing(f"There is no folder {folder[:200]!r}.", field="folder")
    found = files.rows_below(owner, folder).iterator(chunk_size=500)
    return delivery.folder(folder_zip.stream(found, below=folder), f"{name}-{folder.rpartition('/')[2] or 'files'}")


def _look(artifact: Artifact, request: HttpRequest, address: Callable[[str], str]) -> dict[str, Any]:
    offset = _offset(request, "row")
    found = viewers.look(artifact, offset=offset, address=address, at=_offset(request, "at"))
    if found["viewer"] == "table":
        found |= {"next_row": offset + viewers.PAGE_ROWS, "previous_row": max(0, offset - viewers.PAGE_ROWS)}
    return found


def _offset(request: HttpRequest, name: str) -> int:
    given = request.GET.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
