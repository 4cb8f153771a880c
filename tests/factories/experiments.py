"""Experiments and runs."""

from experiments.models import Experiment, InputDataset, LoggedModel, Run, RunInput, RunModel
from experiments.services import experiments, runs
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission
from tests.factories.projects import system

P = Permission


def writer(project: Project) -> Actor:
    return system(project, P.RUN_LOG, P.RUN_EDIT, P.RUN_VIEW, P.JOB_LAUNCH)


def make_experiment(project: Project, name: str = "churn-gbm") -> Experiment:
    return experiments.ensure(writer(project), project=project, name=name)


def make_run(experiment: Experiment, name: str = "first", **extra: object) -> Run:
    return runs.create(writer(experiment.project), experiment=experiment, name=name, **extra)


def log(run: Run, key: str, values: list[float], *, start_ms: int = 1_760_000_000_000) -> None:
    batch = [(key, value, start_ms + 1000 * step, step) for step, value in enumerate(values)]
    runs.log_batch(writer(run.project), run=run, metrics=batch)


def make_logged_model(run: Run, name: str = "segmenter", *, step: int = 3) -> LoggedModel:
    model = LoggedModel.objects.create(
        project=run.project, experiment=run.experiment, name=name, source_run=run, status=LoggedModel.Status.READY,
        model_type="sklearn", created_ms=1_760_000_000_000, updated_ms=1_760_000_000_000,
    )  # fmt: skip
    RunModel.objects.create(run=run, logged_model=model, direction=RunModel.Direction.OUTPUT, step=step)
    return model


def read_dataset(run: Run, name: str = "drive", *, context: str = "training", **extra: str) -> InputDataset:
    dataset, _ = InputDataset.objects.get_or_create(
        experiment=run.experiment, name=name, digest="abc123", defaults={"source_type": "s3", **extra}
    )
    RunInput.objects.create(run=run, dataset=dataset, context=context)
    return dataset
