"""Bodies, queries and headers that no client sends: never 5xx, never HTML, never half a write."""

import json

import pytest
from wire import INVALID, refused

POSTS = [
    "experiments/create",
    "experiments/search",
    "runs/create",
    "runs/update",
    "runs/search",
    "runs/log-metric",
    "runs/log-parameter",
    "runs/set-tag",
    "runs/log-batch",
    "runs/log-inputs",
    "runs/outputs",
    "registered-models/create",
    "model-versions/create",
    "logged-models",
    "logged-models/search",
]
GETS = [
    "experiments/get",
    "runs/get",
    "metrics/get-history",
    "artifacts/list",
    "registered-models/get",
    "registered-models/search",
    "model-versions/search",
]
DEEP = '{"a":' * 5000 + "1" + "}" * 5000


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "nonsense",
        "[]",
        "42",
        '"text"',
        "null",
        "true",
        '{"a": 1,}',
        "{'a': 1}",
        DEEP,
        "[" * 100_000,
        "\ufeff{}",
        '{"a": 1} x',
    ],
)
@pytest.mark.parametrize("path", ["runs/log-batch", "runs/search", "experiments/create", "logged-models"])
def case_body_that_is_no_object(wire, path, body):
    refused(wire.text(path, body.encode()), 400, INVALID)


@pytest.mark.portal
@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"[]",
        b'{"name": "\\ud800", "run_id": "\\ud800", "experiment_id": "\\ud800", "filter": "\\ud800"}',
        b'{"name": "a\\u0000", "run_id": "a\\u0000", "experiment_id": "a\\u0000", "filter": "a\\u0000"}',
        DEEP.encode(),
    ],
)
def case_every_endpoint_refuses_bad_bodies(wire, path, body):
    answer = wire.text(path, body)
    assert answer.status_code in (400, 404), f"{answer.status_code} {answer.text[:300]}"
    assert answer.json()["error_code"]


@pytest.mark.portal
@pytest.mark.once
@pytest.mark.parametrize("path", POSTS)
def case_every_field_of_every_type(wire, path):
    """Odd values in every field at once, and some of them in each field alone."""
    names = [
        "name",
        "experiment_id",
        "experiment_ids",
        "run_id",
        "key",
        "value",
        "timestamp",
        "step",
        "metrics",
        "params",
        "tags",
        "filter",
        "max_results",
        "order_by",
        "page_token",
        "datasets",
        "models",
        "source",
        "status",
        "start_time",
    ]
    values = [None, 5, 1.5, True, [], {}, [1], [[]], [{}], {"a": 1}, "", "x", "\x00", "🦊", -1, 2**70, "NaN"]
    bodies = [dict.fromkeys(names, value) for value in values]
    bodies += [{name: value} for value in (5, "x", [{}]) for name in names]
    for body in bodies:
        answer = wire.post(path, body)
        assert answer.status_code in (200, 400, 404), f"{body}: {answer.status_code} {answer.text[:300]}"
        assert isinstance(answer.json(), dict)


@pytest.mark.portal
@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize(
    "query",
    [
        "",
        "x=1",
        "run_id=%00",
        "run_id=%ff",
        "experiment_id=%00&name=%00&run_id=%00",
        "max_results=x&name=a&filter=a",
        "filter=%00",
        "filter=%ff%fe",
        "page_token=%00&max_results=5",
        "order_by=%00",
        "run_id=" + "a" * 3000,
        "filter=" + "'" * 500,
        "name=a&name=b&run_id=a&run_id=b",
    ],
)
def case_odd_queries(wire, path, query):
    answer = wire.call("GET", f"{path}?{query}")
    assert answer.status_code in (200, 400, 404), f"{answer.status_code} {answer.text[:300]}"
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "text/json",
    ],
)
def case_other_content_types(wire, kind):
    refused(wire.text("runs/search", "{}", kind=kind), 400, INVALID)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        pytest.param("Application/JSON", marks=pytest.mark.beyond_mlflow),
    ],
)
def case_content_types_that_are_json(wire, kind):
    assert wire.text("runs/search", '{"experiment_ids": ["0"]}', kind=kind).status_code == 200


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\udfffx"])
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("runs/set-tag", "value"),
        ("runs/log-parameter", "value"),
        ("runs/log-metric", "key"),
        ("runs/update", "run_name"),
    ],
)
@pytest.mark.portal
def case_texts_that_no_database_takes(wire, run, path, field, text):
    """They arrive in valid JSON, and must be refused or cleaned."""
    body = {"run_id": run, "key": "k", "value": "1", "timestamp": 1} | {field: text}
    answer = wire.text(path, json.dumps(body))
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.portal
@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def case_such_texts_in_lists(wire, run, text):
    for body in (
        {"params": [{"key": "k", "value": text}]},
        {"tags": [{"key": "k", "value": text}]},
        {"metrics": [{"key": text, "value": 1, "timestamp": 1}]},
        {"tags": [{"key": text, "value": "v"}]},
    ):
        answer = wire.text("runs/log-batch", json.dumps({"run_id": run} | body))
        assert answer.status_code in (200, 400), answer.text
    for body in (
        {"filter": f"tags.a = '{text}'"},
        {"filter": f"params.`{text}` = 'a'"},
        {"order_by": [f"metrics.`{text}`"]},
    ):
        answer = wire.text("runs/search", json.dumps({"experiment_ids": ["0"]} | body))
        assert answer.status_code in (200, 400), answer.text


def case_error_has_the_shape_of_mlflow(wire):
    body = wire.get("runs/get", run_id="0" * 32).json()
    assert set(body) <= {"error_code", "message", "sqlstate", "error_class"}
    assert body["error_code"] == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.portal
def case_errors_leak_nothing(wire, run):
    answer = wire.post("runs/search", {"experiment_ids": ["0"], "filter": "params.a = 'b"})
    for word in ("Traceback", "SELECT", "sqlite", "psycopg", "django"):
        assert word.lower() not in answer.text.lower()


@pytest.mark.portal
def case_body_over_the_limit(wire):
    answer = wire.text("runs/log-batch", b'{"a": "' + b"x" * (33 * 2**20) + b'"}')
    assert answer.status_code in (400, 413)
    assert answer.json()["error_code"]


def case_null_is_absent(wire, run):
    body = {"run_id": run, "run_uuid": None, "key": "k", "value": 1.0, "timestamp": 5, "step": None, "model_id": None}
    assert wire.post("runs/log-metric", body).status_code == 200


def case_both_spellings_of_a_run(wire, run):
    assert wire.post("runs/set-tag", {"run_uuid": run, "run_id": run, "key": "a", "value": "b"}).status_code == 200
    assert wire.post("runs/set-tag", {"run_uuid": run, "key": "a", "value": "b"}).status_code == 200
