"""A version that runs elsewhere: the same bytes each time, checked offline, served by what lies in the zip."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

import pytest
import yaml

from deployments.models import Conversion
from deployments.proof import container, package
from deployments.services import bundles
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Dataset
from tests.deployments.services.test_packages import independent, write
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_dataset_version
from tests.factories.projects import actor, make_user
from tests.serve.harness import Scene

NAME = "model-churn"


@pytest.fixture
def version(team, tmp_path):
    scene = Scene(team.project, make_user("ana", role="scientist", project=team.project), tmp_path / "made")
    return make_signed(scene.make_version(1))


def make_signed(version):
    """Sign a version as its registration does."""
    from deployments import gates
    from deployments.proof import manifest, signing

    version.provenance = {"run": 1}
    version.manifest_sha256 = manifest.digest(version.manifest, version.provenance)
    version.manifest_signature = signing.sign(gates.keyring(), manifest_sha256=version.manifest_sha256)
    version.signed_by = gates.keyring().key_id
    version.save()
    return version


def packed(team, version, kind="container"):
    return b"".join(bundles.export(team.viewer, version=version, kind=kind))


def test_the_same_version_gives_the_same_signed_bytes(team, version, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(packed(team, version))
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(packed(team, version)).digest()
    assert package.verify(path).code == package.INTACT
    assert independent(path)[0] == 0
    with zipfile.ZipFile(path) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    golden = json.loads(inside["golden.json"])
    assert (len(golden["records"]), golden["score"]) == (len(golden["predictions"]), "probability of yes")
    assert inside["check.py"].count(b"\n") <= 56
    assert json.loads(inside["parity.json"])["reason"] == "It was not converted to ONNX."
    changed = write(tmp_path / "b.zip", inside | {"golden.json": b"{}"})
    assert package.verify(changed).path == "golden.json"
    assert independent(changed)[0] == 1
    assert package.verify(write(tmp_path / "c.zip", inside | {"more.py": b""})).path == "more.py"
    lock = inside["requirements.txt"].decode()
    assert "scikit-learn==" in lock
    assert "--hash=sha256:" in lock
    assert "django" not in lock
    assert not any("django" in content.decode() for name, content in inside.items() if name.startswith("package/"))


def test_manifests_name_one_image_and_its_probes(team, version):
    texts = container.texts("Churn & more", 3, 300 << 20)
    kinds = {path: yaml.safe_load(text) for path, text in texts.items() if path.endswith(".yaml")}
    deployment = kinds["kubernetes/deployment.yaml"]
    (one,) = deployment["spec"]["template"]["spec"]["containers"]
    name = deployment["metadata"]["name"]
    assert (one["image"], one["resources"]["limits"]["memory"]) == (f"{name}:v3", "1712Mi")
    assert one["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert kinds["kubernetes/service.yaml"]["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    served = kinds["kubernetes/inferenceservice.yaml"]
    assert served["spec"]["predictor"]["containers"][0]["image"] == f"{name}:v3"
    assert container.endpoint("churn") == "churn"
    assert container.endpoint("Churn") != container.endpoint("churn")


def test_what_cannot_run_elsewhere_is_refused(team, version):
    with pytest.raises(Invalid, match="edge, container"):
        packed(team, version, "jar")
    with pytest.raises(Forbidden):
        bundles.export(actor(make_user("stranger")), version=version, kind="edge")
    version.dataset_version = make_dataset_version(team.project)
    Dataset.objects.update(marks={"age": "personal"})
    version.dataset_version.dataset.refresh_from_db()
    with pytest.raises(Conflict, match="age is masked for you"):
        packed(team, version)
    assert b"".join(bundles.export(team.scientist, version=version, kind="edge"))
    version.manifest = [row for row in version.manifest if "reference" not in row["path"]]
    with pytest.raises(Conflict, match="no held-out rows"):
        bundles.export(team.scientist, version=version, kind="edge")


def test_page_and_api_send_it(team, version):
    api = Api(team, "viewer", "read")
    answer = api.get("models/churn/versions/1/export/", kind="edge")
    assert b"".join(answer.streaming_content) == packed(team, version, "edge")
    assert answer["Content-Disposition"].endswith("churn-v1-edge.zip")
    assert api.get("models/churn/versions/1/export/", kind="jar").status_code == 400
    page = browser(team, "viewer").get("/p/churn/models/churn/v/1/").content.decode()
    assert "export/?kind=container" in page


@pytest.mark.slow
def test_the_context_checks_itself_and_its_server_answers_the_golden_rows(team, version, tmp_path):
    folder = tmp_path / "unpacked"
    path = tmp_path / "a.zip"
    path.write_bytes(packed(team, version))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    golden = json.loads((folder / "golden.json").read_text())
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(folder / "package")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "deployments.runtime.standalone", str(folder), str(port)], cwd=folder, env=bare
    )
    try:
        checked = subprocess.run(
            [sys.executable, "check.py"], cwd=folder, env=bare, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert checked.stdout.endswith("intact\n")
        asked = {"dataframe_records": golden["records"]}
        assert ask(port, "/invocations", asked)["predictions"] == golden["predictions"]
        names = list(golden["records"][0])
        tensors = [
            {"name": name, "shape": [len(golden["records"]), 1], "datatype": "FP64",
             "data": [row[name] for row in golden["records"]]}
            for name in names
        ]  # fmt: skip
        shares = ask(port, "/v2/models/churn/infer", {"inputs": tensors})["outputs"][1]["data"]
        assert shares[1::2] == pytest.approx(golden["scores"], abs=1e-9)
        with pytest.raises(urllib.error.HTTPError, match="422"):
            ask(port, "/v1/models/churn:predict", {"instances": [{"age": "old"}]})
    finally:
        server.kill()
        server.wait()
    (folder / "golden.json").write_text("{}")
    altered = subprocess.run([sys.executable, "check.py"], cwd=folder, env=bare, capture_output=True, check=False)
    assert (altered.returncode, altered.stdout) == (1, b"golden.json was altered\n")


def ask(port, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_the_graph_goes_along_when_it_passed_the_gate(team, version):
    from mlportal.lib import blobs

    graph = blobs.put_bytes(b"graph")
    figures = {"passed": True, "max_difference": 1e-7}
    Conversion.objects.create(
        version=version, state="succeeded", passed=True, graph_sha256=graph.sha256, figures=figures
    )
    version.refresh_from_db()
    sent = packed(team, version, "edge")
    import io

    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert archive.read("model.onnx") == b"graph"
        assert json.loads(archive.read("parity.json")) == figures
        assert "Dockerfile" not in archive.namelist()
