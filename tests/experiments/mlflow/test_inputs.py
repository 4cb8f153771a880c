"""What a run read, through the MLflow door."""

import json

import pytest

from experiments.models import InputDataset, LoggedModel, Run, RunInput
from projects.models import Dataset, DatasetVersion
from tests.experiments.mlflow.calls import code, scientist
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
IRIS = {
    "name": "iris", "digest": "8a1b2c3d", "source_type": "http", "source": '{"url": "https://example.org/iris.csv"}',
    "schema": '{"mlflow_colspec": []}', "profile": '{"num_rows": 150}',
}  # fmt: skip
TRAINING = [{"key": "mlflow.data.context", "value": "training"}]


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def api(project):
    return scientist(project)


@pytest.fixture
def run(project):
    return make_run(make_experiment(project), source=Run.Source.MLFLOW)


def read(api, run):
    return api.seen("runs/get", run_id=run.uuid)["run"]["inputs"]


def make_model(run, **extra):
    return LoggedModel.objects.create(
        project=run.project, experiment=run.experiment, name="clf", created_ms=1, updated_ms=1, **extra
    )


def test_a_data_set_is_read_back_as_described(api, run):
    body = {"run_id": run.uuid, "datasets": [{"dataset": IRIS, "tags": TRAINING}]}
    assert api.post("runs/log-inputs", body) == (200, {})
    assert read(api, run) == {"dataset_inputs": [{"dataset": IRIS, "tags": TRAINING}]}
    assert RunInput.objects.get().context == "training"


def test_the_same_again_changes_nothing(api, run):
    twice = [{"dataset": IRIS, "tags": TRAINING}, {"dataset": {**IRIS, "source": "other"}, "tags": []}]
    for _ in range(2):
        assert api.post("runs/log-inputs", {"run_id": run.uuid, "datasets": twice}) == (200, {})
    assert read(api, run) == {"dataset_inputs": [{"dataset": IRIS, "tags": TRAINING}]}


def test_runs_of_an_experiment_share_its_data_set(api, run):
    other = make_run(run.experiment, source=Run.Source.MLFLOW)
    elsewhere = make_run(make_experiment(run.project, "second"), source=Run.Source.MLFLOW)
    for each in (run, other, elsewhere):
        api.ok("runs/log-inputs", run_id=each.uuid, datasets=[{"dataset": IRIS}])
        assert read(api, each) == {"dataset_inputs": [{"dataset": IRIS}]}
    assert InputDataset.objects.count() == 2


def test_models_that_were_read_are_linked(api, run):
    model = make_model(run)
    api.ok("runs/log-inputs", run_id=run.uuid, models=[{"model_id": model.uuid}])
    api.ok("runs/log-inputs", run_id=run.uuid, models=[{"model_id": model.uuid}])
    assert read(api, run) == {"model_inputs": [{"model_id": model.uuid}]}


def test_a_missing_model_leaves_nothing_behind(api, run):
    foreign = make_model(make_run(make_experiment(make_project("other"))))
    for model_id in ("m-" + "0" * 32, foreign.uuid):
        body = {"run_id": run.uuid, "datasets": [{"dataset": IRIS}], "models": [{"model_id": model_id}]}
        assert code(api.post("runs/log-inputs", body)) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert (InputDataset.objects.count(), RunInput.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "datasets",
    [
        [{}], [{"tags": TRAINING}], [{"dataset": None}], [{"dataset": []}], "iris", [3], [None],
        *([{"dataset": {**IRIS, name: None}}] for name in ("name", "digest", "source_type", "source")),
        [{"dataset": {**IRIS, "name": ""}}], [{"dataset": {**IRIS, "name": 3}}], [{"dataset": {**IRIS, "name": "a\0"}}],
        [{"dataset": {**IRIS, "name": "x" * 501}}], [{"dataset": {**IRIS, "digest": "x" * 37}}],
        [{"dataset": {**IRIS, "source": "x" * 65_536}}], [{"dataset": {**IRIS, "schema": "x" * 1_048_576}}],
        [{"dataset": IRIS, "tags": [{"key": "x" * 256, "value": ""}]}],
        [{"dataset": IRIS, "tags": [{"key": "x", "value": "x" * 501}]}],
        [{"dataset": IRIS, "tags": [{"key": "x"}]}], [{"dataset": IRIS, "tags": [{"value": "x"}]}],
    ],
)  # fmt: skip
def test_what_cannot_be_a_data_set_is_refused_whole(api, run, datasets):
    answer = api.post("runs/log-inputs", {"run_id": run.uuid, "datasets": datasets})
    assert code(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert not InputDataset.objects.exists()


def test_limits_themselves_are_taken(api, run):
    full = {
        **IRIS, "name": "é" * 500, "digest": "x" * 36, "source": "x" * 65_535, "schema": "x" * 1_048_575,
        "profile": "x" * 16_777_215,
    }  # fmt: skip
    tags = [{"key": "k" * 255, "value": "v" * 500}]
    api.ok("runs/log-inputs", run_id=run.uuid, datasets=[{"dataset": full, "tags": tags}])
    assert read(api, run) == {"dataset_inputs": [{"dataset": full, "tags": tags}]}


def test_runs_of_others_deleted_runs_and_runs_of_jobs_are_not_written(api, run, project):
    body = {"datasets": [{"dataset": IRIS}]}
    foreign = make_run(make_experiment(make_project("other")))
    assert code(api.post("runs/log-inputs", {"run_id": foreign.uuid, **body})) == (404, "RESOURCE_DOES_NOT_EXIST")
    job = make_run(run.experiment, source=Run.Source.JOB)
    assert code(api.post("runs/log-inputs", {"run_id": job.uuid, **body})) == (403, "PERMISSION_DENIED")
    api.ok("runs/delete", run_id=run.uuid)
    assert code(api.post("runs/log-inputs", {"run_id": run.uuid, **body})) == (400, "INVALID_PARAMETER_VALUE")
    assert not RunInput.objects.exists()


@pytest.mark.parametrize("by", ["source", "digest"])
def test_a_data_set_of_the_portal_is_known_again(api, run, project, by):
    dataset = Dataset.objects.create(project=project, name="iris", created_by=api.user)
    version = DatasetVersion.objects.create(
        dataset=dataset, number=2, sha256="ab" * 32, filename="iris.csv", created_by=api.user
    )
    said = {
        "source": {"source": '{"url": "https://portal.example.org/p/churn/datasets/iris/v/2/"}'},
        "digest": {"digest": "ab" * 18},
    }[by]
    api.ok("runs/log-inputs", run_id=run.uuid, datasets=[{"dataset": {**IRIS, **said}}])
    run.refresh_from_db()
    assert run.dataset_version == version


MODEL = {
    "artifact_path": "model", "utc_time_created": "2026-11-21 10:00:00", "run_id": "x", "model_uuid": "u",
    "flavors": {"sklearn": {"pickled_model": "model.pkl", "config": {"long": 1}}, "none": None}, "signature": {"in": 1},
}  # fmt: skip


def test_models_of_old_clients_are_listed_in_a_tag(api, run):
    for path in ("first", "second"):
        api.ok("runs/log-model", run_id=run.uuid, model_json=json.dumps({**MODEL, "artifact_path": path}))
    tags = {tag["key"]: tag["value"] for tag in api.seen("runs/get", run_id=run.uuid)["run"]["data"]["tags"]}
    first, second = json.loads(tags["mlflow.log-model.history"])
    assert first == {
        "artifact_path": "first", "utc_time_created": "2026-11-21 10:00:00", "run_id": "x", "model_uuid": "u",
        "flavors": {"sklearn": {"pickled_model": "model.pkl"}, "none": None},
    }  # fmt: skip
    assert second["artifact_path"] == "second"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", json.dumps({**MODEL, "flavors": 3}), "[" * 5000, json.dumps({"flavors": {}})]
)
def test_what_is_no_model_is_refused(api, run, text):
    answer = api.post("runs/log-model", {"run_id": run.uuid, "model_json": text})
    assert code(answer) == (400, "INVALID_PARAMETER_VALUE")
