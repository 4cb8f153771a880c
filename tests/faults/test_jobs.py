"""Whatever is killed, each accepted job ends exactly once, and one attempt's results count."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import metricstore
from experiments.models import Artifact, JobAttempt, TrainingJob
from experiments.services import jobs
from mlportal.lib.lease import TERMINAL
from projects.models import DatasetVersion, Event, Project
from tests.factories.jobs import make_job, make_scientist, make_version
from tests.factories.projects import actor, make_project
from tests.faults.plant import LEASE_SECONDS, Plant, alive, kill_group, plant, wait

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

ROUNDS = range(int(os.environ.get("FAULT_ROUNDS", "1")))
ENDS = 180  # seconds until any job must have ended after the last fault
LONG = {"algorithm": "hist_gradient_boosting", "hyper_parameters": {"max_iter": 200}}
ENDLESS = {"algorithm": "hist_gradient_boosting", "hyper_parameters": {"max_iter": 2_000}}  # for jobs that are stopped


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path) as made:
        yield made


@pytest.fixture
def project() -> Project:
    return make_project()


def big(project: Project) -> DatasetVersion:
    """Data on which `LONG` trains for some seconds."""
    rows = np.random.default_rng(0).normal(size=(10_000, 12))
    frame = pd.DataFrame(rows, columns=[f"c{n}" for n in range(12)])
    return make_version(project, frame.assign(species=np.where(frame["c0"] > 0, "a", "b")), name="big")


def fresh(job: TrainingJob) -> TrainingJob:
    return TrainingJob.objects.with_context().get(pk=job.pk)


def ended(*waiting: TrainingJob, within: float = ENDS) -> list[TrainingJob]:
    ids = [job.pk for job in waiting]
    rows = TrainingJob.objects.filter(pk__in=ids)
    wait(lambda: not rows.exclude(state__in=TERMINAL).exists(), within, f"the end of jobs {ids}")
    return [fresh(job) for job in waiting]


def working(job: TrainingJob, phase: str = "train") -> JobAttempt:
    """The attempt, once its process is in that phase."""
    wait(lambda: TrainingJob.objects.filter(pk=job.pk, phase=phase, state="running").exists(), 60, f"phase {phase}")
    return job.attempts.get(outcome="working")


def check_ended_once(*done: TrainingJob) -> None:
    """The invariants of every succeeded job."""
    for job in done:
        verbs = list(Event.objects.filter(target_type="trainingjob", target_id=job.pk).values_list("verb", flat=True))
        ends = [verb for verb in verbs if verb in ("job.succeeded", "job.failed", "job.cancelled")]
        assert (job.state, job.run.state, ends) == ("succeeded", "finished", ["job.succeeded"])
        assert job.attempts.filter(outcome="succeeded").count() == 1
        assert not job.attempts.filter(outcome="working").exists()
        assert Artifact.objects.filter(run=job.run, path="model/model.skops").count() == 1
        assert len(metricstore.series(job.run_id, "accuracy").values) == 1
        assert not any(alive(attempt.pid) for attempt in job.attempts.all())


@pytest.mark.parametrize("_", ROUNDS)
def test_killed_training_process_fails_its_job_once(works: Plant, project: Project, _: int) -> None:
    works.worker("one")
    job = make_job(project, dataset_version=big(project), spec=ENDLESS)
    os.kill(working(job).pid or 0, signal.SIGKILL)
    [job] = ended(job, within=15)
    assert (job.state, job.run.state, job.attempts.count()) == ("failed", "failed", 1)
    assert job.failure.startswith("The training process was killed from outside (signal 9)")


@pytest.mark.parametrize("_", ROUNDS)
def test_killed_worker_has_its_job_done_by_another(works: Plant, project: Project, _: int) -> None:
    first = works.worker("one")
    job = make_job(project, dataset_version=big(project), spec=LONG | {"folds": 2})
    attempt = working(job, random.choice(["cross_validate", "train"]))
    kill_group(first)
    wait(lambda: not alive(attempt.pid), 5, "the death of the orphan")
    works.worker("two")
    [job] = ended(job)
    check_ended_once(job)
    assert (job.attempt, [each.outcome for each in job.attempts.order_by("pk")]) == (2, ["interrupted", "succeeded"])
    assert len(metricstore.series(job.run_id, "cv/accuracy").values) == 2


@pytest.mark.parametrize("_", ROUNDS)
def test_killed_broker_with_queued_jobs_loses_none(works: Plant, project: Project, _: int) -> None:
    queued = [make_job(project, spec={"seed": seed}) for seed in range(3)]
    works.worker("one", concurrency=2)
    wait(lambda: TrainingJob.objects.exclude(state="queued").exists(), 60, "a first start")
    works.kill_broker()
    queued += [make_job(project, spec={"seed": seed}) for seed in (3, 4)]
    time.sleep(2)
    works.start_broker()
    check_ended_once(*ended(*queued))
    assert [fresh(job).attempt for job in queued] == [1] * 5


@pytest.mark.parametrize("_", ROUNDS)
def test_duplicate_messages_start_one_attempt(works: Plant, project: Project, _: int) -> None:
    works.worker("one", concurrency=2)
    works.worker("two", concurrency=2)
    job = make_job(project)
    for _again in range(5):
        works.publish(job.pk)
    [job] = ended(job)
    for _again in range(3):
        works.publish(job.pk)
    time.sleep(2)
    check_ended_once(fresh(job))
    assert job.attempts.count() == 1


@pytest.mark.parametrize("delay", [0, 1, 4] if len(ROUNDS) == 1 else [step / 4 for step in range(33)])
def test_cancel_at_any_moment_is_final(works: Plant, project: Project, delay: float) -> None:
    job = make_job(project, dataset_version=big(project), spec=ENDLESS)
    works.worker("one")
    if delay:
        wait(job.attempts.exists, 60, "the start")
        time.sleep(delay)
    jobs.cancel(actor(make_scientist(project)), job=fresh(job))
    [job] = ended(job, within=10)
    assert (job.state, job.run.state) == ("cancelled", "cancelled")
    assert job.attempts.count() == (1 if delay else 0)
    wait(lambda: not any(alive(each.pid) for each in job.attempts.all()), 10, "the end of the process")
    time.sleep(1)
    assert fresh(job).state == "cancelled"


@pytest.mark.parametrize("_", ROUNDS)
def test_frozen_worker_is_fenced(works: Plant, project: Project, _: int) -> None:
    first = works.worker("one")
    job = make_job(project, dataset_version=big(project), spec=LONG)
    attempt = working(job)
    kill_group(first, signal.SIGSTOP)
    os.kill(attempt.pid or 0, signal.SIGSTOP)
    works.worker("two")
    wait(lambda: job.attempts.count() == 2, LEASE_SECONDS + 60, "the second attempt")
    kill_group(first, signal.SIGCONT)
    os.kill(attempt.pid or 0, signal.SIGCONT)
    [job] = ended(job)
    wait(lambda: not alive(attempt.pid), 10, "the end of the fenced process")
    check_ended_once(job)
    assert [each.outcome for each in job.attempts.order_by("pk")] == ["interrupted", "succeeded"]


def test_poison_job_ends_after_three_attempts_and_the_queue_moves(works: Plant, project: Project) -> None:
    poisoned = works.worker("one", MLPORTAL_FAILPOINT="claimed")
    job = make_job(project)
    [job] = ended(job)
    kill_group(poisoned)
    assert (job.state, job.run.state, job.attempt) == ("failed", "failed", 3)
    assert job.failure == "Interrupted 3 times: the worker stopped answering each time."
    assert [each.outcome for each in job.attempts.all()] == ["interrupted"] * 3
    works.worker("two")
    check_ended_once(*ended(make_job(project, spec={"seed": 1})))


@pytest.mark.parametrize("point", ["claimed", "artifact_stored", "finishing", "finished"])
def test_death_in_a_gap_leaves_nothing_half(works: Plant, project: Project, point: str) -> None:
    first = works.worker("one", MLPORTAL_FAILPOINT=point)
    job = make_job(project)
    attempt = wait(job.attempts.first, 60, "the start")
    pool_process = int(attempt.worker.rpartition("/")[2])
    wait(lambda: not alive(pool_process), 60, f"death at {point}")
    kill_group(first)
    works.worker("two")
    [job] = ended(job)
    check_ended_once(job)
    assert job.attempt == (1 if point == "finished" else 2)


def test_worker_asked_to_stop_hands_its_job_back(works: Plant, project: Project) -> None:
    first = works.worker("one")
    job = make_job(project, dataset_version=big(project), spec=LONG)
    attempt = working(job)
    os.kill(first.pid, signal.SIGTERM)
    wait(lambda: fresh(job).state == "queued", 5, "the hand-back")
    wait(lambda: not alive(attempt.pid), 5, "the end of its process")
    works.worker("two")
    [job] = ended(job)
    check_ended_once(job)
    assert job.attempt == 1


@pytest.mark.parametrize("_", ROUNDS)
def test_everything_at_once(works: Plant, project: Project, _: int) -> None:
    """Workers and broker die at random moments under a small load; the seed is printed."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    workers = [works.worker(f"w{n}") for n in range(2)]
    queued = [make_job(project, spec={"seed": n}) for n in range(6)]
    stop = threading.Event()

    def strike() -> None:
        for turn in range(3):
            stop.wait(chance.uniform(2, 6))
            if turn == 1:
                works.kill_broker()
                stop.wait(1)
                works.start_broker()
            else:
                kill_group(workers.pop(0))
                workers.append(works.worker(f"x{turn}"))

    striker = threading.Thread(target=strike)
    striker.start()
    striker.join()
    found = ended(*queued, within=ENDS * 2)
    check_ended_once(*[job for job in found if job.state == "succeeded"])
    assert {job.state for job in found} == {"succeeded"}
