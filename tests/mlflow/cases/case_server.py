"""What a client or a load balancer asks first, and addresses that are none."""

import logging
import os
import time

import mlflow
import pytest
import requests
from packaging.version import Version
from wire import refused


def case_health_needs_no_sign_in(wire):
    answer = requests.get(wire.address + "/health", timeout=30)
    assert (answer.status_code, answer.text) == (200, "OK")


def case_version_is_a_version(wire):
    answer = wire.get("/version")
    assert answer.status_code == 200
    assert Version(answer.text) >= Version("2.0")


def case_server_info_is_public(wire):
    answer = requests.get(wire.address + "/api/3.0/mlflow/server-info", timeout=30)
    assert answer.status_code == 200
    assert answer.json()["store_type"] == "SqlStore"


@pytest.mark.portal
@pytest.mark.parametrize(
    "path",
    [
        "/api/2.0/mlflow/nothing/here",
        "/api/2.0/mlflow/experiments/create/",
        "/api/2.0/nothing",
        "/api/2.0/mlflow-artifacts/nothing",
        "/api/3.0/mlflow/traces/search",
        "/api/3.0/mlflow/nothing",
        "/api/4.0/mlflow/nothing",
        "/ajax-api/2.0/mlflow/runs/search",
        "/v1/traces",
        "/api/2.0/mlflow/runs",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def case_unknown_address(wire, method, path):
    refused(wire.call(method, path, json={}, allow_redirects=False), 404, "ENDPOINT_NOT_FOUND")


@pytest.mark.portal
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "experiments/create"),
        ("POST", "experiments/get"),
        ("DELETE", "runs/create"),
        ("PUT", "runs/log-batch"),
        ("POST", "registered-models/update"),
    ],
)
def case_wrong_method(wire, method, path):
    answer = wire.call(method, path, json={}, allow_redirects=False)
    assert answer.status_code in (404, 405)
    assert answer.json()["error_code"] == "ENDPOINT_NOT_FOUND"


def case_doubled_slash_of_a_tracking_uri(wire, name):
    """A tracking URI with a slash at its end is common; the client strips it, other clients do not."""
    answer = wire.get("experiments/get-by-name", experiment_name=name)
    assert answer.status_code == 404


@pytest.mark.portal
@pytest.mark.mlflow3
@pytest.mark.once
def case_traced_code_goes_on(client, run, caplog, monkeypatch):
    """Traces are not kept here: the client says so in one line and neither waits nor fails."""
    monkeypatch.setitem(os.environ, "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    monkeypatch.setitem(os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    monkeypatch.setattr(logging.getLogger("mlflow"), "propagate", True)
    started = time.monotonic()

    @mlflow.trace
    def double(value):
        with mlflow.start_span("inner"):
            return 2 * value

    with mlflow.start_run(run):
        mlflow.log_metric("doubled", double(4))
    assert time.monotonic() - started < 60  # an answer that the client repeats would take minutes
    assert client.get_run(run).data.metrics == {"doubled": 8}
    assert [line for line in caplog.messages if "Traces are not kept here" in line]
