"""Artifacts of runs: paths are labels, bytes live under their sha256."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import IO

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from experiments.models import Artifact, Lifecycle, Run
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing, UnsupportedType
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

PATH_CHARS = 500
PATH_DEPTH = 16
FILES_PER_RUN = 10_000
# Suffix to type. What is not listed is bytes to download; nothing is ever guessed from content.
MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "log": "text/plain",
    "md": "text/markdown",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "html": "text/html",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "parquet": "application/vnd.apache.parquet",
    "skops": "application/zip",
    "zip": "application/zip",
    "onnx": "application/octet-stream",
}
BYTES = "application/octet-stream"
ALLOWED_TYPES = frozenset(MEDIA_TYPES.values()) | {BYTES}
INLINE_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\#?%*:|"<>\ud800-\udfff\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]')
_KIND = re.compile(r"[a-z][a-z0-9_]{0,29}")


def clean_path(path: str) -> str:
    """Return a path whose segments are safe labels.

    Raises
    ------
    Invalid
        If it is absolute, too long or deep, or holds a segment such as ``..``.
    """
    text = unicodedata.normalize("NFC", path)
    if not text or len(text) > PATH_CHARS:
        raise Invalid(
            f"The path must have 1 to {PATH_CHARS} characters.", field="path", limit=PATH_CHARS, got=len(text)
        )
    if _FORBIDDEN.search(text):
        raise Invalid('The path may not hold control characters or any of \\ # ? % * : | " < >.', field="path")
    segments = text.split("/")
    if len(segments) > PATH_DEPTH:
        raise Invalid(f"The path has {len(segments)} levels; at most {PATH_DEPTH}.", field="path", limit=PATH_DEPTH)
    if any(s in ("", ".", "..") or s != s.strip() for s in segments):
        raise Invalid("The path must be relative, without empty, '.' or '..' parts or blanks at an end.", field="path")
    return text


def media_type_of(path: str, given: str = "") -> str:
    """Return the type an artifact is stored with.

    Raises
    ------
    UnsupportedType
        If a type was given that is not on the list.
    """
    base = given.partition(";")[0].strip().lower()
    if base and base not in ALLOWED_TYPES:
        allowed = ", ".join(sorted(ALLOWED_TYPES))
        raise UnsupportedType(f"The media type {base[:60]} is not allowed. Allowed: {allowed}.", field="media_type")
    if base and base != BYTES:
        return base
    return MEDIA_TYPES.get(path.rpartition(".")[2].lower(), BYTES)


def store(
    by: Actor, *, run: Run, path: str, stream: IO[bytes] | Iterable[bytes], media_type: str = "", kind: str = "file"
) -> Artifact:
    """Store a file on a run; the same path again replaces it.

    Raises
    ------
    Invalid, UnsupportedType, TooLarge
        If the path, type or size is refused.
    Conflict
        If the run is deleted or sealed, or already holds the most files.
    """
    require(by, Permission.RUN_LOG, run.project)
    _check_writer(by, run)
    label, media = clean_path(path), media_type_of(path, media_type)
    if not _KIND.fullmatch(kind):
        raise Invalid("kind must be a short lower-case word.", field="kind")
    _check_room(run, label)
    blob = blobs.put(stream, limit_bytes=settings.MAX_ARTIFACT_BYTES, field="artifact")
    with transaction.atomic():
        artifact, _ = Artifact.objects.update_or_create(
            run=run,
            path=label,
            defaults={
                "sha256": blob.sha256, "size_bytes": blob.size_bytes, "media_type": media, "kind": kind,
                "created_by": by.user, "created_at": timezone.now(),
            },
        )  # fmt: skip
        events.record(
            by, "artifact.stored", project=run.project, target=run,
            data={"path": label, "sha256": blob.sha256, "size_bytes": blob.size_bytes},
        )  # fmt: skip
    return artifact


def find(run: Run, path: str) -> Artifact:
    """Return one artifact of a run.

    Raises
    ------
    Missing
        If the run has no file of that path.
    """
    artifact = Artifact.objects.filter(run=run, path=unicodedata.normalize("NFC", path)).first()
    if artifact is None:
        raise Missing(f"Run {run.pk} has no artifact {path[:200]!r}.", code="artifact_missing", field="path")
    return artifact


def remove(by: Actor, *, run: Run, path: str) -> None:
    """Take a file off a run; its bytes stay while anything else names them."""
    require(by, Permission.RUN_EDIT, run.project)
    _check_writer(by, run)
    with transaction.atomic():
        artifact = find(run, path)
        artifact.delete()
        events.record(by, "artifact.removed", project=run.project, target=run, data={"path": path})


def _check_writer(by: Actor, run: Run) -> None:
    if run.lifecycle == Lifecycle.DELETED:
        raise Conflict(f"Run {run.pk} is deleted; restore it first.", code="run_deleted")
    if run.source != Run.Source.JOB:
        return
    if by.kind != "system":
        raise Forbidden(f"The artifacts of run {run.pk} are written by its training job.", code="run_of_job")
    if run.is_settled:
        raise Conflict(f"Run {run.pk} has ended as {run.state}; its artifacts are sealed.", code="run_sealed")


def _check_room(run: Run, label: str) -> None:
    if Artifact.objects.filter(run=run).exclude(path=label).count() >= FILES_PER_RUN:
        raise Conflict(f"Run {run.pk} holds {FILES_PER_RUN} files, the most allowed.", limit=FILES_PER_RUN)
