"""Batch scorings: refused before they start, worked on in a child, gone on with, stopped, shown."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments import pipeline
from deployments.models import Batch, BatchChunk
from deployments.services import batches
from mlportal.cli import main
from mlportal.cli.errors import REFUSED
from mlportal.lib import blobs, lease, modelfile
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Unprocessable
from projects.models import Dataset, DatasetVersion, Event
from projects.services import dataset_removal, lineage
from projects.services.datasets import Origin
from tests.cli.test_rest import serve  # noqa: F401 a fixture
from tests.deployments.services.test_registry import tamper
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.batches import people, result, scored, stored
from tests.factories.deployments import make_version
from tests.factories.projects import make_user
from tests.serve.harness import Scene

CHILD = pytest.mark.slow  # starts the scoring process


@pytest.fixture
def scene(team, tmp_path):
    return Scene(team.project, make_user("ana", role="scientist", project=team.project), tmp_path)


@pytest.fixture
def version(scene):
    return scene.make_version(1)


def asked(team, version, frame=None, **extra):
    data = extra.pop("data", None) or stored(team.project, people() if frame is None else frame)
    return batches.start(team.scientist, dataset_version=data, version=version, **extra)


# ---------------------------------------------------------------- asking


def test_it_waits_with_what_the_model_does_not_read(team, version):
    batch = asked(team, version)
    assert (batch.state, batch.keep, batch.name) == ("queued", ["key", "left"], "people-scored-by-churn")
    assert (batch.rows, batch.chunk_rows, batch.most_refused) == (60, 10_000, 100)
    assert Event.objects.get(verb="batch.started").data["model"] == "churn v1"


def test_columns_that_do_not_fit_are_all_named_before_it_starts(team, version):
    frame = people().drop(columns="city").assign(age="old", plan=3)
    with pytest.raises(Unprocessable) as caught:
        asked(team, version, frame)
    assert [row["field"] for row in caught.value.errors] == ["columns.age", "columns.city"]
    assert "age holds text, and the model takes numbers; city is missing" in caught.value.message
    assert Batch.objects.count() == 0
    frame = people().assign(visits=np.nan)
    with pytest.raises(Unprocessable, match="visits is empty, and the model needs it"):
        asked(team, version, frame)


@pytest.mark.parametrize(
    ("given", "error", "field"),
    [
        ({"keep": ["nothing"]}, Invalid, "keep"), ({"keep": "key"}, Invalid, "keep"),
        ({"most_refused": -1}, Invalid, "most_refused"), ({"most_refused": True}, Invalid, "most_refused"),
        ({"name": "a/b"}, Invalid, "name"), ({"name": "PEOPLE"}, Conflict, "name"),
    ],
)  # fmt: skip
def test_a_wrong_wish_names_its_field(team, version, given, error, field):
    with pytest.raises(error) as caught:
        asked(team, version, **given)
    assert caught.value.field == field


def test_a_column_of_the_results_name_is_not_passed_through(team, version):
    frame = people().assign(prediction="x")
    assert asked(team, version, frame).keep == ["key", "left"]
    with pytest.raises(Invalid, match="cannot be passed through"):
        asked(team, version, data=DatasetVersion.objects.get(), keep=["prediction"])


def test_what_may_not_be_scored_is_refused(team, version):
    data = stored(team.project, people())
    with pytest.raises(Forbidden):
        batches.start(team.viewer, dataset_version=data, version=version)
    with pytest.raises(Invalid, match="either a model"):
        batches.start(team.scientist, dataset_version=data)
    client_model = make_version(team, model="cargo")
    client_model.origin, client_model.manifest = "mlflow", []
    with pytest.raises(Conflict, match="no files"):
        batches.start(team.scientist, dataset_version=data, version=client_model)
    data.state = "queued"
    with pytest.raises(Conflict, match="Wait until it is profiled"):
        batches.start(team.scientist, dataset_version=data, version=version)


def test_a_project_has_so_many_open_ones(team, version, monkeypatch):
    monkeypatch.setattr(batches, "MOST_OPEN", 1)
    batch = asked(team, version)
    with pytest.raises(Conflict, match="1 batch scorings have not ended"):
        asked(team, version, data=batch.dataset_version)


def test_an_endpoint_stands_for_what_is_live_there(team, scene, version):
    data = stored(team.project, people())
    with pytest.raises(Conflict, match="No version answers"):
        batches.start(team.scientist, dataset_version=data, endpoint=scene.endpoint)
    scene.switch(version)
    scene.endpoint.refresh_from_db()
    batch = batches.start(team.scientist, dataset_version=data, endpoint=scene.endpoint)
    assert (batch.version, batch.endpoint) == (version, scene.endpoint)


def test_data_that_is_being_scored_is_not_deleted(team, version):
    batch = asked(team, version)
    with pytest.raises(Conflict, match=f"is being scored by batch {batch.pk}"):
        dataset_removal.delete_version(team.admin, version=batch.dataset_version)
    batches.cancel(team.scientist, batch=batch)
    dataset_removal.delete_version(team.admin, version=batch.dataset_version)


# ---------------------------------------------------------------- working


@CHILD
def test_the_answers_are_kept_as_a_dataset_of_the_same_order(team, version):
    frame = people()
    data = stored(team.project, frame)
    Dataset.objects.update(marks={"key": "personal", "age": "secret"})
    data = DatasetVersion.objects.select_related("dataset__project").get(pk=data.pk)
    batch = scored(asked(team, version, data=data))
    assert (batch.state, batch.failure, batch.rows_done, batch.rows_refused) == ("succeeded", "", 60, 0)
    found = result(batch)
    model = modelfile.load(blobs.local_path(version.file("model/model.skops")))
    shares = model.predict_proba(frame[["age", "visits", "member", "city", "plan"]].astype({"member": float}))
    assert list(found) == ["key", "left", "prediction", "probability_no", "probability_yes"]
    assert found["key"].tolist() == frame["key"].tolist()
    assert np.array_equal(found["probability_yes"], shares[:, 1])
    output = batch.output
    assert (output.derived_from, output.source_kind) == (data, "scored")
    assert output.source["model"] == "churn v1"
    assert output.dataset.marks == {"key": "personal"}  # what came along is as masked as it was
    assert BatchChunk.objects.count() == 0
    assert Event.objects.filter(verb="batch.scored").get().data["result"] == "people-scored-by-churn v1"
    graph = lineage.of_version(team.viewer, version=output)
    assert graph.nodes["source:0"].url.endswith(f"/batches/{batch.pk}/")
    assert (f"version:{data.pk}", f"version:{output.pk}") in graph.edges
    again = scored(asked(team, version, data=data))  # the same bytes make no second version
    assert (again.state, again.output) == ("succeeded", output)


@CHILD
def test_finished_chunks_stay_and_are_not_scored_again(team, version):
    frame = people()
    batch = asked(team, version, frame)
    Batch.objects.update(chunk_rows=25)
    rows = Batch.objects.all()
    lost = lease.claim(rows, batch.pk, worker="killed")
    BatchChunk.objects.create(batch=batch, number=0, sha256=_chunk_of(frame.head(25)).sha256, rows=25)
    rows.update(lease_until=None, rows_done=25)
    pipeline.sweep_batches()
    done = scored(batch)
    assert (done.state, done.attempt, done.rows_done) == ("succeeded", 2, 60)
    scores = result(done)["probability_yes"].tolist()
    assert scores[:25] == [0.125] * 25
    assert 0.125 not in scores[25:]
    assert not lease.heartbeat(rows, lost)  # the one that was thought dead writes nothing


def _chunk_of(frame):
    """A chunk as an earlier attempt left it, with scores that no model gives."""
    kept = pa.Table.from_pandas(frame[["key", "left"]], preserve_index=False)
    scores, words = pa.array([0.125] * len(frame)), pa.array([None] * len(frame), pa.string())
    answers = {"prediction": pa.array(["no"] * len(frame)), "probability_no": scores, "probability_yes": scores}
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({**dict(zip(kept.column_names, kept.columns, strict=True)), **answers, "scoring_error": words}), sink
    )
    return blobs.put_bytes(sink.getvalue().to_pybytes())


@CHILD
def test_too_many_rows_without_an_answer_fail_it_and_name_them(team, version):
    frame = people()
    frame.loc[[3, 9], "visits"] = np.nan
    Dataset.objects.create(
        project=team.project, name="people", name_key="people", created_by=team.project.created_by,
        marks={"visits": "secret"},
    )  # fmt: skip
    batch = scored(asked(team, version, frame, most_refused=1))
    assert batch.state == "failed"
    assert "row 4, column visits; row 10, column visits" in batch.failure
    assert batch.output is None
    assert [row["row"] for row in batches.errors(team.scientist, batch=batch)] == [4, 10]
    assert {row["message"] for row in batches.errors(team.viewer, batch=batch)} == {"masked"}
    page = browser(team, "scientist").get(f"/p/churn/batches/{batch.pk}/").content.decode()
    assert "It failed." in page
    assert "is missing, and the model needs it" in page


def test_a_damaged_file_is_never_scored_with(team, version):
    tamper(version.file("model/model.skops"))
    batch = scored(asked(team, version))
    assert (batch.state, "changed on disk" in batch.failure) == ("failed", True)
    assert Event.objects.filter(verb="batch.failed").count() == 1


def test_a_cancelled_one_ends_at_once_or_at_the_next_beat(team, version):
    batch = asked(team, version)
    batches.cancel(team.scientist, batch=batch)
    assert scored(batch).state == "cancelled"
    Batch.objects.filter(pk=batch.pk).update(state="succeeded")
    with pytest.raises(Conflict):
        batches.cancel(team.scientist, batch=batch)
    working = asked(team, version, data=batch.dataset_version)
    held = lease.claim(Batch.objects.all(), working.pk, worker="w")
    batches.cancel(team.scientist, batch=working)
    assert pipeline.scoring._end(held, "succeeded") == "cancelled"
    assert Event.objects.filter(verb="batch.ended").count() == 1


def test_one_that_failed_goes_on(team, version):
    batch = asked(team, version)
    with pytest.raises(Conflict):
        batches.retry(team.scientist, batch=batch)
    Batch.objects.update(state="timed_out", attempt=1, failure="too long")
    BatchChunk.objects.create(batch=batch, number=0, sha256="a" * 64, rows=60)
    again = batches.retry(team.scientist, batch=batch)
    assert (again.state, again.attempt, again.chunks.count()) == ("queued", 0, 1)


def test_marks_of_passed_through_columns_only_grow(team):
    from projects.services import datasets

    dataset = Dataset.objects.create(
        project=team.project, name="d", name_key="d", created_by=team.project.created_by, marks={"a": "secret"}
    )
    assert datasets._mark(dataset, Origin(marks={"a": "personal", "b": "sensitive"}).marks) == {"b": "sensitive"}
    dataset.refresh_from_db()
    assert dataset.marks == {"a": "secret", "b": "sensitive"}


# ---------------------------------------------------------------- doors


def test_start_read_and_stop_over_the_api(team, version):
    stored(team.project, people())
    api = Api(team, "scientist", "train", "read")
    body = {"dataset": "people", "model": "churn", "version": 1, "keep": ["key"], "result": "scores"}
    made = api.post("batches/", body)
    assert (made.status_code, made.json()["state"], made.json()["keep"]) == (201, "queued", ["key"])
    number = made.json()["id"]
    assert Api(team, "viewer", "read").post("batches/", body).status_code == 403
    assert [row["id"] for row in api.get("batches/?state=queued").json()["results"]] == [number]
    assert api.get("batches/?state=lost").status_code == 400
    stored(team.project, people().drop(columns="age"), name="short")
    refused = api.post("batches/", {"dataset": "short", "model": "churn", "version": 1})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "columns.age")
    assert api.post("batches/", {"dataset": "people", "model": "churn"}).json()["field"] == "version"
    assert api.post(f"batches/{number}/cancel/").json()["state"] == "cancelled"
    assert api.post(f"batches/{number}/cancel/").status_code == 200  # it is stopped already
    assert api.get(f"batches/{number}/").json()["errors"] == []
    assert api.get("batches/999999/").status_code == 404


def test_ask_and_follow_on_the_pages(team, version, django_assert_max_num_queries):
    client = browser(team, "scientist")
    assert b"Nothing has been scored here" in client.get("/p/churn/batches/").content
    assert b"There is nothing to score" in client.get("/p/churn/batches/start/").content
    data = stored(team.project, people())
    page = client.get("/p/churn/batches/start/").content.decode()
    assert "people v1, 60 rows" in page
    wish = {"data": data.pk, "scorer": f"version:{version.pk}", "keep": "key", "name": "", "most_refused": 5}
    wrong = client.post("/p/churn/batches/start/", wish | {"keep": "nothing"})
    assert (wrong.status_code, b"has no column" in wrong.content) == (422, True)
    moved = client.post("/p/churn/batches/start/", wish)
    batch = Batch.objects.get()
    assert (moved.status_code, moved["Location"]) == (303, f"/p/churn/batches/{batch.pk}/")
    assert b"Waiting for a worker" in client.get(moved["Location"]).content
    assert client.get(f"{moved['Location']}progress/").status_code == 200
    assert f"from={batch.pk}".encode() not in client.get(moved["Location"]).content
    assert b"key" in client.get(f"/p/churn/batches/start/?from={batch.pk}").content
    spread = {
        "score": {"column": "probability_yes", "edges": [0, 0.5, 1], "counts": [40, 20], "min": 0.1, "max": 0.9,
                  "mean": 0.4},
        "labels": [{"value": "no", "count": 45}, {"value": "yes", "count": 15}],
    }  # fmt: skip
    Batch.objects.update(state="succeeded", distribution=spread, output=data, ended_at=batch.created_at)
    shown = client.get(moved["Location"]).content.decode()
    assert "From 0.1 to 0.9, on average 0.4." in shown
    assert "75.0%" in shown
    for _ in range(3):
        asked(team, version, data=data)
    with django_assert_max_num_queries(16):
        assert client.get("/p/churn/batches/").status_code == 200
    client.post(f"/p/churn/batches/{Batch.objects.latest('pk').pk}/cancel/")
    assert Batch.objects.latest("pk").state == "cancelled"


ROW = {
    "id": 7, "state": "succeeded", "phase": "", "failure": "", "rows": 60, "rows_done": 60, "rows_refused": 1,
    "result": "scores", "result_version": 2, "dataset": "people", "dataset_version": 1, "model": "churn", "version": 3,
    "errors": [{"row": 4, "column": "age", "message": "is missing"}],
}  # fmt: skip


def test_the_command_starts_follows_and_shows(serve, tmp_path, monkeypatch, capsys):  # noqa: F811
    server, at = serve((201, ROW | {"state": "queued"}), (200, ROW))
    for name, value in (("URL", at.credentials.url), ("TOKEN", "mlp_secret"), ("PROJECT", "churn")):
        monkeypatch.setenv(f"MLPORTAL_{name}", value)
    assert main(["batch", "start", "people@1", "--model", "churn@3", "--keep", "key, left", "--wait"]) == 0
    assert "batch 7: succeeded, 60 of 60 rows, 1 without an answer, scores v2" in capsys.readouterr().out
    assert b'"keep": ["key", "left"]' in server.asked[0][3]
    assert main(["batch", "show", "7"]) == 0
    assert "row 4, age: is missing" in capsys.readouterr().out
    assert main(["batch", "start", "people", "--model", "churn"]) == REFUSED
    assert "name the version" in capsys.readouterr().err
    assert main(["batch", "cancel", "7"]) == 0
