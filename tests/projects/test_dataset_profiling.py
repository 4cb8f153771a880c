"""Profiling as leased work: what a worker leaves behind, however it ends."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.db.models.functions import Now

from mlportal.lib import blobs, lease
from projects import pipeline
from projects.models import DatasetVersion, Event
from projects.services import datasets
from projects.tabular.child import PROGRESS
from tests.factories.datasets import profiled, registrar, upload
from tests.factories.projects import make_project

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def verbs() -> list[str]:
    return list(Event.objects.order_by("seq").values_list("verb", flat=True))


def test_profile_fills_the_version_and_writes_one_event():
    version = profiled(make_project())
    assert (version.state, version.failure, version.progress) == ("succeeded", "", 1.0)
    assert (version.row_count, version.column_count) == (3, 6)
    assert [(field["name"], field["kind"]) for field in version.schema] == [
        ("customer", "categorical"),
        ("plan", "categorical"),
        ("age", "integer"),
        ("spend", "numeric"),
        ("joined", "datetime"),
        ("churned", "boolean"),
    ]
    assert version.profile["age"]["nulls"] == 1
    assert verbs() == ["dataset.registered", "dataset.profiled"]


def test_typed_copy_has_the_types_of_the_schema():
    version = profiled(make_project())
    table = pq.read_table(blobs.local_path(version.parquet_sha256))
    assert [str(field.type) for field in table.schema] == [
        "string", "string", "int64", "double", "timestamp[us]", "bool",
    ]  # fmt: skip
    assert table.column("age").to_pylist() == [31, 45, None]


def test_bad_file_ends_failed_with_the_sentence():
    version = profiled(make_project(), b"a,b\n1,2\n3\n")
    assert version.state == "failed"
    assert version.failure == "1 row does not have the 2 fields of the header. Lines (fields found): 3 (1)."
    assert verbs() == ["dataset.registered", "dataset.failed"]


@pytest.mark.parametrize("sample", sorted(datasets.SAMPLES))
def test_sample_is_built_as_it_is_described(sample):
    project = make_project()
    version = datasets.register_sample(registrar(project), project=project, sample=sample)
    pipeline.profile_version(version.pk, worker="test")
    version.refresh_from_db()
    described = datasets.SAMPLES[sample]
    assert (version.state, version.failure) == ("succeeded", "")
    assert (version.row_count, version.column_count) == (described.rows, described.columns)
    assert described.target in version.profile
    blobs.verify(version.sha256)


def test_second_message_does_nothing():
    version = profiled(make_project())
    assert pipeline.profile_version(version.pk, worker="late") == "not claimed"
    assert verbs() == ["dataset.registered", "dataset.profiled"]


def test_memory_limit_is_named(settings):
    settings.PROFILE_MEMORY_MB = 60
    version = profiled(make_project())
    assert version.state == "failed"
    assert version.failure == "Profiling needs more than 60 MB of memory, which is the limit."


def test_time_limit_is_named(settings):
    settings.PROFILE_SECONDS = 0
    version = profiled(make_project())
    assert (version.state, version.failure) == ("timed_out", "Profiling took longer than 0 seconds.")


def test_fenced_attempt_writes_nothing(monkeypatch):
    version = upload(make_project())
    watch = pipeline._watch

    def lose_the_lease(process, held, folder):
        DatasetVersion.objects.filter(pk=version.pk).update(fence=held.fence + 1)
        return watch(process, held, folder)

    monkeypatch.setattr(pipeline, "_watch", lose_the_lease)
    assert pipeline.profile_version(version.pk, worker="slow") == "fenced"
    version.refresh_from_db()
    assert (version.state, version.parquet_sha256) == ("starting", "") or version.state == "running"
    assert verbs() == ["dataset.registered"]


def test_cancel_ends_the_attempt():
    version = upload(make_project())
    held = lease.claim(DatasetVersion.objects.all(), version.pk, worker="test")
    lease.request_cancel(DatasetVersion.objects.all(), version.pk)
    assert pipeline._settle(version, held, pipeline.Outcome("succeeded")) == "cancelled"


WORKER = """
import sys, django
django.setup()
from projects import pipeline
print(pipeline.profile_version(int(sys.argv[1]), worker="doomed"))
"""


@pytest.mark.faults
@pytest.mark.parametrize("point", ["profile.claimed", "profile.stored"])
def test_killed_worker_is_replaced_and_the_version_ends_once(point):
    version = upload(make_project())
    run_worker(version.pk, failpoint=point)
    expire(version.pk)
    pipeline.sweep_profiles()
    assert pipeline.profile_version(version.pk, worker="second") == "succeeded"
    version.refresh_from_db()
    assert (version.state, version.attempt, version.worker) == ("succeeded", 2, "second")
    assert verbs() == ["dataset.registered", "dataset.profiled"]


@pytest.mark.faults
def test_worker_killed_in_mid_profile_takes_its_child_along():
    lines = [b"a,b,c"] + [b"%d,%d.5,word %d" % (row, row % 977, row % 13) for row in range(400_000)]
    version = upload(make_project(), b"\n".join(lines))
    worker = start_worker(version.pk)
    child = wait_for_child(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert gone_within(child, seconds=10)
    expire(version.pk)
    pipeline.sweep_profiles()
    assert pipeline.profile_version(version.pk, worker="second") == "succeeded"
    version.refresh_from_db()
    assert (version.row_count, version.attempt) == (400_000, 2)
    assert verbs() == ["dataset.registered", "dataset.profiled"]


def start_worker(pk: int, failpoint: str = "") -> "subprocess.Popen[str]":
    from django.db import connection

    settings_dict = connection.settings_dict
    environment = {**os.environ, "MLPORTAL_FAILPOINT": failpoint, "MLPORTAL_TESTING": "1"}
    environment["DJANGO_SETTINGS_MODULE"] = "mlportal.settings"
    if connection.vendor == "sqlite":
        environment["DATABASE_URL"] = f"sqlite:///{settings_dict['NAME']}"
    else:
        environment["DATABASE_URL"] = f"postgresql:///{settings_dict['NAME']}"
    environment["MLPORTAL_DATA_DIR"] = str(settings.DATA_DIR)
    return subprocess.Popen([sys.executable, "-c", WORKER, str(pk)], env=environment, cwd=settings.BASE_DIR, text=True)


def run_worker(pk: int, failpoint: str) -> None:
    assert start_worker(pk, failpoint).wait(60) == -signal.SIGKILL


def wait_for_child(pid: int) -> int:
    """The child of worker `pid` once it reads the file: its own note tells, as a beat may come too late."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for server in children(pid):  # the worker's own child forks the one that reads
            for child in children(server):
                if Path(f"/proc/{child}/cwd/{PROGRESS}").exists():
                    return child
        time.sleep(0.01)
    raise AssertionError("the worker's child read nothing")


def children(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def gone_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with Path(f"/proc/{pid}/stat").open() as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def expire(pk: int) -> None:
    DatasetVersion.objects.filter(pk=pk).update(lease_until=Now() - timedelta(seconds=1))
