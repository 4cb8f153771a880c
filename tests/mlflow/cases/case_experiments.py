"""Experiments by the client and by plain HTTP."""

import time

import mlflow
import pytest
from mlflow.entities import ViewType
from wire import ABSENT, INVALID, TAKEN, Refuses, refused


def case_create_and_get(client, name):
    before = int(time.time() * 1000) - 1000
    found = client.get_experiment(client.create_experiment(name))
    assert (found.name, found.lifecycle_stage, found.tags) == (name, "active", {})
    assert before <= found.creation_time <= found.last_update_time <= before + 60_000
    assert found.experiment_id.isdigit()


def case_default_location_is_the_proxy(client, experiment):
    assert client.get_experiment(experiment).artifact_location == f"mlflow-artifacts:/{experiment}"


def case_given_location_is_kept(client, name):
    made = client.create_experiment(name, artifact_location="s3://somewhere/else")
    assert client.get_experiment(made).artifact_location == "s3://somewhere/else"
    run = client.create_run(made)
    assert run.info.artifact_uri == f"s3://somewhere/else/{run.info.run_id}/artifacts"


@pytest.mark.parametrize("given", ["http://h/x", "https://h/x?a=b", "mlflow-artifacts://h/x", "x#part", "x;a=1"])
def case_locations_that_clients_must_not_be_sent_to(client, name, given):
    with Refuses(INVALID):
        client.create_experiment(name, artifact_location=given)


def case_a_negative_id_is_absent(client):
    for call in (client.get_experiment, client.delete_experiment, client.restore_experiment):
        with Refuses(ABSENT):
            call("-1")


def case_create_with_tags(client, name):
    made = client.create_experiment(name, tags={"team": "risk", "mlflow.note.content": "Hello"})
    assert client.get_experiment(made).tags == {"team": "risk", "mlflow.note.content": "Hello"}


def case_get_by_name(client, experiment, name):
    assert client.get_experiment_by_name(name).experiment_id == experiment


def case_get_by_name_is_exact(client, experiment, name):
    assert client.get_experiment_by_name(name.upper()) is None
    assert client.get_experiment_by_name(name + " ") is None


def case_get_by_unknown_name(client, name):
    assert client.get_experiment_by_name(name) is None


def case_get_unknown(client):
    with Refuses(ABSENT):
        client.get_experiment("123456789012")


def case_get_by_text_that_is_no_number(wire):
    refused(wire.get("experiments/get", experiment_id="abc"), 400, INVALID)


@pytest.mark.parametrize("given", [pytest.param("99999999999999999999999999", marks=pytest.mark.beyond_mlflow), "-1"])
def case_get_by_odd_number(wire, given):
    assert wire.get("experiments/get", experiment_id=given).status_code in (400, 404)


def case_default_experiment_exists(client):
    found = client.get_experiment("0")
    assert (found.name, found.experiment_id) == ("Default", "0")
    assert client.get_experiment_by_name("Default").experiment_id == "0"


def case_name_taken(client, experiment, name):
    with Refuses(TAKEN):
        client.create_experiment(name)


def case_name_taken_answers_400(wire, experiment, name):
    refused(wire.post("experiments/create", {"name": name}), 400, TAKEN)


def case_name_taken_by_a_deleted_one(client, experiment, name):
    client.delete_experiment(experiment)
    with Refuses(TAKEN):
        client.create_experiment(name)


def case_names_differ_by_case(client, experiment, name):
    other = client.create_experiment(name.upper())
    assert client.get_experiment_by_name(name.upper()).experiment_id == other != experiment


@pytest.mark.parametrize(
    "text",
    [
        "/Users/ann/churn {}",
        "näme ünï {}",
        "模型 {}",
        "a/b/../c {}",
        "with 'quotes\" {}",
        "100% {} ?&#+",
        "🦊 {}",
        ".{}",
        " {} ",
    ],
)
def case_any_name(client, name, text):
    full = text.format(name)
    made = client.create_experiment(full)
    assert client.get_experiment(made).name == full
    assert client.get_experiment_by_name(full).experiment_id == made


def case_name_of_500(client, name):
    full = name + "x" * (500 - len(name))
    assert client.get_experiment(client.create_experiment(full)).name == full


def case_name_of_501(client, name):
    with Refuses(INVALID):
        client.create_experiment(name + "x" * (501 - len(name)))


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": None}, {"name": 5}, {"name": ["a"]}, {"name": {"a": 1}}])
def case_name_missing_or_of_another_type(wire, body):
    refused(wire.post("experiments/create", body), 400, INVALID)


def case_unknown_fields_are_ignored(wire, name):
    assert wire.post("experiments/create", {"name": name, "colour": "red"}).status_code == 200


def case_rename(client, experiment, name):
    client.rename_experiment(experiment, name + "-new")
    assert client.get_experiment(experiment).name == name + "-new"
    assert client.get_experiment_by_name(name) is None


def case_rename_moves_last_update(client, experiment, name):
    before = client.get_experiment(experiment).last_update_time
    time.sleep(0.01)
    client.rename_experiment(experiment, name + "-new")
    assert client.get_experiment(experiment).last_update_time > before


def case_rename_to_a_taken_name(wire, client, experiment, name):
    other = client.create_experiment(name + "-other")
    answer = wire.post("experiments/update", {"experiment_id": other, "new_name": name})
    assert answer.status_code == 400
    assert answer.json()["error_code"] in (TAKEN, "BAD_REQUEST")
    assert client.get_experiment(other).name == name + "-other"


@pytest.mark.beyond_mlflow
def case_rename_of_a_deleted_one(wire, client, experiment, name):
    client.delete_experiment(experiment)
    answer = wire.post("experiments/update", {"experiment_id": experiment, "new_name": name + "-new"})
    assert answer.status_code == 400, answer.text


def case_rename_unknown(client):
    with Refuses(ABSENT):
        client.rename_experiment("123456789012", "nobody")


def case_rename_without_name(wire, experiment):
    refused(wire.post("experiments/update", {"experiment_id": experiment}), 400, INVALID)


def case_delete_and_restore(client, experiment):
    client.delete_experiment(experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "deleted"
    client.restore_experiment(experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "active"


def case_deleted_is_found_by_name(client, experiment, name):
    client.delete_experiment(experiment)
    assert client.get_experiment_by_name(name).lifecycle_stage == "deleted"


def case_delete_takes_its_runs_along(client, experiment, run):
    client.delete_experiment(experiment)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    client.restore_experiment(experiment)
    assert client.get_run(run).info.lifecycle_stage == "active"


def case_delete_twice(client, experiment):
    client.delete_experiment(experiment)
    with Refuses(ABSENT):
        client.delete_experiment(experiment)


def case_restore_active(client, experiment):
    with Refuses(ABSENT):
        client.restore_experiment(experiment)


def case_delete_unknown(client):
    with Refuses(ABSENT):
        client.delete_experiment("123456789012")


def case_no_run_in_a_deleted_experiment(client, experiment):
    client.delete_experiment(experiment)
    with Refuses(INVALID):
        client.create_run(experiment)


def case_tag(client, experiment):
    client.set_experiment_tag(experiment, "team", "risk")
    client.set_experiment_tag(experiment, "team", "fraud")
    client.set_experiment_tag(experiment, "other", "")
    assert client.get_experiment(experiment).tags == {"team": "fraud", "other": ""}


@pytest.mark.mlflow3
def case_delete_tag(client, experiment):
    client.set_experiment_tag(experiment, "team", "risk")
    client.delete_experiment_tag(experiment, "team")
    assert client.get_experiment(experiment).tags == {}
    with Refuses(ABSENT):
        client.delete_experiment_tag(experiment, "team")


def case_tag_of_a_deleted_experiment(wire, client, experiment):
    client.delete_experiment(experiment)
    refused(
        wire.post("experiments/set-experiment-tag", {"experiment_id": experiment, "key": "a", "value": "b"}),
        400,
        INVALID,
    )


def case_long_tags(wire, client, experiment):
    body = {"experiment_id": experiment, "key": "k", "value": "v" * 5000}
    assert wire.post("experiments/set-experiment-tag", body).status_code == 200
    assert client.get_experiment(experiment).tags["k"] == "v" * 5000
    refused(wire.post("experiments/set-experiment-tag", body | {"value": "v" * 20_001}), 400, INVALID)
    refused(wire.post("experiments/set-experiment-tag", body | {"key": "k" * 251}), 400, INVALID)


def case_tag_of_an_unknown_experiment(client):
    with Refuses(ABSENT):
        client.set_experiment_tag("123456789012", "a", "b")


def case_set_experiment_creates_and_finds(name):
    made = mlflow.set_experiment(name)
    assert mlflow.set_experiment(name).experiment_id == made.experiment_id
    assert mlflow.set_experiment(experiment_id=made.experiment_id).name == name


def case_set_experiment_refuses_a_deleted_one(client, experiment, name):
    client.delete_experiment(experiment)
    with Refuses(INVALID):
        mlflow.set_experiment(name)


def case_search_by_view(client, experiment, name):
    client.delete_experiment(experiment)
    seen = {
        view: bool(client.search_experiments(view_type=view, filter_string=f"name = '{name}'"))
        for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL)
    }
    assert seen == {ViewType.ACTIVE_ONLY: False, ViewType.DELETED_ONLY: True, ViewType.ALL: True}
