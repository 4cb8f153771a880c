"""Logged models: created, finished, tagged, searched, deleted."""

import uuid

import pytest
from mlflow.entities import LoggedModelStatus, Metric
from wire import ABSENT, INVALID, Refuses, refused

pytestmark = pytest.mark.mlflow3


@pytest.fixture
def model(client, experiment, run):
    return client.create_logged_model(
        experiment, name="net", source_run_id=run, tags={"a": "1"}, params={"p": "x"}, model_type="Agent"
    )


def case_create_and_get(client, model, experiment, run):
    found = client.get_logged_model(model.model_id)
    assert found.model_id.startswith("m-")
    assert len(found.model_id) == 34
    assert (found.experiment_id, found.source_run_id, found.name, found.model_type) == (experiment, run, "net", "Agent")
    assert (found.tags, found.params, found.status) == ({"a": "1"}, {"p": "x"}, LoggedModelStatus.PENDING)
    assert found.artifact_location == f"mlflow-artifacts:/{experiment}/models/{found.model_id}/artifacts"
    assert 0 < found.creation_timestamp <= found.last_updated_timestamp


def case_generated_name(client, experiment):
    assert client.create_logged_model(experiment).name


@pytest.mark.parametrize("status", ["READY", "FAILED"])
def case_finalize(client, model, status):
    client.finalize_logged_model(model.model_id, status)
    assert client.get_logged_model(model.model_id).status == LoggedModelStatus(status)


def case_finalize_by_number(wire, client, model):
    assert wire.patch(f"logged-models/{model.model_id}", {"model_id": model.model_id, "status": 2}).status_code == 200
    assert client.get_logged_model(model.model_id).status == LoggedModelStatus.READY


@pytest.mark.beyond_mlflow
def case_finalize_with_an_unknown_status(wire, client, model):
    refused(wire.patch(f"logged-models/{model.model_id}", {"model_id": model.model_id, "status": "DONE"}), 400, INVALID)
    assert client.get_logged_model(model.model_id).status == LoggedModelStatus.PENDING


def case_finalize_without_status(wire, model):
    refused(wire.patch(f"logged-models/{model.model_id}", {"model_id": model.model_id}), 400, INVALID)


@pytest.mark.parametrize("model_name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b"])
def case_bad_names(wire, experiment, model_name):
    refused(wire.post("logged-models", {"experiment_id": experiment, "name": model_name}), 400, INVALID)


def case_unknown_experiment(wire):
    assert wire.post("logged-models", {"experiment_id": "123456789012", "name": "a"}).status_code in (400, 404)
    refused(wire.post("logged-models", {"name": "a"}), 400, INVALID)


def case_unknown(client):
    for action in (client.get_logged_model, client.delete_logged_model):
        with Refuses(ABSENT):
            action("m-" + "0" * 32)


def case_delete(client, wire, experiment, model):
    client.delete_logged_model(model.model_id)
    with Refuses(ABSENT):
        client.get_logged_model(model.model_id)
    assert client.search_logged_models([experiment]) == []
    assert wire.get(f"logged-models/{model.model_id}", allow_deleted="true").status_code == 200


def case_tags(client, model):
    client.set_logged_model_tags(model.model_id, {"a": "2", "b": "3"})
    assert client.get_logged_model(model.model_id).tags == {"a": "2", "b": "3"}
    client.delete_logged_model_tag(model.model_id, "b")
    client.delete_logged_model_tag(model.model_id, "a")
    assert client.get_logged_model(model.model_id).tags == {}
    with Refuses(ABSENT):
        client.delete_logged_model_tag(model.model_id, "a")


@pytest.mark.beyond_mlflow
def case_tag_of_any_name(client, model):
    client.set_logged_model_tags(model.model_id, {"b/c d": "3"})
    client.delete_logged_model_tag(model.model_id, "b/c d")
    assert client.get_logged_model(model.model_id).tags == {"a": "1"}


def case_params_in_batches(client, experiment):
    params = {f"p{i}": str(i) for i in range(250)}
    made = client.create_logged_model(experiment, name="wide", params=params)
    assert client.get_logged_model(made.model_id).params == params


def case_param_again(wire, model):
    body = {"model_id": model.model_id, "params": [{"key": "p", "value": "y"}]}
    assert wire.post(f"logged-models/{model.model_id}/params", body).status_code == 400


def case_metrics(client, model, run):
    client.log_metric(run, "acc", 0.5, step=1, model_id=model.model_id)
    client.log_batch(run, [Metric("acc", 0.75, 2, 2, model_id=model.model_id)])
    found = client.get_logged_model(model.model_id).metrics
    assert {(one.key, one.value, one.step, one.run_id) for one in found} >= {("acc", 0.75, 2, run)}
    assert client.get_run(run).data.metrics == {"acc": 0.75}


def case_metric_of_a_data_set(client, model, run):
    client.log_metric(run, "acc", 0.5, step=1, model_id=model.model_id, dataset_name="d", dataset_digest="1")
    (found,) = client.get_logged_model(model.model_id).metrics
    assert (found.key, found.dataset_name, found.dataset_digest) == ("acc", "d", "1")


def case_files(client, model, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights.bin").write_bytes(b"1234")
    (tmp_path / "MLmodel").write_text("flavors: {}")
    client.log_model_artifacts(model.model_id, str(tmp_path))
    assert {file.path for file in client.list_logged_model_artifacts(model.model_id)} == {"MLmodel", "a"}
    assert {file.path for file in client.list_logged_model_artifacts(model.model_id, "a")} == {"a/weights.bin"}


def case_directories(wire, client, model, tmp_path):
    (tmp_path / "MLmodel").write_text("flavors: {}")
    client.log_model_artifacts(model.model_id, str(tmp_path))
    found = wire.get(f"logged-models/{model.model_id}/artifacts/directories").json()
    assert [file["path"] for file in found["files"]] == ["MLmodel"]
    assert found["root_uri"] == model.artifact_location


@pytest.fixture(scope="module")
def place(client):
    return client.create_experiment(f"logged-{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
def ids(client, place):
    """Four models with a run each."""
    made = {}
    for at, letter in enumerate("abcd"):
        run = client.create_run(place).info.run_id
        tags = {"team": "risk" if at < 2 else "fraud"}
        model = client.create_logged_model(
            place, name=f"net-{letter}", source_run_id=run, tags=tags, params={"depth": str(at)}, model_type="Tree"
        )
        client.log_batch(
            run,
            [Metric("acc", at / 10, 5, 1, model_id=model.model_id, dataset_name="val", dataset_digest="v1", run_id=run)]
            if letter != "d"
            else [],
        )
        made[letter] = model.model_id
    client.finalize_logged_model(made["a"], "READY")
    client.finalize_logged_model(made["b"], "FAILED")
    return made


@pytest.fixture(scope="module")
def found(client, place, ids):
    back = {model_id: letter for letter, model_id in ids.items()}

    def ask(text="", **more):
        return "".join(back[one.model_id] for one in client.search_logged_models([place], text or None, **more))

    return ask


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "dcba"),
        ("name = 'net-a'", "a"),
        ("attributes.name = 'net-a'", "a"),
        ("name != 'net-a'", "dcb"),
        ("name LIKE 'net%'", "dcba"),
        ("name ILIKE 'NET-B'", "b"),
        ("name IN ('net-a', 'net-c')", "ca"),
        ("name NOT IN ('net-a', 'net-c')", "db"),
        ("model_id = '{b}'", "b"),
        ("model_type = 'Tree'", "dcba"),
        ("source_run_id = 'none'", ""),
        ("creation_timestamp > 0", "dcba"),
        ("last_updated_timestamp < 5", ""),
        ("tags.team = 'risk'", "ba"),
        ("tags.team != 'risk'", "dc"),
        ("params.depth = '2'", "c"),
        ("params.depth IN ('2', '3')", "dc"),
        ("metrics.acc > 0.05", "cb"),
        ("metrics.acc = 0.1", "b"),
        ("metrics.missing > 0", ""),
        ("tags.team = 'risk' AND metrics.acc > 0.05", "b"),
    ],
)
def case_filter(found, ids, text, expected):
    assert found(text.format(**ids)) == expected


@pytest.mark.parametrize(
    "text", ["name", "name = ", "name > 'a'", "colour.a = 'b'", "name = 'a' OR name = 'b'", "metrics.acc LIKE 'a'"]
)
def case_bad_filter(found, text):
    with Refuses(INVALID):
        found(text)


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("text", ["attributes.colour = 'red'", "metrics.acc > 'high'"])
def case_bad_filter_that_breaks_mlflow(found, text):
    with Refuses(INVALID):
        found(text)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([{"field_name": "name"}], "abcd"),
        ([{"field_name": "name", "ascending": False}], "dcba"),
        ([{"field_name": "creation_timestamp", "ascending": True}], "abcd"),
        ([{"field_name": "metrics.acc", "ascending": True}], "abcd"),
        ([{"field_name": "metrics.acc", "ascending": False}], "cbad"),
        ([{"field_name": "metrics.acc", "ascending": False, "dataset_name": "val", "dataset_digest": "v1"}], "cbad"),
    ],
)
def case_order(found, order, expected):
    assert found(order_by=order) == expected


def case_by_data_set(found):
    assert found("metrics.acc > 0.05", datasets=[{"dataset_name": "val", "dataset_digest": "v1"}]) == "cb"
    assert found("metrics.acc > 0.05", datasets=[{"dataset_name": "other", "dataset_digest": "v1"}]) == ""


@pytest.mark.beyond_mlflow
def case_by_data_set_without_digest(found):
    assert found("metrics.acc > 0.05", datasets=[{"dataset_name": "val"}]) == "cb"


def case_pages(client, place, ids):
    seen, token = [], None
    for _ in range(5):
        page = client.search_logged_models([place], max_results=3, page_token=token)
        seen += [one.model_id for one in page]
        token = page.token
        if not token:
            break
    assert seen == [ids[letter] for letter in "dcba"]


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("more", [{"page_token": "nonsense"}, {"max_results": -1}, {"max_results": 0}])
def case_bad_pages(wire, place, more):
    refused(wire.post("logged-models/search", {"experiment_ids": [place]} | more), 400, INVALID)


def case_without_experiments(wire):
    answer = wire.post("logged-models/search", {"experiment_ids": []})
    assert answer.status_code in (200, 400)
    assert "models" not in answer.json()


def case_token_of_another_question(client, wire, place, ids):
    token = client.search_logged_models([place], max_results=2).token
    refused(
        wire.post("logged-models/search", {"experiment_ids": [place], "filter": "name = 'net-a'", "page_token": token}),
        400,
        INVALID,
    )
