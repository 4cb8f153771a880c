"""What a worker does for a batch scoring: run the child, keep each finished chunk at once, file the whole result."""

import json
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from deployments.models import Batch, BatchChunk, ModelVersion
from deployments.runtime import scoring
from deployments.services import batches
from mlportal.lib import blobs, forks, lease
from mlportal.lib.errors import DomainError
from mlportal.lib.failpoints import failpoint
from mlportal.lib.forks import Fork
from mlportal.lib.lease import Claim, WorkState
from projects.services import tables
from projects.tabular import child

log = structlog.get_logger(__name__)
PRELOAD = ("deployments.runtime.scoring", "pandas", "pyarrow.parquet")
POLL_SECONDS = 0.1
SELF_FENCE_SECONDS = 30.0
KEPT_DAYS = 7  # chunks of a scoring that did not succeed, so that it can go on
LAST_WORDS = 300
Json = dict[str, Any]


class _Moved(Exception):
    """The row belongs to another attempt, or was cancelled."""


class _Late(Exception):
    """The attempt took longer than it may."""


def score_batch(batch_id: int, *, worker: str) -> str:
    """Claim a queued scoring, score what is not scored yet, file the result. Returns the state it ended in."""
    rows = Batch.objects.all()
    held = lease.claim(rows, batch_id, worker=worker)
    if held is None:
        return "not claimed"
    failpoint("batch.claimed")
    Path(settings.TEMP_DIR).mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="batch-", dir=settings.TEMP_DIR))
    try:
        return _Attempt(held, place).run()
    except _Moved:
        return _end(held, WorkState.CANCELLED)
    except _Late:
        words = f"Scoring took longer than {settings.TRAINING_WALL_SECONDS:,} seconds. What is finished is kept."
        return _end(held, WorkState.TIMED_OUT, words)
    except DomainError as error:
        return _end(held, WorkState.FAILED, error.message)
    except OSError as error:
        return _end(held, WorkState.FAILED, f"A file could not be read or written: {error.strerror or error}.")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep_batches() -> int:
    """Hand on the scorings of silent workers, wake workers for forgotten ones, drop chunks that nobody goes on with."""
    rows = Batch.objects.all()
    moved = lease.sweep(rows, on_end=lambda row: batches.note(_whole(row.pk)), on_requeue=lambda row: None)
    old = timezone.now() - timedelta(days=KEPT_DAYS)
    BatchChunk.objects.filter(batch__state__in=lease.TERMINAL, batch__ended_at__lt=old).delete()
    return moved + lease.republish(rows, task=batches.TASK)


class _Attempt:
    """One attempt at a scoring."""

    def __init__(self, held: Claim, place: Path) -> None:
        self.held, self.place = held, place
        self.batch = _whole(held.pk)
        self.done = list(BatchChunk.objects.filter(batch=held.pk).order_by("number"))
        self.spoke = time.monotonic()

    def run(self) -> str:
        """Score and file; returns the state."""
        self._beat()
        (self.place / child.REQUEST).write_text(json.dumps(self._request()))
        code, last = self._child()
        if code == child.REFUSED:
            return _end(self.held, WorkState.FAILED, json.loads((self.place / child.REFUSAL).read_text())["message"])
        if code:
            return _end(self.held, WorkState.FAILED, _crash(code, last))
        answer = json.loads((self.place / scoring.ANSWER).read_text())
        failpoint("batch.scored")
        stored = blobs.put_file(self.place / scoring.RESULT, limit_bytes=settings.MAX_UPLOAD_BYTES)
        result = batches.Result(stored, answer["backend"], answer["distribution"])
        if batches.file(self.held, result) is None:
            raise _Moved
        log.info("batch scored", batch=self.held.pk, rows=answer["rows"])
        return str(WorkState.SUCCEEDED)

    def _child(self) -> tuple[int, str]:
        """Run the child and keep its chunks as they come; returns its exit code and last words."""
        with (self.place / "words").open("w+b") as words:
            process = forks.start(
                "deployments.runtime.scoring", str(self.place), folder=self.place, preload=PRELOAD,
                environment=forks.bare_environment(self.place), stdout=words.fileno(), stderr=words.fileno(),
            )  # fmt: skip
            try:
                self._watch(process)
            finally:
                code = process.end()
            self._take()  # what it finished last
            words.seek(0)
            lines = words.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
        return code, lines[-1][:LAST_WORDS] if lines else ""

    def _watch(self, process: Fork) -> None:
        began = next_beat = time.monotonic()
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
                return
            now = time.monotonic()
            if now - began > settings.TRAINING_WALL_SECONDS:
                raise _Late
            self._take()
            if now >= next_beat:
                next_beat = now + min(1.0, settings.HEARTBEAT_SECONDS)
                self._beat(**self._said())

    def _take(self) -> None:
        """Keep every chunk whose report is there: its file, its row and the progress, in one transaction."""
        while (report := self._report()) is not None:
            path = self.place / scoring.chunk_name(report["number"])
            stored = blobs.put_file(path, limit_bytes=settings.MAX_UPLOAD_BYTES)
            with transaction.atomic():
                self._beat(**self._counted(report))
                made = BatchChunk(batch=self.batch, number=report["number"], sha256=stored.sha256, rows=report["rows"])
                made.refused = report["refused"]
                made.save(force_insert=True)
            self.done.append(made)
            failpoint("batch.chunk")

    def _report(self) -> Json | None:
        path = (self.place / scoring.chunk_name(len(self.done))).with_suffix(".json")
        try:
            found: Json = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return found

    def _counted(self, report: Json) -> Json:
        found = (*self.batch.errors, *report["errors"])[: scoring.MOST_NAMED]
        self.batch.errors = list(found)
        rows = sum(chunk.rows for chunk in self.done) + report["rows"]
        refused = sum(chunk.refused for chunk in self.done) + report["refused"]
        return {"rows_done": rows, "rows_refused": refused, "errors": self.batch.errors}

    def _beat(self, **changes: Any) -> None:
        """Renew the lease; a database that is away for a moment is borne, but not for long."""
        try:
            alive = lease.heartbeat(Batch.objects.all(), self.held, **changes)
        except OperationalError as error:
            if changes.get("rows_done") is not None or time.monotonic() - self.spoke > SELF_FENCE_SECONDS:
                raise _Moved from error
            log.warning("heartbeat failed", batch=self.held.pk, error=str(error)[:200])
            return
        if not alive:
            raise _Moved
        self.spoke = time.monotonic()

    def _said(self) -> Json:
        try:
            told = json.loads((self.place / child.PROGRESS).read_text())
        except FileNotFoundError:
            return {"phase": "Starting"}
        return {"progress": min(0.99, float(told["share"])), "phase": str(told["phase"])[:100]}

    def _request(self) -> Json:
        version, data = self.batch.version, self.batch.dataset_version
        return {
            "files": _files(version),
            "signature": version.signature,
            "path": str(tables.one_file(data, self.place / "data.parquet")),
            "rows": self.batch.rows,
            "keep": self.batch.keep,
            "chunk_rows": self.batch.chunk_rows,
            "most_refused": self.batch.most_refused,
            "done": [
                {"path": str(blobs.local_path(chunk.sha256)), "rows": chunk.rows, "refused": chunk.refused}
                for chunk in self.done
            ],
            "kernel_limits": {
                "memory_bytes": settings.TRAINING_MEMORY_MB * 2**20,
                "file_bytes": settings.MAX_UPLOAD_BYTES,
                "cpu_seconds": 2 * settings.TRAINING_WALL_SECONDS + 60,
                "core_bytes": 0,
            },
        }


def _whole(batch_id: int) -> Batch:
    rows = Batch.objects.select_related("project", "version__model", "endpoint", "created_by", "output__dataset")
    return rows.select_related("dataset_version__dataset").get(pk=batch_id)


def _files(version: ModelVersion) -> dict[str, str]:
    """Return the local place of every file of a version, each compared with its hash."""
    for row in version.manifest:
        blobs.verify(row["sha256"])
    return {row["path"]: str(blobs.local_path(row["sha256"])) for row in version.manifest}


def _crash(code: int, last: str) -> str:
    if "memory" in last.lower() or "alloc" in last.lower():
        return f"Scoring needs more than {settings.TRAINING_MEMORY_MB:,} MB of memory, which is the limit."
    if code < 0:
        return f"The scoring process was ended by signal {-code}."
    return f"The scoring process stopped unexpectedly (exit {code}). {last}".strip()


def _end(held: Claim, state: str, failure: str = "") -> str:
    """Write the end and its event together, if the attempt still holds the row; a stopped one keeps no chunk."""
    rows = Batch.objects.all()
    with transaction.atomic():
        asked = rows.filter(pk=held.pk, cancel_requested_at__isnull=False).exists()
        state, failure = (WorkState.CANCELLED, "") if asked else (state, failure)
        if (state == WorkState.CANCELLED and not asked) or not lease.finish(
            rows, held, state=state, failure=failure, phase=""
        ):
            return "fenced"
        batch = _whole(held.pk)
        if state == WorkState.CANCELLED:
            batch.chunks.all().delete()
        batches.note(batch)
    log.info("batch ended", batch=held.pk, state=state)
    return str(state)
