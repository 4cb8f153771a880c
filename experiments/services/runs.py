"""Experiments and runs: create, log, finish, annotate, delete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from experiments import metricstore
from experiments.models import Experiment, Lifecycle, Run
from experiments.services import model_metrics
from experiments.services.model_metrics import ModelPoint
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import DatasetVersion, Project
from projects.permissions import Permission, allowed, require
from projects.services import events

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RUN_NAME_CHARS = 250
# Tags by which tracking clients name, describe and nest a run.
NAME_TAG, NOTES_TAG, PARENT_TAG = "mlflow.runName", "mlflow.note.content", "mlflow.parentRunId"
_MIRRORED = frozenset({NAME_TAG, NOTES_TAG, PARENT_TAG})


def ensure_experiment(by: Actor, *, project: Project, name: str, description: str = "") -> Experiment:
    """Return the experiment of that name, creating it if needed.

    Raises
    ------
    Invalid
        If the name breaks the naming rules.
    Conflict
        If the experiment is deleted.
    """
    require(by, _logging_right(by, project), project)
    clean = names.clean(name, field="experiment")
    text = names.clean_text(description, field="description")
    with metricstore.writing():
        now = timezone.now()
        found, created = Experiment.objects.get_or_create(
            project=project,
            name=clean,
            defaults={
                "description": text, "created_by": by.user, "created_at": now, "updated_at": now,
            },
        )  # fmt: skip
        if found.lifecycle == Lifecycle.DELETED:
            raise Conflict(f"The experiment {found.name} is deleted. Restore it or choose another name.", field="name")
        if created:
            events.record(by, "experiment.created", project=project, target=found, data={"name": clean})
    return found


def describe_experiment(by: Actor, *, experiment: Experiment, description: str, primary_metric: str = "") -> Experiment:
    """Change an experiment's description and the metric its runs are ranked by."""
    require(by, Permission.RUN_EDIT, experiment.project)
    text = names.clean_text(description, field="description")
    if primary_metric:
        metricstore.check_keys([(primary_metric, 0.0, 0, 0)], (), ())
    with transaction.atomic():
        experiment.description, experiment.primary_metric, experiment.updated_at = text, primary_metric, timezone.now()
        experiment.save(update_fields=["description", "primary_metric", "updated_at"])
        events.record(
            by, "experiment.described", project=experiment.project, target=experiment,
            data={"primary_metric": primary_metric},
        )  # fmt: skip
    return experiment


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
) -> Run:
    """Create a queued run with its first parameters and tags.

    Raises
    ------
    Invalid
        If a name, parameter or tag breaks a limit, or the dataset or parent is of another project.
    Conflict
        If the experiment is deleted.
    """
    require(by, Permission.JOB_LAUNCH if source == Run.Source.JOB else Permission.RUN_LOG, experiment.project)
    _check_family(experiment, dataset_version, parent)
    metricstore.check_batch((), params or {}, tags or {})
    text = names.clean_text(name, field="name", limit=RUN_NAME_CHARS)
    now = timezone.now()
    with metricstore.writing():
        run = Run.objects.create(
            project=experiment.project, experiment=experiment, name=text, source=source, parent=parent,
            dataset_version=dataset_version, primary_metric=primary_metric or experiment.primary_metric,
            created_by=by.user, created_at=now, started_ms=_ms(now) if started_ms is None else started_ms,
        )  # fmt: skip
        if not text:
            run.name = f"run-{run.pk}"
            run.save(update_fields=["name"])
        if params or tags:
            metricstore.append(run.pk, params=params, tags=tags)
            run.refresh_from_db(fields=["params", "tags"])
        events.record(by, "run.created", project=experiment.project, target=run, data={"experiment": experiment.name})
    return run


def start(by: Actor, *, run: Run, at_ms: int | None = None) -> Run:
    """Mark a queued run as running.

    Raises
    ------
    Conflict
        If it has started or ended already.
    """
    require(by, Permission.RUN_LOG, run.project)
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
    require(by, Permission.RUN_LOG, run.project)
    if metrics or params:
        _check_writer(by, run)

    def write() -> None:
        with metricstore.writing():
            metricstore.append(run.pk, metrics=metrics, params=params, tags=tags)
            if model_points:
                model_metrics.record(by, run=run, points=model_points)
            if tags and not _MIRRORED.isdisjoint(tags):
                _mirror(run, tags)
            if metrics and metricstore.count_call(run.pk):
                metricstore.fold(run.pk)

    metricstore.retried(write)


def finish(by: Actor, *, run: Run, state: str, failure: str = "", at_ms: int | None = None) -> Run:
    """End a run; its metrics and parameters go into the event as a digest.

    Raises
    ------
    Invalid
        If `state` is no end.
    Conflict
        If the run has ended already.
    """
    require(by, Permission.RUN_LOG, run.project)
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
    require(by, Permission.RUN_EDIT, run.project)
    changes = {}
    if name is not None:
        changes["name"] = names.clean_text(name, field="name", limit=RUN_NAME_CHARS, required=True)
    if notes is not None:
        changes["notes"] = names.clean_text(notes, field="notes")
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(**changes)
        events.record(by, "run.annotated", project=run.project, target=run, data={"fields": sorted(changes)})
    run.refresh_from_db()
    return run


def set_tags(by: Actor, *, run: Run, tags: Mapping[str, str]) -> Run:
    """Set tags of a run; the last value wins."""
    require(by, Permission.RUN_EDIT, run.project)
    with metricstore.writing():
        metricstore.append(run.pk, tags=tags)
        _mirror(run, tags)
    run.refresh_from_db(fields=["name", "notes", "tags"])
    return run


def drop_tag(by: Actor, *, run: Run, key: str) -> bool:
    """Remove a tag; say whether it was there."""
    require(by, Permission.RUN_EDIT, run.project)
    with metricstore.writing():
        found = metricstore.drop_tag(run.pk, key)
        if key in (NOTES_TAG, PARENT_TAG):
            _mirror(run, {key: ""})
    run.refresh_from_db(fields=["tags"])
    return found


def delete(by: Actor, *, run: Run) -> Run:
    """Hide a run from lists; it can be restored. A run that is still working must end first."""
    require(by, Permission.RUN_EDIT, run.project)
    if not run.is_settled and run.source == Run.Source.JOB:
        raise Conflict("The job of this run is still working. Cancel the job first.", code="run_active")
    return _move(by, run, Lifecycle.DELETED, "run.deleted")


def restore(by: Actor, *, run: Run) -> Run:
    """Show a deleted run again."""
    require(by, Permission.RUN_EDIT, run.project)
    return _move(by, run, Lifecycle.ACTIVE, "run.restored")


def _move(by: Actor, run: Run, lifecycle: str, verb: str) -> Run:
    with transaction.atomic():
        deleted_at = timezone.now() if lifecycle == Lifecycle.DELETED else None
        moved = Run.objects.filter(pk=run.pk).exclude(lifecycle=lifecycle)
        if moved.update(lifecycle=lifecycle, deleted_at=deleted_at):
            events.record(by, verb, project=run.project, target=run)
    run.refresh_from_db()
    return run


def _mirror(run: Run, tags: Mapping[str, str]) -> None:
    """Let the tags by which tracking clients name, describe and nest a run do so."""
    changes: dict[str, object] = {}
    if tags.get(NAME_TAG, "").strip():
        changes["name"] = tags[NAME_TAG][:RUN_NAME_CHARS]
    if NOTES_TAG in tags:
        changes["notes"] = tags[NOTES_TAG]
    if PARENT_TAG in tags:
        others = Run.objects.filter(project=run.project_id, uuid=tags[PARENT_TAG]).exclude(pk=run.pk)
        changes["parent"] = others.values_list("pk", flat=True).first()
    if changes:
        Run.objects.filter(pk=run.pk).update(**changes)


def _logging_right(by: Actor, project: Project) -> Permission:
    # Who may launch a job may name a new experiment for it.
    return Permission.JOB_LAUNCH if allowed(by, Permission.JOB_LAUNCH, project) else Permission.RUN_LOG


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
