"""Histories of metrics against a sorted list in memory."""

import json
import math
import random
import struct
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from experiments import metricstore
from experiments.metricstore import history as module
from experiments.metricstore.codec import Points
from experiments.metricstore.history import history
from experiments.mlflow import metrics
from experiments.mlflow.search import tokens
from tests.experiments.mlflow.calls import scientist
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def caller(project):
    return scientist(project)


@pytest.fixture
def run(project):
    return make_run(make_experiment(project))


def log(run, points, key="loss", *, size=300):
    """Log (value, timestamp, step) in calls of some size, folding now and then."""
    for start in range(0, len(points), size):
        metricstore.append(run.pk, metrics=[(key, *point) for point in points[start : start + size]])
        if start % (3 * size) == 0:
            metricstore.fold(run.pk)


def bits(value):
    return "nan" if math.isnan(value) else struct.pack("<d", value + 0.0)


def by_time(points):
    """The plain answer: each point once, by timestamp, step, value, NaN last."""
    known = {(stamp, step, bits(value)): (value, stamp, step) for value, stamp, step in points}
    return sorted(known.values(), key=lambda p: (p[1], p[2], math.isnan(p[0]), 0 if math.isnan(p[0]) else p[0]))


def read(body):
    words = {"NaN": NAN, "Infinity": INF, "-Infinity": -INF}
    return [(words.get(m["value"], m["value"]), m["timestamp"], m["step"]) for m in body.get("metrics", [])]


def same(found, expected):
    assert [(bits(v), t, s) for v, t, s in found] == [(bits(v), t, s) for v, t, s in expected]


def some_points(mixed, count, kind):
    values = [NAN, INF, -INF, 0.0, 1e-300, 1e300, -0.5, 3.0]
    points = []
    for at in range(count):
        value = mixed.choice(values) if mixed.random() < 0.2 else mixed.random()
        if kind == "by step":
            points.append((value, 1_760_000_000_000 + 3 * at, at))
        elif kind == "resumed":  # steps run from 0 again, later
            points.append((value, 1_760_000_000_000 + at, at % (count // 3 + 1)))
        elif kind == "backwards":
            points.append((value, 1_760_000_000_000 - at, at))
        else:
            points.append((value, mixed.randrange(9), mixed.randrange(-4, 5)))
    return points


@pytest.mark.parametrize("kind", ["by step", "resumed", "backwards", "crowded"])
def test_a_history_comes_by_time_whole_and_in_pages(caller, run, kind, monkeypatch):
    monkeypatch.setattr(module, "READ_AT_ONCE", 2)
    mixed = random.Random(kind)
    points = some_points(mixed, 9000 if kind != "crowded" else 700, kind)
    log(run, points)
    expected = by_time(points)
    asked = {"run_id": run.uuid, "metric_key": "loss"}
    whole = caller.seen("metrics/get-history", **asked)
    same(read(whole), expected)
    assert {m["key"] for m in whole["metrics"]} == {"loss"}
    found, token = [], ""
    size = 2100 if kind != "crowded" else 60
    while True:
        body = caller.seen("metrics/get-history", **asked, max_results=size, page_token=token)
        found += read(body)
        token = body.get("next_page_token")
        if not token:
            break
        assert len(body["metrics"]) == size
    same(found, expected)


def test_a_page_that_ends_with_the_history_has_no_token(caller, run):
    log(run, [(0.5, 1, 1), (NAN, 1, 1), (0.25, 2, 2)])
    asked = {"run_id": run.uuid, "metric_key": "loss"}
    assert "next_page_token" not in caller.seen("metrics/get-history", **asked, max_results=3)
    first = caller.seen("metrics/get-history", **asked, max_results=2)
    assert [m["value"] for m in first["metrics"]] == [0.5, "NaN"]
    rest = caller.seen("metrics/get-history", **asked, max_results=1, page_token=first["next_page_token"])
    assert rest == {"metrics": [{"key": "loss", "value": 0.25, "timestamp": 2, "step": 2}]}


def test_what_is_not_there_is_empty(caller, run):
    theirs = make_run(make_experiment(make_project("theirs")))
    log(theirs, [(0.5, 1, 1)])
    for asked in ({"run_id": run.uuid}, {"run_id": theirs.uuid}, {"run_id": "0" * 32, "max_results": 5},
                  {"run_uuid": run.uuid}, {"run_id": "a b"}):  # fmt: skip
        assert caller.seen("metrics/get-history", metric_key="loss", **asked) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_id": ""}, {"metric_key": ""}, {"max_results": 0}, {"max_results": -1}, {"max_results": "x"},
        {"max_results": 2**70}, {"page_token": "x"}, {"page_token": "eyJvZmZzZXQiOiA1fQ=="}, {"run_id": "a\0b"},
        {"metric_key": "a\0b"},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_400(caller, run, wrong):
    status, body = caller.get("metrics/get-history", **{"run_id": run.uuid, "metric_key": "loss", **wrong})
    assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "place", [[], [1, 2], [1, 2, 3], ["a", 1, 0.5], [1, None, 0.5], [1, 2, 0.5, 4], [True, 1, 0.5]]
)
def test_a_token_with_a_forged_place_is_400(caller, run, place):
    token = tokens.write(place, run.uuid, "loss")
    assert caller.get("metrics/get-history", run_id=run.uuid, metric_key="loss", page_token=token)[0] == 400


def test_a_long_history_is_sent_in_pieces_that_stay_small(caller, run):
    count = 60_000
    for start in range(0, count, 1000):
        metricstore.append(run.pk, metrics=[("loss", at / 7, 5 * at, at) for at in range(start, start + 1000)])
    metricstore.fold(run.pk)
    url = f"/api/2.0/mlflow/metrics/get-history?run_id={run.uuid}&metric_key=loss"
    answer = caller.client.get(url, headers=caller.headers)
    assert answer.streaming
    tracemalloc.start()
    sizes, whole = [], b""
    for piece in answer.streaming_content:
        sizes.append(len(piece))
        whole += piece
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(sizes) < len(whole) / 8
    assert peak < 4 * len(whole)
    assert [m["step"] for m in json.loads(whole)["metrics"]] == list(range(count))


def test_pieces_never_hold_more_than_overlaps(run):
    points = some_points(random.Random(1), 40_000, "by step")
    log(run, points, size=1000)
    metricstore.fold(run.pk)
    assert max(len(piece) for piece in history(run.pk, "loss").pieces()) <= 4096


def test_a_sample_keeps_first_and_last(caller, run, project):
    other = make_run(make_experiment(project), "other")
    log(run, [(at / 3, at, at) for at in range(5000)])
    log(other, [(NAN, 7, 3), (1.0, 8, 4)])
    asked = {"run_ids": [run.uuid, other.uuid], "metric_key": "loss", "max_results": 100}
    body = caller.seen("metrics/get-history-bulk-interval", **asked)
    found = [m for m in body["metrics"] if m["run_id"] == run.uuid]
    steps = [m["step"] for m in found]
    assert (len(steps), steps[0], steps[-1], steps) == (100, 0, 4999, sorted(set(steps)))
    assert max(b - a for a, b in pairwise(steps)) <= 52
    assert all(m["value"] == m["step"] / 3 and m["timestamp"] == m["step"] and m["key"] == "loss" for m in found)
    assert [m["value"] for m in body["metrics"][100:]] == ["NaN", 1.0]


@pytest.mark.parametrize(
    ("span", "size", "expected"),
    [((10, 19), 50, list(range(10, 20))), ((10, 19), 2, [10, 19]), ((10, 19), 1, [19]), ((-5, 0), 5, [0]),
     ((60, 90), 5, []), ((4, 4), 5, [4])],
)  # fmt: skip
def test_a_sample_of_some_steps(caller, run, span, size, expected):
    log(run, [(1.0, at, at) for at in range(50)], size=7)
    body = caller.seen(
        "metrics/get-history-bulk-interval", run_ids=[run.uuid], metric_key="loss", start_step=span[0],
        end_step=span[1], max_results=size,
    )  # fmt: skip
    assert [m["step"] for m in body.get("metrics", [])] == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_ids": []}, {"metric_key": ""}, {"max_results": 0}, {"max_results": 2501}, {"start_step": 1},
        {"end_step": 1}, {"start_step": 5, "end_step": 4}, {"start_step": "x", "end_step": 4},
        {"run_ids": ["a"] * 101},
    ],
)  # fmt: skip
def test_what_cannot_be_sampled_is_400(caller, run, wrong):
    asked = {"run_ids": [run.uuid], "metric_key": "loss", **wrong}
    status, body = caller.get("metrics/get-history-bulk-interval", **asked)
    assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_unknown_runs_have_no_sample(caller):
    assert caller.seen("metrics/get-history-bulk-interval", run_ids=["0" * 32], metric_key="loss") == {}


def test_encoding_a_column_writes_what_json_reads():
    values = [0.1, 1e22, -0.0, 5.0, NAN, INF, -INF, 1.7976931348623157e308, 5e-324]
    steps = np.arange(len(values)) - (2**62)
    part = Points(np.empty(0, np.int32), steps, steps + 2**62, np.array(values))
    body = json.loads(b"[" + metrics.encoded(part, 'a"é') + b"]")
    same(read({"metrics": body}), list(zip(values, range(len(values)), steps.tolist(), strict=True)))
    assert {m["key"] for m in body} == {'a"é'}
