"""Of what a runs table is: one experiment, or all experiments of a project or of a folder."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.metricstore import Scope
from experiments.models import Experiment, Folder, Lifecycle, Run
from experiments.models.runs import RunQuerySet
from mlportal.lib.errors import Missing
from projects.actor import Actor
from projects.models import Project

from .folders import tree_of

# What only helps to choose, as names of columns and values to complete, is looked for in so many experiments.
LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class RunSet:
    """The experiments of a project, or those of a folder and of all folders in it; those changed last come first.

    Parameters
    ----------
    project : Project
    scope : Scope
    path : tuple of Folder
        From the top to the folder; empty for the whole project.
    """

    project: Project
    scope: Scope
    path: tuple[Folder, ...] = ()

    # Experiments rank their runs by metrics of their own: over several there is no first one.
    primary_metric = ""

    @property
    def folder(self) -> Folder | None:
        """The folder, None for the whole project."""
        return self.path[-1] if self.path else None

    @property
    def name(self) -> str:
        """What the set is called."""
        return f"Runs in {self.folder.name}" if self.folder else "All runs"


Place = Experiment | RunSet


def run_set(by: Actor, project: Project, folder_id: int | None = None) -> RunSet:
    """Return the runs of a project, or of a folder with its subfolders; at most two queries.

    Raises
    ------
    Missing
        If the project has no such folder.
    """
    rows = Experiment.objects.visible_to(by).in_project(project).active().order_by("-updated_at", "-pk")
    if folder_id is None:
        return RunSet(project, Scope(tuple(rows.values_list("pk", flat=True)), project.pk))
    tree = tree_of(project, counted=False)
    if folder_id not in tree.by_id:
        raise Missing("There is no such folder here.", field="folder")
    inside = rows.filter(folder__in=tree.below(folder_id))
    return RunSet(project, Scope(tuple(inside.values_list("pk", flat=True))), tuple(tree.path(folder_id)))


def experiment_of(place: Place) -> Experiment | None:
    """Return the one experiment of a place, None for several."""
    return place if isinstance(place, Experiment) else None


def scope_of(place: Place) -> Scope:
    """Return the experiments of a place."""
    return Scope.of(place.pk) if isinstance(place, Experiment) else place.scope


def hints_of(place: Place) -> Scope:
    """Return the experiments in which names and values are looked for: of many those that changed last."""
    return scope_of(place).first(LOOKED_AT)


def runs_of(place: Place) -> RunQuerySet:
    """Return the runs of a place, deleted ones too."""
    rows: RunQuerySet = Run.objects.in_project(place.project)
    if isinstance(place, Experiment):
        return rows.filter(experiment=place)
    if place.folder is None:
        return rows.filter(experiment__lifecycle=Lifecycle.ACTIVE)
    return rows.filter(experiment__in=place.scope.ids)
