"""Folders of experiments. Whoever changes the tree of a project holds its lock, so no race makes a circle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.utils import timezone

from experiments import metricstore
from experiments.models import Experiment, Folder
from experiments.models.folders import MAX_DEPTH
from experiments.queries.folders import Tree, tree_of
from experiments.services.folder_roles import check_move
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events

MAX_FOLDERS = 2000
NAME_CHARS = 100
_UNCLEAN = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")


def create(by: Actor, *, project: Project, name: str, parent: Folder | None = None) -> Folder:
    """Make a folder at the top or in another one.

    Raises
    ------
    Invalid
        If the name breaks a rule, the folder would lie too deep, or the project has too many.
    Conflict
        If a folder of that name is there.
    """
    require(by, Permission.RUN_EDIT, project, within=parent)
    clean = _clean(name)
    with _changing(project) as tree:
        if len(tree.by_id) >= MAX_FOLDERS:
            raise Invalid(f"A project has at most {MAX_FOLDERS:,} folders.", field="name", limit=MAX_FOLDERS)
        _check_place(tree, project, parent, 1)
        _check_free(project, parent, clean)
        made = Folder.objects.create(
            project=project, parent=parent, name=clean, name_key=names.key(clean), created_by=by.user,
            created_at=timezone.now(),
        )  # fmt: skip
        events.record(by, "folder.created", project=project, target=made, data={"parent": made.parent_id})
    return made


def rename(by: Actor, *, folder: Folder, name: str) -> Folder:
    """Give a folder another name.

    Raises
    ------
    Invalid
        If the name breaks a rule.
    Conflict
        If another folder there has it.
    """
    require(by, Permission.RUN_EDIT, folder.project, within=folder)
    clean = _clean(name)
    with _changing(folder.project):
        folder.refresh_from_db()
        _check_free(folder.project, folder.parent, clean, without=folder)
        before, folder.name, folder.name_key = folder.name, clean, names.key(clean)
        folder.save(update_fields=["name", "name_key"])
        data = {"from": before, "to": clean}
        events.record(by, "folder.renamed", project=folder.project, target=folder, data=data)
    return folder


def move(by: Actor, *, folder: Folder, parent: Folder | None) -> Folder:
    """Put a folder with all that lies in it into another one, or to the top.

    Raises
    ------
    Invalid
        If it would lie in itself, too deep, or in another project.
    Conflict
        If a folder of its name is there.
    """
    require(by, Permission.RUN_EDIT, folder.project, within=folder)
    with _changing(folder.project) as tree:
        folder.refresh_from_db()
        check_move(by, folder.project, source=folder.parent, target=parent, within=folder)
        if parent is not None and parent.pk in tree.below(folder.pk):
            raise Invalid("A folder cannot lie in itself.", code="folder_circle", field="parent", got=parent.pk)
        _check_place(tree, folder.project, parent, tree.height(folder.pk))
        _check_free(folder.project, parent, folder.name, without=folder)
        data = {"from": folder.parent_id, "to": parent.pk if parent is not None else None}
        folder.parent = parent
        folder.save(update_fields=["parent"])
        events.record(by, "folder.moved", project=folder.project, target=folder, data=data)
    return folder


def delete(by: Actor, *, folder: Folder, content_up: bool = False) -> None:
    """Remove an empty folder; with ``content_up`` what lies in it goes where the folder was.

    Raises
    ------
    Conflict
        If it is not empty, or a folder in it has the name of one above.
    """
    require(by, Permission.RUN_EDIT, folder.project, within=folder)
    with _changing(folder.project):
        folder.refresh_from_db()
        check_move(by, folder.project, source=folder, target=folder.parent, within=folder)
        inside, placed = folder.children.all(), Experiment.objects.filter(folder=folder)
        moved = {"folders": inside.count(), "experiments": placed.active().count()}
        if any(moved.values()) and not content_up:
            raise Conflict(
                f"{folder.name} holds {moved['experiments']:,} experiments and {moved['folders']:,} folders. "
                "Move them, or delete it and let them go one level up.",
                code="folder_not_empty",
            )
        for child in inside:
            _check_free(folder.project, folder.parent, child.name, without=folder)
        placed.update(folder=folder.parent)  # those in the trash too: they must not hold it
        inside.update(parent=folder.parent)
        folder.roles.filter(valid_to=None).update(valid_to=timezone.now())
        events.record(by, "folder.deleted", project=folder.project, target=folder, data=moved)
        folder.delete()


def place(by: Actor, *, experiment: Experiment, folder: Folder | None) -> Experiment:
    """Put an experiment into a folder, or to the top; its address stays.

    Raises
    ------
    Invalid
        If the folder belongs to another project.
    """
    require(by, Permission.RUN_EDIT, experiment.project, within=experiment)
    with _changing(experiment.project) as tree:
        if folder is not None and folder.pk not in tree.by_id:
            raise Invalid("There is no such folder here.", field="folder", got=folder.pk)
        data = {"from": experiment.folder_id, "to": folder.pk if folder is not None else None}
        if data["from"] == data["to"]:
            return experiment
        check_move(by, experiment.project, source=experiment.folder, target=folder, within=experiment)
        experiment.folder, experiment.updated_at = folder, timezone.now()
        experiment.save(update_fields=["folder", "updated_at"])
        events.record(by, "experiment.moved", project=experiment.project, target=experiment, data=data)
    return experiment


@contextmanager
def _changing(project: Project) -> Iterator[Tree]:
    """Hold the project's tree: two moves at once could each be right and together make a circle."""
    with metricstore.writing():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        yield tree_of(project, counted=False)


def _clean(name: str) -> str:
    text = names.clean_text(name, field="name", limit=NAME_CHARS, required=True)
    if _UNCLEAN.search(text) or text in (".", ".."):
        raise Invalid("A folder's name is one line without slashes.", field="name", got=text[:NAME_CHARS])
    return text


def _check_place(tree: Tree, project: Project, parent: Folder | None, height: int) -> None:
    if parent is None:
        return
    if parent.project_id != project.pk or parent.pk not in tree.by_id:
        raise Invalid("There is no such folder here.", field="parent", got=parent.pk)
    depth = len(tree.path(parent.pk)) + height
    if depth > MAX_DEPTH:
        raise Invalid(f"Folders lie at most {MAX_DEPTH} deep.", field="parent", limit=MAX_DEPTH, got=depth)


def _check_free(project: Project, parent: Folder | None, name: str, *, without: Folder | None = None) -> None:
    same = Folder.objects.filter(project=project, parent=parent, name_key=names.key(name))
    if same.exclude(pk=without.pk if without is not None else None).exists():
        where = f"in {parent.name}" if parent is not None else "at the top"
        raise Conflict(f"There is a folder {name} {where} already.", code="name_taken", field="name")
