"""Files: what a run or a model holds, and the proxy through which clients send and fetch them."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseBase

from experiments.mlflow import places
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import required
from experiments.models import Artifact, Run
from experiments.services import artifacts, delivery
from mlportal.lib.errors import DomainError, Invalid, Missing
from projects.permissions import Permission


class NotImplementedHere(DomainError):
    """501: the client then sends or fetches the file in one piece."""

    status = 501
    kind = "not_implemented"
    title = "Not implemented"


@endpoint(Run, Permission.RUN_VIEW)
def of_run(call: Call) -> dict[str, Any]:
    """List a folder of a run; paths are relative to the run."""
    uuid = call.fields.text("run_id") or call.fields.text("run_uuid")
    if not uuid:
        raise required("run_id")
    run = places.find_run(call, uuid)
    return listed(run, places.run_uri(run), call.fields.text("path"))


def listed(owner: artifacts.Owner, uri: str, folder: str) -> dict[str, Any]:
    """Write a folder of an owner with whole paths."""
    entries = artifacts.listing(owner, folder)
    return {"root_uri": uri} | _files([_entry(entry, entry.path) for entry in entries])


@endpoint(Artifact, Permission.RUN_VIEW)
def listing(call: Call) -> dict[str, Any]:
    """List a folder of the proxy by base names; above the owners there is nothing to see."""
    path = call.fields.text("path")
    if path in artifacts.TOP:
        return {}
    try:
        owner, label = places.owner_of(call, path)
    except Missing:
        return {}
    return _files([_entry(entry, entry.path.rpartition("/")[2]) for entry in artifacts.listing(owner, label)])


@endpoint(Artifact, Permission.RUN_LOG, raw=True)
def upload(call: Call) -> dict[str, Any]:
    """Store the body as a file, in pieces and of any size; the same path again replaces it."""
    owner, label = places.owner_of(call, call.words["file"])
    if not label or call.words["file"].endswith("/"):
        raise Invalid("Invalid path: it must name a file.", code="bad_path", field="path")
    artifacts.store(
        call.actor, owner=owner, path=label, stream=delivery.body(call.request),
        expected_bytes=delivery.announced(call.request),
    )  # fmt: skip
    return {}


@endpoint(Artifact, Permission.RUN_VIEW, raw=True)
def download(call: Call) -> HttpResponseBase:
    """Send a file, whole or a range of it."""
    owner, label = places.owner_of(call, call.words["file"])
    if not label or artifacts.below(owner, label).exists():
        raise Invalid(f"{call.words['file'][:200]!r} is a folder; name a file.", code="is_folder", field="path")
    return delivery.download(artifacts.find(owner, label), call.request.headers.get("Range", ""))


@endpoint(Artifact, Permission.RUN_EDIT, raw=True)
def remove(call: Call) -> dict[str, Any]:
    """Take a file or a whole folder away; a missing one is fine."""
    owner, label = places.owner_of(call, call.words["file"])
    artifacts.remove(call.actor, owner=owner, path=label)
    return {}


@endpoint(Artifact, Permission.RUN_VIEW, raw=True)
def in_parts(call: Call) -> HttpResponse:
    """Refuse transfers in parts in the words by which the client falls back to one piece."""
    raise NotImplementedHere("Multipart upload is not supported for the current artifact repository")


def _entry(entry: artifacts.Entry, path: str) -> dict[str, Any]:
    size = {} if entry.is_dir else {"file_size": entry.size_bytes}
    return {"path": path, "is_dir": entry.is_dir} | size


def _files(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"files": entries} if entries else {}
