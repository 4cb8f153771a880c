"""Experiments: create, rename, describe, tag, delete and restore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from experiments import metricstore
from experiments.models import Experiment, ExperimentTag, Folder, Lifecycle, Run
from experiments.services import folders, locations
from mlportal.lib import names
from mlportal.lib.errors import Conflict
from projects.actor import Actor
from projects.models import Project, User
from projects.permissions import Permission, Place, allowed, require
from projects.services import events

NAME_CHARS = 500
LOCATION_CHARS = 1000
TAG_VALUE_CHARS = 20_000
DEFAULT_NAME = "Default"
# MLflow's page keeps an experiment's description in this tag.
NOTE_TAG = "mlflow.note.content"


def create(
    by: Actor,
    *,
    project: Project,
    name: str,
    description: str = "",
    artifact_location: str = "",
    tags: Mapping[str, str] | None = None,
) -> Experiment:
    """Create an experiment.

    Raises
    ------
    Invalid
        If a name, tag or text breaks a limit.
    Conflict
        If the project has an experiment of that name, deleted ones included.
    """
    require(by, Permission.RUN_LOG, project)
    exact, tags = names.exact(name, field="name", limit=NAME_CHARS, required=True), tags or {}
    _check_tags(tags)
    locations.check_root(artifact_location, "artifact_location")
    facts = {
        "description": names.clean_text(description, field="description") or tags.get(NOTE_TAG, ""),
        "artifact_location": names.exact(artifact_location, field="artifact_location", limit=LOCATION_CHARS),
    }
    with metricstore.writing():
        found, created = _get_or_create(by, project, exact, facts)
        if not created:
            raise _taken(found.name)
        ExperimentTag.objects.bulk_create(ExperimentTag(experiment=found, key=k, value=v) for k, v in tags.items())
        events.record(by, "experiment.created", project=project, target=found, data={"name": found.name})
    return found


def ensure(
    by: Actor, *, project: Project, name: str, description: str = "", field: str = "name",
    folder: Folder | None = None,
) -> Experiment:  # fmt: skip
    """Return the experiment of that name, creating it if needed; ``field`` is what the caller calls the name.

    A new one lies in ``folder``; one that is there stays where it lies.

    Raises
    ------
    Invalid
        If the name breaks a limit.
    Conflict
        If the experiment is deleted.
    """
    require(by, _logging_right(by, project), project, within=_Named(project, name, folder))
    exact = names.exact(name, field=field, limit=NAME_CHARS, required=True)
    text = names.clean_text(description, field="description")
    with metricstore.writing():
        found, created = _get_or_create(by, project, exact, {"description": text, "folder": folder})
        if found.lifecycle == Lifecycle.DELETED:
            raise Conflict(f"The experiment {found.name} is deleted. Restore it or choose another name.", field=field)
        if created:
            events.record(by, "experiment.created", project=project, target=found, data={"name": found.name})
    return found


def default(by: Actor, *, project: Project) -> Experiment:
    """Return the experiment that takes runs which name none; the portal makes it when it is first asked for."""
    # Whoever may only write must still find the place of a run that names none.
    require(by, Permission.RUN_LOG if allowed(by, Permission.RUN_LOG, project) else Permission.RUN_VIEW, project)
    found = Experiment.objects.filter(project=project, is_default=True).first()
    return found or _make_default(project)


def rename(by: Actor, *, experiment: Experiment, name: str) -> Experiment:
    """Give an experiment another name.

    Raises
    ------
    Invalid
        If the name breaks a limit.
    Conflict
        If the name is taken, or the experiment is deleted.
    """
    require(by, Permission.RUN_EDIT, experiment.project, within=experiment)
    text = names.exact(name, field="name", limit=NAME_CHARS, required=True)
    _check_active(experiment)
    with metricstore.writing():
        before = experiment.name
        _save_name(experiment, text)
        events.record(
            by, "experiment.renamed", project=experiment.project, target=experiment, data={"from": before, "to": text}
        )
    return experiment


def describe(by: Actor, *, experiment: Experiment, description: str, primary_metric: str = "") -> Experiment:
    """Change an experiment's description and the metric its runs are ranked by."""
    require(by, Permission.RUN_EDIT, experiment.project, within=experiment)
    _check_active(experiment)
    text = names.clean_text(description, field="description")
    if primary_metric:
        metricstore.check_keys([(primary_metric, 0.0, 0, 0)], (), ())
    with metricstore.writing():
        experiment.description, experiment.primary_metric, experiment.updated_at = text, primary_metric, timezone.now()
        experiment.save(update_fields=["description", "primary_metric", "updated_at"])
        # A tracking client reads the description from its tag; it must not see an older one.
        ExperimentTag.objects.filter(experiment=experiment, key=NOTE_TAG).update(value=text)
        events.record(
            by, "experiment.described", project=experiment.project, target=experiment,
            data={"primary_metric": primary_metric},
        )  # fmt: skip
    return experiment


def edit(
    by: Actor, *, experiment: Experiment, name: str, description: str, primary_metric: str, folder: Folder | None
) -> Experiment:
    """Change name, description, primary metric and folder together; what is the same writes nothing.

    Raises
    ------
    Invalid
        If a text breaks a limit, or the folder belongs to another project.
    Conflict
        If the name is taken, or the experiment is deleted.
    """
    require(by, Permission.RUN_EDIT, experiment.project, within=experiment)
    with metricstore.writing():
        if name != experiment.name:
            rename(by, experiment=experiment, name=name)
        if (description, primary_metric) != (experiment.description, experiment.primary_metric):
            describe(by, experiment=experiment, description=description, primary_metric=primary_metric)
        folders.place(by, experiment=experiment, folder=folder)
    return experiment


def set_tag(by: Actor, *, experiment: Experiment, key: str, value: str) -> None:
    """Set a tag of an experiment; the last value wins.

    Raises
    ------
    Invalid
        If the key or the value breaks a limit.
    Conflict
        If the experiment is deleted.
    """
    require(by, Permission.RUN_EDIT, experiment.project, within=experiment)
    _check_active(experiment)
    _check_tags({key: value})
    with metricstore.writing():
        ExperimentTag.objects.update_or_create(experiment=experiment, key=key, defaults={"value": value})
        _touch(experiment, **({"description": value} if key == NOTE_TAG else {}))
        events.record(by, "experiment.tagged", project=experiment.project, target=experiment, data={"key": key})


def drop_tag(by: Actor, *, experiment: Experiment, key: str) -> bool:
    """Remove a tag of an experiment; say whether it was there."""
    require(by, Permission.RUN_EDIT, experiment.project, within=experiment)
    _check_active(experiment)
    with metricstore.writing():
        found, _ = ExperimentTag.objects.filter(experiment=experiment, key=key).delete()
        if found:
            _touch(experiment, **({"description": ""} if key == NOTE_TAG else {}))
            events.record(by, "experiment.untagged", project=experiment.project, target=experiment, data={"key": key})
    return bool(found)


def delete(by: Actor, *, experiment: Experiment) -> Experiment:
    """Hide an experiment and its runs from lists; both can be restored.

    Raises
    ------
    Conflict
        If it is deleted already, or a training job still works in it.
    """
    require(by, Permission.RUN_EDIT, experiment.project, within=experiment)
    working = [Run.State.QUEUED, Run.State.RUNNING]
    with metricstore.writing():
        if Run.objects.filter(experiment=experiment, source=Run.Source.JOB, state__in=working).exists():
            raise Conflict("A training job still works in this experiment. Cancel it first.", code="run_active")
        now = timezone.now()
        _move(experiment, Lifecycle.DELETED, deleted_at=now, deleted_by=by.user)
        # The same moment on both marks the runs that went with the experiment and come back with it.
        runs = Run.objects.active().filter(experiment=experiment)
        gone = runs.update(lifecycle=Lifecycle.DELETED, deleted_at=now, deleted_by=by.user)
        events.record(by, "experiment.deleted", project=experiment.project, target=experiment, data={"runs": gone})
    return experiment


def restore(by: Actor, *, experiment: Experiment) -> Experiment:
    """Show a deleted experiment again, with the runs that were deleted with it and not those deleted before.

    Raises
    ------
    Conflict
        If it is not deleted.
    """
    require(by, Permission.RUN_EDIT, experiment.project, within=experiment)
    with metricstore.writing():
        experiment.refresh_from_db(fields=["deleted_at", "lifecycle"])
        together = Run.objects.filter(lifecycle=Lifecycle.DELETED, deleted_at=experiment.deleted_at)
        runs = together.filter(experiment=experiment)
        back = runs.update(lifecycle=Lifecycle.ACTIVE, deleted_at=None, deleted_by=None)
        _move(experiment, Lifecycle.ACTIVE, deleted_at=None, deleted_by=None)
        events.record(by, "experiment.restored", project=experiment.project, target=experiment, data={"runs": back})
    return experiment


def _get_or_create(by: Actor, project: Project, name: str, facts: dict[str, Any]) -> tuple[Experiment, bool]:
    now = timezone.now()
    defaults = {**facts, "created_by": by.user, "created_at": now, "updated_at": now}
    return Experiment.objects.get_or_create(project=project, name=name, defaults=defaults)


def _make_default(project: Project) -> Experiment:
    by = Actor.system("tracking door", project=project, grants={Permission.RUN_LOG})
    with metricstore.writing():
        found, created = _get_or_create(by, project, DEFAULT_NAME, {})
        # One that people made before has the name already: it becomes the default.
        Experiment.objects.filter(pk=found.pk).update(is_default=True)
        found.is_default = True
        if created:
            events.record(by, "experiment.created", project=project, target=found, data={"name": found.name})
    return found


def _save_name(experiment: Experiment, name: str) -> None:
    try:
        with transaction.atomic():
            _touch(experiment, name=name)
    except IntegrityError:
        raise _taken(name) from None
    experiment.name = name


def _touch(experiment: Experiment, **changes: str) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(updated_at=timezone.now(), **changes)


def _move(experiment: Experiment, lifecycle: Lifecycle, **marks: Any) -> None:
    changes = {"lifecycle": lifecycle, "updated_at": timezone.now(), **marks}
    if not Experiment.objects.filter(pk=experiment.pk).exclude(lifecycle=lifecycle).update(**changes):
        raise Conflict(f"The experiment {experiment.name} is {lifecycle} already.", code="experiment_state")
    for field, value in changes.items():
        setattr(experiment, field, value)


def _check_active(experiment: Experiment) -> None:
    if experiment.lifecycle == Lifecycle.DELETED:
        raise Conflict(f"The experiment {experiment.name} is deleted; restore it first.", code="experiment_deleted")


def _check_tags(tags: Mapping[str, str]) -> None:
    metricstore.check_keys((), (), tags)
    metricstore.check_texts("tags", tags, TAG_VALUE_CHARS)


def _taken(name: str) -> Conflict:
    return Conflict(
        f"Experiment(name={name[:100]}) already exists. Choose another name, or restore it if it is deleted.",
        code="name_taken", field="name",
    )  # fmt: skip


def place_of(project: Project, experiment: Experiment | str) -> Place:
    """Return what rights are asked of: the experiment, or the one of that name."""
    return experiment if isinstance(experiment, Experiment) else _Named(project, experiment)


class _Named:
    """Where an experiment of this name lies; looked up only for somebody whose roles in the project do not suffice."""

    def __init__(self, project: Project, name: str, folder: Folder | None = None) -> None:
        self._project, self._name, self._folder = project, name, folder

    def roles_here(self, user: User) -> list[str]:
        """Roles of the person on the folders around it; of a new name, around where it shall lie."""
        found = Experiment.objects.filter(project=self._project, name=self._name).first() or self._folder
        return found.roles_here(user) if found else []


def _logging_right(by: Actor, project: Project) -> Permission:
    # Who may launch a job may name a new experiment for it.
    return Permission.JOB_LAUNCH if allowed(by, Permission.JOB_LAUNCH, project) else Permission.RUN_LOG
