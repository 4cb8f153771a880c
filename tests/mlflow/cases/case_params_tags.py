"""Parameters are written once, tags again and again."""

import mlflow
import pytest
from wire import ABSENT, INVALID, Refuses, refused


def case_log_param(client, run):
    client.log_param(run, "depth", 3)
    client.log_param(run, "name", "x")
    assert client.get_run(run).data.params == {"depth": "3", "name": "x"}


@pytest.mark.parametrize(
    "value", [1, 1.5, True, None, [1, 2], {"a": 1}, "ünï 模型 🦊", "line\nline", "'\";--", "", " "]
)
def case_values_become_text(client, run, value):
    client.log_param(run, "p", value)
    assert client.get_run(run).data.params == {"p": str(value)}


def case_same_value_again(client, run):
    client.log_param(run, "p", "1")
    client.log_param(run, "p", "1")
    assert client.get_run(run).data.params == {"p": "1"}


def case_other_value(client, run):
    client.log_param(run, "p", "1")
    with Refuses(INVALID):
        client.log_param(run, "p", "2")
    assert client.get_run(run).data.params == {"p": "1"}


def case_value_of_6000(client, run):
    client.log_param(run, "p", "x" * 6000)
    assert client.get_run(run).data.params == {"p": "x" * 6000}


def case_longer_values_are_cut(client, run):
    client.log_param(run, "p", "x" * 6001)
    assert client.get_run(run).data.params == {"p": "x" * 6000}


def case_cut_value_again(client, run):
    client.log_param(run, "p", "x" * 7000)
    client.log_param(run, "p", "x" * 7000)
    assert client.get_run(run).data.params == {"p": "x" * 6000}


def case_value_missing_is_empty(wire, client, run):
    assert wire.post("runs/log-parameter", {"run_id": run, "key": "p"}).status_code == 200
    assert client.get_run(run).data.params == {"p": ""}


@pytest.mark.parametrize("key", ["a b", "a/b", "ünï", "x" * 250, "a:b", "optimizer.lr"])
def case_keys(client, run, key):
    client.log_param(run, key, "1")
    client.set_tag(run, key, "2")
    data = client.get_run(run).data
    assert (data.params, data.tags[key]) == ({key: "1"}, "2")


@pytest.mark.parametrize("value", [5, ["a"], {"a": 1}, True])
def case_param_of_another_type(wire, client, run, value):
    answer = wire.post("runs/log-parameter", {"run_id": run, "key": "p", "value": value})
    refused(answer, 400, INVALID)
    assert client.get_run(run).data.params == {}


def case_param_of_an_unknown_run(client):
    with Refuses(ABSENT):
        client.log_param("0" * 32, "p", "1")


def case_fluent_params(client, experiment):
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_params({f"p{i}": i for i in range(250)})
        mlflow.set_tags({f"t{i}": i for i in range(250)})
        mlflow.log_metrics({f"m{i}": i for i in range(250)}, step=1)
    data = client.get_run(run.info.run_id).data
    assert len(data.params) == len(data.metrics) == 250
    assert data.tags["t249"] == "249"


def case_tag_is_replaced(client, run):
    client.set_tag(run, "t", "1")
    client.set_tag(run, "t", "2")
    assert client.get_run(run).data.tags["t"] == "2"


@pytest.mark.parametrize("value", ["", "x" * 8000, "ünï 模型 🦊", "a\nb", 5, None])
def case_tag_values(client, run, value):
    client.set_tag(run, "t", value)
    assert client.get_run(run).data.tags["t"] == str(value)


def case_long_tags_are_cut(client, run):
    client.set_tag(run, "t", "x" * 8001)
    assert client.get_run(run).data.tags["t"] == "x" * 8000


def case_note(client, run):
    client.set_tag(run, "mlflow.note.content", "# Title\ntext " * 300)
    assert client.get_run(run).data.tags["mlflow.note.content"].startswith("# Title")


def case_delete_tag(client, run):
    client.set_tag(run, "t", "1")
    client.delete_tag(run, "t")
    assert "t" not in client.get_run(run).data.tags
    with Refuses(ABSENT):
        client.delete_tag(run, "t")


def case_tag_of_an_unknown_run(client):
    with Refuses(ABSENT):
        client.set_tag("0" * 32, "t", "1")
    with Refuses(ABSENT):
        client.delete_tag("0" * 32, "t")


@pytest.mark.parametrize("missing", ["run_id", "key"])
@pytest.mark.parametrize("path", ["runs/set-tag", "runs/log-parameter", "runs/delete-tag"])
def case_required_fields(wire, run, path, missing):
    body = {"run_id": run, "key": "a", "value": "b"}
    refused(wire.post(path, {k: v for k, v in body.items() if k != missing}), 400, INVALID)


def case_param_and_metric_and_tag_of_one_name(client, run):
    client.log_param(run, "same", "1")
    client.log_metric(run, "same", 2.0)
    client.set_tag(run, "same", "3")
    data = client.get_run(run).data
    assert (data.params["same"], data.metrics["same"], data.tags["same"]) == ("1", 2.0, "3")
