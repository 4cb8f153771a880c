"""Runs: their life, their names, their parents, by the client and by plain HTTP."""

import re
import time

import mlflow
import pytest
from mlflow.entities import RunStatus, RunTag, ViewType
from wire import ABSENT, INVALID, Refuses, refused

HEX = re.compile("[0-9a-f]{32}")


def case_create(client, experiment):
    before = int(time.time() * 1000)
    run = client.create_run(experiment)
    info = run.info
    assert HEX.fullmatch(info.run_id)
    assert (info.experiment_id, info.status, info.lifecycle_stage) == (experiment, "RUNNING", "active")
    assert before - 1000 <= info.start_time <= before + 60_000
    assert info.end_time is None
    assert info.artifact_uri == f"mlflow-artifacts:/{experiment}/{info.run_id}/artifacts"


def case_get_says_what_create_said(client, experiment):
    made = client.create_run(experiment, start_time=1234, run_name="first", tags={"a": "b"})
    found = client.get_run(made.info.run_id)
    assert dict(found.info) == dict(made.info)
    assert found.data.tags == made.data.tags


def case_run_uuid_is_still_there(wire, run):
    info = wire.get("runs/get", run_id=run).json()["run"]["info"]
    assert info["run_uuid"] == info["run_id"] == run
    assert wire.get("runs/get", run_uuid=run).status_code == 200


def case_start_time_zero(wire, client, experiment):
    made = wire.post("runs/create", {"experiment_id": experiment, "start_time": 0}).json()["run"]["info"]
    assert client.get_run(made["run_id"]).info.start_time == 0


@pytest.mark.parametrize("given", ["123", 123])
def case_times_come_as_numbers(wire, experiment, given):
    made = wire.post("runs/create", {"experiment_id": experiment, "start_time": given}).json()["run"]["info"]
    assert made["start_time"] == 123


def case_user_id(wire, client, experiment):
    made = wire.post("runs/create", {"experiment_id": experiment, "user_id": "ann"}).json()["run"]["info"]
    assert made["user_id"] == "ann"
    assert client.get_run(made["run_id"]).info.user_id == "ann"


def case_generated_name(client, run):
    found = client.get_run(run)
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d+", found.info.run_name)
    assert found.data.tags["mlflow.runName"] == found.info.run_name


def case_given_name(client, experiment):
    made = client.create_run(experiment, run_name="mine")
    assert made.info.run_name == made.data.tags["mlflow.runName"] == "mine"


def case_name_by_tag(client, experiment):
    made = client.create_run(experiment, tags={"mlflow.runName": "tagged"})
    assert made.info.run_name == "tagged"


def case_name_and_another_by_tag(client, experiment):
    with Refuses(INVALID):
        client.create_run(experiment, run_name="one", tags={"mlflow.runName": "two"})


def case_name_and_the_same_by_tag(client, experiment):
    assert client.create_run(experiment, run_name="one", tags={"mlflow.runName": "one"}).info.run_name == "one"


@pytest.mark.parametrize("text", ["näme 模型 🦊", "a/b\\c", "x" * 250, "'; DROP TABLE runs; --", " blank "])
def case_odd_names(client, experiment, text):
    made = client.create_run(experiment, run_name=text)
    assert client.get_run(made.info.run_id).info.run_name == text


def case_two_runs_of_one_name(client, experiment):
    ids = {client.create_run(experiment, run_name="same").info.run_id for _ in range(2)}
    assert len(ids) == 2


def case_create_in_the_default_experiment(wire):
    made = wire.post("runs/create", {"experiment_id": "0"}).json()["run"]["info"]
    assert made["experiment_id"] == "0"
    wire.post("runs/delete", {"run_id": made["run_id"]})


def case_create_in_an_unknown_experiment(client):
    with Refuses(ABSENT):
        client.create_run("123456789012")


@pytest.mark.parametrize("count", [90, 100, 400])
def case_create_with_many_tags(client, experiment, count):
    tags = {f"tag {i}": f"value {i}" for i in range(count)}
    found = client.get_run(client.create_run(experiment, tags=tags).info.run_id)
    assert tags.items() <= found.data.tags.items()


def case_get_unknown(client):
    with Refuses(ABSENT):
        client.get_run("0" * 32)


@pytest.mark.parametrize("given", ["x", "a b", "../..", "ü", "%00"])
def case_get_by_odd_id(wire, given):
    assert wire.get("runs/get", run_id=given).status_code in (400, 404)


@pytest.mark.parametrize("given", ["x y", "../x", "a" * 300, "ü", "-a"])
def case_what_is_no_run_id_is_no_run(client, wire, given):
    for call in (
        lambda: client.log_metric(given, "a", 1),
        lambda: client.set_tag(given, "a", "1"),
        lambda: client.delete_tag(given, "a"),
        lambda: client.delete_run(given),
        lambda: client.restore_run(given),
    ):
        with Refuses(ABSENT):
            call()
    refused(wire.get("artifacts/list", run_id=given), 404, ABSENT)
    refused(wire.get("runs/get", run_id=given), 404, ABSENT)
    assert client.get_metric_history(given, "a") == []
    for call in (lambda: client.get_run(given), lambda: client.log_batch(given, tags=[RunTag("a", "1")])):
        with Refuses(INVALID):
            call()


def case_an_empty_name_by_tag_changes_nothing(client, experiment):
    run = client.create_run(experiment, run_name="first").info.run_id
    client.set_tag(run, "mlflow.runName", "")
    client.log_batch(run, tags=[RunTag("mlflow.runName", ""), RunTag("a", "1")])
    found = client.get_run(run)
    assert (found.info.run_name, found.data.tags["mlflow.runName"], found.data.tags["a"]) == ("first", "first", "1")


def case_get_without_id(wire):
    refused(wire.get("runs/get"), 400, INVALID)


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED", "RUNNING", "SCHEDULED"])
def case_every_status(client, run, status):
    client.update_run(run, status=status)
    assert client.get_run(run).info.status == status


def case_terminate(client, run):
    before = int(time.time() * 1000)
    client.set_terminated(run)
    info = client.get_run(run).info
    assert info.status == "FINISHED"
    assert before - 1000 <= info.end_time <= before + 60_000


def case_terminate_at_a_time(client, run):
    client.set_terminated(run, "FAILED", end_time=99)
    info = client.get_run(run).info
    assert (info.status, info.end_time) == ("FAILED", 99)


def case_update_is_partial(wire, client, run):
    wire.post("runs/update", {"run_id": run, "end_time": 5})
    info = client.get_run(run).info
    assert (info.status, info.end_time) == ("RUNNING", 5)
    wire.post("runs/update", {"run_id": run, "status": "FINISHED"})
    info = client.get_run(run).info
    assert (info.status, info.end_time) == ("FINISHED", 5)


def case_update_answers_the_info(wire, run):
    info = wire.post("runs/update", {"run_id": run, "status": "FINISHED", "end_time": 7}).json()["run_info"]
    assert (info["run_id"], info["status"], info["end_time"]) == (run, "FINISHED", 7)


def case_status_by_number(wire, client, run):
    assert wire.post("runs/update", {"run_id": run, "status": RunStatus.from_string("KILLED")}).status_code == 200
    assert client.get_run(run).info.status == "KILLED"


@pytest.mark.beyond_mlflow
def case_unknown_status(wire, client, run):
    refused(wire.post("runs/update", {"run_id": run, "status": "RESTING"}), 400, INVALID)
    assert client.get_run(run).info.status == "RUNNING"


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("given", [[1], {"a": 1}, 1.5, True])
def case_end_time_of_another_type(wire, run, given):
    refused(wire.post("runs/update", {"run_id": run, "end_time": given}), 400, INVALID)


def case_rename(client, run):
    client.update_run(run, name="better")
    found = client.get_run(run)
    assert found.info.run_name == found.data.tags["mlflow.runName"] == "better"


def case_empty_name_is_ignored(wire, client, run):
    name = client.get_run(run).info.run_name
    wire.post("runs/update", {"run_id": run, "run_name": ""})
    assert client.get_run(run).info.run_name == name


def case_rename_by_tag(client, run):
    client.set_tag(run, "mlflow.runName", "by tag")
    assert client.get_run(run).info.run_name == "by tag"


def case_update_unknown(wire):
    refused(wire.post("runs/update", {"run_id": "0" * 32, "status": "FINISHED"}), 404, ABSENT)


def case_delete_and_restore(client, experiment, run):
    client.delete_run(run)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    assert [r.info.run_id for r in client.search_runs([experiment])] == []
    assert [r.info.run_id for r in client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)] == [run]
    client.restore_run(run)
    assert client.get_run(run).info.lifecycle_stage == "active"
    assert [r.info.run_id for r in client.search_runs([experiment])] == [run]


def case_delete_and_restore_twice(client, run):
    client.delete_run(run)
    client.delete_run(run)
    client.restore_run(run)
    client.restore_run(run)
    assert client.get_run(run).info.lifecycle_stage == "active"


def case_delete_keeps_what_was_logged(client, run):
    client.log_metric(run, "m", 1.0)
    client.log_param(run, "p", "1")
    client.delete_run(run)
    data = client.get_run(run).data
    assert (data.metrics, data.params) == ({"m": 1.0}, {"p": "1"})


@pytest.mark.parametrize("action", ["delete", "restore"])
def case_delete_unknown(wire, action):
    refused(wire.post(f"runs/{action}", {"run_id": "0" * 32}), 404, ABSENT)
    refused(wire.post(f"runs/{action}", {}), 400, INVALID)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/update", {"status": "FINISHED"}),
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-parameter", {"key": "p", "value": "1"}),
        ("runs/set-tag", {"key": "t", "value": "1"}),
        ("runs/delete-tag", {"key": "mlflow.runName"}),
        ("runs/log-batch", {"metrics": [{"key": "m", "value": 1, "timestamp": 1}]}),
    ],
)
def case_deleted_run_takes_nothing(wire, client, run, path, body):
    client.delete_run(run)
    refused(wire.post(path, {"run_id": run} | body), 400, INVALID)


def case_fluent_run(client, experiment):
    with mlflow.start_run(experiment_id=experiment, run_name="outer", description="What it is") as run:
        mlflow.log_param("depth", 3)
        mlflow.log_metric("loss", 0.5, step=2)
        mlflow.set_tag("kind", "test")
    found = client.get_run(run.info.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "outer")
    assert (found.data.params, found.data.metrics) == ({"depth": "3"}, {"loss": 0.5})
    assert found.data.tags["mlflow.note.content"] == "What it is"
    assert found.data.tags["mlflow.source.name"]
    assert found.info.end_time >= found.info.start_time


def case_failed_fluent_run(client, experiment):
    with pytest.raises(ZeroDivisionError), mlflow.start_run(experiment_id=experiment):
        raise ZeroDivisionError
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FAILED"


def case_resume(client, experiment):
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_metric("loss", 1.0, step=1)
    with mlflow.start_run(run_id=run.info.run_id):
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
        mlflow.log_metric("loss", 0.5, step=2)
        mlflow.log_param("late", "yes")
    found = client.get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics, found.data.params) == ("FINISHED", {"loss": 0.5}, {"late": "yes"})


def case_log_after_the_end(client, run):
    client.set_terminated(run)
    client.log_metric(run, "late", 1.0)
    client.set_tag(run, "late", "yes")
    assert client.get_run(run).data.metrics == {"late": 1.0}


def case_resume_a_deleted_run(client, run):
    client.delete_run(run)
    with Refuses(INVALID, "INTERNAL_ERROR"), mlflow.start_run(run_id=run):  # the client's own word, it asks first
        pass


def case_nested(client, experiment):
    with mlflow.start_run(experiment_id=experiment) as parent:
        children = set()
        for _ in range(2):
            with mlflow.start_run(experiment_id=experiment, nested=True) as child:
                children.add(child.info.run_id)
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {run.info.run_id for run in found} == children
    assert client.get_parent_run(found[0].info.run_id).info.run_id == parent.info.run_id


def case_parent_given_by_id(client, experiment, run):
    with mlflow.start_run(experiment_id=experiment, parent_run_id=run) as child:
        pass
    assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == run


def case_parent_that_is_not_there(client, experiment):
    made = client.create_run(experiment, tags={"mlflow.parentRunId": "f" * 32})
    assert client.get_run(made.info.run_id).data.tags["mlflow.parentRunId"] == "f" * 32


def case_fresh_run_has_nothing(wire, run):
    found = wire.get("runs/get", run_id=run).json()["run"]
    assert set(found["data"]) == {"tags"}


def case_source_and_git_tags(client, experiment):
    tags = {
        "mlflow.source.name": "train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "abc",
        "mlflow.user": "ann",
    }
    found = client.get_run(client.create_run(experiment, tags=tags).info.run_id)
    assert tags.items() <= found.data.tags.items()
