"""Folders, experiments and runs as things that rights are asked on."""

from __future__ import annotations

from experiments.models import Experiment, Folder, Run
from experiments.models.folders import chain_of
from projects.models import Project
from projects.services.things import Thing, number

OFFERED = 100


def folders(project: Project, name: str | None) -> list[Thing]:
    """Return the folder with a number, or those that a page offers."""
    rows = Folder.objects.filter(project=project)
    rows = rows.order_by("name_key")[:OFFERED] if name is None else rows.filter(pk=number(name))
    return [
        Thing(
            f"folder:{row.pk}", f"folder {row.name}", f"/p/{project.slug}/experiments/?folder={row.pk}", row,
            () if name is None else tuple(row.chain()),
        )
        for row in rows
    ]  # fmt: skip


def experiments(project: Project, name: str | None) -> list[Thing]:
    """Return the experiment with a number, or the newest that a page offers."""
    rows = Experiment.objects.active().filter(project=project)
    rows = rows.order_by("-pk")[:OFFERED] if name is None else rows.filter(pk=number(name))
    return [
        Thing(
            f"experiment:{row.pk}", f"experiment {row.name}", f"/p/{project.slug}/experiments/{row.address}/", row,
            () if name is None else tuple(chain_of(row.folder_id)),
        )
        for row in rows
    ]  # fmt: skip


def runs(project: Project, name: str | None) -> list[Thing]:
    """Return the run with a number; a page offers none, since there are thousands."""
    if name is None:
        return []
    rows = Run.objects.filter(project=project, pk=number(name)).select_related("experiment")
    return [
        Thing(
            f"run:{row.pk}", f"run {row.pk}", f"/p/{project.slug}/runs/{row.pk}/", row,
            tuple(chain_of(row.experiment.folder_id)),
        )
        for row in rows
    ]  # fmt: skip
