"""What a worker does for the projects app: profile a dataset version in a child process."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, transaction

from mlportal.lib import blobs, forks, lease
from mlportal.lib.errors import DomainError
from mlportal.lib.failpoints import failpoint
from mlportal.lib.forks import Fork
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.models import DatasetVersion
from projects.services import checks, events, split_carrying, tables
from projects.services.datasets import PROFILE_TASK
from projects.tabular import child
from projects.tabular.limits import Limits

from .importing import import_dataset, sweep_imports

__all__ = ["import_dataset", "profile_version", "sweep_imports", "sweep_profiles"]
log = structlog.get_logger(__name__)
POLL_SECONDS = 0.1
PRELOAD = ("projects.tabular.profile",)
SELF_FENCE_SECONDS = 30.0


@dataclass
class Outcome:
    """How an attempt ended.

    Parameters
    ----------
    state : str
        State to finish in; empty when the row moved on without this attempt.
    failure : str
        Sentence for the page.
    changes : dict
        Columns to write.
    """

    state: str
    failure: str = ""
    changes: dict[str, Any] = field(default_factory=dict)


def profile_version(version_id: int, *, worker: str) -> str:
    """Claim a queued version, profile it, store the result. Returns the state it ended in.

    The row is claimed once; whoever loses the claim, or the lease later, writes nothing.
    """
    rows = DatasetVersion.objects.all()
    held = lease.claim(rows, version_id, worker=worker)
    if held is None:
        return "not claimed"
    failpoint("profile.claimed")
    version = rows.light().select_related("dataset__project", "created_by").get(pk=version_id)
    with _folder() as folder:
        try:
            outcome = _attempt(version, held, folder)
        except (DomainError, OSError) as error:
            outcome = Outcome(WorkState.FAILED, f"{error}")
        failpoint("profile.stored")
        return _settle(version, held, outcome)


def sweep_profiles() -> dict[str, int]:
    """Hand on the versions of silent workers, and wake workers for forgotten ones."""
    rows = DatasetVersion.objects.all()
    moved = lease.sweep(rows, on_end=_note_end, on_requeue=lambda _row: None)
    return {"moved": moved, "published": lease.republish(rows, task=PROFILE_TASK)}


@contextmanager
def _folder() -> Iterator[Path]:
    """Private folder of an attempt on the data volume; gone afterwards."""
    Path(settings.TEMP_DIR).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="profile-", dir=settings.TEMP_DIR))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _attempt(version: DatasetVersion, held: Claim, folder: Path) -> Outcome:
    by_reference = version.source_kind == DatasetVersion.Source.FOLDER
    paths = tables.paths(version, whole=True) if by_reference else []
    path = folder / "sample.csv" if version.sample else paths[0] if paths else blobs.local_path(version.sha256)
    request = {
        "path": str(path),
        "paths": [str(each) for each in paths],
        "sample": version.sample,
        "encoding": version.encoding,
        "delimiter": version.delimiter,
        "limits": asdict(Limits(unpacked_bytes=settings.MAX_UPLOAD_BYTES)),
        "kernel_limits": {
            "memory_bytes": settings.PROFILE_MEMORY_MB * 2**20,
            "file_bytes": 4 * settings.MAX_UPLOAD_BYTES,
            "cpu_seconds": 4 * settings.PROFILE_SECONDS + 60,
            "core_bytes": 0,
        },
    }
    (folder / child.REQUEST).write_text(json.dumps(request))
    process = _start(folder)
    try:
        stopped = _watch(process, held, folder)
    finally:
        code = process.end()
    return stopped or _collect(code, version, path, folder)


def _start(folder: Path) -> Fork:
    with (folder / "errors.txt").open("wb") as errors:
        return forks.start(
            "projects.tabular.child",
            str(folder),
            folder=folder,
            environment=forks.bare_environment(folder, threads=2),
            preload=PRELOAD,
            stdout=errors.fileno(),
            stderr=errors.fileno(),
        )


def _watch(process: Fork, held: Claim, folder: Path) -> Outcome | None:
    """Wait for the child while the lease is renewed; an outcome when it has to be ended from here."""
    began = spoke = time.monotonic()
    next_beat = began
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            return None
        now = time.monotonic()
        if now - began > settings.PROFILE_SECONDS:
            return Outcome(WorkState.TIMED_OUT, f"Profiling took longer than {settings.PROFILE_SECONDS:,} seconds.")
        if now >= next_beat:
            next_beat = now + min(1.0, settings.HEARTBEAT_SECONDS)
            try:
                if stopped := _beat(held, folder):
                    return stopped
                spoke = now
            except OperationalError as error:
                log.warning("heartbeat failed", version=held.pk, error=str(error)[:200])
                if now - spoke > SELF_FENCE_SECONDS:
                    return Outcome("")


def _beat(held: Claim, folder: Path) -> Outcome | None:
    rows = DatasetVersion.objects.all()
    if lease.heartbeat(rows, held, **_progress(folder)):
        return None
    cancelled = rows.filter(pk=held.pk, fence=held.fence, cancel_requested_at__isnull=False).exists()
    return Outcome(WorkState.CANCELLED if cancelled else "")


def _progress(folder: Path) -> dict[str, Any]:
    try:
        said = json.loads((folder / child.PROGRESS).read_text())
    except FileNotFoundError:
        return {"phase": "Starting"}
    return {"progress": min(0.99, float(said["share"])), "phase": str(said["phase"])[:100]}


def _collect(code: int, version: DatasetVersion, path: Path, folder: Path) -> Outcome:
    if code == child.REFUSED:
        refusal = json.loads((folder / child.REFUSAL).read_text())
        return Outcome(WorkState.FAILED, str(refusal["message"]))
    if code:
        return Outcome(WorkState.FAILED, _crash(code, folder))
    report = json.loads((folder / child.REPORT).read_text())
    changes: dict[str, Any] = {
        "row_count": report["row_count"],
        "column_count": report["column_count"],
        "schema": report["schema"],
        "profile": report["columns"],
        "warnings": report["warnings"],
        "facts": report["facts"],
        "phase": "",
    }
    if version.source_kind != DatasetVersion.Source.FOLDER:  # the files of a folder stay where they are
        copied = blobs.put_file(folder / child.COPY, limit_bytes=2 * settings.MAX_UPLOAD_BYTES)
        changes["parquet_sha256"] = copied.sha256
    if version.sample:
        built = blobs.put_file(path, limit_bytes=settings.MAX_UPLOAD_BYTES)
        changes |= {"sha256": built.sha256, "size_bytes": built.size_bytes}
    return Outcome(WorkState.SUCCEEDED, changes=changes)


def _crash(code: int, folder: Path) -> str:
    lines = (folder / "errors.txt").read_bytes()[-4000:].decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:300] if lines else ""
    limit = f"{settings.PROFILE_MEMORY_MB:,} MB"
    if "alloc" in last.lower() or "memory" in last.lower():
        return f"Profiling needs more than {limit} of memory, which is the limit."
    if code < 0:
        return f"The profiling process was ended by signal {-code}."
    return f"The profiling process stopped unexpectedly (exit {code}). {last}".strip()


def _settle(version: DatasetVersion, held: Claim, outcome: Outcome) -> str:
    """Write the end of the attempt and its event together, if the attempt still holds the row."""
    if not outcome.state:
        return "fenced"
    rows = DatasetVersion.objects.all()
    with transaction.atomic():
        if not lease.finish(rows, held, state=outcome.state, failure=outcome.failure, **outcome.changes):
            asked = rows.filter(pk=held.pk, cancel_requested_at__isnull=False)
            if not (asked.exists() and lease.finish(rows, held, state=WorkState.CANCELLED)):
                return "fenced"
        row = rows.select_related("dataset__project", "created_by").get(pk=version.pk)
        _note_end(row)
        if row.state == WorkState.SUCCEEDED:
            checks.follow_profile(row)
            split_carrying.follow_profile(row)
    log.info("dataset version profiled", version=version.pk, state=row.state)
    return row.state


def _note_end(row: DatasetVersion) -> None:
    verb = {WorkState.SUCCEEDED: "dataset.profiled", WorkState.CANCELLED: "dataset.cancelled"}
    by = Actor.system("profiling", project=row.dataset.project, on_behalf_of=row.created_by)
    data = {"version": row.number, "rows": row.row_count, "failure": row.failure[:300]}
    events.record(
        by, verb.get(WorkState(row.state), "dataset.failed"), project=row.dataset.project, target=row, data=data
    )
