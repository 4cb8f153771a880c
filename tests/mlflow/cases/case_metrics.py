"""Metrics: which value is the latest, histories, odd numbers."""

import itertools
import json
import math

import pytest
from mlflow.entities import Metric
from wire import ABSENT, INVALID, Refuses, refused


def history(client, run, key="m"):
    return [(m.timestamp, m.step, m.value) for m in client.get_metric_history(run, key)]


def case_log_and_read(client, run):
    client.log_metric(run, "loss", 0.25, timestamp=1000, step=3)
    assert client.get_run(run).data.metrics == {"loss": 0.25}
    (found,) = client.get_metric_history(run, "loss")
    assert (found.key, found.value, found.timestamp, found.step) == ("loss", 0.25, 1000, 3)


def case_step_defaults_to_zero(client, run):
    client.log_metric(run, "m", 1)
    (found,) = client.get_metric_history(run, "m")
    assert found.step == 0
    assert found.timestamp > 1_700_000_000_000


def case_timestamp_zero(client, run):
    client.log_metric(run, "m", 1, timestamp=0, step=0)
    assert history(client, run) == [(0, 0, 1.0)]


def case_negative_step(client, run):
    client.log_metric(run, "m", 1, timestamp=5, step=-7)
    assert history(client, run) == [(5, -7, 1.0)]


@pytest.mark.parametrize("step", [2**62, -(2**62), 2**63 - 1, -(2**63)])
def case_huge_step(client, run, step):
    client.log_metric(run, "m", 1, timestamp=5, step=step)
    assert history(client, run) == [(5, step, 1.0)]


@pytest.mark.parametrize(
    ("points", "latest"),
    [
        ([(1, 10, 0), (2, 20, 1), (3, 30, 2)], 3),
        ([(3, 30, 2), (2, 20, 1), (1, 10, 0)], 3),
        ([(5, 10, 9), (7, 99, 1)], 5),
        ([(7, 99, 1), (5, 10, 9)], 5),
        ([(5, 10, 1), (7, 20, 1)], 7),
        ([(7, 20, 1), (5, 10, 1)], 7),
        ([(5, 10, 1), (7, 10, 1)], 7),
        ([(7, 10, 1), (5, 10, 1)], 7),
        ([(1, 10, -5), (2, 10, -9)], 1),
        ([(1, 0, 0), (2, 0, 0)], 2),
    ],
)
@pytest.mark.parametrize("batch", [True, False])
def case_latest_is_the_greatest_step_then_time_then_value(client, run, points, latest, batch):
    metrics = [Metric("m", value, timestamp, step) for value, timestamp, step in points]
    if batch:
        client.log_batch(run, metrics=metrics)
    else:
        for one in metrics:
            client.log_metric(run, "m", one.value, one.timestamp, one.step)
    assert client.get_run(run).data.metrics == {"m": latest}


def case_latest_carries_its_step_and_time(wire, run):
    for value, timestamp, step in ((1, 10, 5), (2, 20, 3)):
        wire.post("runs/log-metric", {"run_id": run, "key": "m", "value": value, "timestamp": timestamp, "step": step})
    (found,) = wire.get("runs/get", run_id=run).json()["run"]["data"]["metrics"]
    assert (found["key"], found["value"], found["timestamp"], found["step"]) == ("m", 1.0, 10, 5)


def case_history_is_by_time_step_value(client, run):
    points = [(t, s, float(v)) for t, s, v in itertools.product((3, 1, 2), (2, 0, 1), (9, 8))]
    client.log_batch(run, metrics=[Metric("m", v, t, s) for t, s, v in points])
    assert history(client, run) == sorted(points)


def case_identical_point_is_stored_once(client, run):
    for _ in range(3):
        client.log_metric(run, "m", 1.5, timestamp=10, step=1)
    client.log_batch(run, metrics=[Metric("m", 1.5, 10, 1)] * 5)
    assert history(client, run) == [(10, 1, 1.5)]


@pytest.mark.parametrize("value", [1.0, math.nan])
def case_identical_point_after_others_were_read(client, run, value):
    """What was read may be stored in another place than what comes again."""
    client.log_batch(run, metrics=[Metric("m", value, 10 + i, i) for i in range(6)])
    assert len(client.get_metric_history(run, "m")) == 6
    client.log_metric(run, "m", value, timestamp=10, step=0)
    assert [m.step for m in client.get_metric_history(run, "m")] == list(range(6))


@pytest.mark.parametrize("other", [(2.5, 10, 1), (1.5, 11, 1), (1.5, 10, 2)])
def case_points_that_differ_in_one_are_two(client, run, other):
    client.log_metric(run, "m", 1.5, timestamp=10, step=1)
    client.log_metric(run, "m", *other)
    assert len(history(client, run)) == 2


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1e-300, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, -1e17, 1 / 3, 1234567890123456.0]
)
def case_value_is_kept_to_the_bit(client, run, value):
    client.log_metric(run, "m", value, timestamp=1)
    assert client.get_run(run).data.metrics["m"] == value
    assert client.get_metric_history(run, "m")[0].value == value


def case_nan(client, run):
    client.log_metric(run, "m", math.nan, timestamp=1)
    assert math.isnan(client.get_run(run).data.metrics["m"])
    assert math.isnan(client.get_metric_history(run, "m")[0].value)


def case_nan_once(client, run):
    for _ in range(2):
        client.log_metric(run, "m", math.nan, timestamp=1, step=1)
    assert len(client.get_metric_history(run, "m")) == 1


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def case_infinity(client, run, value):
    """MLflow's store keeps the largest double instead; either is right to a client."""
    client.log_metric(run, "m", value, timestamp=1)
    for found in (client.get_run(run).data.metrics["m"], client.get_metric_history(run, "m")[0].value):
        assert found == value or found == math.copysign(1.7976931348623157e308, value)


def case_nan_then_a_number(client, run):
    client.log_batch(run, metrics=[Metric("m", math.nan, 1, 1), Metric("m", 2.0, 2, 2)])
    assert client.get_run(run).data.metrics == {"m": 2.0}


@pytest.mark.parametrize(
    "key",
    [
        "a b",
        "a/b/c",
        "a.b-c_d",
        "ünï",
        "模型",
        "a:b",
        "x" * 250,
        "0",
        "system/cpu_percentage",
        "A",
        "val_loss-1",
        "Metric",
    ],
)
def case_keys(client, run, key):
    client.log_metric(run, key, 1.0, timestamp=1)
    assert client.get_run(run).data.metrics == {key: 1.0}
    assert len(client.get_metric_history(run, key)) == 1


def case_keys_differ_by_case(client, run):
    client.log_metric(run, "acc", 1.0)
    client.log_metric(run, "ACC", 2.0)
    assert client.get_run(run).data.metrics == {"acc": 1.0, "ACC": 2.0}


BAD_KEYS = [
    "",
    "x" * 251,
    "/a",
    "a//b",
    "../a",
    "a/../b",
    ".",
    "..",
    "a/",
    "./a",
    "a\nb",
    "emoji🦊",
    "a;b",
    "a'b",
    "a%b",
    "a#b",
    "a\\b",
]


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize("path", ["runs/log-metric", "runs/log-parameter", "runs/set-tag"])
def case_bad_keys(wire, client, run, key, path):
    refused(wire.post(path, {"run_id": run, "key": key, "value": "1", "timestamp": 1}), 400, INVALID)
    data = client.get_run(run).data
    assert (data.metrics, data.params, len(data.tags)) == ({}, {}, 1)


@pytest.mark.parametrize("missing", ["run_id", "key", "value", "timestamp"])
def case_required_fields(wire, run, missing):
    body = {"run_id": run, "key": "m", "value": 1.0, "timestamp": 1}
    refused(wire.post("runs/log-metric", {k: v for k, v in body.items() if k != missing}), 400, INVALID)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "much"),
        ("value", None),
        ("timestamp", "now"),
        ("timestamp", -1),
        ("step", "first"),
        ("key", 5),
        ("run_id", 5),
        *(
            pytest.param(field, value, marks=pytest.mark.beyond_mlflow)
            for field, value in [
                ("value", [1]),
                ("value", {}),
                ("value", True),
                ("timestamp", [1]),
                ("timestamp", 1.5),
                ("step", 1.5),
                ("step", 2**63),
            ]
        ),
    ],
)
def case_wrong_types(wire, client, run, field, value):
    body = {"run_id": run, "key": "m", "value": 1.0, "timestamp": 1, "step": 1} | {field: value}
    answer = wire.post("runs/log-metric", body)
    assert answer.status_code == 400 or (field == "run_id" and answer.status_code == 404), answer.text
    assert client.get_run(run).data.metrics == {}


@pytest.mark.parametrize(("written", "value"), [("1.5", 1.5), ("-2", -2.0), ("1e3", 1000.0), (7, 7.0)])
def case_numbers_as_text(wire, client, run, written, value):
    body = {"run_id": run, "key": "m", "value": written, "timestamp": "12", "step": "3"}
    assert wire.post("runs/log-metric", body).status_code == 200
    assert history(client, run) == [(12, 3, value)]


@pytest.mark.parametrize(("written", "value"), [("NaN", "NaN"), ("Infinity", None), ("-Infinity", None)])
def case_words_for_numbers(wire, run, written, value):
    assert (
        wire.post("runs/log-metric", {"run_id": run, "key": "m", "value": written, "timestamp": 1}).status_code == 200
    )
    (found,) = wire.get("runs/get", run_id=run).json()["run"]["data"]["metrics"]
    assert found["value"] in ((value,) if value else (written, math.copysign(1.7976931348623157e308, float(written))))


@pytest.mark.beyond_mlflow
def case_bare_nan_is_kept_or_refused(wire, client, run):
    """MLflow stores 0.0 at the beginning of 1970 and says it is well."""
    body = {"run_id": run, "key": "m", "value": math.nan, "timestamp": 5, "step": 1}
    answer = wire.text("runs/log-metric", json.dumps(body))
    if answer.status_code == 200:
        assert math.isnan(client.get_run(run).data.metrics["m"])
    else:
        refused(answer, 400, INVALID)
        assert client.get_run(run).data.metrics == {}


def case_unknown_run(client):
    with Refuses(ABSENT):
        client.log_metric("0" * 32, "m", 1.0)


def case_history_of_an_unknown_key(wire, run):
    answer = wire.get("metrics/get-history", run_id=run, metric_key="nothing")
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("query", [{"run_id": "x"}, {"metric_key": "m"}, {}])
def case_history_needs_run_and_key(wire, query):
    assert wire.get("metrics/get-history", **query).status_code == 400


def case_history_pages(client, wire, run):
    client.log_batch(run, metrics=[Metric("m", float(i), i, i) for i in range(25)])
    seen, token = [], None
    for _ in range(10):
        query = {"run_id": run, "metric_key": "m", "max_results": 10} | ({"page_token": token} if token else {})
        answer = wire.get("metrics/get-history", **query).json()
        seen += [m["step"] for m in answer["metrics"]]
        token = answer.get("next_page_token")
        if not token:
            break
    assert seen == list(range(25))


@pytest.mark.parametrize("given", [0, -1])
def case_history_of_no_points(wire, run, given):
    refused(wire.get("metrics/get-history", run_id=run, metric_key="m", max_results=given), 400, INVALID)


def case_history_with_a_bad_token(wire, client, run):
    client.log_metric(run, "m", 1.0)
    answer = wire.get("metrics/get-history", run_id=run, metric_key="m", max_results=1, page_token="nonsense")
    refused(answer, 400, INVALID)


def case_long_history_whole(client, run):
    for start in range(0, 5000, 1000):
        client.log_batch(run, metrics=[Metric("m", math.sin(i), 1000 + i, i) for i in range(start, start + 1000)])
    found = client.get_metric_history(run, "m")
    assert [m.step for m in found] == list(range(5000))
    assert all(m.value == math.sin(m.step) for m in found)


def case_sample_of_histories(client, wire, experiment, run):
    other = client.create_run(experiment).info.run_id
    for one, count in ((run, 300), (other, 20)):
        client.log_batch(one, metrics=[Metric("m", i / 2, i, i) for i in range(count)])
    query = {"run_ids": [run, other], "metric_key": "m", "max_results": 50}
    answer = wire.get("metrics/get-history-bulk-interval", **query)
    assert answer.status_code == 200, answer.text
    steps = {one: [m["step"] for m in answer.json()["metrics"] if m["run_id"] == one] for one in (run, other)}
    assert len(steps[run]) <= 52
    assert (steps[run][0], steps[run][-1]) == (0, 299)
    assert steps[run] == sorted(steps[run])
    assert steps[other][0] == 0
    assert steps[other][-1] == 19


def case_sample_between_steps(client, wire, run):
    client.log_batch(run, metrics=[Metric("m", i / 2, i, i) for i in range(100)])
    query = {"run_ids": [run], "metric_key": "m", "max_results": 500, "start_step": 10, "end_step": 20}
    answer = wire.get("metrics/get-history-bulk-interval", **query).json()
    assert [m["step"] for m in answer["metrics"]] == list(range(10, 21))


@pytest.mark.parametrize(
    "more",
    [
        {"start_step": 1},
        {"end_step": 1},
        {"start_step": 5, "end_step": 1},
        {"max_results": 0},
        {"max_results": 2501},
        {"run_ids": ["0" * 32] * 101},
        {"run_ids": []},
    ],
)
def case_bad_samples(wire, run, more):
    query = {"run_ids": [run], "metric_key": "m", "max_results": 5} | more
    refused(wire.get("metrics/get-history-bulk-interval", **query), 400, INVALID)
