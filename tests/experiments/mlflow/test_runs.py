"""Runs through the MLflow door."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from experiments.models import LoggedModel, Run, RunModel, RunTag
from experiments.services import runs
from projects.models import Event
from tests.experiments.mlflow.calls import code, scientist
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def api(project):
    return scientist(project)


def made(api, **fields):
    return api.ok("runs/create", **fields)["run"]


def test_a_run_is_created_as_the_client_reads_it(api, project):
    run = made(
        api, experiment_id="0", user_id="ana", run_name="first", start_time=1_700_000_000_000,
        tags=[{"key": "team", "value": "blue"}],
    )  # fmt: skip
    row = Run.objects.get(uuid=run["info"]["run_id"])
    assert run == {
        "info": {
            "run_id": row.uuid, "run_uuid": row.uuid, "run_name": "first", "experiment_id": "0", "user_id": "ana",
            "status": "RUNNING", "start_time": 1_700_000_000_000, "lifecycle_stage": "active",
            "artifact_uri": f"mlflow-artifacts:/0/{row.uuid}/artifacts",
        },
        "data": {"tags": [{"key": "team", "value": "blue"}, {"key": "mlflow.runName", "value": "first"}]},
        "inputs": {}, "outputs": {},
    }  # fmt: skip
    assert (row.project, row.state, row.source, row.name) == (project, "running", "mlflow", "first")
    assert row.started_at.timestamp() == 1_700_000_000
    assert dict(RunTag.objects.filter(run=row).values_list("key__name", "value")) == json.loads(row.tags)
    assert Event.objects.get(verb="run.created").target_id == row.pk
    assert api.seen("runs/get", run_id=row.uuid) == {"run": run}


def test_a_name_comes_from_the_field_the_tag_or_the_portal(api):
    tag = [{"key": "mlflow.runName", "value": "tagged"}]
    assert made(api, tags=tag)["info"]["run_name"] == "tagged"
    assert made(api, run_name="tagged", tags=tag)["info"]["run_name"] == "tagged"
    generated = made(api)
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d{1,3}", generated["info"]["run_name"])
    assert generated["data"]["tags"] == [{"key": "mlflow.runName", "value": generated["info"]["run_name"]}]
    both = api.post("runs/create", {"run_name": "other", "tags": tag})
    assert code(both) == (400, "INVALID_PARAMETER_VALUE")


def test_a_parent_and_a_note_given_as_tags_are_columns(api):
    parent = made(api, run_name="parent")["info"]["run_id"]
    tags = [{"key": "mlflow.parentRunId", "value": parent}, {"key": "mlflow.note.content", "value": "tried *hard*"}]
    child = Run.objects.get(uuid=made(api, tags=tags)["info"]["run_id"])
    assert (child.parent.uuid, child.notes) == (parent, "tried *hard*")


def test_a_run_ends_and_goes_on(api):
    run_id = made(api, start_time=1000)["info"]["run_id"]
    ended = api.ok("runs/update", run_id=run_id, status="FINISHED", end_time=61_000)["run_info"]
    assert (ended["status"], ended["end_time"]) == ("FINISHED", 61_000)
    row = Run.objects.get(uuid=run_id)
    assert (row.state, row.took_seconds, bool(row.digest)) == ("finished", 60, True)
    again = api.ok("runs/update", run_id=run_id, status="RUNNING")["run_info"]
    assert (again["status"], "end_time" in again) == ("RUNNING", False)
    row.refresh_from_db()
    assert (row.state, row.ended_at, row.digest) == ("running", None, "")
    assert api.ok("runs/update", run_id=run_id, status="FAILED")["run_info"]["status"] == "FAILED"
    row.refresh_from_db()
    assert row.ended_at is not None
    verbs = list(Event.objects.filter(verb__startswith="run.").order_by("seq").values_list("verb", flat=True))
    assert verbs == ["run.created", "run.finished", "run.resumed", "run.failed"]


def statements(caught, *, within=("experiments_", "projects_event", "projects_chainhead")):
    return [q["sql"] for q in caught if any(table in q["sql"] for table in within)]


def test_creating_a_run_takes_five_statements_and_the_search_for_its_experiment(
    api, django_capture_on_commit_callbacks
):
    tags = [{"key": f"t{i}", "value": "v"} for i in range(6)]
    number = api.ok("experiments/create", name="churn")["experiment_id"]
    with django_capture_on_commit_callbacks(execute=True):  # keys are known to the process once they are committed
        made(api, experiment_id=number, tags=tags)
    with CaptureQueriesContext(connection) as caught:
        made(api, experiment_id=number, tags=tags)
    assert len(statements(caught)) <= 6, statements(caught)


def test_reading_a_run_takes_few_statements(api, project):
    run = make_run(make_experiment(project), params={"a": "1"}, tags={"b": "2"})
    log(run, "auc", [0.5, 0.7])
    api.seen("runs/get", run_id=run.uuid)
    with CaptureQueriesContext(connection) as caught:
        api.seen("runs/get", run_id=run.uuid)
    assert len(statements(caught)) <= 3, statements(caught)


def test_a_run_is_read_with_all_that_was_recorded(api, project):
    run = make_run(make_experiment(project), params={"depth": "3"}, running=True, started_ms=5)
    runs.log_batch(
        writer(project), run=run,
        metrics=[("auc", 0.5, 10, 0), ("auc", 0.7, 20, 1), ("auc", 0.6, 30, 1), ("gap", float("nan"), 1, -3),
                 ("top", float("inf"), 1, 0)],
    )  # fmt: skip
    model = LoggedModel.objects.create(
        project=project, experiment=run.experiment, name="clf", created_ms=1, updated_ms=1, source_run=run
    )
    RunModel.objects.create(run=run, logged_model=model, direction="output", step=7)
    found = api.seen("runs/get", run_id=run.uuid)["run"]
    assert found["data"]["metrics"] == [
        {"key": "auc", "value": 0.6, "timestamp": 30, "step": 1},
        {"key": "gap", "value": "NaN", "timestamp": 1, "step": -3},
        {"key": "top", "value": "Infinity", "timestamp": 1, "step": 0},
    ]
    assert found["data"]["params"] == [{"key": "depth", "value": "3"}]
    assert found["outputs"] == {"model_outputs": [{"model_id": model.uuid, "step": 7}]}
    assert found["inputs"] == {}
    assert api.seen("runs/get", run_uuid=run.uuid)["run"] == found


def test_files_are_below_the_experiments_own_place(api):
    for place, expected in (
        ("s3://bucket/x/", "s3://bucket/x/{}/artifacts"), ("s3://bucket/x?key=1", "s3://bucket/x/{}/artifacts?key=1"),
    ):  # fmt: skip
        number = api.ok("experiments/create", name=place, artifact_location=place)["experiment_id"]
        info = made(api, experiment_id=number)["info"]
        assert info["artifact_uri"] == expected.format(info["run_id"])


@pytest.mark.parametrize(
    "body",
    [{"start_time": "soon"}, {"start_time": -1}, {"start_time": 2**63}, {"start_time": [1]}, {"run_name": 3},
     {"run_name": "x" * 251}, {"run_name": "a\0"}, {"tags": "x"}, {"tags": [{"key": ""}]}, {"tags": [{"key": "/x"}]},
     {"experiment_id": "abc"}, {"experiment_id": 3}, {"user_id": 3}, [], 42, "x", b"{", b"[" * 4000],
)  # fmt: skip
def test_a_wrong_run_is_refused(api, body):
    assert code(api.post("runs/create", body)) == (400, "INVALID_PARAMETER_VALUE")
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "name", ["x" * 250, " ", "naïve 北京 🚀", "👩\u200d💻", "a/b", "..", "<script>alert(1)</script>", "new\nline", "-1"]
)
def test_a_run_may_have_any_name(api, client, name):
    run_id = made(api, run_name=name)["info"]["run_id"]
    assert api.seen("runs/get", run_id=run_id)["run"]["info"]["run_name"] == name
    run = Run.objects.get(uuid=run_id)
    client.force_login(api.user)
    page = client.get(f"/p/churn/runs/{run.pk}/")
    assert (page.status_code, "<script>alert" in page.content.decode()) == (200, False)


@pytest.mark.parametrize("given", [0, "1700000000000", 1.7e12, 2**63 - 1])
def test_a_start_may_be_any_moment(api, given):
    run = made(api, start_time=given)["info"]
    assert run["start_time"] == int(given)
    assert api.seen("runs/get", run_id=run["run_id"])["run"]["info"]["start_time"] == int(given)


def test_long_tag_values_are_shortened(api):
    run = made(api, run_name="a", tags=[{"key": "k", "value": "x" * 8001}, {"key": "k", "value": "y" * 9000}])
    assert run["data"]["tags"][0] == {"key": "k", "value": "y" * 8000}


@pytest.mark.parametrize(
    "change",
    [{"status": "DONE"}, {"status": "9"}, {"status": ["FINISHED"]}, {"status": ""}, {"end_time": [1]}, {"end_time": -1},
     {"end_time": "x"}, {"run_name": 3}, {"run_name": "x" * 251}],
)  # fmt: skip
def test_a_wrong_change_is_refused_and_changes_nothing(api, change):
    run_id = made(api, run_name="first")["info"]["run_id"]
    before = api.seen("runs/get", run_id=run_id)
    fields = {"run_id": run_id, "run_name": "second", "status": "FINISHED", **change}
    assert code(api.post("runs/update", fields)) == (400, "INVALID_PARAMETER_VALUE")
    assert api.seen("runs/get", run_id=run_id) == before


def test_what_is_not_sent_stays(api):
    run_id = made(api, run_name="first", start_time=1)["info"]["run_id"]
    assert api.ok("runs/update", run_id=run_id, end_time="5")["run_info"]["status"] == "RUNNING"
    ended = api.ok("runs/update", run_id=run_id, status=3, run_name="")["run_info"]
    assert (ended["status"], ended["end_time"], ended["run_name"]) == ("FINISHED", 5, "first")
    named = api.ok("runs/update", run_id=run_id, run_name="second")["run_info"]
    assert (named["status"], named["end_time"], named["run_name"]) == ("FINISHED", 5, "second")
    tags = api.seen("runs/get", run_id=run_id)["run"]["data"]["tags"]
    assert tags == [{"key": "mlflow.runName", "value": "second"}]


@pytest.mark.parametrize(
    ("word", "state"), [("SCHEDULED", "queued"), ("KILLED", "cancelled"), ("FAILED", "failed"), ("RUNNING", "running")]
)
def test_states_are_the_portals(api, client, word, state):
    run_id = made(api)["info"]["run_id"]
    api.ok("runs/update", run_id=run_id, status=word)
    run = Run.objects.get(uuid=run_id)
    assert (run.state, run.ended_at is None) == (state, state in ("queued", "running"))
    assert api.seen("runs/get", run_id=run_id)["run"]["info"]["status"] == word
    client.force_login(api.user)
    assert client.get(f"/p/churn/runs/{run.pk}/").status_code == 200


def test_deleting_and_restoring_may_be_repeated(api):
    run_id = made(api)["info"]["run_id"]
    for path, stage in (("delete", "deleted"), ("delete", "deleted"), ("restore", "active"), ("restore", "active")):
        assert api.ok(f"runs/{path}", run_id=run_id) == {}
        assert api.seen("runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"] == stage
    assert Event.objects.filter(verb__in=["run.deleted", "run.restored"]).count() == 2


def test_a_deleted_run_does_not_change(api):
    run_id = made(api, run_name="first")["info"]["run_id"]
    api.ok("runs/delete", run_id=run_id)
    for change in ({"run_name": "x"}, {"status": "FINISHED"}, {"end_time": 1}, {}):
        answer = api.post("runs/update", {"run_id": run_id, **change})
        assert code(answer) == (400, "INVALID_PARAMETER_VALUE")
        assert "must be in the 'active' state" in answer[1]["message"]
    assert api.seen("runs/get", run_id=run_id)["run"]["info"]["run_name"] == "first"


def test_runs_of_other_projects_are_absent(api):
    foreign = make_run(make_experiment(make_project("other")))
    answers = [api.get("runs/get", run_id=foreign.uuid)]
    answers += [api.post(f"runs/{path}", {"run_id": foreign.uuid}) for path in ("update", "delete", "restore")]
    assert [code(answer) for answer in answers] == [(404, "RESOURCE_DOES_NOT_EXIST")] * 4
    tags = [{"key": "mlflow.parentRunId", "value": foreign.uuid}]
    assert Run.objects.get(uuid=made(api, tags=tags)["info"]["run_id"]).parent is None


def test_a_call_without_a_run_is_refused(api):
    for answer in (api.get("runs/get"), *(api.post(f"runs/{p}", {}) for p in ("update", "delete", "restore"))):
        assert code(answer) == (400, "INVALID_PARAMETER_VALUE")
        assert "run_id" in answer[1]["message"]


def test_the_run_of_a_job_is_sealed_but_may_be_renamed(api, project):
    run = make_run(make_experiment(project), source=Run.Source.JOB)
    for change in ({"status": "FINISHED"}, {"end_time": 1}):
        answer = api.post("runs/update", {"run_id": run.uuid, **change})
        assert code(answer) == (403, "PERMISSION_DENIED")
        assert "written by its training job" in answer[1]["message"]
    api.ok("runs/update", run_id=run.uuid, run_name="best so far")
    run.refresh_from_db()
    assert (run.state, run.name) == ("queued", "best so far")


def test_what_people_write_on_the_page_is_what_the_client_reads(api, project):
    run = Run.objects.get(uuid=made(api, run_name="first")["info"]["run_id"])
    runs.annotate(writer(project), run=run, name="second", notes="Looks *good* 👩\u200d💻")
    found = api.seen("runs/get", run_id=run.uuid)["run"]
    assert found["info"]["run_name"] == "second"
    assert {tag["key"]: tag["value"] for tag in found["data"]["tags"]} == {
        "mlflow.runName": "second", "mlflow.note.content": "Looks *good* 👩\u200d💻",
    }  # fmt: skip
