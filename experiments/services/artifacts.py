"""Files of runs and of logged models: paths are labels, bytes live under their sha256."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import copy
from functools import cache
from typing import IO, NamedTuple

from django.conf import settings
from django.utils import timezone

from experiments import metricstore
from experiments.models import Artifact, Lifecycle, LoggedModel, Run
from experiments.models.artifacts import ArtifactQuerySet
from experiments.services.labels import clean_path, media_type_of
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from mlportal.lib.sql import Statement, upsert
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events, legal_holds

FILES_PER_OWNER = 100_000
COUNT_EVERY = 64
LOOK_FIRST_BYTES = 2**20  # a larger body is not taken in before its place is known to be free
PAGE = 1000
TOP = ("", ".", "./")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,29}")
Owner = Run | LoggedModel
# Every file of a client pays for what follows, so it goes around the ORM, which takes 4 ms of processor time for it.
_HELD_OF_RUN, _HELD_OF_MODEL = ("lifecycle", "source", "state"), ("lifecycle",)
_LOCK_RUN = Statement("SELECT lifecycle, source, state FROM experiments_run WHERE id = %s", lock="FOR NO KEY UPDATE")
_LOCK_MODEL = Statement("SELECT lifecycle FROM experiments_loggedmodel WHERE id = %s", lock="FOR NO KEY UPDATE")


class Entry(NamedTuple):
    """A file or a folder in a listing."""

    path: str
    is_dir: bool
    size_bytes: int = 0


def store(
    by: Actor,
    *,
    owner: Owner,
    path: str,
    stream: blobs.Readable | IO[bytes] | Iterable[bytes],
    media_type: str = "",
    kind: str = "file",
    expected_bytes: int | None = None,
) -> Artifact:
    """Store a file of a run or a logged model; the same path again replaces it.

    Parameters
    ----------
    expected_bytes : int
        Announced length: a stream that ends before it was cut off, and nothing is kept.

    Raises
    ------
    Invalid, UnsupportedType, TooLarge
        If the path, type or size is refused, or the stream was cut off.
    Conflict
        If the owner is deleted or sealed, holds the most files, or the path crosses that of another file.
    """
    require(by, Permission.RUN_LOG, owner.project, within=owner)
    _check_writer(by, owner)
    label, media = clean_path(path), media_type_of(path, media_type)
    if not _KIND.fullmatch(kind):
        raise Invalid("kind must be a short lower-case word.", field="kind")
    if expected_bytes is None or expected_bytes > LOOK_FIRST_BYTES:
        _check_place(owner, label)
    blob = blobs.put(
        stream, limit_bytes=settings.MAX_ARTIFACT_BYTES, field="artifact", expected_bytes=expected_bytes
    )  # fmt: skip
    with metricstore.writing():
        _check_writer(by, _locked(owner))
        _check_place(owner, label)
        artifact = _write(by, owner, Artifact(
            path=label, sha256=blob.sha256, size_bytes=blob.size_bytes, media_type=media, kind=kind,
        ))  # fmt: skip
        _check_count(owner, artifact)
        events.record(
            by, "artifact.stored", project=owner.project, target=owner,
            data={"path": label, "sha256": blob.sha256, "size_bytes": blob.size_bytes},
        )  # fmt: skip
    return artifact


def find(owner: Owner, path: str) -> Artifact:
    """Return one file.

    Raises
    ------
    Missing
        If there is no file of that path.
    """
    artifact = of(owner).filter(path=clean_path(path)).first()
    if artifact is None:
        raise Missing(f"{_named(owner)} has no artifact {path[:200]!r}.", code="artifact_missing", field="path")
    return artifact


def of(owner: Owner) -> ArtifactQuerySet:
    """Return all files of a run or a logged model."""
    return Artifact.objects.filter(run=owner) if isinstance(owner, Run) else Artifact.objects.filter(logged_model=owner)


def below(owner: Owner, folder: str) -> ArtifactQuerySet:
    """Return the files at any depth below a folder, by a range of the index on paths; "" is the top."""
    if not folder:
        return of(owner)
    return of(owner).filter(path__gt=f"{folder}/", path__lt=_after(folder))


def listing(owner: Owner, folder: str = "") -> list[Entry]:
    """Return what lies right in a folder, by name; nothing for a missing one or a file.

    A subfolder is seen once and then jumped over, so the work follows the length of the answer and not the
    number of files deeper down.
    """
    label = "" if folder in TOP else clean_path(folder)
    rows, prefix = below(owner, label).order_by("path").values_list("path", "size_bytes"), f"{label}/" if label else ""
    found: list[Entry] = []
    cursor, is_more = "", True
    while is_more:
        page = list(rows.filter(path__gte=cursor)[:PAGE])
        is_more = len(page) == PAGE
        for path, size in page:
            if path < cursor:
                continue
            name, slash, _ = path[len(prefix) :].partition("/")
            found.append(Entry(prefix + name, bool(slash), 0 if slash else size))
            # No label holds \x01, so nothing lies between a file and that.
            cursor = _after(prefix + name) if slash else f"{path}\x01"
    return sorted(found)


def remove(by: Actor, *, owner: Owner, path: str) -> int:
    """Take a file, or a folder with all in it, off its owner and return how many files went; "" is everything.

    Their bytes stay while anything else names them.

    Raises
    ------
    Conflict
        While a legal hold covers the project.
    """
    require(by, Permission.RUN_EDIT, owner.project, within=owner)
    _check_writer(by, owner)
    label = "" if path in TOP else clean_path(path)
    with metricstore.writing():
        legal_holds.refuse(owner.project, what=label or "All files")
        rows = below(owner, label) | of(owner).filter(path=label) if label else of(owner)
        count, _ = rows.delete()
        if count:
            events.record(
                by, "artifact.removed", project=owner.project, target=owner, data={"path": label, "files": count}
            )
    return count


def _after(folder: str) -> str:
    """Return the first text behind everything in a folder: "0" follows "/"."""
    return f"{folder}0"


def _named(owner: Owner) -> str:
    return f"Run {owner.pk}" if isinstance(owner, Run) else f"Logged model {owner.uuid}"


def _locked(owner: Owner) -> Owner:
    """Read the state of the owner again and hold it: it may have been deleted while the bytes came in."""
    is_run = isinstance(owner, Run)
    row = (_LOCK_RUN if is_run else _LOCK_MODEL).row([owner.pk])
    if row is None:
        raise Missing(f"{_named(owner)} is gone.")
    held = copy(owner)
    for name, value in zip(_HELD_OF_RUN if is_run else _HELD_OF_MODEL, row, strict=True):
        setattr(held, name, value)
    return held


def _write(by: Actor, owner: Owner, row: Artifact) -> Artifact:
    """Insert the row or overwrite the one of that path, in one statement."""
    row.created_by, row.created_at = by.user, timezone.now()
    setattr(row, "run" if isinstance(owner, Run) else "logged_model", owner)
    upsert(row, unique=(_owner_column(owner), "path"))
    return row


def _check_writer(by: Actor, owner: Owner) -> None:
    if owner.lifecycle == Lifecycle.DELETED:
        raise Conflict(f"{_named(owner)} is deleted; restore it first.", code="run_deleted")
    if not isinstance(owner, Run) or owner.source != Run.Source.JOB:
        return
    if by.kind != "system":
        raise Forbidden(f"The artifacts of run {owner.pk} are written by its training job.", code="run_of_job")
    if owner.is_settled:
        raise Conflict(f"Run {owner.pk} has ended as {owner.state}; its artifacts are sealed.", code="run_sealed")


def _check_place(owner: Owner, label: str) -> None:
    """Refuse a file where a folder is, and a folder where a file is."""
    steps = label.split("/")
    folders = ["/".join(steps[:depth]) for depth in range(1, len(steps))]
    found = _crossing(_owner_column(owner), len(folders)).row(
        [owner.pk, f"{label}/", _after(label), *([owner.pk, *folders] if folders else ())]
    )
    if found:
        raise Conflict(
            f"{label[:200]!r} crosses the file {found[0][:200]!r}: one path cannot be a file and a folder.",
            code="path_crosses", field="path",
        )  # fmt: skip


@cache
def _crossing(owner: str, folders: int) -> Statement:
    """Two looks at the index of paths, which a single one with OR would not use for the second."""
    inside = f"SELECT path FROM experiments_artifact WHERE {owner} = %s AND path > %s AND path < %s"  # noqa: S608 - one of two columns
    if not folders:
        return Statement(f"{inside} LIMIT 1")
    above = f"SELECT path FROM experiments_artifact WHERE {owner} = %s AND path IN ({', '.join(['%s'] * folders)})"  # noqa: S608 - as above
    return Statement(f"{inside} UNION ALL {above} LIMIT 1")


def _owner_column(owner: Owner) -> str:
    return "run_id" if isinstance(owner, Run) else "logged_model_id"


def _check_count(owner: Owner, stored: Artifact) -> None:
    """Refuse one file too many. Counting reads every row, so only each 64th file pays for it."""
    if stored.pk % COUNT_EVERY == 0 and of(owner).count() > FILES_PER_OWNER:
        raise Conflict(f"{_named(owner)} holds {FILES_PER_OWNER} files, the most allowed.", limit=FILES_PER_OWNER)
