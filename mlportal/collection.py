"""Removes stored files that no row names any more (``docs/adr/0021-collect-files.md``).

A file is removed when two looks a day apart found that nothing names it, and no upload has claimed it for a day.
An upload claims what it writes and what it finds stored already (``blobs.put``), so one that is under way is safe.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import structlog
from django.apps import apps
from django.db.models import Sum
from django.utils import timezone

from mlportal.lib import leftovers
from mlportal.lib.leftovers import Stored
from projects.models import UnnamedFile

log = structlog.get_logger(__name__)

GRACE = timedelta(hours=24)
BATCH = 500
TRIES, PAUSE_SECONDS = 50, 0.1
# Every column that names a stored file. A test finds columns called sha256 that are in neither list.
COLUMNS = (
    ("experiments.Artifact", "sha256"),
    ("projects.DatasetVersion", "sha256"),
    ("projects.DatasetVersion", "parquet_sha256"),
    ("projects.SplitRecipe", "rows_sha256"),
    ("projects.ProjectRemoval", "record_sha256"),
    ("monitoring.PredictionChunk", "sha256"),
    ("monitoring.PredictionUpload", "sha256"),
    ("deployments.TechnicalFile", "file_sha256"),
    ("deployments.DrawnPaper", "file_sha256"),
    ("deployments.Conversion", "graph_sha256"),
    ("deployments.BatchChunk", "sha256"),
)
# Columns that hold rows with a ``sha256`` each.
LISTS = (("deployments.ModelVersion", "manifest"),)
# Columns called so that name no stored file: hashes of secrets, of requests and of other rows.
OTHERS = (
    ("deployments.DrawnPaper", "sha256"),
    ("deployments.Evaluation", "inputs_sha256"),
    ("deployments.KeptCard", "sha256"),
    ("deployments.PaperVersion", "sha256"),
    ("deployments.TechnicalFile", "sha256"),
    ("deployments.ModelVersion", "manifest_sha256"),
    ("deployments.Trial", "plan_sha256"),
    ("projects.ApiToken", "sha256"),
    ("projects.IdempotencyKey", "body_sha256"),
    ("projects.RecoveryCode", "sha256"),
    ("projects.SetupSecret", "sha256"),
    ("projects.UnnamedFile", "sha256"),
)


@dataclass
class Tally:
    """Some files."""

    files: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count one more."""
        self.files += 1
        self.size_bytes += size_bytes


@dataclass
class Collected:
    """What a look found and did.

    Parameters
    ----------
    unnamed : Tally
        Files older than the grace that no row names.
    due : Tally
        Those of them that were found so a grace ago.
    removed : Tally
        Those that were removed.
    """

    unnamed: Tally = field(default_factory=Tally)
    due: Tally = field(default_factory=Tally)
    removed: Tally = field(default_factory=Tally)


def collect(*, now: datetime | None = None, dry_run: bool = False) -> Collected:
    """Note the files that no row names, and remove those that were noted a grace ago.

    Parameters
    ----------
    now : datetime, optional
        The time of this look.
    dry_run : bool
        Only tell; nothing is noted or removed.
    """
    now = now or timezone.now()
    found, noted = Collected(), UnnamedFile.objects.filter(found_at__lte=now - GRACE)
    due_before = set(noted.values_list("sha256", flat=True))
    for file in _unnamed(now):
        found.unnamed.add(file.size_bytes)
        if file.sha256 in due_before:
            found.due.add(file.size_bytes)
        if not dry_run:
            _note(file, now)
    if not dry_run:
        UnnamedFile.objects.filter(seen_at__lt=now).delete()  # named again, or gone
        for row in noted:
            _remove(row, now, found.removed)
        log.info("files collected", unnamed=found.unnamed.files, removed=found.removed.files)
    return found


def waiting() -> Tally:
    """Count the files that were found without a name and are still stored."""
    rows = UnnamedFile.objects.all()
    return Tally(rows.count(), rows.aggregate(size=Sum("size_bytes"))["size"] or 0)


def _unnamed(now: datetime) -> Iterator[Stored]:
    listed, bound = _listed(), (now - GRACE).timestamp()
    old = (file for file in leftovers.stored() if file.claimed_at < bound and file.sha256 not in listed)
    while batch := list(islice(old, BATCH)):
        named = _named([file.sha256 for file in batch])
        yield from (file for file in batch if file.sha256 not in named)


def _named(digests: list[str]) -> set[str]:
    found: set[str] = set()
    for model, column in COLUMNS:
        rows: Any = apps.get_model(model)._default_manager.filter(**{f"{column}__in": digests})
        found.update(rows.values_list(column, flat=True))
    return found


def _listed() -> set[str]:
    found: set[str] = set()
    for model, column in LISTS:
        for rows in apps.get_model(model)._default_manager.values_list(column, flat=True).iterator():
            found.update(row["sha256"] for row in rows)
    return found


def _note(file: Stored, now: datetime) -> None:
    row, _ = UnnamedFile.objects.get_or_create(
        sha256=file.sha256, defaults={"size_bytes": file.size_bytes, "found_at": now, "seen_at": now}
    )
    UnnamedFile.objects.filter(pk=row.pk).update(seen_at=now)


def _remove(row: UnnamedFile, now: datetime, removed: Tally) -> None:
    for _ in range(TRIES):
        try:
            if leftovers.remove(row.sha256, claimed_before=(now - GRACE).timestamp()):
                removed.add(row.size_bytes)
                row.delete()
            return
        except BlockingIOError:  # an upload is filing its content: a matter of milliseconds
            time.sleep(PAUSE_SECONDS)
