"""Files that are refused or break off: by right, by state, by size, in the middle."""

import io
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from experiments.models import Artifact, Run
from experiments.services import artifacts
from mlportal.lib.errors import Conflict
from tests.experiments.mlflow.calls import Caller, scientist
from tests.experiments.mlflow.filing import PROXY, error, fetch, put, root
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return scientist(project)


@pytest.fixture
def run(project):
    return make_run(make_experiment(project), source=Run.Source.MLFLOW)


def test_a_viewer_reads_only(ana, project, run):
    put(ana, run, "a")
    vic = Caller(make_user("vic", role="viewer", project=project), project)
    assert fetch(vic, run, "a")[:2] == (200, b"hello")
    assert error(put(vic, run, "b")) == (403, "PERMISSION_DENIED")
    assert error(vic.send("DELETE", f"{PROXY}/{root(run)}/a")) == (403, "PERMISSION_DENIED")


def test_a_run_of_a_job_is_sealed(ana, project, run):
    job_run = make_run(run.experiment, name="job", source="job")
    artifacts.store(writer(project), owner=job_run, path="kept", stream=[b"x"])
    assert error(put(ana, job_run, "a")) == (403, "PERMISSION_DENIED")
    assert error(ana.send("DELETE", f"{PROXY}/{root(job_run)}/kept")) == (403, "PERMISSION_DENIED")
    assert fetch(ana, job_run, "kept")[:2] == (200, b"x")


def test_a_deleted_run_takes_nothing_and_still_shows_its_files(ana, run):
    put(ana, run, "a")
    Run.objects.update(lifecycle="deleted")
    assert error(put(ana, run, "b")) == (400, "INVALID_PARAMETER_VALUE")
    assert error(ana.send("DELETE", f"{PROXY}/{root(run)}/a")) == (400, "INVALID_PARAMETER_VALUE")
    assert fetch(ana, run, "a")[:2] == (200, b"hello")


@pytest.mark.parametrize("step", ["create", "complete", "abort"])
def test_transfers_in_parts_are_refused_so_that_the_client_sends_the_whole(ana, run, step):
    body = json.dumps({"path": "big.bin", "num_parts": 3}).encode()
    answer = ana.send("POST", f"mlflow-artifacts/mpu/{step}/{root(run)}", body, content_type="application/json")
    assert error(answer) == (501, "NOT_IMPLEMENTED")
    words = "Multipart upload is not supported for the current artifact repository"
    assert json.loads(answer.content)["message"].startswith(words)
    assert error(ana.send("GET", f"mlflow-artifacts/presigned/{root(run)}/a"))[0] == 501


def incoming(settings):
    place = settings.DATA_DIR / "blobs" / "incoming"
    return list(place.iterdir()) if place.exists() else []


def test_a_body_that_breaks_off_leaves_nothing(ana, run, settings):
    answer = ana.client.generic(
        "PUT", f"/api/2.0/{PROXY}/{root(run)}/a", headers=ana.headers,
        **{"wsgi.input": io.BytesIO(b"hello"), "CONTENT_LENGTH": "9"},
    )  # fmt: skip
    assert error(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert json.loads(answer.content)["message"] == "artifact broke off after 5 of 9 bytes; nothing was kept."
    assert (Artifact.objects.count(), incoming(settings)) == (0, [])


def test_a_body_in_chunks_has_no_length_and_is_kept_whole(ana, run):
    answer = ana.client.generic(
        "PUT", f"/api/2.0/{PROXY}/{root(run)}/a", headers=ana.headers | {"Transfer-Encoding": "chunked"},
        **{"wsgi.input": io.BytesIO(b"hello")},
    )  # fmt: skip
    assert answer.status_code == 200
    assert fetch(ana, run, "a")[1] == b"hello"


def test_a_body_over_the_limit_is_refused_before_it_is_read(ana, run, settings):
    settings.MAX_ARTIFACT_BYTES = 4
    answer = put(ana, run, "a", b"hello")
    assert error(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert (Artifact.objects.count(), incoming(settings)) == (0, [])


def test_a_top_with_two_full_folders_is_listed_without_reading_them(ana, run):
    Artifact.objects.bulk_create(
        Artifact(
            run=run, path=f"{part}/{number:05}", sha256="0" * 64, size_bytes=1, media_type="text/plain",
            created_at=run.created_at,
        )
        for part in ("a", "b") for number in range(4000)
    )  # fmt: skip
    put(ana, run, "c")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert [e.path for e in artifacts.listing(run)] == ["a", "b", "c"]
    assert len(queries) == 3
    assert len(artifacts.listing(run, "b")) == 4000


def test_one_file_too_many_is_refused(ana, run, monkeypatch):
    monkeypatch.setattr(artifacts, "FILES_PER_OWNER", 2)
    monkeypatch.setattr(artifacts, "COUNT_EVERY", 1)
    assert [put(ana, run, name).status_code for name in ("a", "b", "a")] == [200, 200, 200]
    assert error(put(ana, run, "c")) == (400, "INVALID_PARAMETER_VALUE")
    assert sorted(Artifact.objects.values_list("path", flat=True)) == ["a", "b"]


def test_a_run_deleted_while_its_file_comes_in_takes_nothing(project, run):
    def body():
        yield b"half"
        Run.objects.filter(pk=run.pk).update(lifecycle="deleted")
        yield b"rest"

    with pytest.raises(Conflict, match="deleted"):
        artifacts.store(writer(project), owner=run, path="a", stream=body())
    assert Artifact.objects.count() == 0


def test_a_small_file_costs_few_queries(ana, run):
    put(ana, run, "warm/up")
    with CaptureQueriesContext(connection) as queries:
        put(ana, run, "model/conda.yaml")
    assert len(queries) <= 14, [query["sql"][:120] for query in queries]
