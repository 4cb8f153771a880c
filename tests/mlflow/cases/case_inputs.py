"""Datasets and models that went into a run, and models that came out."""

import json
import uuid

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag
from wire import ABSENT, INVALID, Refuses, refused


def data_set(name="train", digest="d1", context="", **more):
    facts = {"source_type": "local", "source": '{"uri": "/a"}', "schema": '{"a": 1}', "profile": '{"rows": 2}'} | more
    tags = [InputTag("mlflow.data.context", context)] if context else []
    return DatasetInput(Dataset(name=name, digest=digest, **facts), tags)


def inputs(client, run):
    found = client.get_run(run).inputs.dataset_inputs
    return sorted(
        (one.dataset.name, one.dataset.digest, {tag.key: tag.value for tag in one.tags}.get("mlflow.data.context"))
        for one in found
    )


def case_log_and_read(client, run):
    client.log_inputs(run, [data_set(context="training")])
    (found,) = client.get_run(run).inputs.dataset_inputs
    facts = found.dataset
    assert (facts.name, facts.digest, facts.source_type) == ("train", "d1", "local")
    assert (facts.source, facts.schema, facts.profile) == ('{"uri": "/a"}', '{"a": 1}', '{"rows": 2}')
    assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "training")]


def case_several(client, run):
    client.log_inputs(run, [data_set("a", "1", "training"), data_set("b", "2", "eval")])
    client.log_inputs(run, [data_set("c", "3")])
    assert inputs(client, run) == [("a", "1", "training"), ("b", "2", "eval"), ("c", "3", None)]


def case_same_again(client, run):
    for _ in range(2):
        client.log_inputs(run, [data_set(context="training")])
    assert inputs(client, run) == [("train", "d1", "training")]


def case_one_data_set_of_two_runs(client, experiment):
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    for run in runs:
        client.log_inputs(run, [data_set(context="training")])
    assert all(inputs(client, run) == [("train", "d1", "training")] for run in runs)


def case_another_digest_is_another(client, run):
    client.log_inputs(run, [data_set(digest="d1"), data_set(digest="d2")])
    assert [digest for _, digest, _ in inputs(client, run)] == ["d1", "d2"]


def case_deleted_run(client, run):
    client.delete_run(run)
    with Refuses(INVALID):
        client.log_inputs(run, [data_set()])


def case_unknown_run(client):
    with Refuses(ABSENT):
        client.log_inputs("0" * 32, [data_set()])


@pytest.mark.parametrize(
    "more",
    [
        {"name": "x" * 501},
        {"digest": "x" * 37},
        {"source": "x" * 65_536},
        {"schema": "x" * 1_048_576},
        pytest.param({"name": ""}, marks=pytest.mark.beyond_mlflow),
    ],
)
def case_over_the_limit(wire, client, run, more):
    facts = {"name": "n", "digest": "d", "source_type": "local", "source": "s"} | more
    refused(wire.post("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": facts}]}), 400, INVALID)
    assert inputs(client, run) == []


def case_at_the_limit(client, run):
    client.log_inputs(run, [data_set("n" * 500, "d" * 36, source="s" * 65_535, schema="c" * 1_048_575)])
    (found,) = client.get_run(run).inputs.dataset_inputs
    assert (len(found.dataset.source), len(found.dataset.schema)) == (65_535, 1_048_575)


@pytest.mark.parametrize("tag", [{"key": "k" * 256, "value": "v"}, {"key": "k", "value": "v" * 501}])
def case_tags_over_the_limit(wire, run, tag):
    facts = {"name": "n", "digest": "d", "source_type": "local", "source": "s"}
    refused(
        wire.post("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": facts, "tags": [tag]}]}), 400, INVALID
    )


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize(
    "item", [{}, {"tags": []}, {"dataset": {}}, {"dataset": None}, {"dataset": "text"}, "text", None]
)
def case_without_a_data_set(wire, client, run, item):
    refused(wire.post("runs/log-inputs", {"run_id": run, "datasets": [item]}), 400, INVALID)
    assert inputs(client, run) == []


def case_nothing_to_log(wire, run):
    assert wire.post("runs/log-inputs", {"run_id": run}).status_code == 200


def case_frame_by_the_fluent_api(client, experiment):
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_input(
            mlflow.data.from_pandas(frame, source="/tmp/a.csv", name="frame", targets="y"), context="training"
        )
        mlflow.log_input(mlflow.data.from_numpy(np.zeros((3, 2)), name="array"), context="test")
    found = {one.dataset.name: one for one in client.get_run(run.info.run_id).inputs.dataset_inputs}
    assert set(found) == {"frame", "array"}
    assert "x" in found["frame"].dataset.schema
    assert json.loads(found["frame"].dataset.profile)["num_rows"] == 2


def case_search_by_data_set(client, experiment, run):
    name = uuid.uuid4().hex
    client.log_inputs(run, [data_set(name, context="training")])
    client.create_run(experiment)
    found = client.search_runs([experiment], f"dataset.name = '{name}' AND dataset.context = 'training'")
    assert [one.info.run_id for one in found] == [run]


@pytest.mark.mlflow3
def case_model_as_input_and_output(client, experiment, run, wire):
    made = client.create_logged_model(experiment, name="m", source_run_id=run).model_id
    assert wire.post("runs/log-inputs", {"run_id": run, "models": [{"model_id": made}]}).status_code == 200
    assert wire.post("runs/outputs", {"run_id": run, "models": [{"model_id": made, "step": 7}]}).status_code == 200
    found = client.get_run(run)
    assert [one.model_id for one in found.inputs.model_inputs] == [made]
    assert [(one.model_id, one.step) for one in found.outputs.model_outputs] == [(made, 7)]


@pytest.mark.mlflow3
@pytest.mark.beyond_mlflow
def case_outputs_twice(client, experiment, run, wire):
    made = client.create_logged_model(experiment, name="m", source_run_id=run).model_id
    for _ in range(2):
        assert wire.post("runs/outputs", {"run_id": run, "models": [{"model_id": made, "step": 0}]}).status_code == 200
    assert [one.model_id for one in client.get_run(run).outputs.model_outputs] == [made]


def case_log_model_of_mlflow_2(wire, client, run):
    facts = {
        "artifact_path": "model",
        "flavors": {"python_function": {}},
        "utc_time_created": "2026-01-01 00:00:00",
        "run_id": run,
        "model_uuid": "x",
    }
    assert wire.post("runs/log-model", {"run_id": run, "model_json": json.dumps(facts)}).status_code == 200
    assert (
        wire.post(
            "runs/log-model", {"run_id": run, "model_json": json.dumps(facts | {"artifact_path": "b"})}
        ).status_code
        == 200
    )
    history = json.loads(client.get_run(run).data.tags["mlflow.log-model.history"])
    assert [one["artifact_path"] for one in history] == ["model", "b"]


@pytest.mark.parametrize(
    "text", ["", "no json", pytest.param("[]", marks=pytest.mark.beyond_mlflow), "{}", '{"artifact_path": "a"}']
)
def case_bad_log_model(wire, run, text):
    refused(wire.post("runs/log-model", {"run_id": run, "model_json": text}), 400, INVALID)
