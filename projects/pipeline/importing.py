"""What a worker does for an import: fetch in a thread while the lease is renewed, then make the version."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, connections, transaction

from mlportal.lib import blobs, download, http, lease, s3, sealed
from mlportal.lib.errors import DomainError, Unprocessable
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.models import DatasetImport, DatasetVersion
from projects.permissions import Permission
from projects.services import datasets, events, imports
from projects.services.datasets import Origin, Reading, SameContent
from projects.tabular import folder as folders
from projects.tabular import sniff
from projects.tabular.guard import UploadGuard

log = structlog.get_logger(__name__)
Source = DatasetVersion.Source
BEAT_SECONDS, POLL_SECONDS = 1.0, 0.05
BY_ITSELF = frozenset({Permission.DATASET_CREATE, Permission.DATASET_VIEW})


@dataclass
class Work:
    """What the fetching thread shares with the one that watches it."""

    row: DatasetImport
    target: Path
    stop: threading.Event = field(default_factory=threading.Event)
    done: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    manifest: list[dict[str, Any]] = field(default_factory=list)
    unchanged: bool = False
    error: Exception | None = None
    on_stop: Callable[[], None] = lambda: None


def import_dataset(import_id: int, *, worker: str) -> str:
    """Claim a queued import, fetch, and make the version. Returns the state it ended in."""
    rows = DatasetImport.objects.all()
    held = lease.claim(rows, import_id, worker=worker)
    if held is None:
        return "not claimed"
    row = rows.select_related("project", "connection", "refreshes", "created_by").get(pk=import_id)
    Path(settings.TEMP_DIR).mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="import-", dir=settings.TEMP_DIR))
    try:
        work = Work(row, place / "data")
        ended = _watched(work, held)
        return ended or _finish(work, held)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep_imports() -> dict[str, int]:
    """Hand on the imports of silent workers, and wake workers for forgotten ones."""
    rows = DatasetImport.objects.all()
    moved = lease.sweep(rows, on_end=_note_end, on_requeue=lambda _row: None)
    return {"moved": moved, "published": lease.republish(rows, task=imports.IMPORT_TASK)}


def _watched(work: Work, held: Claim) -> str:
    """Run the fetch in a thread and renew the lease. Returns the state when it ended without content."""
    thread = threading.Thread(target=_run, args=(work,), daemon=True)
    thread.start()
    began = beat = time.monotonic()
    state = ""
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        now = time.monotonic()
        if now - began > settings.IMPORT_SECONDS and not state:
            state = WorkState.TIMED_OUT
        elif now - beat >= BEAT_SECONDS and not state:
            beat, state = now, _beat(work, held)
        if state and not work.stop.is_set():
            work.stop.set()
            work.on_stop()
    if state == "fenced":
        return state
    if state:
        words = f"It took longer than {settings.IMPORT_SECONDS:,} seconds." if state == WorkState.TIMED_OUT else ""
        return _end(work, held, state, words)
    if work.error is not None:
        return _end(work, held, WorkState.FAILED, _sentence(work.error))
    return ""


def _beat(work: Work, held: Claim) -> str:
    rows = DatasetImport.objects.all()
    try:
        if lease.heartbeat(rows, held, **work.done):
            return ""
    except OperationalError as error:
        log.warning("heartbeat failed", found=held.pk, error=str(error)[:200])
        return ""
    asked = rows.filter(pk=held.pk, fence=held.fence, cancel_requested_at__isnull=False).exists()
    return WorkState.CANCELLED if asked else "fenced"


def _run(work: Work) -> None:
    try:
        {
            Source.URL: _fetch,
            Source.S3: _fetch,
            Source.POSTGRES: _query,
            Source.FOLDER: _list,
        }[Source(work.row.kind)](work)
    except Exception as error:  # noqa: BLE001 - told to the person who waits, by the thread that watches
        work.error = error
    finally:
        connections.close_all()


def _fetch(work: Work) -> None:
    row = work.row
    before = row.refreshes.source if row.refreshes is not None else {}

    def on_bytes(done: int, size: int | None) -> None:
        share = min(0.99, done / size) if size else 0.0
        work.done = {"fetched_bytes": done, "total_bytes": size, "progress": share, "phase": "Fetching"}

    wanted = download.Wanted(
        url=imports.address_of(row),
        limit_bytes=settings.MAX_UPLOAD_BYTES,
        total_seconds=settings.IMPORT_SECONDS,
        allow=settings.OUTBOUND_ALLOW,
        etag=str(before.get("etag", "")),
        modified=str(before.get("modified", "")),
        sign=_signer(row),
        on_bytes=on_bytes,
        stop=work.stop,
    )
    came = download.fetch(wanted, work.target)
    work.unchanged = came.unchanged
    work.facts = {"etag": came.etag[:300], "modified": came.modified[:100]}


def _signer(row: DatasetImport) -> download.Signer | None:
    if row.kind != Source.S3:
        return None
    assert row.connection is not None
    facts, secret = row.connection.facts, sealed.unseal(row.connection.sealed_secret)
    keys = s3.Keys(access_key=facts["access_key"], region=facts["region"], secret=secret)
    return keys.sign


def _query(work: Work) -> None:
    from projects.tabular import sql_source

    connection = work.row.connection
    assert connection is not None
    facts = connection.facts
    target = http.check_host(facts["host"], facts["port"], allow=settings.OUTBOUND_ALLOW)
    reach = sql_source.Reach(
        host=facts["host"], address=http.address_of(target), port=facts["port"], database=facts["database"],
        user=facts["user"], sslmode=facts["sslmode"],
        password=sealed.unseal(connection.sealed_secret) if connection.sealed_secret else "",
    )  # fmt: skip
    opened = sql_source.connect(reach)
    work.on_stop = opened.cancel_safe
    if work.stop.is_set():  # asked while the connection was being opened
        opened.close()
        raise download.Stopped

    def on_rows(rows: int, size: int) -> None:
        if work.stop.is_set():
            raise download.Stopped
        work.done = {"fetched_rows": rows, "fetched_bytes": size, "phase": "Reading rows"}

    bounds = sql_source.Bounds(settings.IMPORT_ROWS, settings.MAX_UPLOAD_BYTES, settings.IMPORT_SECONDS)
    try:
        rows = sql_source.copy(opened, work.row.spec["query"], work.target, bounds=bounds, on_rows=on_rows)
    finally:
        opened.close()
    work.facts = {"rows": rows}


def _list(work: Work) -> None:
    spec = work.row.spec
    place = folders.locate(settings.DATA_ROOTS, spec["root"], spec["folder"])
    found = folders.listing(place)
    size = [0]

    def on_bytes(more: int) -> None:
        if work.stop.is_set():
            raise download.Stopped
        size[0] += more
        work.done |= {"fetched_bytes": size[0]}

    for at, name in enumerate(found):
        work.done |= {"progress": at / len(found), "phase": f"Reading file {at + 1:,} of {len(found):,}"}
        work.manifest.append(folders.describe(place, name, on_bytes=on_bytes))
    work.facts = {"files": len(found)}


def _finish(work: Work, held: Claim) -> str:
    """Make the version and end the import together, if the attempt still holds the row."""
    if work.unchanged:
        return _end(work, held, WorkState.SUCCEEDED, outcome="unchanged", version=work.row.refreshes)
    try:
        register = _registration(work)
        with transaction.atomic():
            version = register()
            last = {key: work.done[key] for key in ("fetched_bytes", "fetched_rows") if key in work.done}
            ended = lease.finish(
                DatasetImport.objects.all(), held, state=WorkState.SUCCEEDED, outcome="created", version=version,
                dataset=version.dataset, phase="", **last,
            )  # fmt: skip
            if not ended:
                raise _Fenced
            _note_end(DatasetImport.objects.select_related("project", "created_by").get(pk=held.pk))
        return WorkState.SUCCEEDED
    except _Fenced:
        return _end(work, held, WorkState.CANCELLED)
    except SameContent as same:
        return _end(work, held, WorkState.SUCCEEDED, outcome="unchanged", version=same.version)
    except (DomainError, OSError) as error:
        return _end(work, held, WorkState.FAILED, _sentence(error))


class _Fenced(Exception):
    """The row moved on without this attempt."""


def _registration(work: Work) -> Callable[[], DatasetVersion]:
    """Keep the content, and return what makes a version of it in a transaction."""
    row = work.row
    by = Actor.system("import", project=row.project, grants=BY_ITSELF, on_behalf_of=row.created_by)
    origin = Origin(kind=row.kind, facts={**row.spec, **work.facts}, sealed=row.sealed_spec)
    common: dict[str, Any] = {"project": row.project, "name": row.name, "description": row.description}
    if row.kind == Source.FOLDER:
        return lambda: datasets.register_folder(by, manifest=work.manifest, origin=origin, **common)
    guard = UploadGuard(row.spec.get("encoding", ""))
    with work.target.open("rb") as stream:
        blob = blobs.put(datasets.watched(stream, guard), limit_bytes=settings.MAX_UPLOAD_BYTES)
    reading = Reading(_filename(row), row.spec.get("encoding", ""), row.spec.get("delimiter", ""))
    return lambda: datasets.register_blob(
        by, blob=blob, file_type=guard.file_type or sniff.CSV, reading=reading, origin=origin, **common
    )


def _filename(row: DatasetImport) -> str:
    if row.kind == Source.POSTGRES:
        return f"{row.name}.parquet"
    place = str(row.spec.get("key") or row.spec.get("url", "")).partition("?")[0]
    return place.rstrip("/").rpartition("/")[2] or row.name


def _end(work: Work, held: Claim, state: str, failure: str = "", **changes: Any) -> str:
    rows = DatasetImport.objects.all()
    with transaction.atomic():
        if not lease.finish(rows, held, state=state, failure=failure, phase="", **changes):
            asked = rows.filter(pk=held.pk, cancel_requested_at__isnull=False)
            if not (asked.exists() and lease.finish(rows, held, state=WorkState.CANCELLED, phase="")):
                return "fenced"
        row = rows.select_related("project", "created_by").get(pk=held.pk)
        _note_end(row)
    log.info("import ended", found=held.pk, state=row.state)
    return row.state


def _note_end(row: DatasetImport) -> None:
    verb = {WorkState.SUCCEEDED: "import.succeeded", WorkState.CANCELLED: "import.ended"}
    by = Actor.system("import", project=row.project, on_behalf_of=row.created_by)
    data = {"dataset": row.name, "outcome": row.outcome, "failure": row.failure[:300]}
    events.record(by, verb.get(WorkState(row.state), "import.failed"), project=row.project, target=row, data=data)


def _sentence(error: Exception) -> str:
    """What went wrong, for the person who waits; an unknown fault by its kind only, which holds no secret."""
    if isinstance(error, DomainError):
        return error.message
    if isinstance(error, http.Refused | http.Failed):
        words = str(error)
        return words if words.endswith(".") else f"Nothing was fetched: {words}."
    if isinstance(error, sealed.Unreadable):
        return "The stored secret cannot be read; a project admin enters it again."
    if isinstance(error, OSError):
        return f"The file could not be read: {error.strerror or type(error).__name__}."
    log.error("import failed", error=type(error).__name__)
    return Unprocessable(f"The import stopped unexpectedly ({type(error).__name__}).").message
