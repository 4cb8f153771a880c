"""Cut a version as a saved split says, in a child process, and keep the row numbers as a file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from mlportal.lib import blobs, lease
from mlportal.lib.errors import DomainError
from mlportal.lib.failpoints import failpoint
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.models import SplitRecipe
from projects.pipeline import children
from projects.services import events, splits, tables

log = structlog.get_logger(__name__)
CHILD, ROWS = "projects.tabular.split.child", "rows.parquet"
PRELOAD = ("projects.tabular.split.cut", "pyarrow.parquet")
Changes = dict[str, Any]


def cut_split(split_id: int, *, worker: str) -> str:
    """Claim a queued split, cut it, store the rows. Returns the state it ended in."""
    rows = SplitRecipe.objects.all()
    held = lease.claim(rows, split_id, worker=worker)
    if held is None:
        return "not claimed"
    failpoint("split.claimed")
    split = rows.select_related("version__dataset__project", "created_by").get(pk=split_id)
    try:
        changes, failure = _cut(split, held)
    except children.Stopped:
        return "fenced"
    except (DomainError, OSError) as error:
        changes, failure = {}, str(error)
    failpoint("split.cut")
    return _settle(split, held, changes, failure)


def sweep_splits() -> dict[str, int]:
    """Hand on the splits of silent workers, and wake workers for forgotten ones."""
    rows = SplitRecipe.objects.all()
    moved = lease.sweep(rows, on_end=_tell, on_requeue=lambda _row: None)
    return {"moved": moved, "published": lease.republish(rows, task=splits.CUT_TASK)}


def _cut(split: SplitRecipe, held: Claim) -> tuple[Changes, str]:
    with children.folder("split") as place:

        def progress() -> Changes:
            share, phase = children.said(place)
            return {"progress": min(0.99, share), "phase": phase or "Starting"}

        beat = children.heart(SplitRecipe.objects.all(), held, progress)
        ended = children.run(
            CHILD, _request(split, place), place, beat=beat, seconds=settings.PROFILE_SECONDS, preload=PRELOAD
        )
        if ended.stopped in (children.LOST, children.CANCELLED):
            raise children.Stopped
        if ended.stopped:
            return {}, f"Cutting took longer than {settings.PROFILE_SECONDS:,} seconds."
        if ended.code:
            return {}, f"The process that cuts stopped unexpectedly (exit {ended.code}). {ended.last_words}".strip()
        answer = json.loads(ended.out)
        if "refusal" in answer:
            return {}, answer["refusal"]
        stored = blobs.put_file(place / ROWS, limit_bytes=settings.MAX_UPLOAD_BYTES)
        return {"report": answer["report"], "rows_sha256": stored.sha256}, ""


def _request(split: SplitRecipe, place: Path) -> Changes:
    version = split.version
    return {
        "recipe": asdict(splits.recipe_of(split)),
        "path": str(tables.one_file(version, place / "data.parquet")),
        "schema": version.schema,
        "rows": version.row_count,
        "levels": {name: facts["distinct"] for name, facts in version.profile.items()},
        "kernel_limits": {
            "memory_bytes": settings.PROFILE_MEMORY_MB * 2**20,
            "file_bytes": settings.MAX_UPLOAD_BYTES,
            "cpu_seconds": 2 * settings.PROFILE_SECONDS + 60,
            "core_bytes": 0,
        },
    }


def _settle(split: SplitRecipe, held: Claim, changes: Changes, failure: str) -> str:
    """Write the end and its event together, if the attempt still holds the row."""
    state = WorkState.FAILED if failure else WorkState.SUCCEEDED
    with transaction.atomic():
        if not lease.finish(SplitRecipe.objects.all(), held, state=state, failure=failure, phase="", **changes):
            return "fenced"
        split.refresh_from_db()
        _tell(split)
    log.info("split cut", split=split.pk, state=split.state)
    return split.state


def _tell(split: SplitRecipe) -> None:
    project = split.version.dataset.project
    by = Actor.system("splitting", project=project, on_behalf_of=split.created_by)
    verb = "split.cut" if split.state == WorkState.SUCCEEDED else "split.failed"
    data = {"split": split.name, "version": split.version.number, "sha256": split.rows_sha256,
            "failure": split.failure[:300]}  # fmt: skip
    events.record(by, verb, project=project, target=split, data=data)
