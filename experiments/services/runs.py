"""Runs: create, log, finish, annotate, delete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from experiments import metricstore
from experiments.models import Experiment, Lifecycle, Run
from experiments.services import model_metrics
from experiments.services.model_metrics import ModelPoint
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from mlportal.lib.sql import insert
from projects.actor import Actor
from projects.models import DatasetVersion
from projects.permissions import Permission, require
from projects.services import events

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RUN_NAME_CHARS = 250
# Tags by which tracking clients name, describe and nest a run.
NAME_TAG, NOTES_TAG, PARENT_TAG = "mlflow.runName", "mlflow.note.content", "mlflow.parentRunId"
_MIRRORED = frozenset({NAME_TAG, NOTES_TAG, PARENT_TAG})


def create(
    by: Actor,
    *,
    experiment: Experiment,
    name: str = "",
    source: str = Run.Source.API,
    dataset_version: DatasetVersion | None = None,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    parent: Run | None = None,
    primary_metric: str = "",
    started_ms: int | None = None,
    user_name: str = "",
    running: bool = False,
) -> Run:
    """Create a run with its first parameters and tags: queued, or running at once.

    Raises
    ------
    Invalid
        If a name, parameter or tag breaks a limit, or the dataset or parent is of another project.
    Conflict
        If the experiment is deleted.
    """
    require(by, _right_to_create(source), experiment.project, within=experiment)
    params, tags = params or {}, tags or {}
    _check_family(experiment, dataset_version, parent)
    metricstore.check_new(params, tags)
    parent = parent or _parent_of(experiment.project_id, tags)
    now = timezone.now()
    began = _ms(now) if started_ms is None else started_ms
    run = Run(
        project=experiment.project, experiment=experiment, source=source, parent=parent,
        name=names.exact(name, field="name", limit=RUN_NAME_CHARS), notes=tags.get(NOTES_TAG, ""),
        dataset_version=dataset_version, primary_metric=primary_metric or experiment.primary_metric,
        params=json.dumps(params), tags=json.dumps(tags), user_name=user_name or _name_of(by),
        created_by=by.user, created_at=now, started_ms=began,
    )  # fmt: skip
    if running:
        run.state, run.started_at = Run.State.RUNNING, _moment(began)
    with metricstore.writing():
        insert(run)
        if not name:
            run.name = f"run-{run.pk}"
            run.save(update_fields=["name"])
        metricstore.begin(run.pk, experiment.pk, params=params, tags=tags)
        events.record(by, "run.created", project=experiment.project, target=run, data={"experiment": experiment.name})
    return run


def _right_to_create(source: str) -> Permission:
    return Permission.JOB_LAUNCH if source == Run.Source.JOB else Permission.RUN_LOG


def start(by: Actor, *, run: Run, at_ms: int | None = None) -> Run:
    """Mark a queued run as running.

    Raises
    ------
    Conflict
        If it has started or ended already.
    """
    require(by, Permission.RUN_LOG, run.project, within=run)
    _check_writer(by, run)
    began = _ms(timezone.now()) if at_ms is None else at_ms
    with transaction.atomic():
        changed = Run.objects.active().filter(pk=run.pk, state=Run.State.QUEUED)
        if not changed.update(state=Run.State.RUNNING, started_ms=began, started_at=_moment(began)):
            raise _wrong_state(run, "start")
        events.record(by, "run.started", project=run.project, target=run)
    run.refresh_from_db()
    return run


def log_batch(
    by: Actor,
    *,
    run: Run,
    metrics: Sequence[tuple[str, float, int, int]] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    model_points: Sequence[ModelPoint] = (),
) -> None:
    """Record metrics as (key, value, timestamp in ms, step), parameters and tags: all of it or nothing.

    Tags that tracking clients use for a run's name, notes and parent change these too; ``model_points`` are
    metrics of this batch that were measured of logged models.

    Raises
    ------
    Invalid
        If the batch breaks a limit; names the item.
    Conflict
        If a parameter would change, or the run is deleted or sealed.
    """
    require(by, Permission.RUN_LOG, run.project, within=run)
    if metrics or params:
        _check_writer(by, run)

    mirrored = tags and not _MIRRORED.isdisjoint(tags)

    def write() -> None:
        if not model_points and not mirrored:
            metricstore.append(run.pk, metrics=metrics, params=params, tags=tags)
            return
        with metricstore.writing():
            metricstore.append(run.pk, metrics=metrics, params=params, tags=tags)
            if model_points:
                model_metrics.record(by, run=run, points=model_points)
            if tags and mirrored:
                _mirror(run, tags)

    metricstore.retried(write)
    if metrics and metricstore.count_call(run.pk, len(metrics)):
        metricstore.retried(lambda: metricstore.fold(run.pk))


def finish(by: Actor, *, run: Run, state: str, failure: str = "", at_ms: int | None = None) -> Run:
    """End a run; its metrics and parameters go into the event as a digest.

    Raises
    ------
    Invalid
        If `state` is no end.
    Conflict
        If the run has ended already.
    """
    require(by, Permission.RUN_LOG, run.project, within=run)
    if state not in Run.TERMINAL:
        allowed_states = ", ".join(Run.TERMINAL)
        raise Invalid(f"A run cannot end as {str(state)[:40]!r}. Allowed: {allowed_states}.", field="state")
    _check_writer(by, run)
    ended = _ms(timezone.now()) if at_ms is None else at_ms
    with metricstore.writing():
        changed = Run.objects.active().filter(pk=run.pk, state__in=[Run.State.QUEUED, Run.State.RUNNING])
        if not changed.update(state=state, ended_ms=ended, ended_at=_moment(ended), failure=failure[:4000]):
            raise _wrong_state(run, "finish")
        metricstore.fold(run.pk)
        run.refresh_from_db()
        run.digest = digest(run)
        run.save(update_fields=["digest"])
        events.record(
            by, f"run.{state}", project=run.project, target=run, data={"digest": run.digest, "failure": failure[:300]}
        )
    return run


def amend(
    by: Actor, *, run: Run, state: str | None = None, ended_ms: int | None = None, name: str | None = None
) -> Run:
    """Change what a tracking client changes of a run: its state in any direction, its end, its name.

    A client ends a run and resumes it days later. What is None stays as it is.

    Raises
    ------
    Conflict
        If the run is deleted, or sealed by its job.
    """
    require(by, Permission.RUN_LOG, run.project, within=run)
    if run.lifecycle == Lifecycle.DELETED:
        raise _wrong_state(run, "change")
    if state is not None or ended_ms is not None:
        _check_writer(by, run)
    changes = _amendment(run, state, ended_ms, name)
    with metricstore.writing():
        if not changes:
            return run
        if not Run.objects.active().filter(pk=run.pk).update(**changes):
            raise _wrong_state(run, "change")
        if name:
            metricstore.append(run.pk, tags={NAME_TAG: name})
        for field, value in changes.items():
            setattr(run, field, value)
        verb = "run.annotated"
        if "state" in changes:
            verb = _change_state(run)
        events.record(by, verb, project=run.project, target=run, data={"fields": sorted(changes), "digest": run.digest})
    return run


def digest(run: Run) -> str:
    """Return the sha256 over a run's latest metrics and its parameters, the same on any machine."""
    latest = metricstore.latest([run.pk])[run.pk]
    facts = {
        "metrics": {name: [repr(point.value), point.step, point.stamp_ms] for name, point in latest.items()},
        "params": json.loads(run.params),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def annotate(by: Actor, *, run: Run, name: str | None = None, notes: str | None = None) -> Run:
    """Change a run's name or its notes."""
    require(by, Permission.RUN_EDIT, run.project, within=run)
    changes = {}
    if name is not None:
        changes["name"] = names.exact(name.strip(), field="name", limit=RUN_NAME_CHARS, required=True)
    if notes is not None:
        changes["notes"] = names.exact(notes.strip(), field="notes")
    with metricstore.writing():
        Run.objects.filter(pk=run.pk).update(**changes)
        if said := _as_tags(run, changes):
            metricstore.append(run.pk, tags=said)
        events.record(by, "run.annotated", project=run.project, target=run, data={"fields": sorted(changes)})
    run.refresh_from_db()
    return run


def set_tags(by: Actor, *, run: Run, tags: Mapping[str, str]) -> Run:
    """Set tags of a run; the last value wins."""
    require(by, Permission.RUN_EDIT, run.project, within=run)
    with metricstore.writing():
        metricstore.append(run.pk, tags=tags)
        _mirror(run, tags)
    run.refresh_from_db(fields=["name", "notes", "tags"])
    return run


def drop_tag(by: Actor, *, run: Run, key: str) -> bool:
    """Remove a tag; say whether it was there."""
    require(by, Permission.RUN_EDIT, run.project, within=run)
    with metricstore.writing():
        found = metricstore.drop_tag(run.pk, key)
        if key in (NOTES_TAG, PARENT_TAG):
            _mirror(run, {key: ""})
    run.refresh_from_db(fields=["tags"])
    return found


def delete(by: Actor, *, run: Run) -> Run:
    """Hide a run from lists; it can be restored. A run that is still working must end first."""
    require(by, Permission.RUN_EDIT, run.project, within=run)
    if not run.is_settled and run.source == Run.Source.JOB:
        raise Conflict("The job of this run is still working. Cancel the job first.", code="run_active")
    return _move(by, run, Lifecycle.DELETED, "run.deleted")


def restore(by: Actor, *, run: Run) -> Run:
    """Show a deleted run again."""
    require(by, Permission.RUN_EDIT, run.project, within=run)
    return _move(by, run, Lifecycle.ACTIVE, "run.restored")


def _move(by: Actor, run: Run, lifecycle: str, verb: str) -> Run:
    with transaction.atomic():
        gone = lifecycle == Lifecycle.DELETED
        mark = {"deleted_at": timezone.now() if gone else None, "deleted_by": by.user if gone else None}
        moved = Run.objects.filter(pk=run.pk).exclude(lifecycle=lifecycle)
        if moved.update(lifecycle=lifecycle, **mark):
            events.record(by, verb, project=run.project, target=run)
    run.refresh_from_db()
    return run


def _amendment(run: Run, state: str | None, ended_ms: int | None, name: str | None) -> dict[str, Any]:
    """Return the columns that change."""
    changes: dict[str, Any] = {}
    if name:
        changes["name"] = names.exact(name, field="run_name", limit=RUN_NAME_CHARS)
    if ended_ms is not None:
        changes |= {"ended_ms": ended_ms, "ended_at": _moment(ended_ms)}
    if state in Run.TERMINAL and ended_ms is None and run.ended_at is None:
        changes["ended_at"] = timezone.now()
    if state is not None and state not in Run.TERMINAL:
        changes |= {"ended_ms": None, "ended_at": None, "digest": ""}
    if state == Run.State.RUNNING and run.started_at is None:
        changes["started_at"] = _moment(run.started_ms)
    if state is not None:
        changes["state"] = state
    return {field: value for field, value in changes.items() if getattr(run, field) != value}


def _change_state(run: Run) -> str:
    """Seal what an ended run recorded; return the verb of the change."""
    if run.state not in Run.TERMINAL:
        return "run.resumed"
    metricstore.fold(run.pk)
    run.digest = digest(run)
    Run.objects.filter(pk=run.pk).update(digest=run.digest)
    return f"run.{run.state}"


def _mirror(run: Run, tags: Mapping[str, str]) -> None:
    """Let the tags by which tracking clients name, describe and nest a run do so."""
    changes: dict[str, object] = {}
    if tags.get(NAME_TAG, "").strip():
        changes["name"] = tags[NAME_TAG][:RUN_NAME_CHARS]
    if NOTES_TAG in tags:
        changes["notes"] = tags[NOTES_TAG]
    if PARENT_TAG in tags:
        parent = _parent_of(run.project_id, tags)
        changes["parent"] = parent if parent != run else None
    if changes:
        Run.objects.filter(pk=run.pk).update(**changes)


def _as_tags(run: Run, changes: Mapping[str, str]) -> dict[str, str]:
    """Return the tags in which a tracking client reads a run's name and notes, so that it sees no older ones."""
    known = json.loads(run.tags)
    pairs = (("name", NAME_TAG), ("notes", NOTES_TAG))
    return {
        tag: changes[column]
        for column, tag in pairs
        if column in changes and (tag in known or run.source == Run.Source.MLFLOW)
    }


def _parent_of(project_id: int, tags: Mapping[str, str]) -> Run | None:
    named = tags.get(PARENT_TAG)
    return Run.objects.filter(project=project_id, uuid=named).first() if named else None


def _name_of(by: Actor) -> str:
    return by.user.username if by.user is not None else ""


def _check_family(experiment: Experiment, dataset_version: DatasetVersion | None, parent: Run | None) -> None:
    if experiment.lifecycle == Lifecycle.DELETED:
        raise Conflict(f"The experiment {experiment.name} is deleted.", code="experiment_deleted")
    if dataset_version is not None and dataset_version.dataset.project_id != experiment.project_id:
        raise Invalid("The dataset belongs to another project.", field="dataset_version")
    if parent is not None and parent.project_id != experiment.project_id:
        raise Invalid("The parent run belongs to another project.", field="parent")


def _check_writer(by: Actor, run: Run) -> None:
    """Keep a job's record the job's: gates and comparisons trust it."""
    if run.source != Run.Source.JOB:
        return
    if by.kind != "system":
        raise Forbidden(f"Run {run.pk} is written by its training job. Log to a run of your own.", code="run_of_job")
    if run.is_settled:
        raise Conflict(f"Run {run.pk} has ended as {run.state}; its record is sealed.", code="run_sealed")


def _wrong_state(run: Run, verb: str) -> Conflict:
    run.refresh_from_db()
    if run.lifecycle == Lifecycle.DELETED:
        return Conflict(f"Run {run.pk} is deleted; restore it first.", code="run_deleted")
    return Conflict(f"Run {run.pk} is {run.state} and cannot {verb}.", code="run_state", got=run.state)


def _ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _moment(ms: int) -> datetime | None:
    """Return the datetime of a timestamp, None when no calendar reaches it."""
    try:
        return EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return None
