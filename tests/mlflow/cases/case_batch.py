"""log-batch: limits, order, and nothing by halves."""

import json
import math

import pytest
from mlflow.entities import Metric, Param, RunTag
from wire import ABSENT, INVALID, Refuses, refused


def metric(i=0, **more):
    return {"key": f"m{i}", "value": float(i), "timestamp": 1000 + i, "step": i} | more


def pair(i=0, **more):
    return {"key": f"k{i}", "value": f"v{i}"} | more


def nothing_there(client, run):
    data = client.get_run(run).data
    assert (data.metrics, data.params, set(data.tags)) == ({}, {}, {"mlflow.runName"})


def case_all_kinds(client, run):
    client.log_batch(run, [Metric("m", 1.0, 1, 1)], [Param("p", "1")], [RunTag("t", "1")])
    data = client.get_run(run).data
    assert (data.metrics, data.params, data.tags["t"]) == ({"m": 1.0}, {"p": "1"}, "1")


def case_empty(wire, run):
    assert wire.post("runs/log-batch", {"run_id": run}).json() == {}
    assert wire.post("runs/log-batch", {"run_id": run, "metrics": [], "params": [], "tags": []}).json() == {}


@pytest.mark.parametrize(
    "sizes",
    [(1000, 0, 0), (0, 100, 0), (0, 0, 100), (800, 100, 100)],
)
def case_at_the_limit(wire, client, run, sizes):
    metrics, params, tags = sizes
    body = {
        "metrics": [metric(i) for i in range(metrics)],
        "params": [pair(i) for i in range(params)],
        "tags": [pair(i) for i in range(tags)],
    }
    answer = wire.post("runs/log-batch", {"run_id": run} | body)
    assert answer.status_code == 200, answer.text
    data = client.get_run(run).data
    assert (len(data.metrics), len(data.params), len(data.tags)) == (metrics, params, tags + 1)


@pytest.mark.parametrize("sizes", [(1001, 0, 0), (0, 101, 0), (0, 0, 101), (801, 100, 100), (1000, 1, 0)])
def case_over_the_limit(wire, client, run, sizes):
    metrics, params, tags = sizes
    body = {
        "metrics": [metric(i) for i in range(metrics)],
        "params": [pair(i) for i in range(params)],
        "tags": [pair(i) for i in range(tags)],
    }
    refused(wire.post("runs/log-batch", {"run_id": run} | body), 400, INVALID)
    nothing_there(client, run)


def case_thousand_points_of_one_metric(client, run):
    client.log_batch(run, [Metric("m", i / 7, 1000 + i, i) for i in range(1000)])
    assert len(client.get_metric_history(run, "m")) == 1000
    assert client.get_run(run).data.metrics == {"m": 999 / 7}


def case_identical_points_within(client, run):
    client.log_batch(run, [Metric("m", 1.0, 1, 1), Metric("m", 1.0, 1, 1), Metric("m", 2.0, 1, 1)])
    assert sorted(m.value for m in client.get_metric_history(run, "m")) == [1.0, 2.0]


def case_param_twice(wire, client, run):
    refused(wire.post("runs/log-batch", {"run_id": run, "params": [pair(1), pair(1, value="other")]}), 400, INVALID)
    nothing_there(client, run)


def case_param_twice_the_same(wire, client, run):
    answer = wire.post("runs/log-batch", {"run_id": run, "params": [pair(1), pair(1)]})
    refused(answer, 400, INVALID)
    nothing_there(client, run)


def case_tag_twice_last_wins(wire, client, run):
    body = {"run_id": run, "tags": [pair(1, value="first"), pair(1, value="last")]}
    assert wire.post("runs/log-batch", body).status_code == 200
    assert client.get_run(run).data.tags["k1"] == "last"


def case_changed_param_fails_the_whole(wire, client, run):
    client.log_param(run, "k1", "v1")
    body = {"run_id": run, "metrics": [metric(1)], "params": [pair(2), pair(1, value="other")], "tags": [pair(3)]}
    refused(wire.post("runs/log-batch", body), 400, INVALID)
    data = client.get_run(run).data
    assert (data.metrics, data.params, "k3" in data.tags) == ({}, {"k1": "v1"}, False)


def case_param_again_unchanged(client, run):
    for _ in range(2):
        client.log_batch(run, params=[Param("p", "1"), Param("q", "2")])
    assert client.get_run(run).data.params == {"p": "1", "q": "2"}


def case_name_by_tag_in_a_batch(client, run):
    client.log_batch(run, tags=[RunTag("mlflow.runName", "batched")])
    assert client.get_run(run).info.run_name == "batched"


def case_long_values_are_cut(wire, client, run):
    body = {"run_id": run, "params": [pair(1, value="x" * 7000)], "tags": [pair(2, value="y" * 9000)]}
    assert wire.post("runs/log-batch", body).status_code == 200
    data = client.get_run(run).data
    assert (data.params["k1"], data.tags["k2"]) == ("x" * 6000, "y" * 8000)


BAD = [
    {"metrics": [metric(1), metric(2, key="x" * 251)]},
    {"metrics": [metric(1), metric(2, key="a//b")]},
    {"metrics": [metric(1), metric(2, timestamp=-1)]},
    {"params": [pair(1), pair(2, key="x" * 251)]},
    {"tags": [pair(1), pair(2, key="x" * 251)]},
    {"params": [pair(1), pair(2, key="../a")]},
    {"metrics": "much"},
    {"metrics": {"key": "m"}},
    {"metrics": [metric(1), metric(2, value=None)]},
    {"metrics": [metric(1), {"key": "m"}]},
    {"metrics": [metric(1), {"value": 1.0, "timestamp": 1}]},
    {"metrics": [metric(1), metric(2, key=7)]},
    {"params": [pair(1), {"value": "no key"}]},
    {"params": 7},
    {"tags": "text"},
]
WORSE = [
    {"metrics": [metric(1), metric(2, value="much")]},
    {"metrics": [metric(1), metric(2, value=[1])]},
    {"metrics": [metric(1), metric(2, timestamp="now")]},
    {"metrics": [metric(1), metric(2, step="first")]},
    {"metrics": [metric(1), 5]},
    {"metrics": [metric(1), None]},
    {"params": [pair(1), pair(2, value=5)]},
    {"params": [pair(1), pair(2, value=["a"])]},
    {"params": [pair(1), "text"]},
    {"tags": [pair(1), pair(2, value={"a": 1})]},
    {"tags": [pair(1), []]},
    {"metrics": [metric(1), metric(2, step=2**63)]},
    {"metrics": [metric(1), metric(2, timestamp=2**63)]},
    {"metrics": [metric(1), metric(2, step=1.5)]},
]


@pytest.mark.parametrize("body", BAD + [pytest.param(body, marks=pytest.mark.beyond_mlflow) for body in WORSE])
def case_one_bad_item_fails_the_whole(wire, client, run, body):
    refused(wire.post("runs/log-batch", {"run_id": run} | body), 400, INVALID)
    nothing_there(client, run)


@pytest.mark.beyond_mlflow
def case_bare_nan_is_kept_or_refused(wire, client, run):
    text = json.dumps({"run_id": run, "metrics": [metric(0, key="m", value=math.nan)]})
    answer = wire.text("runs/log-batch", text)
    assert answer.status_code in (200, 400), answer.text
    metrics = client.get_run(run).data.metrics
    assert math.isnan(metrics["m"]) if answer.status_code == 200 else metrics == {}


def case_words_for_numbers(wire, client, run):
    body = {"run_id": run, "metrics": [metric(0, value="NaN"), metric(1, value="1.5"), metric(2, value="Infinity")]}
    assert wire.post("runs/log-batch", body).status_code == 200
    metrics = client.get_run(run).data.metrics
    assert math.isnan(metrics["m0"])
    assert metrics["m1"] == 1.5
    assert metrics["m2"] > 1e308


def case_unknown_run(client):
    with Refuses(ABSENT):
        client.log_batch("0" * 32, [Metric("m", 1.0, 1, 1)])


@pytest.mark.parametrize("given", ["", "a b", "-a", "a" * 257, "a/b", "ü"])
def case_bad_run_id(wire, given):
    assert wire.post("runs/log-batch", {"run_id": given, "metrics": [metric(1)]}).status_code in (400, 404)


def case_without_run(wire):
    refused(wire.post("runs/log-batch", {"metrics": [metric(1)]}), 400, INVALID)


@pytest.mark.once
def case_eight_megabytes(wire, client, run):
    """A legal batch of long values: far over the 2.5 MB that Django allows by itself."""
    wide = "模" * 6000
    body = {
        "run_id": run,
        "metrics": [metric(i, key=f"{i:04d}" + "k" * 240) for i in range(800)],
        "params": [pair(i, key=f"{i:04d}" + "p" * 240, value=wide) for i in range(100)],
        "tags": [pair(i, key=f"{i:04d}" + "t" * 240, value=wide) for i in range(100)],
    }
    assert wire.post("runs/log-batch", body).status_code == 200
    data = client.get_run(run).data
    assert set(data.params.values()) == {wide}
    assert len(data.metrics) == 800
