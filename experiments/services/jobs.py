"""Training jobs: launch, cancel, retry."""

from collections.abc import Mapping

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from experiments.models import Experiment, Run, TrainingJob
from experiments.services import experiments, runs
from experiments.services.attempts import actor_of
from experiments.training import catalogue
from experiments.training.parameters import Parameter, shown
from experiments.training.spec import TrainingSpec, validate_spec
from mlportal.lib import code_version, lease, queue
from mlportal.lib.errors import Conflict, Invalid
from mlportal.lib.lease import WorkState
from projects.actor import Actor
from projects.models import DatasetVersion, Project, SplitRecipe
from projects.permissions import Permission, require
from projects.services import checks, events, splits

TASK = "experiments.execute_job"
OVERRIDE_TAG = "mlportal.checks_override"
COMMIT_TAG = "mlflow.source.git.commit"
TASK_LIMITS = {
    "wall_seconds": Parameter(
        name="wall_seconds",
        kind="integer",
        default=None,
        low=10,
        high=7 * 24 * 3600,
        step=60,
        empty="the usual limit",
        help="The job is stopped when it takes longer, in seconds.",
    ),
    "memory_mb": Parameter(
        name="memory_mb",
        kind="integer",
        default=None,
        low=1_024,
        high=1_048_576,
        step=1_024,
        empty="the usual limit",
        help="Memory the training may use, in MB.",
    ),
}


def launch(
    by: Actor,
    *,
    project: Project,
    experiment: Experiment | str,
    dataset_version: DatasetVersion,
    spec: object,
    name: str = "",
    baseline: Run | None = None,
    limits: object = None,
    tags: Mapping[str, str] | None = None,
    override_reason: str = "",
) -> TrainingJob:
    """Queue one training and create its run.

    ``override_reason`` passes over failed checks of the data; it is kept in the event and as a tag of the run.

    Raises
    ------
    Invalid
        Every fault of the specification at once, or a foreign dataset or baseline.
    Conflict
        While the dataset version is not ready, or when checks of it fail that must pass.
    """
    require(by, Permission.JOB_LAUNCH, project, within=experiments.place_of(project, experiment))
    _check_family(project, dataset_version, baseline)
    passed_over = checks.gate(by, version=dataset_version, override=override_reason)
    checked = validate_spec(spec, dataset_version.schema)
    split = _split(by, dataset_version, checked)
    bounds = _limits(limits)
    with transaction.atomic():
        place = _experiment(by, project, experiment)
        run = runs.create(
            by,
            experiment=place,
            name=name or _name(checked),
            source=Run.Source.JOB,
            dataset_version=dataset_version,
            params=_params(checked, dataset_version, split),
            tags={**(tags or {}), **_code(), **({OVERRIDE_TAG: passed_over["reason"]} if passed_over else {})},
            primary_metric=catalogue.PRIMARY_METRIC[checked.task],
        )
        job = TrainingJob.objects.create(
            project=project,
            run=run,
            dataset_version=dataset_version,
            baseline=baseline,
            split=split,
            spec=checked.as_json(),
            limits=bounds,
            created_by=by.user,
            published_at=Now(),
        )
        data = {"job": job.pk, "run": run.pk, "dataset_version": dataset_version.pk, "spec": job.spec}
        if passed_over:
            data["checks_override"] = passed_over
        events.record(by, "job.launched", project=project, target=job, data=data)
        queue.enqueue(TASK, job.pk)
    return job


def _code() -> dict[str, str]:
    """The portal's own code as the tags tell it that tracking clients write of theirs."""
    known = {"mlflow.source.type": "JOB", "mlflow.source.name": code_version.version()}
    return {**known, **({COMMIT_TAG: code_version.commit()} if code_version.commit() else {})}


def cancel(by: Actor, *, job: TrainingJob) -> TrainingJob:
    """Stop a job: at once while it waits, within seconds while it trains.

    Raises
    ------
    Conflict
        When it has ended.
    """
    require(by, Permission.JOB_CANCEL, job.project, within=job)
    with transaction.atomic():
        state = lease.request_cancel(TrainingJob.objects.all(), job.pk)
        was_asked = job.cancel_requested_at is not None
        job.refresh_from_db()
        if state != WorkState.CANCELLED and job.is_terminal:
            raise Conflict(
                f"Job {job.pk} has {job.get_state_display()} already; there is nothing to stop.",
                code="job_ended",
                got=state,
            )
        if not was_asked:
            _record_cancel(by, job)
    return job


def _record_cancel(by: Actor, job: TrainingJob) -> None:
    data = {"job": job.pk, "run": job.run_id}
    if not job.is_terminal:
        events.record(by, "job.cancel_requested", project=job.project, target=job, data=data)
        return
    runs.finish(actor_of(job), run=job.run, state=Run.State.CANCELLED)
    events.record(by, "job.cancelled", project=job.project, target=job, data=data)


def retry(by: Actor, *, job: TrainingJob) -> TrainingJob:
    """Launch the same training again as a new job with a run of its own.

    Raises
    ------
    Conflict
        While the job has not ended, or when it succeeded.
    """
    require(by, Permission.JOB_LAUNCH, job.project, within=job)
    if not job.is_terminal or job.state == WorkState.SUCCEEDED:
        raise Conflict(
            f"Job {job.pk} is {job.get_state_display()}. Only a job that failed or was stopped can be tried again.",
            code="job_state",
            got=job.state,
        )
    return repeat(by, job=job)


def repeat(by: Actor, *, job: TrainingJob) -> TrainingJob:
    """Launch the same training once more, measured against what this one is measured against.

    Raises
    ------
    Conflict
        While the job has not ended.
    """
    require(by, Permission.JOB_LAUNCH, job.project, within=job)
    if not job.is_terminal:
        raise Conflict(
            f"Job {job.pk} is {job.get_state_display()}. It can be run again once it has ended.",
            code="job_state",
            got=job.state,
        )
    return launch(
        by,
        project=job.project,
        experiment=job.run.experiment,
        dataset_version=job.dataset_version,
        spec=job.spec,
        name=job.run.name,
        baseline=job.baseline,
        limits=job.limits,
    )


def _experiment(by: Actor, project: Project, given: Experiment | str) -> Experiment:
    if isinstance(given, str):
        return experiments.ensure(by, project=project, name=given, field="experiment")
    if given.project_id != project.pk:
        raise Invalid("The experiment belongs to another project.", field="experiment")
    return given


def _check_family(project: Project, version: DatasetVersion, baseline: Run | None) -> None:
    if version.dataset.project_id != project.pk:
        raise Invalid("The dataset belongs to another project.", field="dataset")
    if baseline is not None and baseline.project_id != project.pk:
        raise Invalid("The baseline run belongs to another project.", field="baseline")
    if not version.is_ready:
        raise Conflict(
            f"{version} cannot be trained on: it is {version.get_state_display()}. Wait until it is profiled.",
            code="dataset_not_ready",
            field="dataset",
        )


def _split(by: Actor, version: DatasetVersion, spec: TrainingSpec) -> SplitRecipe | None:
    """Return the saved split that the specification names."""
    if not spec.split:
        return None
    found = splits.ready(by, version=version, name=spec.split)
    if spec.folds and found.kind in (SplitRecipe.Kind.GROUP, SplitRecipe.Kind.TIME):
        raise Invalid(
            f"{found} keeps {'groups' if found.kind == SplitRecipe.Kind.GROUP else 'times'} apart, and folds would mix "
            "them again. Set folds to 0.",
            code="spec_invalid", field="folds", limit=0, got=spec.folds,
        )  # fmt: skip
    return found


def _limits(given: object) -> dict[str, int]:
    """Return the limits of a job, the usual ones where none is given."""
    usual = {"wall_seconds": settings.TRAINING_WALL_SECONDS, "memory_mb": settings.TRAINING_MEMORY_MB}
    if given is None:
        return usual
    if not isinstance(given, Mapping):
        raise Invalid(f"limits must be an object. It was {shown(given)}.", field="limits", limit=list(TASK_LIMITS))
    for name in given:
        if name not in TASK_LIMITS:
            raise Invalid(
                f"There is no limit {shown(name)}. Allowed: {', '.join(TASK_LIMITS)}.",
                field=f"limits.{name}"[:200],
                limit=list(TASK_LIMITS),
            )
    out = {}
    for name, rule in TASK_LIMITS.items():
        try:
            value = rule.check(given.get(name))
        except Invalid as fault:
            raise Invalid(fault.message, field=f"limits.{name}", limit=fault.limit, got=fault.got) from fault
        out[name] = usual[name] if value is None else int(value)
    if out["memory_mb"] > settings.TRAINING_MEMORY_MB:
        most = settings.TRAINING_MEMORY_MB
        raise Invalid(
            f"memory_mb is {out['memory_mb']:,} and a job may use at most {most:,}.",
            field="limits.memory_mb",
            limit=most,
            got=out["memory_mb"],
        )
    return out


def _name(spec: TrainingSpec) -> str:
    changed = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in spec.hyper_parameters.items()
        if value != catalogue.parameters(spec.algorithm, spec.task)[name].default
    ]
    return "-".join([spec.algorithm.replace("_", "-"), *changed])[:100]


def _params(spec: TrainingSpec, version: DatasetVersion, split: SplitRecipe | None) -> dict[str, str]:
    """Return the parameters of the run, as text."""
    features = "all" if spec.features is None else ", ".join(spec.features)
    facts = {
        "algorithm": spec.algorithm,
        "task": spec.task,
        "target": spec.target,
        "features": features if len(features) <= 1000 else f"{len(spec.features or ())} columns",
        "test_share": spec.test_share,
        "seed": spec.seed,
        "stratify": spec.stratify,
        "folds": spec.folds,
        "dataset": version.dataset.name,
        "dataset_version": version.number,
    }
    if split is not None:  # it says which rows are held out, so what the specification says of that is not used
        facts |= {"split": split.name, "split_kind": split.kind, "split_sha256": split.rows_sha256}
        facts |= {"test_share": split.params["test_share"], "stratify": split.kind == SplitRecipe.Kind.STRATIFIED}
    return {name: _text(value) for name, value in {**facts, **spec.hyper_parameters}.items()}


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return shown(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
