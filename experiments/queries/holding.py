"""What may not be removed, because something still needs it."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db.models import F
from django.utils.module_loading import import_string

from experiments.models import Lifecycle, Report, RunModel
from projects.models import Project
from projects.services import legal_holds


def runs_held(project: Project, run_ids: Sequence[int] | None = None) -> dict[int, str]:
    """Return the runs, of those given or of all, that something needs, each with the reason.

    The answers come from the apps above, which are named in ``settings.RUN_HOLDERS``.
    """
    found: dict[int, str] = {}
    for path in settings.RUN_HOLDERS if run_ids is None or run_ids else ():
        found |= import_string(path)(project, run_ids)
    return found


def runs_kept(project: Project, run_ids: Sequence[int] | None = None) -> dict[int, str]:
    """Return the runs that are not removed for good, each with the reason.

    These are the held ones, which do not even go to the trash, those that a frozen report shows, and those whose
    models a run read that is still there: without them it could not be told which data that run goes back to. Of
    those given, all are kept while a legal hold covers the project.
    """
    if run_ids and legal_holds.stands(project):
        return dict.fromkeys(run_ids, legal_holds.WORDS)
    return {**_in_lineage(project, run_ids), **_in_frozen_reports(project, run_ids), **runs_held(project, run_ids)}


def _in_frozen_reports(project: Project, run_ids: Sequence[int] | None) -> dict[int, str]:
    rows = Report.objects.filter(project=project, frozen_at__isnull=False).order_by("pk")
    wanted = None if run_ids is None else set(run_ids)
    return {
        run: f"shown by the frozen report {title}"
        for title, shown in rows.values_list("title", "frozen_runs")
        for run in shown
        if wanted is None or run in wanted
    }


def _in_lineage(project: Project, run_ids: Sequence[int] | None) -> dict[int, str]:
    read = RunModel.objects.filter(
        direction=RunModel.Direction.INPUT, run__project=project, run__lifecycle=Lifecycle.ACTIVE,
        logged_model__source_run__isnull=False,
    )  # fmt: skip
    read = read.exclude(run=F("logged_model__source_run")).order_by("pk")
    if run_ids is not None:
        read = read.filter(logged_model__source_run__in=run_ids)
    pairs = read.values_list("logged_model__source_run", "run")
    return {source: f"run {reader} read its model" for source, reader in pairs}
