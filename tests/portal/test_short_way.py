"""The short way of tracking clients, through the ASGI entry as the web server calls it."""

import asyncio
import itertools
import json
import threading

import pytest
from django.db import connections
from prometheus_client import REGISTRY

from experiments import metricstore
from experiments.models import Run
from mlportal import asgi, short
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)
LOG = "/api/2.0/mlflow/runs/log-metric"


def in_every_thread(pool, size, action):
    """Run an action once in each thread of a pool: nobody leaves before all have come."""
    all_here = threading.Barrier(size)

    def once():
        action()
        all_here.wait(60)

    for each in [pool.submit(once) for _ in range(size)]:
        each.result()


@pytest.fixture(autouse=True)
def _threads_let_go():
    """The pools' threads keep their connections; the next test's database must not find them open."""
    yield
    in_every_thread(asgi._pages.executor, asgi.THREADS, connections.close_all)
    in_every_thread(asgi._file_threads, asgi.FILE_THREADS, connections.close_all)


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def run(project):
    return make_run(make_experiment(project), source=Run.Source.MLFLOW)


@pytest.fixture
def token(project):
    return make_token(make_user("ana", role="scientist", project=project), project, ["read", "write"])


def call(path, body=b"{}", *, parts=1, **more):
    """Answer one request; the body arrives in as many parts."""
    size = -(-len(body) // parts) or 1
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": at < len(pieces)} for at, piece in enumerate(pieces, 1)
    ]

    async def receive():
        return messages.pop(0)

    sent = exchange(path, receive, **more)
    head = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], head, json.loads(b"".join(m.get("body", b"") for m in sent[1:]))


def exchange(path, receive, *, token="", host="localhost", method="POST", query=b"", length=b""):
    """Return the messages of an answer."""
    headers = [(b"host", host.encode()), (b"content-type", b"application/json")]
    if length:
        headers.append((b"content-length", length))
    if token:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query, "headers": headers, "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(asgi.application(scope, receive, send))
    return sent


def metric(run, **more):
    return json.dumps({"run_id": run.uuid, "key": "loss", "value": 0.5, "timestamp": 1} | more).encode()


@pytest.mark.parametrize("parts", [1, 7])
def test_a_call_is_answered_with_headers_and_counted(run, token, parts):
    labels = {"method": "POST", "route": "api/2.0/mlflow/runs/log-metric", "status": "200"}
    before = REGISTRY.get_sample_value("mlportal_http_requests_total", labels) or 0
    status, head, body = call(LOG, metric(run), token=token, parts=parts)
    assert (status, body) == (200, {})
    assert metricstore.latest([run.pk])[run.pk]["loss"].value == 0.5
    assert head["x-content-type-options"] == "nosniff"
    assert head["cache-control"] == "no-store, private"
    assert len(head["x-request-id"]) == 36
    assert REGISTRY.get_sample_value("mlportal_http_requests_total", labels) == before + 1


def test_the_log_batch_route_of_our_own_api_goes_the_same_way(run, token):
    path = f"/api/v1/projects/churn/runs/{run.pk}/log-batch/"
    assert short.takes(path)
    body = json.dumps({"metrics": [{"key": "loss", "value": 2}]}).encode()
    assert call(path, body, token=token)[::2] == (200, {})
    assert metricstore.latest([run.pk])[run.pk]["loss"].value == 2
    assert call(path, body)[0] == 401


@pytest.mark.parametrize(
    "path", ["/p/churn/experiments/", "/api/v1/projects/churn/runs/", "/", "/api/v1/projects/churn/runs/1/log-batch/x"]
)
def test_everything_else_keeps_the_middlewares_of_pages(path):
    assert not short.takes(path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/2.0/mlflow/absent", "There is no endpoint"),
        ("/p/not a slug/api/2.0/mlflow/runs/get", "There is no such endpoint"),
        ("/api/3.0/mlflow/traces/search", "Traces are not kept here"),
        ("/p/churn/v1/traces", "Traces are not kept here"),
        ("/ajax-api/2.0/mlflow/runs/search", "There is no endpoint"),
    ],
)
def test_an_unknown_address_is_refused_in_json(path, said):
    status, _, body = call(path)
    assert (status, body["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert body["message"].startswith(said)


def test_a_foreign_host_is_refused(run, token):
    status, _, body = call(LOG, metric(run), token=token, host="evil.example")
    assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_body_over_the_limit_is_refused_before_it_is_read_whole(run, token):
    body = b'{"x": "' + b"a" * (asgi.MAX_BODY_BYTES + 2**20) + b'"}'
    status, _, answer = call(LOG, body, token=token, parts=40)
    assert status == 400
    assert "over" in answer["message"]


def test_a_large_legal_body_is_taken(run, token):
    assert call(LOG, metric(run, note="a" * 10 * 2**20), token=token, parts=20)[0] == 200


@pytest.mark.parametrize("cuts", [[], [10], [0, 10, 40]])
def test_a_body_of_its_declared_length_is_not_waited_on(run, token, cuts, monkeypatch):
    monkeypatch.setattr(asgi, "BODY_SECONDS", 5)
    body = metric(run)
    edges = [0, *cuts, len(body)]
    parts = [body[start:end] for start, end in itertools.pairwise(edges)]

    async def receive():
        if not parts:
            await asyncio.sleep(30)  # the empty end never comes
        return {"type": "http.request", "body": parts.pop(0), "more_body": True}

    sent = exchange(LOG, receive, token=token, length=str(len(body)).encode())
    assert sent[0]["status"] == 200
    assert metricstore.latest([run.pk])[run.pk]["loss"].value == 0.5


@pytest.mark.parametrize("length", [b"5", b"100000", b"-1", b"1, 1"])
def test_a_length_that_is_not_the_bodys_cuts_nothing_off(run, token, length):
    body = metric(run)
    messages = [
        {"type": "http.request", "body": body[:50], "more_body": True},
        {"type": "http.request", "body": body[50:], "more_body": True},
        {"type": "http.request", "body": b"", "more_body": False},
    ]

    async def receive():
        return messages.pop(0)

    assert exchange(LOG, receive, token=token, length=length)[0]["status"] == 200


def test_too_many_at_once_are_asked_to_come_again(run, token, monkeypatch):
    monkeypatch.setattr(asgi, "_inside", asgi.MAX_INSIDE)
    status, head, body = call(LOG, metric(run), token=token)
    assert (status, body["error_code"], head["retry-after"]) == (429, "REQUEST_LIMIT_EXCEEDED", "2")
    assert metricstore.latest([run.pk]).get(run.pk, {}) == {}


def test_a_defect_leaves_as_json_with_the_name_of_its_log_line(run, token, monkeypatch):
    def broken(request):
        raise ZeroDivisionError

    monkeypatch.setattr(short, "check_address", broken)
    status, head, body = call(LOG, metric(run), token=token)
    assert (status, body["error_code"]) == (500, "INTERNAL_ERROR")
    assert head["x-request-id"] in body["message"]


def test_a_connection_that_the_database_closed_is_opened_again(run, token):
    def lose():
        here = connections["default"]
        here.ensure_connection()
        if here.vendor == "postgresql":
            here.connection.close()
        else:
            here.close()  # there is no server that could close it; a file is opened again

    in_every_thread(asgi._pages.executor, asgi.THREADS, lose)
    assert call(LOG, metric(run), token=token)[0] == 200


async def nothing():
    return {"type": "http.request", "body": b"", "more_body": False}


def test_a_long_history_leaves_in_parts(run, token):
    for start in range(0, 20_000, 1000):
        metricstore.append(run.pk, metrics=[("loss", 0.5, 1, step) for step in range(start, start + 1000)])
    query = f"run_id={run.uuid}&metric_key=loss".encode()
    sent = exchange("/api/2.0/mlflow/metrics/get-history", nothing, token=token, method="GET", query=query)
    parts = [message["body"] for message in sent[1:]]
    found = json.loads(b"".join(parts))["metrics"]
    assert [point["step"] for point in found] == list(range(20_000))
    assert max(map(len, parts)) < sum(map(len, parts)) / 3


def test_a_body_that_does_not_come_is_given_up(run, token, monkeypatch):
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.05)

    async def never():
        await asyncio.sleep(30)

    sent = exchange(LOG, never, token=token)
    assert sent[0]["status"] == 408
    assert asgi._inside == 0
