"""log_model and load_model by every address that a model has."""

import uuid

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression, LogisticRegression
from wire import ABSENT, Refuses

X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
Y = np.array([0.0, 2.0, 4.0, 6.0])
MAJOR = int(mlflow.__version__.split(".")[0])


def fitted():
    return LinearRegression().fit(X, Y)


def log(name="model", **more):
    kept = {"name": name} if MAJOR >= 3 else {"artifact_path": name}
    if MAJOR >= 3:
        more.setdefault("serialization_format", "cloudpickle")
    more.setdefault("pip_requirements", ["scikit-learn"])  # else a second interpreter looks for them, for seconds
    return mlflow.sklearn.log_model(fitted(), **kept, signature=infer_signature(X, Y), input_example=X.head(2), **more)


def right(model):
    return np.allclose(model.predict(X), Y)


@pytest.fixture
def registered(experiment):
    """A registered model of two versions."""
    name = f"reg-{uuid.uuid4().hex[:12]}"
    for _ in range(2):
        with mlflow.start_run(experiment_id=experiment):
            log(registered_model_name=name)
    return name


def case_by_run(experiment, client):
    with mlflow.start_run(experiment_id=experiment) as run:
        log()
    assert right(mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model"))
    assert right(mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model"))


def case_by_uri(experiment):
    with mlflow.start_run(experiment_id=experiment):
        info = log()
    assert right(mlflow.sklearn.load_model(info.model_uri))
    found = mlflow.models.get_model_info(info.model_uri)
    assert found.signature == info.signature
    assert "sklearn" in found.flavors


@pytest.mark.mlflow3
def case_by_id(experiment, client):
    with mlflow.start_run(experiment_id=experiment) as run:
        info = log("forest")
    assert info.model_uri == f"models:/{info.model_id}"
    assert right(mlflow.sklearn.load_model(f"models:/{info.model_id}"))
    model = client.get_logged_model(info.model_id)
    assert (model.name, str(model.status), model.source_run_id) == ("forest", "READY", run.info.run_id)
    assert [one.model_id for one in client.get_run(run.info.run_id).outputs.model_outputs] == [info.model_id]


@pytest.mark.mlflow3
def case_without_a_run(experiment):
    mlflow.set_experiment(experiment_id=experiment)
    info = log("alone")
    assert right(mlflow.sklearn.load_model(f"models:/{info.model_id}"))


@pytest.mark.mlflow3
def case_two_models_of_a_run(experiment):
    with mlflow.start_run(experiment_id=experiment) as run:
        first, second = log("one"), log("two", step=3)
    assert first.model_id != second.model_id
    for name in ("one", "two"):
        assert right(mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/{name}"))


@pytest.mark.mlflow3
def case_model_that_is_loaded_again_and_measured(experiment, client):
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_run() as run:
        info = log()
        mlflow.set_active_model(model_id=info.model_id)
        mlflow.log_metric("score", 0.9, model_id=info.model_id)
    (metric,) = client.get_logged_model(info.model_id).metrics
    assert (metric.key, metric.value, metric.run_id) == ("score", 0.9, run.info.run_id)


def case_registered_by_version(registered):
    for version in (1, 2):
        assert right(mlflow.sklearn.load_model(f"models:/{registered}/{version}"))


def case_registered_latest(registered):
    assert right(mlflow.pyfunc.load_model(f"models:/{registered}/latest"))


def case_registered_by_alias(registered, client):
    client.set_registered_model_alias(registered, "champion", "1")
    assert right(mlflow.sklearn.load_model(f"models:/{registered}@champion"))
    with pytest.raises(mlflow.MlflowException):
        mlflow.sklearn.load_model(f"models:/{registered}@nobody")


def case_registered_version_knows_its_run(registered, client):
    version = client.get_model_version(registered, "1")
    assert client.get_run(version.run_id).info.status == "FINISHED"
    assert version.status == "READY"


def case_register_later(experiment, name):
    with mlflow.start_run(experiment_id=experiment) as run:
        info = log()
    for uri in (info.model_uri, f"runs:/{run.info.run_id}/model"):
        version = mlflow.register_model(uri, name)
        assert right(mlflow.sklearn.load_model(f"models:/{name}/{version.version}"))
    assert int(version.version) == 2


def case_copy_of_a_version(registered, client, name):
    copied = client.copy_model_version(f"models:/{registered}/1", name)
    assert (copied.name, int(copied.version)) == (name, 1)
    assert right(mlflow.sklearn.load_model(f"models:/{name}/1"))
    again = client.copy_model_version(f"models:/{registered}/2", name)
    assert int(again.version) == 2


def case_unknown_version(registered):
    with Refuses(ABSENT):
        mlflow.sklearn.load_model(f"models:/{registered}/99")


def case_unknown_path_of_a_run(run):
    with pytest.raises(mlflow.MlflowException):
        mlflow.sklearn.load_model(f"runs:/{run}/nothing")


def case_pyfunc_of_ours(experiment):
    class Doubles(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return [2 * x for x in model_input["a"]]

    with mlflow.start_run(experiment_id=experiment):
        info = mlflow.pyfunc.log_model(
            **{"name" if MAJOR >= 3 else "artifact_path": "own"}, python_model=Doubles(), pip_requirements=["mlflow"]
        )
    assert list(mlflow.pyfunc.load_model(info.model_uri).predict(X)) == [0.0, 2.0, 4.0, 6.0]


def case_signature_and_example(experiment):
    with mlflow.start_run(experiment_id=experiment):
        info = log()
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    assert loaded.metadata.signature.inputs.input_names() == ["a", "b"]
    assert loaded.metadata.load_input_example().shape == (2, 2)


@pytest.mark.once
@pytest.mark.mlflow3
def case_evaluate(experiment, client):
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0] * 5, "y": [0, 0, 1, 1] * 5})
    model = LogisticRegression().fit(frame[["a"]], frame["y"])
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model,
            name="m",
            input_example=frame[["a"]],
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )
        result = mlflow.models.evaluate(
            info.model_uri, frame, targets="y", model_type="classifier", evaluator_config={"log_explainer": False}
        )
    found = client.get_run(run.info.run_id)
    assert found.data.metrics["accuracy_score"] == result.metrics["accuracy_score"] == 1.0
    assert found.inputs.dataset_inputs
    assert {"confusion_matrix.png"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
