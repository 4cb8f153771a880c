"""Files of a run or of a logged model, one folder at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum, Value
from django.db.models.functions import StrIndex, Substr

from experiments.models import Artifact, LoggedModel, Run

FOLDERS = 500
PAGE = 200
SMALL_TABLE = 2**18
Owner = Run | LoggedModel


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder inside the one that is shown, with what lies in it at any depth."""

    path: str
    name: str
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies right in a folder; ``offset`` and ``total`` count its own files."""

    path: str
    folders: list[Folder]
    files: list[Artifact]
    offset: int
    total: int

    @property
    def next_offset(self) -> int | None:
        """Where the next page starts, None on the last."""
        end = self.offset + len(self.files)
        return end if end < self.total else None


def files_of(owner: Owner) -> QuerySet[Artifact]:
    """Return all files of a run or of a logged model."""
    return Artifact.objects.filter(**{"run" if isinstance(owner, Run) else "logged_model": owner})


def listing(owner: Owner, folder: str = "", *, offset: int = 0, limit: int = PAGE) -> Listing:
    """Return one folder: its folders with their sizes, and a page of its files, in three queries.

    Parameters
    ----------
    folder : str
        A path without a slash at its end; "" is the top.
    """
    rows = _below(files_of(owner), folder)
    own = rows.filter(slash=0)
    return Listing(folder, _folders(rows, folder), list(own.order_by("path")[offset : offset + limit]), offset,
                   own.count())  # fmt: skip


def has_folder(owner: Owner, folder: str) -> bool:
    """Whether any file lies below that path."""
    return _below(files_of(owner), folder).exists()


def below(owner: Owner, folder: str, *, limit: int) -> list[tuple[str, int]]:
    """Return (path, size) of at most ``limit`` files below a folder, at any depth."""
    rows = _below(files_of(owner), folder).order_by("path")
    return list(rows.values_list("path", "size_bytes")[:limit])


def rows_below(owner: Owner, folder: str) -> QuerySet[Artifact]:
    """Return all files below a folder, at any depth, in the order of their paths."""
    rows: QuerySet[Artifact] = _below(files_of(owner), folder).order_by("path")
    return rows


def image_paths(run_ids: Sequence[int], *, limit: int) -> list[tuple[int, str]]:
    """Return (run, path) of the images that clients logged with a key and a step."""
    rows = Artifact.objects.filter(run__in=run_ids, path__startswith="images/", media_type__startswith="image/")
    return list(rows.order_by("run", "path").values_list("run", "path")[:limit])


def plain_files(run_ids: Sequence[int], *, kinds: Collection[str], limit: int) -> list[tuple[int, str, datetime]]:
    """Return (run, path, when) of images of these media types, and of CSV tables, under names that runs share.

    That is how libraries store what they draw: ``confusion_matrix.png``, ``roc_curve_plot.png``,
    ``per_class_metrics.csv``.
    """
    shown = Q(media_type__in=kinds) & ~Q(path__startswith="images/")
    small = Q(path__endswith=".csv", size_bytes__lte=SMALL_TABLE)
    rows = Artifact.objects.filter(shown | small, run__in=run_ids)
    return list(rows.order_by("run", "path").values_list("run", "path", "created_at")[:limit])


def _below(rows: QuerySet[Artifact], folder: str) -> Any:
    """Keep what lies below a folder, with the rest of the path and the place of its next slash."""
    prefix = f"{folder}/" if folder else ""
    if prefix:
        # LIKE of SQLite takes A for a; the second condition is exact on both databases.
        rows = rows.filter(path__startswith=prefix).annotate(head=Substr("path", 1, len(prefix))).filter(head=prefix)
    rows = rows.annotate(rest=Substr("path", len(prefix) + 1))
    return rows.annotate(slash=StrIndex("rest", Value("/")))


def _folders(rows: Any, folder: str) -> list[Folder]:
    named = rows.filter(slash__gt=0).annotate(name=Substr("rest", 1, F("slash") - 1)).order_by("name")
    counted = named.values_list("name").annotate(files=Count("pk"), size=Sum("size_bytes"))
    prefix = f"{folder}/" if folder else ""
    return [Folder(prefix + name, name, files, size) for name, files, size in counted[:FOLDERS]]
