"""Models a client logged: create, describe, settle, tag, delete, and tie to the runs that made them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from experiments import metricstore
from experiments.models import (
    Experiment,
    Lifecycle,
    LoggedModel,
    LoggedModelParam,
    LoggedModelTag,
    Run,
    RunModel,
)
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

NAME_CHARS = 500
KEY_CHARS = 250
VALUE_CHARS = 100_000
_FORBIDDEN_IN_NAMES = ("/", ":", ".", "%", '"', "'")


def create(
    by: Actor,
    *,
    experiment: Experiment,
    name: str,
    model_type: str = "",
    source_run: Run | None = None,
    params: Sequence[tuple[str, str]] = (),
    tags: Mapping[str, str] | None = None,
) -> LoggedModel:
    """Create a logged model whose files are still to come.

    Raises
    ------
    Invalid
        If a name, parameter or tag breaks a limit, or a parameter comes twice.
    Conflict
        If the experiment is deleted.
    """
    require(by, Permission.RUN_LOG, experiment.project, within=experiment)
    _check_name(name)
    _check_once(params)
    _check_pairs([*params, *(tags or {}).items()])
    if experiment.lifecycle == Lifecycle.DELETED:
        raise Conflict(f"The experiment {experiment.name} is deleted; restore it first.", code="experiment_deleted")
    now = _now()
    with metricstore.writing():
        made = LoggedModel.objects.create(
            project=experiment.project, experiment=experiment, name=name, model_type=model_type,
            source_run=source_run, created_by=by.user, created_ms=now, updated_ms=now,
        )  # fmt: skip
        _insert_params(made, params)
        _upsert_tags(made, tags or {})
        events.record(
            by, "logged_model.created", project=made.project, target=made, data={"experiment": experiment.name}
        )  # fmt: skip
    return made


def add_params(by: Actor, *, model: LoggedModel, params: Sequence[tuple[str, str]]) -> None:
    """Record parameters; each is written once.

    Raises
    ------
    Invalid
        If one breaks a limit or comes twice.
    Conflict
        If the model has one of them already, whatever its value.
    """
    require(by, Permission.RUN_LOG, model.project, within=model)
    _check_active(model)
    _check_once(params)
    _check_pairs(params)
    with metricstore.writing():
        _hold(model)
        taken = LoggedModelParam.objects.filter(logged_model=model, key__in=[key for key, _ in params])
        if known := taken.values_list("key", flat=True).first():
            raise Conflict(f"The parameter {known[:100]!r} of {model.uuid} is written already.", code="param_written")
        _insert_params(model, params)


def finalize(by: Actor, *, model: LoggedModel, status: str) -> LoggedModel:
    """Say that the files of a model are all there, or that their upload failed."""
    require(by, Permission.RUN_LOG, model.project, within=model)
    _check_active(model)
    with metricstore.writing():
        model.status, model.updated_ms = status, _now()
        model.save(update_fields=["status", "updated_ms"])
        events.record(by, "logged_model.finalized", project=model.project, target=model, data={"status": status})
    return model


def delete(by: Actor, *, model: LoggedModel) -> None:
    """Hide a model; its files and its ties stay. Again is fine."""
    require(by, Permission.RUN_EDIT, model.project, within=model)
    with metricstore.writing():
        hidden = LoggedModel.objects.active().filter(pk=model.pk)
        if hidden.update(lifecycle=Lifecycle.DELETED, updated_ms=_now()):
            events.record(by, "logged_model.deleted", project=model.project, target=model)


def set_tags(by: Actor, *, model: LoggedModel, tags: Mapping[str, str]) -> None:
    """Set tags; the last value wins."""
    require(by, Permission.RUN_LOG, model.project, within=model)
    _check_active(model)
    _check_pairs(list(tags.items()))
    with metricstore.writing():
        _hold(model)
        _upsert_tags(model, tags)


def drop_tag(by: Actor, *, model: LoggedModel, key: str) -> bool:
    """Remove a tag; tell whether there was one."""
    require(by, Permission.RUN_EDIT, model.project, within=model)
    _check_active(model)
    with metricstore.writing():
        count, _ = LoggedModelTag.objects.filter(logged_model=model, key=key).delete()
    return bool(count)


def add_outputs(by: Actor, *, run: Run, steps: Mapping[str, int]) -> None:
    """Record which logged models a run made, and at which step of its training.

    Raises
    ------
    Missing
        If the project has no such model.
    Conflict, Forbidden
        If the run is deleted, or belongs to a training job.
    """
    require(by, Permission.RUN_LOG, run.project, within=run)
    if run.lifecycle == Lifecycle.DELETED:
        raise Conflict(
            f"The run {run.uuid} must be in the 'active' state. Current state is deleted.", code="run_deleted"
        )  # fmt: skip
    if run.source == Run.Source.JOB:
        raise Forbidden(f"Run {run.pk} is written by its training job.", code="run_of_job")
    with metricstore.writing():
        rows = LoggedModel.objects.in_project(run.project).active().filter(uuid__in=steps)
        known = dict(rows.values_list("uuid", "pk"))
        if unknown := sorted(steps.keys() - known.keys()):
            raise Missing(f"Logged model with ID '{unknown[0][:60]}' not found.", field="models")
        RunModel.objects.bulk_create(
            [
                RunModel(run=run, logged_model_id=known[uuid], direction=RunModel.Direction.OUTPUT, step=steps[uuid])
                for uuid in sorted(steps)
            ],
            update_conflicts=True, unique_fields=["run", "logged_model", "direction"], update_fields=["step"],
        )  # fmt: skip


def _now() -> int:
    return time.time_ns() // 1_000_000


def _hold(model: LoggedModel) -> None:
    """Let one writer at a time look and write: two clients may send the same keys."""
    LoggedModel.objects.select_for_update(no_key=True).filter(pk=model.pk).first()


def _insert_params(model: LoggedModel, params: Sequence[tuple[str, str]]) -> None:
    LoggedModelParam.objects.bulk_create(LoggedModelParam(logged_model=model, key=k, value=v) for k, v in params)


def _upsert_tags(model: LoggedModel, tags: Mapping[str, str]) -> None:
    LoggedModelTag.objects.bulk_create(
        [LoggedModelTag(logged_model=model, key=key, value=tags[key]) for key in sorted(tags)],
        update_conflicts=True, unique_fields=["logged_model", "key"], update_fields=["value"],
    )  # fmt: skip


def _check_active(model: LoggedModel) -> None:
    if model.lifecycle == Lifecycle.DELETED:
        raise Missing(f"Logged model with ID '{model.uuid}' not found.", code="logged_model_deleted")


def _check_name(name: str) -> None:
    if not name or len(name) > NAME_CHARS or any(c in name for c in _FORBIDDEN_IN_NAMES):
        raise Invalid(
            f"Invalid model name ({name[:100]!r}) provided. Model name must be a non-empty string of at most "
            f"{NAME_CHARS} characters and cannot contain the following characters: {_FORBIDDEN_IN_NAMES}",
            field="name", limit=NAME_CHARS,
        )  # fmt: skip


def _check_once(params: Sequence[tuple[str, str]]) -> None:
    keys = [key for key, _ in params]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Invalid(f"Duplicate parameter keys have been submitted: {twice[:100]!r}.", field="params")


def _check_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    for key, value in pairs:
        if not 0 < len(key) <= KEY_CHARS:
            raise Invalid(f"The key {key[:100]!r} must have 1 to {KEY_CHARS} characters.", field="key")
        if len(value) > VALUE_CHARS:
            raise Invalid(f"The value of {key!r} is over {VALUE_CHARS} characters.", field=key, limit=VALUE_CHARS)
