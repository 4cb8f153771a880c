"""Who asks, and in which project: tokens, passwords, workspaces, prefixes."""

import os

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric
from wire import ABSENT, Refuses, refused

pytestmark = pytest.mark.portal
TOKENS = {
    name.removeprefix("CASES_TOKEN_").lower(): value
    for name, value in os.environ.items()
    if name.startswith("CASES_TOKEN_")
}


def ask(wire, method="POST", path="/api/2.0/mlflow/runs/search", *, token="", pair=None, headers=None, body=None):
    session = requests.Session()
    session.trust_env = False
    found = dict(headers or {})
    if token:
        found["Authorization"] = f"Bearer {token}"
    payload = {"experiment_ids": ["0"]} if body is None else body
    return session.request(
        method, wire.address + path, json=payload if method != "GET" else None, auth=pair, headers=found, timeout=60
    )


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer mlp_nonsense",
        "Basic",
        "Basic !!!",
        "Basic bm9ib2R5",
        "Digest x",
        "Bearer " + "x" * 3000,
        "Basic " + "x" * 3000,
    ],
)
def case_no_sign_in(wire, header):
    answer = ask(wire, headers={"Authorization": header} if header else {})
    refused(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def case_expired_token(wire):
    refused(ask(wire, token=TOKENS["old"]), 401, "UNAUTHENTICATED")


def case_no_cookie_signs_in(wire):
    refused(ask(wire, headers={"Cookie": "sessionid=abc"}), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("name", ["churn", "fraud", "free", "reading", "viewer", "secret"])
def case_tokens_read(wire, name):
    assert ask(wire, token=TOKENS[name]).status_code == 200


@pytest.mark.parametrize("user", ["ann", "token", "x", ""])
def case_basic_with_a_token_as_password(wire, user):
    """MLflow's clients send Basic when a name and a password are set; whoever asks is told by the token."""
    assert ask(wire, pair=(user, TOKENS["churn"])).status_code == 200


def case_basic_with_the_password(wire):
    assert ask(wire, pair=("ann", os.environ["CASES_PASSWORD"])).status_code == 200


@pytest.mark.parametrize(
    ("user", "password"), [("ann", "wrong"), ("nobody", "x"), ("ann", ""), ("ann\x00", "x"), ("ünï", "pässword")]
)
def case_basic_with_a_wrong_password(wire, user, password):
    refused(ask(wire, pair=(user.encode(), password.encode())), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("token", ["reading", "viewer"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("experiments/create", {"name": "forbidden"}),
        ("runs/create", {"experiment_id": "0"}),
        ("registered-models/create", {"name": "forbidden"}),
        ("logged-models", {"experiment_id": "0"}),
    ],
)
def case_reading_is_not_writing(wire, token, path, body):
    refused(ask(wire, path=f"/api/2.0/mlflow/{path}", token=TOKENS[token], body=body), 403, "PERMISSION_DENIED")


def case_writing_is_not_registering(wire):
    answer = ask(
        wire, path="/api/2.0/mlflow/registered-models/create", token=TOKENS["writing"], body={"name": "forbidden"}
    )
    refused(answer, 403, "PERMISSION_DENIED")


@pytest.fixture
def elsewhere(wire, name):
    """An experiment, a run, a model in another project."""

    def post(path, body):
        answer = ask(wire, path=f"/api/2.0/mlflow/{path}", token=TOKENS["fraud"], body=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    experiment = post("experiments/create", {"name": name})["experiment_id"]
    run = post("runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    post("registered-models/create", {"name": name})
    return experiment, run


def case_nothing_crosses_projects(wire, client, elsewhere, name):
    experiment, run = elsewhere
    assert client.get_experiment_by_name(name) is None
    assert client.search_runs([experiment]) == []
    assert client.get_metric_history(run, "m") == []
    for action in (
        lambda: client.get_experiment(experiment),
        lambda: client.get_run(run),
        lambda: client.log_metric(run, "m", 1.0),
        lambda: client.log_batch(run, [Metric("m", 1.0, 1, 1)]),
        lambda: client.set_tag(run, "a", "b"),
        lambda: client.delete_run(run),
        lambda: client.create_run(experiment),
        lambda: client.delete_experiment(experiment),
        lambda: client.get_registered_model(name),
        lambda: client.list_artifacts(run),
    ):
        with Refuses(ABSENT):
            action()
    for method in ("GET", "PUT", "DELETE"):
        answer = wire.call(method, f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/a.txt", data=b"x")
        assert answer.status_code in (403, 404)


def case_names_are_of_a_project(client, elsewhere, name):
    assert client.create_experiment(name) != elsewhere[0]
    assert client.create_registered_model(name).name == name


def case_default_experiment_is_of_a_project(wire):
    answer = ask(wire, path="/api/2.0/mlflow/runs/create", token=TOKENS["fraud"], body={"experiment_id": "0"})
    run = answer.json()["run"]["info"]["run_id"]
    assert ask(wire, "GET", f"/api/2.0/mlflow/runs/get?run_id={run}", token=TOKENS["fraud"]).status_code == 200
    assert ask(wire, "GET", f"/api/2.0/mlflow/runs/get?run_id={run}", token=TOKENS["churn"]).status_code == 404


@pytest.mark.parametrize("way", ["header", "prefix"])
def case_a_free_token_chooses_the_project(wire, elsewhere, way):
    _, run = elsewhere
    prefix = "/p/fraud" if way == "prefix" else ""
    headers = {"X-MLFLOW-WORKSPACE": "fraud"} if way == "header" else {}
    path = f"{prefix}/api/2.0/mlflow/runs/get?run_id={run}"
    assert ask(wire, "GET", path, token=TOKENS["free"], headers=headers).status_code == 200
    assert ask(wire, "GET", f"/api/2.0/mlflow/runs/get?run_id={run}", token=TOKENS["free"]).status_code == 404


def case_a_password_chooses_the_project(wire, elsewhere):
    pair = ("ann", os.environ["CASES_PASSWORD"])
    path = f"/p/fraud/api/2.0/mlflow/runs/get?run_id={elsewhere[1]}"
    assert ask(wire, "GET", path, pair=pair).status_code == 200


@pytest.mark.parametrize("project", ["secret", "nothing", "%00", "x" * 300])
@pytest.mark.parametrize("token", ["free", "churn"])
def case_a_project_of_others(wire, token, project):
    answer = ask(wire, path=f"/p/{project}/api/2.0/mlflow/runs/search", token=TOKENS[token])
    assert answer.status_code in (400, 403, 404)
    if project in ("secret", "nothing"):
        answer = ask(wire, token=TOKENS[token], headers={"X-MLFLOW-WORKSPACE": project})
        assert answer.status_code in (403, 404)
        assert answer.json()["error_code"] in (ABSENT, "PERMISSION_DENIED")


def case_a_bound_token_speaks_for_its_project_only(wire):
    answer = ask(wire, token=TOKENS["churn"], headers={"X-MLFLOW-WORKSPACE": "fraud"})
    assert answer.status_code in (403, 404)
    assert ask(wire, token=TOKENS["churn"], headers={"X-MLFLOW-WORKSPACE": "churn"}).status_code == 200
    assert ask(wire, token=TOKENS["churn"], path="/p/churn/api/2.0/mlflow/runs/search").status_code == 200


@pytest.mark.mlflow3  # mlflow 2 sends files to the address of the environment
def case_a_client_below_a_prefix(wire, monkeypatch, name):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKENS["free"])
    for word in ("USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{word}", raising=False)
    own = MlflowClient(f"{wire.address}/p/fraud", f"{wire.address}/p/fraud")
    run = own.create_run(own.create_experiment(name)).info.run_id
    own.log_text(run, "hello", "a.txt")
    assert [file.path for file in own.list_artifacts(run)] == ["a.txt"]
    own.create_registered_model(name)
    assert own.get_registered_model(name).name == name


@pytest.mark.mlflow3
def case_a_client_with_a_workspace(wire, monkeypatch, name):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKENS["free"])
    for word in ("USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{word}", raising=False)
    monkeypatch.setenv("MLFLOW_WORKSPACE", "fraud")
    try:
        made = MlflowClient().create_experiment(name)
    finally:
        monkeypatch.delenv("MLFLOW_WORKSPACE")
    answer = ask(wire, "GET", f"/api/2.0/mlflow/experiments/get?experiment_id={made}", token=TOKENS["fraud"])
    assert answer.status_code == 200
    assert mlflow.__version__


def case_public_addresses_below_a_prefix(wire):
    for path in ("/p/churn/health", "/p/churn/version", "/p/churn/api/3.0/mlflow/server-info"):
        assert requests.get(wire.address + path, timeout=30).status_code == 200
