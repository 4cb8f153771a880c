"""Runs through the MLflow door."""

import json
import re

import pytest

from experiments.models import Run, RunTag
from projects.models import Event
from tests.experiments.mlflow.calls import code, scientist
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
