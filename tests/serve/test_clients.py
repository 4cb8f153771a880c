"""Unmodified clients of Triton, KServe, MLflow and SageMaker ask one real serving process."""

import json
import os
import subprocess
import tomllib
from pathlib import Path

import boto3
import numpy as np
import pytest
import tritonclient.http as triton
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError
from django.utils import timezone
from tritonclient.utils import InferenceServerException

from deployments.models import EnvironmentMove, Policy, PromotionRequest
from deployments.proof import container
from monitoring import spool
from tests.deployments.runtime import recipes
from tests.deployments.serve.test_protocols import tensors_of
from tests.factories.projects import make_token, make_user
from tests.serve.harness import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
NAME = "churn-production"
FRAME = recipes.rows(40, seed=9).dropna().head(3)
RECORDS = recipes.records(FRAME)
HERE = Path(__file__).parent


def interpreter(variable: str, folder: str) -> str:
    """Return the interpreter of a client's own environment; ``make clients`` makes it."""
    path = os.environ.get(variable) or str(ROOT / folder / "bin" / "python")
    assert Path(path).exists(), f"{path} is not there: run `make clients`"
    return path


def run(python: str, script: str, given: dict, **environment: str) -> dict:
    done = subprocess.run(
        [python, str(HERE / "clients" / script)], input=json.dumps(given), capture_output=True, text=True, check=False,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def web(serve, live_server, settings):
    """The portal's own address, in front of the serving process."""
    settings.SERVE_URL = f"http://127.0.0.1:{serve.port}"
    return live_server


def test_unmodified_clients(serve, scene, token, web):
    """One process for all: starting one takes longer than asking it."""
    expected = serve.predict(token, {"records": RECORDS})[1]["predictions"]
    labels = [row["prediction"] for row in expected]
    shares = [[row["probability"]["no"], row["probability"]["yes"]] for row in expected]
    by_triton(serve, token, labels, shares)
    by_boto3(serve, token, labels)
    by_mlflow(serve, token, labels)
    by_kserve(serve, token, labels, shares)
    by_plugin(scene, web, labels)
    serve.stop()
    lines = [entry for path in spool.closed_segments(serve.spool) for entry in spool.read(path).records]
    assert {tuple(entry["ref"]) for entry in lines if entry.get("ref")} == {tuple(f"order-7:{row}" for row in range(3))}


def by_triton(serve, token, labels, shares):
    """All calls of the client that have a meaning here: 15 and three ways of inference."""
    headers = {"Authorization": f"Bearer {token}"}
    with triton.InferenceServerClient(f"127.0.0.1:{serve.port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        assert client.is_model_ready(NAME, headers=headers)
        assert client.is_model_ready(NAME, "1", headers=headers)
        assert not client.is_model_ready(NAME, "2", headers=headers)
        assert not client.is_model_ready(NAME)
        told = client.get_model_metadata(NAME, headers=headers)
        assert [entry["datatype"] for entry in told["inputs"]] == ["FP64", "INT64", "BOOL", "BYTES", "BYTES"]
        assert told["outputs"][1] == {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]}
        assert client.get_model_config(NAME, headers=headers)["platform"] in ("sklearn_skops", "onnxruntime_onnx")
        assert client.get_inference_statistics(NAME, headers=headers) == {"model_stats": []}
        assert client.get_inference_statistics(headers=headers) == {"model_stats": []}
        index = client.get_model_repository_index(headers=headers)
        assert index == [{"name": NAME, "version": "1", "state": "READY"}]
        for binary, packing in ((True, None), (False, None), (True, "gzip"), (True, "deflate")):
            answer = client.infer(
                NAME, inputs(binary=binary), headers=dict(headers), request_id="42",
                outputs=None if binary else [triton.InferRequestedOutput("predict_proba", binary_data=False)],
                request_compression_algorithm=packing,
            )  # fmt: skip
            assert answer.as_numpy("predict_proba").tolist() == shares
            assert answer.get_response()["id"] == "42"
        assert [text.decode() for text in answer.as_numpy("predict").ravel()] == labels
        bad = inputs(binary=True)
        bad[0].set_data_from_numpy(np.full((3, 1), np.inf))
        with pytest.raises(InferenceServerException, match="Row 0, column 'age'"):
            client.infer(NAME, bad, headers=dict(headers))
        with pytest.raises(InferenceServerException, match="known, not expired"):
            client.infer(NAME, inputs(binary=True))


def inputs(*, binary: bool) -> list[triton.InferInput]:
    types = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}
    made = []
    for tensor in tensors_of(FRAME):
        one = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        values = np.array(tensor["data"], dtype=types[tensor["datatype"]]).reshape(tensor["shape"])
        one.set_data_from_numpy(values, binary_data=binary)
        made.append(one)
    return made


def by_boto3(serve, token, labels):
    client = boto3.client(
        "sagemaker-runtime", endpoint_url=f"http://127.0.0.1:{serve.port}", region_name="eu-north-1",
        aws_access_key_id=token, aws_secret_access_key="unused", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    body = json.dumps({"instances": RECORDS})
    answer = client.invoke_endpoint(
        EndpointName=NAME, ContentType="application/json", Body=body, InferenceId="order-7", TargetVariant="champion"
    )
    assert json.loads(answer["Body"].read()) == {"predictions": labels}
    assert answer["InvokedProductionVariant"] == "champion"
    assert "x-mlportal-prediction-id" in answer["ResponseMetadata"]["HTTPHeaders"]
    with pytest.raises(ClientError) as caught:
        client.invoke_endpoint(EndpointName=NAME, ContentType="application/json", Body=body, TargetVariant="other")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert "this request gets 'champion'" in caught.value.response["Error"]["Message"]


def by_mlflow(serve, token, labels):
    given = {"host": f"127.0.0.1:{serve.port}", "token": token, "endpoint": NAME, "records": RECORDS}
    said = run(interpreter("MLFLOW3_PYTHON", ".venv-mlflow3"), "with_mlflow.py", given)
    assert said["sole"] == said["predicted"]["predictions"] == labels
    assert [sum(row) for row in said["named"]] == pytest.approx([1.0] * 3)
    assert (said["names"], said["endpoint"]) == ([NAME], "mlportal")
    assert "Row 0, column 'age': expected a number, got text" in said["refused"]


def by_plugin(scene, web, labels):
    """The portal's own target of MLflow's deployments client, found by its entry point as pip would write it."""
    source = ROOT / "clients" / "mlflow"
    targets = tomllib.loads((source / "pyproject.toml").read_text())["project"]["entry-points"]["mlflow.deployments"]
    facts = scene.folder / "plugin" / "mlflow_mlportal-0.1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mlflow-mlportal\nVersion: 0.1.0\n")
    lines = "".join(f"{name} = {module}\n" for name, module in targets.items())
    (facts / "entry_points.txt").write_text(f"[mlflow.deployments]\n{lines}")
    scene.make_version(2)
    Policy.objects.create(environment=scene.environment, number=1, gates=[], valid_from=timezone.now())
    EnvironmentMove.objects.create(project=scene.project, environment_to=scene.environment)
    boss = make_user("boss", role="admin", project=scene.project)
    given = {
        "target": web.url.replace("http://", "mlportal+http://") + "/churn", "endpoint": NAME, "records": RECORDS,
        "token": make_token(boss, scene.project, ["read", "register", "deploy", "predict"]),
    }  # fmt: skip
    path = os.pathsep.join([str(source), str(facts.parent)])
    said = run(interpreter("MLFLOW3_PYTHON", ".venv-mlflow3"), "with_plugin.py", given, PYTHONPATH=path)
    assert (said["client"], said["names"], said["one"]["version"]) == ("PortalDeploymentClient", [NAME], 1)
    assert said["frame"] == said["body"]["predictions"] == labels
    assert [len(one) for one in (said["body"]["prediction_ids"], said["body"]["probabilities"])] == [3, 3]
    assert said["gap"] == 3
    assert (said["wrong"][0], "column 'age'" in said["wrong"][1]) == ("INVALID_PARAMETER_VALUE", True)
    assert said["twice"][0] == "RESOURCE_ALREADY_EXISTS"
    assert said["elsewhere"][0] == said["file"][0] == "INVALID_PARAMETER_VALUE"
    assert (said["asked"]["state"], said["asked"]["version"]) == ("pending", 2)
    assert PromotionRequest.objects.get(pk=said["asked"]["promotion"]).reason == "Better on the new quarter"
    assert said["alias"] == ["RESOURCE_DOES_NOT_EXIST", "churn has no alias 'best'."]
    assert (said["set"], said["off"]) == (7, False)


def by_kserve(serve, token, labels, shares):
    given = {
        "host": f"127.0.0.1:{serve.port}", "token": token, "endpoint": NAME, "tensors": tensors_of(FRAME),
        "records": RECORDS, "manifests": manifests(),
    }  # fmt: skip
    said = run(interpreter("KSERVE_PYTHON", ".venv-kserve"), "with_kserve.py", given)
    assert (said["live"], said["ready"]) == ([True] * 2, [True] * 3)
    assert said["json"]["predict_proba"] == said["binary"]["predict_proba"] == shares
    assert said["json"]["predict"] == [[label] for label in labels]
    assert said["v1"] == {"predictions": labels}
    assert said["manifests"] == 4


def manifests() -> list[tuple[str, dict]]:
    """What an exported version brings for a cluster, each with the name of its type."""
    texts = container.texts("churn", 1, 1 << 20)
    held = [yaml.safe_load(text) for path, text in texts.items() if path.endswith(".yaml")]
    versions = {"Deployment": "V1", "Service": "V1", "HorizontalPodAutoscaler": "V2", "InferenceService": "V1beta1"}
    return [(versions[one["kind"]] + one["kind"], one) for one in held]


def test_which_project_and_which_endpoint(serve, scene, token):
    body = {"instances": RECORDS}
    js = {"Content-Type": "application/json"}
    anywhere = make_token(scene.user, None, ["predict"])
    code, said, _ = serve.predict(anywhere, body, path=f"/endpoints/{NAME}/invocations", **js)
    assert (code, said["error_code"], said["code"]) == (400, "BAD_REQUEST", "project_missing")
    assert serve.predict(anywhere, body, path=f"/p/churn/endpoints/{NAME}/invocations", **js)[0] == 200
    assert serve.predict(token, body, path="/invocations", **js)[0] == 200
    scene.switch(scene.first, scene.make_endpoint("second"))
    serve.wait_for(lambda: serve.predict(token, body, path="/invocations", **js)[0] == 400)
    code, said, _ = serve.predict(token, body, path="/invocations", **js)
    assert (said["code"], said["limit"]) == ("endpoint_unnamed", [NAME, "second"])
    stranger = make_token(make_user("eve"), None, ["predict"])
    assert serve.predict(stranger, body, path="/p/churn/invocations", **js)[0] == 404
    for path in ("/v2/models/none", "/v1/models/none", "/api/2.0/endpoints/none", "/v2/nothing", "/nothing"):
        assert serve.get(path)[0] in (401, 404)
    assert serve.get(f"/v2/models/{NAME}/infer")[0] == 405
    assert (serve.get("/ping"), serve.get("/health")[0], serve.get("/")[1]) == (
        (200, b"\n"), 200, b'{"status":"alive"}',
    )  # fmt: skip
