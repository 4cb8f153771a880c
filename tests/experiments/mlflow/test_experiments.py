"""Experiments through the MLflow door."""

import pytest

from experiments.models import Experiment, Run
from projects.models import Event
from tests.experiments.mlflow.calls import code, scientist
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
ODD = [
    "a/b",
    "..",
    ".",
    " ",
    "x" * 500,
    "naïve 北京 🚀",
    "%2F?#&",
    "<script>alert(1)</script>",
    "new\nline",
    "007",
    "api",
]


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def api(project):
    return scientist(project)


def made(api, name="churn", **fields):
    return api.ok("experiments/create", name=name, **fields)["experiment_id"]


def test_an_experiment_is_created_and_read(api, project):
    number = made(api, artifact_location="s3://bucket/x", tags=[{"key": "team", "value": "blue"}])
    row = Experiment.objects.get(pk=number)
    created = int(row.created_at.timestamp() * 1000)
    expected = {
        "experiment_id": number, "name": "churn", "artifact_location": "s3://bucket/x", "lifecycle_stage": "active",
        "creation_time": created, "last_update_time": created, "tags": [{"key": "team", "value": "blue"}],
    }  # fmt: skip
    assert api.seen("experiments/get", experiment_id=number) == {"experiment": expected}
    assert api.seen("experiments/get-by-name", experiment_name="churn") == {"experiment": expected}
    assert row.project == project
    assert Event.objects.get(verb="experiment.created", target_id=row.pk).data == {"name": "churn"}


@pytest.mark.parametrize("name", ODD)
def test_a_name_may_hold_anything(api, name):
    number = made(api, name)
    assert api.seen("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"] == number
    assert code(api.post("experiments/create", {"name": name})) == (400, "RESOURCE_ALREADY_EXISTS")


def test_the_default_experiment_is_there_from_the_start(api):
    answer = api.seen("experiments/get", experiment_id="0")["experiment"]
    assert (answer["experiment_id"], answer["name"]) == ("0", "Default")
    assert answer["artifact_location"] == "mlflow-artifacts:/0"
    assert api.seen("experiments/get-by-name", experiment_name="Default")["experiment"] == answer
    assert code(api.post("experiments/create", {"name": "Default"}))[1] == "RESOURCE_ALREADY_EXISTS"
    assert Experiment.objects.count() == 1


def test_what_is_not_there_is_404(api):
    for answer in (
        api.get("experiments/get", experiment_id="123456"),
        api.get("experiments/get", experiment_id="9" * 40),
        api.get("experiments/get-by-name", experiment_name="none"),
        api.get("runs/get", run_id="0" * 32),
    ):
        assert code(answer) == (404, "RESOURCE_DOES_NOT_EXIST")
    for text in ("abc", "-1", "1.5", "١"):
        answer = api.get("experiments/get", experiment_id=text)
        assert code(answer) == (400, "INVALID_PARAMETER_VALUE")


def test_deleting_takes_the_runs_and_restoring_brings_back_those_only(api):
    number = made(api)
    first, second = (
        api.ok("runs/create", experiment_id=number)["run"]["info"]["run_id"] for _ in range(2)
    )  # fmt: skip
    api.ok("runs/delete", run_id=first)
    assert api.ok("experiments/delete", experiment_id=number) == {}
    assert set(Run.objects.values_list("lifecycle", flat=True)) == {"deleted"}
    gone = api.seen("experiments/get-by-name", experiment_name="churn")["experiment"]
    assert gone["lifecycle_stage"] == "deleted"
    assert api.post("experiments/delete", {"experiment_id": number})[0] == 404
    assert api.ok("experiments/restore", experiment_id=number) == {}
    assert api.post("experiments/restore", {"experiment_id": number})[0] == 404
    assert {run.uuid: run.lifecycle for run in Run.objects.all()} == {first: "deleted", second: "active"}
