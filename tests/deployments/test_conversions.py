"""Conversions of a version to ONNX: asked for, made by a worker in a child, shown with their figures."""

import pytest
from sklearn.ensemble import RandomForestClassifier

from deployments import tasks
from deployments.models import Conversion
from deployments.services import conversions
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Forbidden
from projects.models import Event
from tests.deployments.services.test_registry import tamper
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.deployments.test_pipeline import register, train
from tests.factories.deployments import make_version
from tests.factories.projects import make_user
from tests.serve.harness import Scene

PATH = "models/churn/versions/1/conversion/"


@pytest.mark.slow
def test_a_forest_is_converted_and_its_parity_is_kept(team, tmp_path):
    scene = Scene(team.project, make_user("ana", role="scientist", project=team.project), tmp_path)
    version = scene.make_version(1, estimator=RandomForestClassifier(20, max_depth=6, random_state=0))
    made, fresh = conversions.queued(version, asked_by=team.scientist)
    assert fresh
    tasks.convert_version(made.pk)
    made.refresh_from_db()
    assert (made.state, made.passed) == ("succeeded", True), (made.failure, made.figures)
    assert made.figures["rows"] == 1000 + 2 * 60
    assert made.figures["max_difference"] < 1e-5
    assert blobs.local_path(made.graph_sha256).stat().st_size == made.figures["size_bytes"]


@pytest.mark.slow
def test_what_cannot_be_converted_says_why_and_a_damaged_file_fails(team):
    version = register(team, train(team, "dummy"))
    work = conversions.ask(team.scientist, version=version)
    tasks.convert_version(work.pk)
    work.refresh_from_db()
    assert (work.state, work.passed, work.graph_sha256) == ("succeeded", False, "")
    assert work.figures["reason"]
    Conversion.objects.update(state="failed", figures=None)
    tamper(version.file("model/model.skops"))
    tasks.convert_version(conversions.ask(team.scientist, version=version).pk)
    work.refresh_from_db()
    assert (work.state, "changed on disk" in work.failure) == ("failed", True)


def test_asking_twice_is_one_conversion(team):
    version = make_version(team)
    first = conversions.ask(team.scientist, version=version)
    assert conversions.ask(team.scientist, version=version) == first
    assert Event.objects.filter(verb="version.conversion_asked").count() == 1
    with pytest.raises(Forbidden):
        conversions.ask(team.viewer, version=version)
    version.origin, version.manifest = "mlflow", []
    with pytest.raises(Conflict):
        conversions.ask(team.scientist, version=version)


def test_ask_and_read_over_the_api_and_the_page(team):
    version = make_version(team)
    assert Api(team, "viewer", "read").get(PATH).json() == {"state": "none"}
    assert Api(team, "viewer", "read").post(PATH).status_code == 403
    client = browser(team, "scientist")
    assert b"Convert and compare" in client.get("/p/churn/models/churn/v/1/").content
    moved = client.post("/p/churn/models/churn/v/1/convert/")
    assert moved["Location"] == "/p/churn/models/churn/v/1/#conversion"
    answer = Api(team, "scientist", "register").post(PATH)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert b"Waits for a worker" in client.get("/p/churn/models/churn/v/1/").content
    figures = {
        "passed": True, "reason": "No label changes.", "rows": 1128, "rows_mixed": 700, "max_difference": 1.2e-7,
        "labels_changed": 0, "size_bytes": 948, "seconds": 0.17,
    }  # fmt: skip
    Conversion.objects.filter(version=version).update(
        state="succeeded", passed=True, graph_sha256="a" * 64, figures=figures
    )
    page = client.get("/p/churn/models/churn/v/1/").content.decode()
    assert "No label changes. Endpoints use it" in page
    assert Api(team, "viewer", "read").get(PATH).json()["figures"] == figures
