"""Teams, registered versions and requests, made through the services a person's clicks call."""

import json
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments.models import Endpoint, Environment, Evaluation, ModelVersion, Policy, PromotionRequest
from deployments.services import policies, promotions, registry
from experiments.models import Run
from experiments.services import artifacts, runs
from mlportal.lib import lease
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project, User
from tests.factories.experiments import make_experiment
from tests.factories.projects import actor, make_project, make_user

SIGNATURE = {
    "task": "classification",
    "target": "churned",
    "inputs": [
        {"name": "age", "kind": "numeric", "nullable": True, "min": 18, "max": 90},
        {"name": "plan", "kind": "categorical", "nullable": False, "categories": ["basic", "plus"]},
    ],
    "outputs": [{"name": "prediction", "kind": "categorical"}, {"name": "probability", "classes": ["no", "yes"]}],
}
GRIDS = {
    "age": {"kind": "numeric", "role": "feature", "edges": [0.0, 1.0], "cuts": [], "counts": [1, 2, 3], "nulls": 0}
}


@dataclass
class Team:
    """A project with one person per role."""

    project: Project
    people: dict[str, User] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Actor:
        """``team.manager`` is the actor of the manager."""
        if name.startswith("__"):
            raise AttributeError(name)
        return actor(self.people[name])


def make_team(slug: str = "churn") -> Team:
    project = make_project(slug)
    team = Team(project)
    for name, role in {
        "scientist": "scientist", "scientist2": "scientist", "manager": "manager", "manager2": "manager",
        "ops": "ops", "admin": "admin", "viewer": "viewer",
    }.items():  # fmt: skip
        team.people[name] = make_user(f"{slug}-{name}", role=role, project=project)
    return team


def make_dataset_version(project: Project, name: str = "customers", **extra: Any) -> DatasetVersion:
    dataset, _ = Dataset.objects.get_or_create(
        project=project, name=name, name_key=name.casefold(), defaults={"created_by": project.created_by}
    )
    number = dataset.versions.count() + 1
    values = {
        "sha256": f"{number:064x}", "parquet_sha256": f"{number + 1000:064x}", "row_count": 100, "column_count": 3,
        "state": "succeeded", "filename": "customers.csv", "created_by": project.created_by,
    }  # fmt: skip
    return DatasetVersion.objects.create(dataset=dataset, number=number, **{**values, **extra})


def make_trained_run(team: Team, *, files: dict[str, bytes] | None = None, **extra: Any) -> Run:
    """A finished run of the scientist with the files of a model."""
    by = team.scientist
    data = extra.pop("dataset_version", None) or make_dataset_version(team.project)
    run = runs.create(
        by, experiment=make_experiment(team.project), dataset_version=data, primary_metric="roc_auc",
        params={"algorithm": "logistic_regression"}, **extra,
    )  # fmt: skip
    runs.start(by, run=run)
    runs.log_batch(by, run=run, metrics=[("roc_auc", 0.88, 1, 0), ("f1", 0.7, 1, 0), ("cv/roc_auc", 0.87, 1, 0)])
    for path, content in (model_files(run.pk) if files is None else files).items():
        artifacts.store(by, owner=run, path=path, stream=[content])
    return runs.finish(by, run=run, state="finished")


def model_files(seed: int = 0) -> dict[str, bytes]:
    return {
        "model/model.skops": b"model %d" % seed,
        "model/signature.json": json.dumps(SIGNATURE).encode(),
        "model/environment.json": json.dumps({"python": "3.11", "scikit-learn": "1.9.1"}).encode(),
        "importance.json": json.dumps([{"feature": "age", "mean": 0.3, "std": 0.01}]).encode(),
    }


def make_version(team: Team, *, model: str = "churn", run: Run | None = None) -> ModelVersion:
    return registry.register(team.scientist, run=run or make_trained_run(team), model_name=model)


def environment(team: Team, name: str = "production") -> Environment:
    policies.ensure(team.project)
    return Environment.objects.get(project=team.project, name=name)


def result(*, auc: float = 0.88, production: float | None = None, **extra: Any) -> dict[str, Any]:
    """What a worker stores: the primary metric, one more, and the latency."""
    rows = [difference("roc_auc", auc, production), difference("f1", 0.7, None if production is None else 0.7)]
    return {
        "rows": 100, "rounds": 1000, "metrics": rows, "latency_ms": 12.0, "production_latency_ms": None, "note": "",
        **extra,
    }  # fmt: skip


def difference(metric: str, candidate: float, production: float | None) -> dict[str, Any]:
    change = None if production is None else candidate - production
    bounds = {"low": None, "high": None} if change is None else {"low": change - 0.01, "high": change + 0.01}
    return {"metric": metric, "candidate": candidate, "production": production, "difference": change, **bounds}


def make_request(
    team: Team,
    *,
    version: ModelVersion | None = None,
    place: str = "production",
    found: dict[str, Any] | None = None,
    evaluated: bool = True,
) -> PromotionRequest:
    """A request by the second scientist, who did not train the version, evaluated and sealed."""
    version = version or make_version(team)
    request = promotions.request(
        team.scientist2, version=version, environment=environment(team, place), reason="Better on recent customers."
    )
    if evaluated:
        evaluate(request, found)
    return PromotionRequest.objects.with_subject().get(pk=request.pk)


def evaluate(request: PromotionRequest, found: dict[str, Any] | None = None, *, failure: str = "") -> None:
    """End the evaluation the way the worker does, with these numbers."""
    rows = Evaluation.objects.all()
    held = lease.claim(rows, request.evaluation.pk, worker="test")
    assert held is not None
    if found is None and not failure:
        found = result(production=0.87 if request.baseline_id else None)
    ModelVersion.objects.filter(pk=request.version_id, reference_grids__isnull=True).update(reference_grids=GRIDS)
    with transaction.atomic():
        state = "failed" if failure else "succeeded"
        assert lease.finish(rows, held, state=state, failure=failure, result=found)
        promotions.complete_evaluation(held.pk, actor=Actor.system("evaluation", project=request.project))


def set_policy(team: Team, place: str = "production", **rules: Any) -> Policy:
    """Put other rules into force, as if two admins had agreed; nobody of the team proposed them."""
    environment_ = environment(team, place)
    before = policies.current(environment_)
    Policy.objects.filter(pk=before.pk).update(state="replaced", valid_to=timezone.now())
    kept = {name: getattr(before, name) for name in (*Policy.RULES, "gates")}
    return Policy.objects.create(
        environment=environment_, number=before.number + 1, valid_from=timezone.now(), **{**kept, **rules}
    )


def step(*roles: str, needed: int = 1, name: str = "Approval") -> dict[str, Any]:
    return {"name": name, "roles": list(roles), "needed": needed}


def make_live(
    team: Team,
    *,
    version: ModelVersion | None = None,
    place: str = "production",
    conditions: list[dict[str, Any]] | None = None,
) -> Endpoint:
    """An endpoint that answers with an approved version."""
    request = make_request(team, version=version, place=place)
    promotions.decide(team.manager, request=request, verdict="approve", conditions=conditions or [])
    return Endpoint.objects.with_live().get(model=request.version.model, environment=request.environment)
