"""Logged models: made, described, settled, tagged, hidden, and tied to the runs that made them."""

import json
import math

import pytest

from experiments.models import LoggedModel, LoggedModelMetric, Run, RunModel
from projects.models import Event
from tests.experiments.mlflow.calls import Caller, code, scientist
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return scientist(project)


@pytest.fixture
def experiment(project):
    return make_experiment(project)


@pytest.fixture
def run(experiment):
    return make_run(experiment, source=Run.Source.MLFLOW)


def make(caller, experiment, **fields):
    return caller.ok("logged-models", experiment_id=str(experiment.pk), **{"name": "model"} | fields)["model"]


def ask(caller, method, path, body=None):
    answer = caller.send(method, f"mlflow/{path}", json.dumps(body or {}).encode(), content_type=JSON)
    return answer.status_code, json.loads(answer.content)


def read(caller, model_id):
    return caller.seen(f"logged-models/{model_id}")["model"]


def test_a_model_is_made_with_all_it_was_given(ana, experiment, run):
    made = make(
        ana, experiment, model_type="sklearn", source_run_id=run.uuid,
        params=[{"key": "depth", "value": "3"}, {"key": "empty"}], tags=[{"key": "team", "value": "a"}],
    )  # fmt: skip
    info = made["info"]
    assert info["model_id"].startswith("m-")
    assert len(info["model_id"]) == 34
    assert info["artifact_uri"] == f"mlflow-artifacts:/{experiment.pk}/models/{info['model_id']}/artifacts"
    assert (info["name"], info["model_type"], info["source_run_id"]) == ("model", "sklearn", run.uuid)
    assert (info["status"], info["experiment_id"]) == ("LOGGED_MODEL_PENDING", str(experiment.pk))
    assert info["creation_timestamp_ms"] == info["last_updated_timestamp_ms"] > 0
    assert info["tags"] == [{"key": "team", "value": "a"}]
    assert made["data"] == {"params": [{"key": "depth", "value": "3"}, {"key": "empty", "value": ""}]}
    assert read(ana, info["model_id"]) == made
    assert Event.objects.get(verb="logged_model.created").target_label.startswith("model (m-")


def test_a_model_without_a_name_gets_one(ana, experiment):
    assert make(ana, experiment, name="")["info"]["name"].count("-") == 2


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "x" * 501])
def test_a_name_that_would_break_an_address_is_refused(ana, experiment, name):
    answer = ana.post("logged-models", {"experiment_id": str(experiment.pk), "name": name})
    assert code(answer) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"experiment_id": None}, 400),
        ({"experiment_id": "x"}, 400),
        ({"experiment_id": "999999"}, 404),
        ({"source_run_id": "0" * 32}, 404),
        ({"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "1"}]}, 400),
        ({"params": [{"value": "1"}]}, 400),
        ({"params": {"a": 1}}, 400),
        ({"params": [{"key": "k" * 251, "value": "1"}]}, 400),
        ({"tags": [{"key": "a", "value": "x" * 100_001}]}, 400),
        ({"tags": [{"key": "nul\0", "value": ""}]}, 400),
        ({"model_type": 3}, 400),
    ],
)
def test_wrong_fields_make_no_model(ana, experiment, fields, expected):
    status, answer = ana.post("logged-models", {"experiment_id": str(experiment.pk), "name": "model"} | fields)
    assert (status, "error_code" in answer, LoggedModel.objects.count()) == (expected, True, 0)


def test_a_deleted_experiment_takes_no_model(ana, experiment):
    experiment.lifecycle = "deleted"
    experiment.save()
    assert code(ana.post("logged-models", {"experiment_id": str(experiment.pk)})) == (400, "INVALID_PARAMETER_VALUE")


def test_params_come_in_batches_and_are_written_once(ana, experiment):
    made = make(ana, experiment, params=[{"key": "a", "value": "1"}])["info"]["model_id"]
    path = f"logged-models/{made}/params"
    batch = [{"key": f"p{number}", "value": str(number)} for number in range(250)]
    assert ana.post(path, {"model_id": made, "params": batch}) == (200, {})
    assert len(read(ana, made)["data"]["params"]) == 251
    for again in ([{"key": "a", "value": "1"}], [{"key": "new", "value": "1"}, {"key": "p3", "value": "x"}]):
        assert code(ana.post(path, {"model_id": made, "params": again})) == (400, "INVALID_PARAMETER_VALUE")
    assert {p["key"]: p["value"] for p in read(ana, made)["data"]["params"]}["p3"] == "3"
    assert "new" not in {p["key"] for p in read(ana, made)["data"]["params"]}


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("LOGGED_MODEL_READY", "READY"),
        (2, "READY"),
        ("LOGGED_MODEL_UPLOAD_FAILED", "UPLOAD_FAILED"),
        ("3", "UPLOAD_FAILED"),
    ],
)
def test_a_model_is_settled(ana, experiment, word, kept):
    made = make(ana, experiment)["info"]["model_id"]
    status, answer = ask(ana, "PATCH", f"logged-models/{made}", {"model_id": made, "status": word})
    assert (status, answer["model"]["info"]["status"]) == (200, f"LOGGED_MODEL_{kept}")
    assert read(ana, made)["info"]["status"] == f"LOGGED_MODEL_{kept}"


@pytest.mark.parametrize("word", [None, "READY", "LOGGED_MODEL_STATUS_UNSPECIFIED", 0, 7, True, []])
def test_a_model_is_not_settled_by_an_unknown_word(ana, experiment, word):
    made = make(ana, experiment)["info"]["model_id"]
    answer = ask(ana, "PATCH", f"logged-models/{made}", {"status": word})
    assert code(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert read(ana, made)["info"]["status"] == "LOGGED_MODEL_PENDING"


def test_tags_are_set_and_removed(ana, experiment):
    made = make(ana, experiment, tags=[{"key": "a", "value": "1"}])["info"]["model_id"]
    path = f"logged-models/{made}/tags"
    tags = [{"key": "a", "value": "2"}, {"key": "b/c d", "value": "x"}, {"key": "a", "value": "3"}]
    assert ask(ana, "PATCH", path, {"tags": tags}) == (200, {})
    assert sorted((t["key"], t["value"]) for t in read(ana, made)["info"]["tags"]) == [("a", "3"), ("b/c d", "x")]
    answer = ana.client.delete(f"/api/2.0/mlflow/{path}/b/c%20d", headers=ana.headers)
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert [t["key"] for t in read(ana, made)["info"]["tags"]] == ["a"]
    assert code(ask(ana, "DELETE", f"{path}/none")) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_deleted_model_is_hidden_and_takes_nothing(ana, experiment):
    made = make(ana, experiment)["info"]["model_id"]
    assert ask(ana, "DELETE", f"logged-models/{made}", {"model_id": made}) == (200, {})
    assert code(ana.get(f"logged-models/{made}")) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert ana.seen(f"logged-models/{made}", allow_deleted="true")["model"]["info"]["model_id"] == made
    body = {"tags": [{"key": "a", "value": "1"}], "params": [{"key": "a", "value": "1"}], "status": 2}
    for method, path in (("PATCH", "/tags"), ("POST", "/params"), ("PATCH", "")):
        assert code(ask(ana, method, f"logged-models/{made}{path}", body))[0] == 404
    put = ana.send("PUT", f"mlflow-artifacts/artifacts/{experiment.pk}/models/{made}/artifacts/a", b"x")
    assert put.status_code == 400
    assert ask(ana, "DELETE", f"logged-models/{made}")[0] == 200
    assert Event.objects.filter(verb="logged_model.deleted").count() == 1


def test_the_files_of_a_model_are_listed(ana, experiment):
    info = make(ana, experiment)["info"]
    for path in ("MLmodel", "code/a.py"):
        ana.send("PUT", f"mlflow-artifacts/artifacts/{info['artifact_uri'][18:]}/{path}", b"x")
    path = f"logged-models/{info['model_id']}/artifacts/directories"
    listed = ana.seen(path)
    assert listed["root_uri"] == info["artifact_uri"]
    assert [(f["path"], f["is_dir"]) for f in listed["files"]] == [("MLmodel", False), ("code", True)]
    assert [f["path"] for f in ana.seen(path, artifact_directory_path="code")["files"]] == ["code/a.py"]
    assert code(ana.get(path, artifact_directory_path="../x"))[0] == 400


def test_a_run_names_the_models_it_made(ana, experiment, run):
    ids = [make(ana, experiment)["info"]["model_id"] for _ in range(2)]
    models = [{"model_id": ids[0], "step": 3}, {"model_id": ids[1]}]
    assert ana.post("runs/outputs", {"run_id": run.uuid, "models": models}) == (200, {})
    ana.ok("runs/outputs", run_id=run.uuid, models=[{"model_id": ids[0], "step": "4"}])
    outputs = ana.seen("runs/get", run_id=run.uuid)["run"]["outputs"]["model_outputs"]
    assert sorted((o["model_id"], o["step"]) for o in outputs) == sorted([(ids[0], 4), (ids[1], 0)])


def test_outputs_of_nothing_or_of_strangers_are_refused(ana, experiment, run):
    made = make(ana, experiment)["info"]["model_id"]
    assert code(ana.post("runs/outputs", {"run_id": run.uuid, "models": []}))[0] == 400
    assert code(ana.post("runs/outputs", {"run_id": run.uuid, "models": [{"step": 1}]}))[0] == 400
    strangers = [{"model_id": made}, {"model_id": "m-" + "0" * 32}]
    assert code(ana.post("runs/outputs", {"run_id": run.uuid, "models": strangers}))[0] == 404
    assert RunModel.objects.count() == 0
    Run.objects.update(lifecycle="deleted")
    assert code(ana.post("runs/outputs", {"run_id": run.uuid, "models": [{"model_id": made}]}))[0] == 400


def test_metrics_show_their_newest_points(ana, experiment, run):
    made = make(ana, experiment)["info"]["model_id"]
    base = {"run_id": run.uuid, "model_id": made}
    ana.ok("runs/log-metric", key="auc", value=0.5, timestamp=1, step=0, dataset_name="d", dataset_digest="1", **base)
    ana.ok("runs/log-metric", key="auc", value=0.7, timestamp=2, step=1, **base)
    ana.ok("runs/log-metric", key="auc", value="NaN", timestamp=3, step=2, **base)
    metrics = read(ana, made)["data"]["metrics"]
    assert metrics[0] == {
        "key": "auc", "value": 0.5, "timestamp": 1, "step": 0, "dataset_name": "d", "dataset_digest": "1",
        "model_id": made, "run_id": run.uuid,
    }  # fmt: skip
    assert [m["value"] for m in metrics[1:]] == [0.7, "NaN"]


def test_a_long_series_is_cut_to_its_newest_points(ana, experiment, run):
    made = make(ana, experiment)["info"]["model_id"]
    model = LoggedModel.objects.get(uuid=made)
    LoggedModelMetric.objects.bulk_create(
        LoggedModelMetric(logged_model=model, run=run, key=key, value=step, step=step, stamp_ms=step)
        for key in ("loss", "auc") for step in range(300)
    )  # fmt: skip
    metrics = read(ana, made)["data"]["metrics"]
    assert [(m["key"], m["step"]) for m in metrics] == [(key, s) for key in ("auc", "loss") for s in range(200, 300)]
    assert all(math.isclose(m["value"], m["step"]) for m in metrics)


def test_another_project_has_no_such_model(ana, experiment, run):
    made = make(ana, experiment)["info"]["model_id"]
    eve = scientist(make_project("elsewhere"), "eve")
    body = {"tags": [{"key": "a", "value": "1"}], "params": [{"key": "a", "value": "1"}], "status": 2}
    for method, path in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/params"), ("PATCH", "/tags"), ("DELETE", "/tags/a"),
        ("GET", "/artifacts/directories"),
    ):  # fmt: skip
        assert code(ask(eve, method, f"logged-models/{made}{path}", body)) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert code(eve.post("logged-models", {"experiment_id": str(experiment.pk)}))[0] == 404
    assert code(eve.post("runs/outputs", {"run_id": run.uuid, "models": [{"model_id": made}]}))[0] == 404
    assert read(ana, made)["info"]["status"] == "LOGGED_MODEL_PENDING"


def test_a_viewer_changes_nothing(ana, project, experiment):
    made = make(ana, experiment)["info"]["model_id"]
    vic = Caller(make_user("vic", role="viewer", project=project), project)
    assert read(vic, made)["info"]["model_id"] == made
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/params"), ("PATCH", "/tags"), ("DELETE", "/tags/a")):
        assert code(ask(vic, method, f"logged-models/{made}{path}", {"status": 2})) == (403, "PERMISSION_DENIED")
