"""What a client may name as the source of a version: a boundary, case by case."""

import pytest

from deployments.models import ModelVersion
from tests.deployments.mlflow.calls import Caller, client_run, logged_model
from tests.factories.deployments import make_team

HOME = "mlflow-artifacts:/{exp}/{run}/artifacts"
MODEL_HOME = "mlflow-artifacts:/{exp}/models/{model}/artifacts"


@pytest.fixture
def names(team) -> dict[str, str]:
    """Ids of a run and a logged model here, and of ones in another project."""
    run, second, logged = client_run(team), client_run(team), logged_model(team)
    other = make_team("other")
    foreign, foreign_model = client_run(other), logged_model(other)
    return {
        "exp": str(run.experiment_id), "run": run.uuid, "second": second.uuid, "model": logged.uuid,
        "foreign": foreign.uuid, "foreign_exp": str(foreign.experiment_id), "foreign_model": foreign_model.uuid,
    }  # fmt: skip


@pytest.fixture
def caller(team, names) -> Caller:
    made = Caller(team)
    made.model("m")
    return made


def body(names: dict[str, str], source: str, **claims: str) -> dict[str, str]:
    filled = {key: value.format(**names) for key, value in claims.items()}
    return {"name": "m", "source": source.format(**names), **filled}


GOOD = [
    ("runs:/{run}/model", {"run_id": "{run}"}, 3),
    ("runs:/{run}/nothing", {"run_id": "{run}"}, 0),
    ("runs:/{run}/mod", {"run_id": "{run}"}, 0),
    ("runs:/{run}/MODEL", {"run_id": "{run}"}, 0),
    (HOME + "/model", {"run_id": "{run}"}, 3),
    (HOME, {"run_id": "{run}"}, 3),
    (HOME + "//model/", {"run_id": "{run}"}, 3),
    (MODEL_HOME, {"model_id": "{model}"}, 3),
    ("models:/{model}", {"model_id": "{model}"}, 3),
    ("models:/{model}", {"model_id": "{model}", "run_id": "{run}"}, 3),
    ("s3://bucket/path", {}, 0),
    ("s3://bucket/path", {"run_id": "{run}"}, 0),
    ("s3://bucket/with%20blank", {"run_id": "of-another-server"}, 0),
    ("gs://bucket/path", {"model_id": "{model}"}, 0),
    ("wasbs://box@account.blob.core.windows.net/path", {}, 0),
    ("dbfs:/databricks/model", {}, 0),
]
BAD = [
    ("", {}),
    ("x" * 4001, {}),
    ("/etc/passwd", {"run_id": "{run}"}),
    ("model", {"run_id": "{run}"}),
    ("../model", {"run_id": "{run}"}),
    ("file:///etc/passwd", {"run_id": "{run}"}),
    ("file:/etc", {}),
    ("FILE:///etc", {}),
    ("C:\\windows", {}),
    ("dummy-source", {}),
    ("runs:/{run}/model", {}),
    ("runs:/{run}/model", {"run_id": "{second}"}),
    ("runs:/{run}/model", {"model_id": "{model}"}),
    ("runs:/{run}", {"run_id": "{run}"}),
    ("runs://host/{run}/model", {"run_id": "{run}"}),
    ("runs:/{run}/../{second}/model", {"run_id": "{run}"}),
    ("runs:/{run}/%2e%2e/model", {"run_id": "{run}"}),
    ("runs:/{run}/%252e%252e/model", {"run_id": "{run}"}),
    ("runs:/{run}/..%5cmodel", {"run_id": "{run}"}),
    ("runs:/{run}/model%00", {"run_id": "{run}"}),
    ("runs:/{foreign}/model", {"run_id": "{foreign}"}),
    ("RUNS:/{second}/model", {"run_id": "{run}"}),
    (HOME + "/model", {}),
    (HOME + "/model", {"run_id": "{second}"}),
    (HOME + "/model", {"model_id": "{model}"}),
    (HOME + "x/model", {"run_id": "{run}"}),
    (HOME + "/../../{second}/artifacts", {"run_id": "{run}"}),
    (HOME + "/..%2f..%2f", {"run_id": "{run}"}),
    (HOME + "/%6dodel", {"run_id": "{run}"}),
    (HOME + "?a=b", {"run_id": "{run}"}),
    (HOME + "#a", {"run_id": "{run}"}),
    ("mlflow-artifacts://host:5000/{exp}/{run}/artifacts", {"run_id": "{run}"}),
    ("mlflow-artifacts:///{exp}/{run}/artifacts", {"run_id": "{run}"}),
    ("mlflow-artifacts:/{foreign_exp}/{foreign}/artifacts", {"run_id": "{foreign}"}),
    ("mlflow-artifacts:/{exp}", {"run_id": "{run}"}),
    ("mlflow-artifacts:/", {"run_id": "{run}"}),
    ("http://host/api/2.0/mlflow-artifacts/artifacts/{exp}/{run}/artifacts", {"run_id": "{run}"}),
    ("http://host/%61pi/2.0/mlflow-artifacts/artifacts/x", {"run_id": "{run}"}),
    ("https://example.org/models/1", {}),
    ("https://host/p/x/api/2.0/mlflow-artifacts/artifacts/../../x", {}),
    (MODEL_HOME, {}),
    (MODEL_HOME, {"run_id": "{run}"}),
    ("models:/{model}", {}),
    ("models:/{model}", {"run_id": "{run}"}),
    ("models:/{model}", {"model_id": "m-other"}),
    ("models://host/{model}", {"model_id": "{model}"}),
    ("models:/{foreign_model}", {"model_id": "{foreign_model}"}),
    ("models:/m/1", {}),
    ("models:/none/1", {}),
    ("models:/none@best", {}),
    ("models:/m@best", {}),
    ("models:/m/1/more", {}),
    ("models:/", {}),
    ("s3://bucket/../other", {}),
    ("s3://bucket/%2e%2e/other", {}),
    ("s3://bucket/a\\..\\b", {}),
    ("s3://bucket/a\nb", {}),
    ("s3://bucket/a%0ab", {}),
    ("s3://bucket/" + "%25" * 5 + "2e", {"model_id": "m-none"}),
]


@pytest.mark.parametrize(("source", "claims", "files"), GOOD)
def test_a_source_that_lies_where_the_client_says(caller, names, source, claims, files):
    made = caller.ok("POST", "model-versions/create", body(names, source, **claims))["model_version"]
    assert made["source"] == source.format(**names)
    assert len(ModelVersion.objects.get().manifest) == files


@pytest.mark.parametrize(("source", "claims"), BAD)
def test_a_source_that_could_be_something_else_is_refused(caller, names, source, claims):
    status, code = caller.refused("POST", "model-versions/create", body(names, source, **claims))
    assert (status, code) in [(400, "INVALID_PARAMETER_VALUE"), (404, "RESOURCE_DOES_NOT_EXIST")]
    assert not ModelVersion.objects.exists()


def test_a_copy_must_name_the_run_of_its_original(caller, names):
    caller.version("m", "runs:/{run}/model".format(**names), run_id=names["run"])
    bad = {"name": "m", "source": "models:/m/1", "run_id": names["second"]}
    assert caller.refused("POST", "model-versions/create", bad) == (400, "INVALID_PARAMETER_VALUE")
    good = caller.version("m", "models:/m/1", run_id=names["run"])
    assert (good["version"], good["run_id"]) == ("2", names["run"])


def test_the_default_experiment_is_zero_and_a_location_of_its_own_is_only_a_prefix(team, caller, names):
    from experiments.models import Run

    run = Run.objects.select_related("experiment").get(uuid=names["run"])
    experiment = run.experiment
    experiment.artifact_location = "s3://bucket/exp"
    experiment.save()
    home = f"s3://bucket/exp/{run.uuid}/artifacts/model"
    assert caller.version("m", home, run_id=run.uuid)["source"] == home
    old = HOME.format(**names)
    refused = caller.refused("POST", "model-versions/create", {"name": "m", "source": old, "run_id": run.uuid})
    assert refused == (400, "INVALID_PARAMETER_VALUE")
    experiment.artifact_location, experiment.is_default = "", True
    experiment.save()
    home = f"mlflow-artifacts:/0/{run.uuid}/artifacts/model"
    assert caller.version("m", home, run_id=run.uuid)["source"] == home
