"""The example project: made by the services that a user's clicks call, from real data and real training.

Nothing is written past a service, so whatever the example shows, a user can do. It needs a running portal,
because workers train and the serving process predicts.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from django.db.models import Model
from django.utils import timezone
from pyarrow import parquet

from deployments.models import Endpoint, Environment, ModelVersion, PromotionRequest, Rollout
from deployments.services import policies, predicting, promotions, registry, rollouts
from experiments.models import TrainingJob
from experiments.services import jobs
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError, Unprocessable
from mlportal.lib.lease import TERMINAL, WorkState
from monitoring.models import Alert, Monitor
from monitoring.services import monitors
from projects.actor import Actor
from projects.models import DatasetVersion, Project, User
from projects.services import datasets

SAMPLE, TARGET, MODEL = "breast_cancer", "diagnosis", "tumour-screening"
TRIALS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("baseline", "dummy", {}),
    ("logistic, C 0.001", "logistic_regression", {"C": 0.001}),
    ("logistic, C 1", "logistic_regression", {"C": 1.0}),
    ("forest, 200 trees", "random_forest", {"n_estimators": 200}),
    ("boosting", "hist_gradient_boosting", {"learning_rate": 0.1}),
)
FIRST, BETTER, CANARY = "logistic, C 0.001", "logistic, C 1", "forest, 200 trees"
STEPS = [{"share": share, "minutes": 60, "requests": 500} for share in (0.25, 0.5, 1.0)]
QUICK = {"bucket_seconds": 5, "step_seconds": 10, "window_seconds": 60, "min_samples": 150}
CALM = {"bucket_seconds": 3600, "step_seconds": 3600, "window_seconds": 86_400, "min_samples": 200}
BATCH, BATCHES = 20, 12
SHARED = 160  # requests that a canary has a share of
Say = Callable[[str], None]


class DemoFailed(Exception):
    """The example could not be finished; the text says at what."""


def fill(project: Project, say: Say) -> None:
    """Bring the project to life: data, runs, a live endpoint with traffic, an alert, a canary, a waiting request."""
    sam, mona, otto = (Actor.for_user(User.objects.get(username=name)) for name in ("sam", "mona", "otto"))
    say("Registering and profiling the sample data")
    version = _dataset(sam, project, SAMPLE)
    _dataset(sam, project, "diabetes")
    say(f"Training {len(TRIALS)} models on {version}")
    trained = _train(sam, project, version)
    say("Registering a model and asking for its promotion")
    asked = _ask(sam, project, trained[FIRST], "First model that beats the baseline; to gather live traffic.")
    say("Approving it as the manager")
    _approve(replace(mona, authenticated_at=timezone.now()), asked)
    endpoint = Endpoint.objects.in_project(project).get(name=asked.endpoint_name)
    canary = _request(sam, project, trained[CANARY], "A forest finds more of the tumours; to be seen on few requests.")
    say(f"Sending requests to {endpoint.name}, at first as in training, then shifted")
    _traffic(otto, endpoint, version)
    say("Waiting for monitoring to notice")
    _drift(otto, endpoint, version)
    say("Giving a quarter of the requests to another model")
    _roll_out(otto, mona, _evaluated(canary), endpoint, version)
    say("Asking for the promotion of a better model, to be decided by you")
    _ask(sam, project, trained[BETTER], "Higher ROC AUC on the same data; the drift alert asks for a fresh model.")


def _until(found: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what} took longer than {seconds:g} s. Are the workers running?")
        time.sleep(0.5)
    return value


def _ended(row: Any, seconds: float, what: str) -> None:
    """Wait for work of a worker and insist that it succeeded."""

    def is_over() -> bool:
        row.refresh_from_db()
        return row.state in TERMINAL

    _until(is_over, seconds, what)
    if row.state != WorkState.SUCCEEDED:
        raise DemoFailed(f"{what} {row.state}: {row.failure}")


def _dataset(by: Actor, project: Project, sample: str) -> DatasetVersion:
    version = datasets.register_sample(by, project=project, sample=sample)
    _ended(version, 180, f"Profiling {sample}")
    return version


def _train(by: Actor, project: Project, version: DatasetVersion) -> dict[str, TrainingJob]:
    launched = {}
    for name, algorithm, parameters in TRIALS:
        spec = {
            "task": "classification", "target": TARGET, "features": None, "test_share": 0.3, "seed": 7,
            "stratify": True, "folds": 3, "algorithm": algorithm, "hyper_parameters": parameters,
        }  # fmt: skip
        launched[name] = jobs.launch(
            by, project=project, experiment=MODEL, dataset_version=version, spec=spec, name=name
        )
    for name, job in launched.items():
        _ended(job, 600, f"Training {name!r}")
    return launched


def _ask(by: Actor, project: Project, job: TrainingJob, reason: str) -> PromotionRequest:
    return _evaluated(_request(by, project, job, reason))


def _request(by: Actor, project: Project, job: TrainingJob, reason: str) -> PromotionRequest:
    version: ModelVersion = registry.register(by, run=job.run, model_name=MODEL)
    policies.ensure(project)
    place = Environment.objects.in_project(project).get(name="production")
    return promotions.request(by, version=version, environment=place, reason=reason)


def _evaluated(request: PromotionRequest) -> PromotionRequest:
    def is_sealed() -> bool:
        request.refresh_from_db()
        return bool(request.seal) or not request.is_pending

    _until(is_sealed, 180, "Evaluating the candidate")
    return request


def _approve(by: Actor, request: PromotionRequest) -> None:
    """Approve; the advisory findings are ticked as the page asks a person to."""
    comment = "Good enough to learn from live traffic; the metrics hold on held-out data."
    try:
        promotions.decide(by, request=request, verdict="approve", comment=comment)
    except Unprocessable as asked:
        ticks = [str(name) for name in asked.got] if isinstance(asked.got, list) else []
        promotions.decide(by, request=request, verdict="approve", comment=comment, acknowledged=ticks)


def _roll_out(
    by: Actor, approver: Actor, request: PromotionRequest, endpoint: Endpoint, version: DatasetVersion
) -> None:
    """Plan steps, approve them, and send requests that both versions answer."""
    reason = "Few requests first, to see its answers beside those of what is live."
    rollout = rollouts.plan(by, request=request, reason=reason, steps=STEPS)
    _approve(replace(approver, authenticated_at=timezone.now()), request)

    def shares() -> bool:
        rollout.refresh_from_db()
        return rollout.state != Rollout.State.VALIDATING

    _until(shares, 90, "Loading the canary")
    endless = cycle(_records(version))
    for _turn in range(SHARED):
        _predict(by, endpoint, list(islice(endless, 3)))


def _records(version: DatasetVersion) -> list[dict[str, Any]]:
    rows = parquet.read_table(blobs.local_path(version.parquet_sha256)).drop_columns([TARGET]).to_pylist()
    return list(rows)


def _shifted(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record as a scanner with another scale would have measured it."""
    return {k: v * 1.6 if k.startswith("mean") and isinstance(v, float) else v for k, v in record.items()}


def _batches(records: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    endless = cycle(records)
    for _number in range(BATCHES):
        yield list(islice(endless, BATCH))


def _traffic(by: Actor, endpoint: Endpoint, version: DatasetVersion) -> None:
    monitor = Monitor.objects.live().main().get(project=endpoint.project, endpoint=endpoint.name)
    monitors.update_pace(by, monitor=monitor, **QUICK)
    _until(lambda: _answers(by, endpoint, version), 90, f"Serving {endpoint.name}")
    records = _records(version)
    for batch in _batches(records):
        _predict(by, endpoint, batch)
    time.sleep(QUICK["step_seconds"])
    for batch in _batches(records):
        _predict(by, endpoint, [_shifted(record) for record in batch])


def _answers(by: Actor, endpoint: Endpoint, version: DatasetVersion) -> bool:
    try:
        _predict(by, endpoint, _records(version)[:1])
    except DomainError as error:
        if error.status not in (404, 503):  # the serving process has not heard of it, or is still loading it
            raise
        return False
    return True


def _predict(by: Actor, endpoint: Endpoint, records: list[dict[str, Any]]) -> None:
    predicting.predict(by, endpoint=endpoint, body=json.dumps({"records": records}).encode())


def _drift(by: Actor, endpoint: Endpoint, version: DatasetVersion) -> None:
    project = endpoint.project
    endless = cycle(_records(version))

    def firing() -> Model | None:
        """Keep the shifted traffic up: a rule wants to see it in several windows before it fires."""
        _predict(by, endpoint, [_shifted(record) for record in islice(endless, BATCH)])
        time.sleep(1.5)
        alerts = Alert.objects.in_project(project).shown().filter(endpoint=endpoint.name)
        return alerts.filter(rule__metric__startswith="drift").first()

    try:
        _until(firing, 240, "The drift alert")
    finally:
        # Back to hours, or the silence after the example would raise alerts of its own.
        monitor = Monitor.objects.live().main().get(project=project, endpoint=endpoint.name)
        monitors.update_pace(by, monitor=monitor, **CALM)
