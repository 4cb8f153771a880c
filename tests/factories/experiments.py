"""Experiments and runs."""

from experiments.models import Experiment, Run
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
