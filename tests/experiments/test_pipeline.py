"""One attempt with a real training process: what it stores, and how each kind of death ends."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import metricstore, pipeline
from experiments.models import Artifact, JobAttempt, TrainingJob
from experiments.pipeline.logbook import LogBook
from experiments.pipeline.process import Child
from experiments.queries import joblog
from experiments.services import attempts, jobs
from projects.models import Project
from tests.factories.jobs import make_job, make_scientist, make_version
from tests.factories.projects import actor, make_project

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def project() -> Project:
    return make_project()


def run(job: TrainingJob) -> TrainingJob:
    assert pipeline.execute_job(job.pk, worker="test") == "ended"
    return TrainingJob.objects.with_context().get(pk=job.pk)


def last_attempt(job: TrainingJob) -> JobAttempt:
    found = job.attempts.order_by("-pk").first()
    assert found
    return found


def log_of(job: TrainingJob) -> list[str]:
    return [line.text for line in joblog.lines(last_attempt(job))]


def test_success_stores_metrics_files_and_log(project: Project) -> None:
    job = run(make_job(project, spec={"folds": 3}))
    assert (job.state, job.run.state, job.failure, job.progress) == ("succeeded", "finished", "", 1.0)
    assert sorted(Artifact.objects.filter(run=job.run).values_list("path", flat=True)) == [
        "calibration.json",
        "confusion_matrix.json",
        "importance.json",
        "metrics.json",
        "model/environment.json",
        "model/example.json",
        "model/model.skops",
        "model/reference.parquet",
        "model/signature.json",
        "precision_recall.json",
        "roc.json",
    ]
    latest = metricstore.latest([job.run_id])[job.run_id]
    assert latest["accuracy"].value > 0.9
    assert list(metricstore.series(job.run_id, "cv/accuracy").steps) == [1, 2, 3]
    assert [phase["name"] for phase in job.phases] == [
        "load", "prepare", "cross_validate", "train", "evaluate", "save",
    ]  # fmt: skip
    assert all(phase["ended_ms"] >= phase["started_ms"] for phase in job.phases)
    assert log_of(job)[-1] == "Training succeeded"
    attempt = last_attempt(job)
    assert (attempt.outcome, attempt.number, attempt.pid is not None) == ("succeeded", 1, True)
    assert job.usage["peak_bytes"] > 50e6


def test_temporary_folder_is_gone_afterwards(project: Project, settings: Any, tmp_path: Path) -> None:
    settings.TEMP_DIR = tmp_path
    run(make_job(project))
    assert list(tmp_path.glob("job-*")) == []


def test_message_for_an_ended_job_changes_nothing(project: Project) -> None:
    job = run(make_job(project))
    assert pipeline.execute_job(job.pk, worker="test") == "not queued"
    assert job.attempts.count() == 1


def test_data_that_cannot_teach_fails_with_the_sentence(project: Project) -> None:
    frame = pd.DataFrame({"x": range(40), "species": ["a"] * 40})
    job = run(make_job(project, dataset_version=make_version(project, frame)))
    assert (job.state, job.run.state) == ("failed", "failed")
    assert job.failure == 'Target "species" has 1 class, "a". Classification needs at least 2.'
    assert job.run.failure == job.failure
    assert Artifact.objects.filter(run=job.run).count() == 0
    assert job.attempts.count() == 1


def test_missing_data_file_fails_with_the_sentence(project: Project) -> None:
    job = make_job(project)
    type(job.dataset_version).objects.filter(pk=job.dataset_version_id).update(parquet_sha256="0" * 64)
    assert run(job).failure == "The file 000000000000 is not stored."


def big(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(rows, 30)), columns=[f"c{n}" for n in range(30)])
    return frame.assign(species=np.where(frame["c0"] > 0, "a", "b"))


def test_out_of_memory_fails_with_limit_and_peak(project: Project) -> None:
    version = make_version(project, big(400_000))
    job = run(make_job(project, dataset_version=version, limits={"memory_mb": 1024}))
    assert job.state == "failed"
    assert job.failure.startswith("The training ran out of memory: limit 1,024 MB, peak ")
    assert job.attempts.count() == 1


def slow_spec() -> dict[str, Any]:
    return {"algorithm": "random_forest", "hyper_parameters": {"n_estimators": 2000}}


def test_longer_than_its_limit_times_out(project: Project) -> None:
    version = make_version(project, big(60_000))
    job = make_job(project, dataset_version=version, spec=slow_spec())
    TrainingJob.objects.filter(pk=job.pk).update(limits=job.limits | {"wall_seconds": 6})
    job = run(job)
    assert (job.state, job.run.state) == ("timed_out", "failed")
    assert job.failure.startswith("The training took longer than its limit of 0.1 min.")
    assert not alive(last_attempt(job).pid)


def alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Child]]:
    """The training processes that a test starts, to be killed from outside."""
    started: list[Child] = []
    make = Child.__init__

    def remember(self: Child, *arguments: Any) -> None:
        make(self, *arguments)
        started.append(self)

    monkeypatch.setattr(Child, "__init__", remember)
    yield started
    assert not any(alive(child.pid) for child in started)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (signal.SIGKILL, "The training process was killed from outside (signal 9)"),
        (signal.SIGSEGV, "The training process crashed (SIGSEGV, signal 11)."),
        (signal.SIGXCPU, "The training used more processor time than its limit allows."),
    ],
)
def test_killed_process_fails_without_another_try(
    project: Project, children: list[Child], number: int, sentence: str
) -> None:
    def strike() -> None:
        while not children or children[0].pid is None:
            time.sleep(0.05)
        os.kill(children[0].pid, number)

    killer = threading.Thread(target=strike)
    job = make_job(project)
    killer.start()
    job = run(job)
    killer.join()
    assert (job.state, job.attempts.count()) == ("failed", 1)
    assert job.failure.startswith(sentence)


def test_environment_of_the_process_holds_no_secret(project: Project, children: list[Child]) -> None:
    seen: list[bytes] = []

    def look() -> None:
        while not children or children[0].pid is None:
            time.sleep(0.01)
        seen.append(Path(f"/proc/{children[0].pid}/environ").read_bytes())

    reader = threading.Thread(target=look)
    os.environ["MLPORTAL_SECRET_KEY_PROBE"] = "planted"
    try:
        job = make_job(project)
        reader.start()
        run(job)
        reader.join()
    finally:
        del os.environ["MLPORTAL_SECRET_KEY_PROBE"]
    names = {pair.split(b"=")[0].decode() for pair in seen[0].split(b"\0") if pair}
    assert {name for name in names if "KEY" in name or "URL" in name or name.startswith("DJANGO")} == set()


def test_cancel_while_training_ends_the_group(project: Project, children: list[Child], settings: Any) -> None:
    """The flag is set where another process would set it: between two reports of the attempt."""
    settings.FLUSH_SECONDS = 0.2
    settings.HEARTBEAT_SECONDS = 0.2
    version = make_version(project, big(60_000))
    job = make_job(project, dataset_version=version, spec=slow_spec())
    write, calls = attempts.report, []

    def report_then_cancel(held: attempts.Held, **changes: Any) -> bool:
        calls.append(changes)
        if len(calls) == 5:
            jobs.cancel(actor(make_scientist(project)), job=TrainingJob.objects.get(pk=job.pk))
        return write(held, **changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.services.attempts.report", report_then_cancel)
        assert pipeline.execute_job(job.pk, worker="test") == "cancelled"
    job = TrainingJob.objects.with_context().get(pk=job.pk)
    assert (job.state, job.run.state, last_attempt(job).outcome) == ("cancelled", "cancelled", "cancelled")
    assert len(calls) == 5


def test_log_book_keeps_the_newest_of_a_flood() -> None:
    book = LogBook()
    for number in range(20_000):
        book.add(number, "info", "x" * 100)
    first, lines = book.peek()
    assert first + len(lines) == 20_000
    assert sum(len(line[2]) for line in lines) <= 256 * 1024
    book.forget(len(lines))
    assert (book.next_line, bool(book)) == (20_000, False)


def test_log_book_takes_any_text() -> None:
    book = LogBook()
    book.add(1, "warning", "a\nb\x00\ud800" + "y" * 9000)
    assert [line[2][:4] for line in book.peek()[1]] == ["a", "b�?y"]
    assert (book.warnings, len(book.peek()[1][1][2])) == (1, 4000)
