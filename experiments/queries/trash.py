"""What lies in the trash of a project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Q, QuerySet

from experiments.models import Experiment, Lifecycle, Run
from projects.actor import Actor
from projects.models import Project

from .holding import runs_kept

SHOWN_EXPERIMENTS = 200


@dataclass(frozen=True, slots=True)
class TrashLine:
    """A run or an experiment in the trash: when it is removed for good, or why it is not."""

    row: Run | Experiment
    removed_at: datetime | None
    needed: str = ""
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Trash:
    """What a page of the trash shows."""

    experiments: list[TrashLine]
    runs: list[TrashLine]
    run_count: int
    experiment_count: int
    after: int | None


def trashed_runs(by: Actor, project: Project, query: str = "") -> QuerySet[Run]:
    """Return the runs that were archived by themselves, not with their experiment."""
    rows = Run.objects.visible_to(by).in_project(project).filter(lifecycle=Lifecycle.DELETED)
    alone = Q(experiment__lifecycle=Lifecycle.ACTIVE) | ~Q(deleted_at=F("experiment__deleted_at"))
    return rows.filter(alone, Q(name__icontains=query) | Q(experiment__name__icontains=query) if query else Q())


def trashed_experiments(by: Actor, project: Project, query: str = "") -> QuerySet[Experiment]:
    """Return the experiments in the trash, the newest first, with how many runs lie in them."""
    rows = Experiment.objects.visible_to(by).in_project(project).filter(lifecycle=Lifecycle.DELETED)
    rows = rows.filter(name__icontains=query).select_related("deleted_by")
    return rows.annotate(run_count=Count("runs")).order_by("-deleted_at", "-pk")


def trash_of(
    by: Actor, project: Project, *, limit: int, before: int | None = None, kind: str = "", query: str = ""
) -> Trash:
    """Return a page of the trash, the newest first; what is needed says by what.

    Parameters
    ----------
    limit : int
        How many of each kind.
    before : int, optional
        The last run of the page before.
    kind : str
        ``runs``, ``experiments`` or ``datasets`` to leave the others out, which are counted only.
    query : str
        Part of a name.
    """
    rows, places = trashed_runs(by, project, query), trashed_experiments(by, project, query)
    counts = rows.count(), places.count()
    found, after = _page_of_runs(rows, project, limit if kind in ("", "runs") else 0, before)
    most = SHOWN_EXPERIMENTS if kind == "experiments" else limit if not kind else 0
    lines = [_line(project, place, "", place.run_count) for place in places[:most]]  # type: ignore[attr-defined]
    return Trash(lines, _run_lines(project, found), *counts, after)


def _page_of_runs(
    rows: QuerySet[Run], project: Project, limit: int, before: int | None
) -> tuple[list[Run], int | None]:
    if before is not None:
        mark = Run.objects.filter(project=project, pk=before).values_list("deleted_at", flat=True).first()
        rows = rows.filter(Q(deleted_at__lt=mark) | Q(deleted_at=mark, pk__lt=before)) if mark else rows.none()
    shown = (
        rows.select_related("experiment", "deleted_by").defer("params", "tags", "latest").order_by("-deleted_at", "-pk")
    )
    found = list(shown[: limit + 1]) if limit else []
    return found[:limit], found[limit - 1].pk if len(found) > limit else None


def _run_lines(project: Project, found: Sequence[Run]) -> list[TrashLine]:
    held = runs_kept(project, [run.pk for run in found])
    return [_line(project, run, held.get(run.pk, ""), 0) for run in found]


def _line(project: Project, row: Run | Experiment, needed: str, runs: int) -> TrashLine:
    gone = row.deleted_at + timedelta(days=project.trash_days) if row.deleted_at and not needed else None
    return TrashLine(row, gone, needed, runs)
