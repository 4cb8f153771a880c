"""A version that a client logged in the safe format: measured like any other, and able to answer."""

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from deployments import gates, pipeline
from deployments.models import Evaluation, ModelVersion, PromotionRequest, RegisteredModel
from deployments.runtime import bundle_check, loading, standalone
from deployments.runtime.signature import read_records
from deployments.services import bundles, endpoints, promotions
from experiments.models import Run
from mlportal.lib import blobs, modelfile
from mlportal.lib.errors import Unprocessable
from tests.deployments.mlflow.calls import Caller, client_run, logged_model
from tests.factories.deployments import Team, environment

FLAVORS = "flavors:\n  sklearn: {sklearn_version: 1.9.1, serialization_format: skops}\n"
NAMES = ["age", "visits"]


def mlmodel(inputs: list[dict], outputs: list[dict]) -> bytes:
    lines = {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}
    return (FLAVORS + "signature:\n" + "".join(f"  {k}: '{v}'\n" for k, v in lines.items())).encode()


def data() -> pd.DataFrame:
    random = np.random.default_rng(7)
    return pd.DataFrame({"age": random.uniform(18, 80, 120), "visits": random.integers(0, 9, 120).astype(float)})


def files_of(model, rows: pd.DataFrame, target, tmp_path, outputs: list[dict]) -> dict[str, bytes]:
    """What a client uploads: the model in the safe format, its description, an example and held-out rows."""
    modelfile.dump(model, tmp_path / "model.skops")
    held = rows.assign(__target__=target, __prediction__=model.predict(rows), __score__=0.5)
    sink = io.BytesIO()
    held.to_parquet(sink)
    example = {"dataframe_split": {"columns": NAMES, "data": rows.head(3).to_numpy().tolist()}}
    inputs = [{"type": "double", "name": name, "required": True} for name in NAMES]
    return {
        "MLmodel": mlmodel(inputs, outputs), "model.skops": (tmp_path / "model.skops").read_bytes(),
        "serving_input_example.json": json.dumps(example).encode(), "reference.parquet": sink.getvalue(),
    }  # fmt: skip


def registered(team: Team, files: dict[str, bytes]) -> ModelVersion:
    caller = Caller(team)
    run = client_run(team, {})
    Run.objects.filter(pk=run.pk).update(state="finished")
    logged = logged_model(team, files, run=run)
    caller.model("my model")
    caller.version("my model", f"models:/{logged.uuid}", model_id=logged.uuid)
    return ModelVersion.objects.select_related("model__project").get()


def measured(team: Team, version: ModelVersion) -> PromotionRequest:
    made = promotions.request(
        team.scientist2, version=version, environment=environment(team), reason="Logged by a client, measured here."
    )
    assert pipeline.evaluate_request(made.evaluation.pk, worker="test")
    return PromotionRequest.objects.with_subject().get(pk=made.pk)


def runtime(version: ModelVersion) -> loading.Runtime:
    paths = {row["path"]: blobs.local_path(row["sha256"]) for row in version.manifest}
    loading.verify(paths, version.manifest)
    return loading.load(paths, version.signature, modelfile.load)


@pytest.fixture
def classifier(tmp_path) -> dict[str, bytes]:
    rows = data()
    target = np.where(rows.age + 5 * rows.visits > 60, "yes", "no")
    model = LogisticRegression().fit(rows, target)
    return files_of(model, rows, target, tmp_path, [{"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}])


def test_a_classifier_is_measured_goes_live_and_answers(team, classifier):
    version = registered(team, classifier)
    assert gates.cargo(version) == ""
    request = measured(team, version)
    assert Evaluation.objects.get(request=request).state == "succeeded"
    version.refresh_from_db()
    assert version.task == "classification"
    assert version.signature["outputs"] == [
        {"name": "prediction", "kind": "categorical"}, {"name": "probability", "classes": ["no", "yes"]}
    ]  # fmt: skip
    assert gates.damage(version) == ()
    # It names no dataset of the portal: a person has to say that this is fine.
    promotions.override(
        team.admin, request=request, gate="dataset_profiled", reason="The client keeps its data elsewhere."
    )
    red = {item.name for item in gates.run_all(request) if not item.passed and item.level == "blocking"}
    assert red <= {"dataset_profiled"}
    held = PromotionRequest.objects.with_subject().get(pk=request.pk)
    ticked = [item.name for item in gates.run_all(held) if not item.passed and item.level == "advisory"]
    promotions.decide(team.manager, request=held, verdict="approve", acknowledged=ticked)
    held.refresh_from_db()
    live = held.revisions.get().endpoint
    assert live.name == endpoints.name_for(version.model, held.environment)
    answer = runtime(version).predict([{"age": 79.0, "visits": 8.0}, {"age": 18.0, "visits": 0.0}])
    assert answer.labels == ["yes", "no"]


def test_a_regression_is_recognised(team, tmp_path):
    rows = data()
    target = rows.age * 2
    files = files_of(
        LinearRegression().fit(rows, target), rows, target, tmp_path, [{"type": "double", "required": True}]
    )
    version = registered(team, files)
    measured(team, version)
    version.refresh_from_db()
    assert (version.task, [row["name"] for row in version.signature["outputs"]]) == ("regression", ["prediction"])
    assert runtime(version).predict([{"age": 30.0, "visits": 1.0}]).labels == [pytest.approx(60.0)]


def test_a_type_that_is_not_trusted_is_never_built(team, classifier, tmp_path):
    rows = data()
    modelfile.dump(FunctionTransformer(func=np.load).fit(rows), tmp_path / "bad.skops")
    version = registered(team, {**classifier, "model.skops": (tmp_path / "bad.skops").read_bytes()})
    request = measured(team, version)
    work = Evaluation.objects.get(request=request)
    assert (work.state, "not allowed" in work.failure) == ("failed", True)
    with pytest.raises(modelfile.ModelRefused):
        runtime(version)


def test_without_held_out_rows_it_is_not_compared_and_a_gate_says_so(team, classifier):
    del classifier["reference.parquet"]
    request = measured(team, registered(team, classifier))
    assert "no held-out rows (reference.parquet)" in Evaluation.objects.get(request=request).failure
    assert any(item.level == "blocking" and not item.passed for item in gates.run_all(request))


def unpacked(team, version, folder) -> None:
    sent = b"".join(bundles.export(team.scientist, version=version, kind="edge"))
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        archive.extractall(folder)


def test_it_is_exported_as_a_bundle_that_answers_its_golden_rows(team, tmp_path):
    rows = data()
    target = rows.age * 2
    model = LinearRegression().fit(rows, target)
    version = registered(team, files_of(model, rows, target, tmp_path, [{"type": "double", "required": True}]))
    unpacked(team, version, tmp_path / "bundle")
    about, found = standalone.load(tmp_path / "bundle", graph=False)
    golden = json.loads((tmp_path / "bundle" / "golden.json").read_text())
    golden["scores"] = golden["predictions"]
    assert len(golden["records"]) == 100
    assert bundle_check.wrong(golden, found.backend, read_records(golden["records"], found.signature), 1e-6) == 0
    assert about["number"] == version.number


UNFIT = {"age": [None], "visits": [2.0], "__prediction__": ["no"], "__score__": [0.1]}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model.skops", None, ("not_servable", "pickles are never loaded here")),
        ("reference.parquet", None, ("no_reference", "log_model_artifact")),
        ("reference.parquet", b"PAR1", ("no_reference", "is no Parquet file")),
        ("reference.parquet", pd.DataFrame({"age": [1.0], "visits": [2.0]}), ("no_reference", "lacks a column")),
        ("reference.parquet", pd.DataFrame(UNFIT), ("no_reference", "no row that fits")),
    ],
    ids=["pickle", "no rows", "no parquet", "no answers", "no fitting row"],
)
def test_what_could_not_be_checked_elsewhere_is_refused_with_what_to_log(team, classifier, name, content, told):
    if content is None:
        del classifier[name]
    else:
        classifier[name] = content if isinstance(content, bytes) else content.to_parquet()
    version = registered(team, classifier)
    with pytest.raises(Unprocessable) as caught:
        bundles.export(team.scientist, version=version, kind="edge")
    assert (caught.value.code, caught.value.field, told[1] in caught.value.message) == (told[0], "version", True)


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [("churn", "churn-production"), ("my model", "my-model-76eeb0-production"), ("模型", "model-c98e11-production")],
)
def test_endpoint_names_are_plain(team, name, endpoint):
    Caller(team).model(name)
    model = RegisteredModel.objects.get(name=name)
    assert endpoints.name_for(model, environment(team)) == endpoint
