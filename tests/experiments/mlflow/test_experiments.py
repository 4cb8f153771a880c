"""Experiments through the MLflow door."""

import re

import pytest

from experiments.models import Experiment, ExperimentTag, Run
from experiments.services import experiments
from projects.models import Event
from tests.experiments.mlflow.calls import code, scientist
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token

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
        api.get("experiments/get", experiment_id="-1"),
        api.get("experiments/get", experiment_id="-" + "9" * 40),
        api.get("experiments/get-by-name", experiment_name="none"),
        api.get("runs/get", run_id="0" * 32),
    ):
        assert code(answer) == (404, "RESOURCE_DOES_NOT_EXIST")
    for text in ("abc", "--1", "1.5", "١"):
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


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": None}, {"name": 3}, {"name": "x" * 501}, {"name": "a\0b"}, {"name": "a", "tags": 3},
     {"name": "a", "tags": [3]}, {"name": "a", "tags": [{"key": "../x", "value": ""}]},
     {"name": "a", "tags": [{"key": "x" * 251, "value": ""}]},
     {"name": "a", "tags": [{"key": "k", "value": "x" * 20_001}]},
     {"name": "a", "artifact_location": 3}, [], 42, "x", None, b"{", b"[" * 4000, b'{"name": "\\ud800"}'],
)  # fmt: skip
def test_what_cannot_be_created_is_refused(api, body):
    assert code(api.post("experiments/create", body)) == (400, "INVALID_PARAMETER_VALUE")
    assert not Experiment.objects.exclude(is_default=True).exists()


def test_an_experiment_is_renamed_unless_the_name_is_taken(api):
    number, other = made(api), made(api, "other")
    api.ok("experiments/update", experiment_id=number, new_name="Churn / new")
    assert api.seen("experiments/get", experiment_id=number)["experiment"]["name"] == "Churn / new"
    taken = api.post("experiments/update", {"experiment_id": number, "new_name": "other"})
    assert code(taken) == (400, "RESOURCE_ALREADY_EXISTS")
    api.ok("experiments/update", experiment_id=number, new_name="Churn / new")
    api.ok("experiments/delete", experiment_id=other)
    deleted = api.post("experiments/update", {"experiment_id": other, "new_name": "free"})
    assert code(deleted) == (400, "INVALID_PARAMETER_VALUE")
    assert code(api.post("experiments/update", {"experiment_id": number}))[0] == 400
    assert code(api.post("experiments/create", {"name": "other"})) == (400, "RESOURCE_ALREADY_EXISTS")
    renamed = Event.objects.filter(verb="experiment.renamed").order_by("seq").first()
    assert renamed.data == {"from": "churn", "to": "Churn / new"}


def test_names_differ_by_case(api):
    assert made(api, "Churn") != made(api, "churn")


def test_tags_are_set_replaced_and_removed(api):
    number = made(api)
    for value in ("x" * 20_000, "second"):
        api.ok("experiments/set-experiment-tag", experiment_id=number, key="team", value=value)
    api.ok("experiments/set-experiment-tag", experiment_id=number, key="mlflow.note.content", value="Why we do it.")
    found = api.seen("experiments/get", experiment_id=number)["experiment"]
    assert {tag["key"]: tag["value"] for tag in found["tags"]} == {
        "team": "second", "mlflow.note.content": "Why we do it.",
    }  # fmt: skip
    row = Experiment.objects.get(pk=number)
    assert row.description == "Why we do it."
    experiments.describe(writer(row.project), experiment=row, description="Better said.")
    assert ExperimentTag.objects.get(key="mlflow.note.content").value == "Better said."
    api.ok("experiments/delete-experiment-tag", experiment_id=number, key="team")
    gone = api.post("experiments/delete-experiment-tag", {"experiment_id": number, "key": "team"})
    assert code(gone) == (404, "RESOURCE_DOES_NOT_EXIST")
    verbs = list(
        Event.objects.filter(target_type="experiment", target_id=number).order_by("seq").values_list("verb", flat=True)
    )
    assert verbs == ["experiment.created", *["experiment.tagged"] * 3, "experiment.described", "experiment.untagged"]


@pytest.mark.parametrize(
    "fields", [{"key": "k"}, {"value": "v"}, {"key": "", "value": "v"}, {"key": "k", "value": "x" * 20_001}]
)
def test_a_wrong_tag_is_refused(api, fields):
    answer = api.post("experiments/set-experiment-tag", {"experiment_id": made(api), **fields})
    assert code(answer) == (400, "INVALID_PARAMETER_VALUE")


def test_a_deleted_experiment_takes_neither_tags_nor_runs(api):
    number = made(api)
    api.ok("experiments/delete", experiment_id=number)
    for path, fields in (
        ("experiments/set-experiment-tag", {"key": "k", "value": "v"}),
        ("experiments/delete-experiment-tag", {"key": "k"}), ("runs/create", {}),
    ):  # fmt: skip
        answer = api.post(path, {"experiment_id": number, **fields})
        assert code(answer) == (400, "INVALID_PARAMETER_VALUE"), path
    assert (ExperimentTag.objects.count(), Run.objects.count()) == (0, 0)


def test_an_experiment_in_which_a_job_works_stays(api, project):
    run = make_run(make_experiment(project), source=Run.Source.JOB)
    answer = api.post("experiments/delete", {"experiment_id": str(run.experiment_id)})
    assert code(answer) == (400, "INVALID_PARAMETER_VALUE")
    run.refresh_from_db()
    assert run.lifecycle == "active"


def test_experiments_of_other_projects_are_absent(api):
    foreign = make_experiment(make_project("other"), "secret")
    number = str(foreign.pk)
    answers = [
        api.get("experiments/get", experiment_id=number),
        api.get("experiments/get-by-name", experiment_name="secret"),
    ]
    for path, fields in (
        ("update", {"new_name": "mine"}), ("delete", {}), ("restore", {}),
        ("set-experiment-tag", {"key": "k", "value": "v"}), ("delete-experiment-tag", {"key": "k"}),
    ):  # fmt: skip
        answers.append(api.post(f"experiments/{path}", {"experiment_id": number, **fields}))
    answers.append(api.post("runs/create", {"experiment_id": number}))
    assert [code(answer) for answer in answers] == [(404, "RESOURCE_DOES_NOT_EXIST")] * len(answers)
    foreign.refresh_from_db()
    assert (foreign.name, foreign.lifecycle) == ("secret", "active")
    assert made(api, "secret") != number


def test_each_project_has_its_own_default(api):
    other = scientist(make_project("other"), "olga")
    for each in (api, other):
        run = each.ok("runs/create")["run"]["info"]
        assert run["experiment_id"] == "0"
    assert Experiment.objects.filter(is_default=True, name="Default").count() == 2


def test_an_experiment_that_has_the_default_name_already_becomes_the_default(api, project):
    before = make_experiment(project, "Default")
    assert api.seen("experiments/get-by-name", experiment_name="Default")["experiment"]["name"] == "Default"
    assert api.seen("experiments/get", experiment_id="0")["experiment"]["name"] == "Default"
    assert Experiment.objects.get().pk == before.pk


def test_a_viewer_reads_but_changes_nothing(api, project):
    viewer = scientist(project, "vera")
    viewer.headers = {"Authorization": f"Bearer {make_token(api.user, project, ['read'])}"}
    number = made(api)
    assert viewer.get("experiments/get", experiment_id=number)[0] == 200
    for path, fields in (
        ("experiments/create", {"name": "x"}), ("experiments/delete", {"experiment_id": number}), ("runs/create", {}),
    ):  # fmt: skip
        assert code(viewer.post(path, fields)) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("name", ODD)
def test_pages_and_rest_address_any_name(api, project, client, name):
    run = make_run(make_experiment(project, name))
    number = run.experiment_id
    client.force_login(api.user)
    listed = client.get("/p/churn/experiments/").content.decode()
    (place,) = set(re.findall(r'href="(/p/churn/experiments/[^"/]+/)"', listed))
    shown = client.get(place)
    assert (shown.status_code, "<script>alert" in shown.content.decode()) == (200, False)
    for page in (f"{place}compare/?runs={run.pk}", f"{place}export.csv", f"/p/churn/runs/{run.pk}/"):
        assert client.get(page).status_code == 200
    rest = f"/api/v1/projects/churn/experiments/{number}/"
    assert client.get(rest, headers=api.headers).json()["name"] == name
    runs = client.get("/api/v1/projects/churn/runs/", {"experiment": number}, headers=api.headers).json()["results"]
    assert [(row["id"], row["experiment"]) for row in runs] == [(run.pk, name)]
    if name.strip():
        assert place in client.get("/search/", {"q": name}).content.decode()


def test_a_token_that_may_only_write_starts_the_first_run(api, project):
    api.headers = {"Authorization": f"Bearer {make_token(api.user, project, ['write'])}"}
    assert api.ok("runs/create")["run"]["info"]["experiment_id"] == "0"
