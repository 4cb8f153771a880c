"""Launch, cancel and retry: what is stored, what is refused, what is written to the audit log."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from experiments import metricstore, queries
from experiments.models import Run, TrainingJob
from experiments.queries import difference_table, joblog
from experiments.services import attempts, jobs
from mlportal.lib import code_version
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from mlportal.lib.lease import WorkState
from projects.models import DatasetVersion, Event, Project
from tests.factories.jobs import QUICK, expire, make_job, make_scientist, make_version
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def verbs(job: TrainingJob) -> list[str]:
    found = Event.objects.filter(target_type="trainingjob", target_id=job.pk)
    return list(found.order_by("seq").values_list("verb", flat=True))


def fresh(job: TrainingJob) -> TrainingJob:
    return TrainingJob.objects.with_context().get(pk=job.pk)


def test_launch_stores_job_run_and_event(project: Project) -> None:
    job = make_job(project, spec={"seed": 7, "hyper_parameters": {"C": 0.5}})
    assert (job.state, job.run.state, job.run.source) == ("queued", "queued", "job")
    assert job.spec["hyper_parameters"]["max_iter"] == 1000
    assert job.run.name == "logistic-regression-C=0.5"
    assert job.limits == {"wall_seconds": 3600, "memory_mb": 4096}
    assert verbs(job) == ["job.launched"]


def test_the_run_says_which_code_trained_it(project: Project) -> None:
    made = [make_job(project).run, make_job(project).run]
    tags = json.loads(made[0].tags)
    assert tags["mlflow.source.name"] == code_version.version()
    assert tags.get("mlflow.source.git.commit", "") == code_version.commit()
    rows = {row.name: row.values for row in difference_table.code_rows(queries.facts_of([run.pk for run in made]))}
    assert rows["code version"] == [code_version.commit() or code_version.version()] * 2


def test_params_of_the_run_say_what_was_asked(project: Project) -> None:
    import json

    params = json.loads(make_job(project, spec={"seed": 7}).run.params)
    assert params == {
        "algorithm": "logistic_regression",
        "task": "classification",
        "target": "species",
        "features": "all",
        "test_share": "0.2",
        "seed": "7",
        "stratify": "true",
        "folds": "0",
        "dataset": "iris",
        "dataset_version": "1",
        "C": "1",
        "max_iter": "1000",
        "fit_intercept": "true",
        "class_weight": "none",
    }


def test_launch_publishes_after_commit(
    project: Project, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, tuple[int, ...]]] = []
    monkeypatch.setattr("mlportal.lib.queue.publish", lambda task, *args: sent.append((task, args)))
    with django_capture_on_commit_callbacks(execute=True):
        job = make_job(project)
        assert sent == []
    assert sent == [("experiments.execute_job", (job.pk,))]


def test_nothing_is_stored_for_a_wrong_spec(project: Project) -> None:
    make_version(project)
    with pytest.raises(Invalid, match="test_share must be a number from"):
        make_job(project, spec={"test_share": 1.5})
    assert (TrainingJob.objects.count(), Run.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"memory_mb": 1}, "memory_mb must be a whole number from 1,024 to 1,048,576"),
        ({"memory_mb": 8192}, "memory_mb is 8,192 and a job may use at most 4,096."),
        ({"wall_seconds": 0}, "wall_seconds must be a whole number from 10 to 604,800"),
        ({"gpu": 1}, 'There is no limit "gpu". Allowed: wall_seconds, memory_mb.'),
        ([1], "limits must be an object. It was [1]."),
    ],
)
def test_limits_out_of_range(project: Project, limits: object, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        make_job(project, limits=limits)
    assert caught.value.message.startswith(message)


def test_dataset_of_another_project(project: Project) -> None:
    other = make_version(make_project("other"))
    with pytest.raises(Invalid, match="The dataset belongs to another project"):
        make_job(project, dataset_version=other)


def test_dataset_that_is_not_ready(project: Project) -> None:
    version = make_version(project)
    DatasetVersion.objects.filter(pk=version.pk).update(state=WorkState.RUNNING, lease_until="2100-01-01T00:00Z")
    with pytest.raises(Conflict, match="iris v1 cannot be trained on: it is running"):
        make_job(project, dataset_version=DatasetVersion.objects.get(pk=version.pk))


@pytest.mark.parametrize("role", ["viewer", "manager", "ops"])
def test_roles_that_may_not_launch(project: Project, role: str) -> None:
    user = make_user("eve", role=role, project=project)
    with pytest.raises(Forbidden):
        jobs.launch(
            actor(user), project=project, experiment="x", dataset_version=make_version(project), spec=dict(QUICK)
        )


def test_cancel_of_a_queued_job_ends_it_and_its_run(project: Project) -> None:
    job = make_job(project)
    jobs.cancel(actor(make_scientist(project)), job=job)
    assert (fresh(job).state, fresh(job).run.state) == ("cancelled", "cancelled")
    assert verbs(job) == ["job.launched", "job.cancelled"]
    assert attempts.begin(job.pk, worker="w/1") is None


def test_cancel_of_a_running_job_asks_and_is_heard(project: Project) -> None:
    job = make_job(project)
    held = attempts.begin(job.pk, worker="w/1")
    assert held
    jobs.cancel(actor(make_scientist(project)), job=fresh(job))
    jobs.cancel(actor(make_scientist(project)), job=fresh(job))
    assert fresh(job).cancelling
    assert not attempts.report(held)
    assert not attempts.settle(held, state=WorkState.SUCCEEDED) or fresh(job).state == "cancelled"
    assert (fresh(job).state, fresh(job).run.state) == ("cancelled", "cancelled")
    assert verbs(job) == ["job.launched", "job.cancel_requested", "job.cancelled"]


def test_cancel_of_an_ended_job_is_refused(project: Project) -> None:
    job = make_job(project)
    held = attempts.begin(job.pk, worker="w/1")
    assert held
    assert attempts.settle(held, state=WorkState.SUCCEEDED)
    with pytest.raises(Conflict, match="has succeeded already; there is nothing to stop"):
        jobs.cancel(actor(make_scientist(project)), job=fresh(job))


def test_only_one_claim_wins(project: Project) -> None:
    job = make_job(project)
    assert attempts.begin(job.pk, worker="a/1") is not None
    assert attempts.begin(job.pk, worker="b/1") is None


def test_silent_worker_is_fenced_and_its_writes_count_for_nothing(project: Project) -> None:
    job = make_job(project)
    first = attempts.begin(job.pk, worker="a/1")
    assert first
    assert attempts.report(first, metrics=[("accuracy", 0.5, 1, 0)])
    expire(job)
    metricstore.fold(job.run_id)
    assert attempts.sweep() == 1
    second = attempts.begin(job.pk, worker="b/1")
    assert not fresh(job).run.latest
    assert second
    assert not attempts.report(first, metrics=[("accuracy", 0.1, 2, 0)])
    assert not attempts.settle(first, state=WorkState.SUCCEEDED)
    assert attempts.report(second, metrics=[("accuracy", 0.9, 3, 0)])
    assert attempts.settle(second, state=WorkState.SUCCEEDED)

    series = metricstore.series(job.run_id, "accuracy")
    assert list(series.values) == [0.9]
    outcomes = [(attempt.number, attempt.outcome) for attempt in job.attempts.order_by("pk")]
    assert outcomes == [(1, "interrupted"), (2, "succeeded")]
    assert verbs(job) == ["job.launched", "job.requeued", "job.succeeded"]


def test_third_interruption_ends_the_job(project: Project) -> None:
    job = make_job(project)
    for _ in range(3):
        assert attempts.begin(job.pk, worker="w/1")
        expire(job)
        attempts.sweep()
    ended = fresh(job)
    assert (ended.state, ended.run.state, ended.attempt) == ("failed", "failed", 3)
    assert ended.failure == "Interrupted 3 times: the worker stopped answering each time."
    assert [attempt.outcome for attempt in job.attempts.all()] == ["interrupted"] * 3


def test_cancelled_job_of_a_silent_worker_ends_cancelled(project: Project) -> None:
    job = make_job(project)
    attempts.begin(job.pk, worker="w/1")
    jobs.cancel(actor(make_scientist(project)), job=fresh(job))
    expire(job)
    attempts.sweep()
    assert (fresh(job).state, fresh(job).run.state) == ("cancelled", "cancelled")


def test_hand_back_does_not_burn_the_attempt(project: Project) -> None:
    job = make_job(project)
    held = attempts.begin(job.pk, worker="worker@here/7")
    assert held
    assert attempts.hand_back("worker@here") == 1
    assert (fresh(job).state, fresh(job).attempt) == ("queued", 0)
    assert not attempts.report(held)
    assert attempts.begin(job.pk, worker="b/1") is not None
    assert fresh(job).attempt == 1


def test_hand_back_leaves_other_workers_alone(project: Project) -> None:
    job = make_job(project)
    attempts.begin(job.pk, worker="worker@here2/7")
    assert attempts.hand_back("worker@here") == 0
    assert fresh(job).state == "starting"


def test_republish_sends_forgotten_jobs_only(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten, recent = make_job(project), make_job(project)
    TrainingJob.objects.filter(pk=forgotten.pk).update(published_at=None)
    sent: list[int] = []
    monkeypatch.setattr("mlportal.lib.queue.publish", lambda task, pk: sent.append(pk) or True)
    assert attempts.republish() == 1
    assert sent == [forgotten.pk]
    assert recent.pk not in sent


def test_retry_of_a_failed_job_is_a_new_job(project: Project) -> None:
    job = make_job(project, spec={"seed": 3})
    held = attempts.begin(job.pk, worker="w/1")
    assert held
    attempts.settle(held, state=WorkState.FAILED, failure="No luck.")
    again = jobs.retry(actor(make_scientist(project)), job=fresh(job))
    assert (again.pk != job.pk, again.spec, again.run.name) == (True, job.spec, job.run.name)
    assert fresh(job).state == "failed"


@pytest.mark.parametrize("state", [WorkState.QUEUED, WorkState.SUCCEEDED])
def test_retry_is_for_failures_only(project: Project, state: str) -> None:
    job = make_job(project)
    TrainingJob.objects.filter(pk=job.pk).update(state=state)
    with pytest.raises(Conflict, match="Only a job that failed or was stopped"):
        jobs.retry(actor(make_scientist(project)), job=fresh(job))


def test_state_outside_the_table_is_refused_by_the_database(project: Project) -> None:
    from django.db import IntegrityError

    job = make_job(project)
    with pytest.raises(IntegrityError):
        TrainingJob.objects.filter(pk=job.pk).update(state="paused")


def test_claim_of_many_jobs_uses_an_index(project: Project) -> None:
    job = make_job(project)
    with CaptureQueriesContext(connection) as queries:
        attempts.begin(job.pk, worker="w/1")
    assert len(queries) < 30


class TestLog:
    def part(self, first: int, count: int, size: int = 10) -> attempts.LogPart:
        lines = [(1000 + n, "info", f"{n:0{size}d}") for n in range(first, first + count)]
        return attempts.LogPart(first_line=first, lines=lines, warnings=1, errors=0)

    def held(self, project: Project) -> attempts.Held:
        held = attempts.begin(make_job(project).pk, worker="w/1")
        assert held
        return held

    def test_lines_come_back_from_any_line(self, project: Project) -> None:
        held = self.held(project)
        attempts.report(held, log=self.part(0, 5))
        attempts.report(held, log=self.part(5, 5))
        assert [line.number for line in joblog.lines(held.attempt, after=3, limit=4)] == [3, 4, 5, 6]
        assert [line.number for line in joblog.lines(held.attempt)] == list(range(10))
        assert [line.number for line in joblog.last(held.attempt, limit=3)] == [7, 8, 9]
        held.attempt.refresh_from_db()
        assert (held.attempt.log_lines, held.attempt.log_warnings) == (10, 1)

    def test_head_and_tail_are_kept_within_the_limit(self, project: Project, settings: Any) -> None:
        settings.TRAINING_LOG_BYTES = 40_000
        held = self.held(project)
        for first in range(0, 1000, 10):
            attempts.report(held, log=self.part(first, 10, size=168))
        numbers = [line.number for line in joblog.lines(held.attempt)]
        assert numbers == [*range(100), *range(900, 1000)]
        text = "".join(joblog.text(held.attempt))
        assert "... 800 lines left out ...\n" in text
        assert text.count("\n") == 201
