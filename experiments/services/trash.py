"""The trash of a project: what is in it comes back, or is removed for good, by hand or after some days."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from experiments import metricstore
from experiments.models import BulkAction, Experiment, Lifecycle, Run
from experiments.queries.holding import runs_held
from experiments.services import bulk
from experiments.services.bulk import Chosen
from mlportal.lib.errors import Conflict
from mlportal.lib.lease import TERMINAL
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, allowed, require
from projects.services import dataset_trash, legal_holds


def empty(by: Actor, *, project: Project) -> BulkAction:
    """Remove all that is in the trash now, with its datasets for who may delete those; what something needs stays.

    Raises
    ------
    Conflict
        While it is being emptied already.
    """
    require(by, Permission.RUN_DELETE, project)
    action = _remove(by, project, timezone.now(), "all")
    if allowed(by, Permission.DATASET_DELETE, project):
        dataset_trash.empty(by, project=project)
    return action


def remove_experiment(by: Actor, *, experiment: Experiment) -> BulkAction:
    """Remove an experiment of the trash and all its runs for good; it stays with those runs that something needs.

    Raises
    ------
    Conflict
        If it is not in the trash.
    """
    require(by, Permission.RUN_DELETE, experiment.project, within=experiment)
    if experiment.lifecycle != Lifecycle.DELETED:
        raise Conflict(f"The experiment {experiment.name} is not in the trash.", code="experiment_state")
    return _remove(by, experiment.project, timezone.now(), experiment.pk)


def remove_run(by: Actor, *, run: Run) -> BulkAction:
    """Remove a run of the trash for good.

    Raises
    ------
    Conflict
        If it is not in the trash, or something needs it; says what.
    """
    require(by, Permission.RUN_DELETE, run.project, within=run)
    if run.lifecycle != Lifecycle.DELETED:
        raise Conflict(f"Run {run.pk} is not in the trash.", code="run_state")
    if why := runs_held(run.project, [run.pk]).get(run.pk):
        raise Conflict(f"Run {run.pk} is {why} and cannot be removed.", code="run_needed")
    return bulk.run(by, project=run.project, kind=BulkAction.Kind.REMOVE, chosen=Chosen(run_ids=[run.pk]))


def expire() -> int:
    """Begin to remove what has been in the trash for longer than its project keeps it; say in how many projects."""
    begun = 0
    for project in (
        Project.objects.filter(Q(runs__lifecycle=Lifecycle.DELETED) | Q(experiments__lifecycle=Lifecycle.DELETED))
        .exclude(legal_holds.held_projects())
        .distinct()
    ):
        before = timezone.now() - timedelta(days=project.trash_days)
        if _due(project, before) and not _under_way(project):
            by = Actor.system("trash", project=project, grants={Permission.RUN_DELETE})
            _remove(by, project, before, "all")
            begun += 1
    return begun


def _due(project: Project, before: datetime) -> bool:
    """Whether anything is old enough that nothing needs."""
    mark = {"project": project, "lifecycle": Lifecycle.DELETED, "deleted_at__lte": before}
    runs = Run.objects.filter(**mark).exclude(pk__in=list(runs_held(project)))
    return runs.exists() or Experiment.objects.filter(**mark, runs=None, logged_models__model_versions=None).exists()


def _under_way(project: Project) -> bool:
    removals = BulkAction.objects.filter(project=project, kind=BulkAction.Kind.REMOVE, confirmed_at__isnull=False)
    return removals.exclude(state__in=TERMINAL).filter(given__place="all").exists()


def _remove(by: Actor, project: Project, before: datetime, place: int | str) -> BulkAction:
    with metricstore.writing():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if _under_way(project):
            raise Conflict("The trash is being emptied already.", code="trash_busy")
        given = {"before": before.isoformat(), "place": place}
        return bulk.run(by, project=project, kind=BulkAction.Kind.REMOVE, chosen=Chosen(), given=given)
