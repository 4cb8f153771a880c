"""The store against a plain model in memory."""

import importlib
import json
import math
from types import SimpleNamespace

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import metricstore
from experiments.metricstore import folding
from experiments.models import MetricChunk, Run, RunMetric, RunParam, RunTag
from mlportal.lib.errors import Conflict, Invalid, Missing
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
NAN, INF = float("nan"), float("inf")
WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
POINT = st.tuples(
    st.sampled_from(["loss", "val/auc", "f1"]),
    st.sampled_from([0.25, -1.0, 0.0, -0.0, NAN, INF, -INF, 1e-300, 0.1 + 0.2]),
    st.integers(0, 3),
    st.integers(-2, 3),
)
ACTION = st.one_of(st.lists(POINT, min_size=1, max_size=8), st.sampled_from(["fold", "read"]))
UNHURRIED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def experiment():
    return make_experiment(make_project())


def order(point):
    _, value, stamp, step = point
    return (step, stamp, math.isnan(value), 0.0 if math.isnan(value) else value)


def exact(point):
    key, value, stamp, step = point
    return (key, repr(value + 0.0), stamp, step)


def shown(run):
    found = metricstore.latest([run.pk])[run.pk]
    assert packed(run) == {name: (p.value if math.isfinite(p.value) else WORDS[repr(p.value)], p.stamp_ms, p.step)
                           for name, p in found.items()}  # fmt: skip
    return {key: (repr(p.value), p.stamp_ms, p.step, p.low, p.high) for key, p in found.items()}


def packed(run):
    """Latest points as the run's row holds them, ready to be sent."""
    text = Run.objects.values_list("latest", flat=True).get(pk=run.pk)
    points = json.loads(text, parse_constant=pytest.fail) if text else []
    return {point["key"]: (point["value"], point["timestamp"], point["step"]) for point in points}


def expected_latest(points):
    best = {}
    for point in points:
        if point[0] not in best or order(point) > order(best[point[0]]):
            best[point[0]] = point
    return {key: (*exact(point)[1:], *expected_bounds(points, key)) for key, point in best.items()}


def expected_bounds(points, key):
    numbers = [value for name, value, *_ in points if name == key and not math.isnan(value)]
    return (min(numbers), max(numbers)) if numbers else (None, None)


def expected_series(points, key):
    unique = {exact(p): p for p in points if p[0] == key}
    return [exact(p)[1:] for p in sorted(unique.values(), key=order)]


def read_series(run, key):
    found = metricstore.series(run.pk, key)
    columns = zip(found.values.tolist(), found.stamps.tolist(), found.steps.tolist(), strict=True)
    return [(repr(value), stamp, step) for value, stamp, step in columns]


@UNHURRIED
@given(st.lists(ACTION, max_size=12))
def test_any_interleaving_of_writes_folds_and_reads_matches_the_model(experiment, actions):
    run, written = make_run(experiment), []
    for action in actions:
        if action == "fold":
            metricstore.fold(run.pk)
        elif action == "read":
            assert shown(run) == expected_latest(written)
        else:
            metricstore.append(run.pk, metrics=action)
            written.extend(action)
    assert shown(run) == expected_latest(written)
    for key in ("loss", "val/auc", "f1"):
        assert read_series(run, key) == expected_series(written, key)


@UNHURRIED
@given(st.lists(POINT, min_size=1, max_size=10), st.randoms(use_true_random=False), st.integers(1, 4))
def test_latest_does_not_depend_on_the_order_of_arrival(experiment, points, random, size):
    one, other = make_run(experiment), make_run(experiment)
    shuffled = random.sample(points, len(points))
    for run, sequence in ((one, points), (other, shuffled)):
        for start in range(0, len(sequence), size):
            metricstore.append(run.pk, metrics=sequence[start : start + size])
            if random.random() < 0.5:
                metricstore.fold(run.pk)
    assert shown(one) == shown(other)


def test_folding_leaves_no_block_and_few_segments(experiment, monkeypatch):
    monkeypatch.setattr(folding, "FOLD_AFTER_CALLS", 256)
    run = make_run(experiment)
    folds = 0
    for call in range(600):
        metricstore.append(run.pk, metrics=[("loss", call / 7, call, call)])
        if folding.count_call(run.pk, 1):
            folds += 1
            metricstore.fold(run.pk)
    metricstore.fold(run.pk)
    assert folds == 2
    chunks = MetricChunk.objects.filter(run=run)
    assert chunks.filter(key=None).count() == 0
    assert chunks.count() <= 4
    assert len(read_series(run, "loss")) == 600


def test_few_calls_of_many_points_are_folded_too():
    assert [folding.count_call(-1, 30_000) for _ in range(4)] == [False, False, True, False]


def test_a_second_fold_finds_nothing(experiment):
    run = make_run(experiment)
    metricstore.append(run.pk, metrics=[("loss", 1.0, 0, 0)])
    assert (metricstore.fold(run.pk), metricstore.fold(run.pk)) == (1, 0)


def test_a_long_series_is_cut_into_segments_and_comes_back_whole(experiment):
    run = make_run(experiment)
    for start in range(0, 10_000, 1000):
        metricstore.append(run.pk, metrics=[("loss", float(i), i, i) for i in range(start, start + 1000)])
    found = metricstore.series(run.pk, "loss")
    assert (found.total, found.steps.tolist()) == (10_000, list(range(10_000)))
    assert max(MetricChunk.objects.filter(run=run).values_list("points", flat=True)) == 4096


def test_a_thinned_series_keeps_ends_and_spikes(experiment):
    run = make_run(experiment)
    values = [0.0] * 3000
    values[1234] = 99.0
    for start in range(0, 3000, 1000):
        metricstore.append(run.pk, metrics=[("loss", values[i], i, i) for i in range(start, start + 1000)])
    thin = metricstore.series(run.pk, "loss", at_most=100)
    assert (thin.total, len(thin.values)) == (3000, 100)
    assert (thin.steps[0], thin.steps[-1], max(thin.values)) == (0, 2999, 99.0)


def test_a_thinned_series_with_nothing_finite_is_still_thinned(experiment):
    run = make_run(experiment)
    metricstore.append(run.pk, metrics=[("loss", NAN, i, i) for i in range(1000)])
    assert len(metricstore.series(run.pk, "loss", at_most=50).values) == 50


def test_an_unknown_metric_has_no_points(experiment):
    assert metricstore.series(make_run(experiment).pk, "nothing").total == 0


def test_sparks_hold_at_most_24_values_a_run(experiment):
    one, two = make_run(experiment), make_run(experiment)
    metricstore.append(one.pk, metrics=[("loss", float(i), i, i) for i in range(100)])
    metricstore.append(two.pk, metrics=[("loss", 3.0, 0, 0), ("loss", NAN, 1, 1)])
    found = metricstore.sparks([one.pk, two.pk], ["loss"])
    assert (len(found[one.pk, "loss"]), found[two.pk, "loss"]) == (24, [3.0])


def test_parameters_are_write_once_and_the_batch_is_all_or_nothing(experiment):
    run = make_run(experiment)
    metricstore.append(run.pk, params={"depth": "8"})
    metricstore.append(run.pk, params={"depth": "8", "rate": "0.1"})
    with pytest.raises(Conflict) as caught:
        metricstore.append(
            run.pk, metrics=[("loss", 1.0, 0, 0)], params={"rate": "0.2", "new": "1"}, tags={"team": "a"}
        )
    assert (caught.value.code, caught.value.field) == ("param_changed", "params.rate")
    run.refresh_from_db()
    assert (run.params, run.tags) == ('{"depth":"8","rate":"0.1"}', "{}")
    assert MetricChunk.objects.filter(run=run).count() == 0
    assert set(RunParam.objects.filter(run=run).values_list("key__name", "value", "number")) == {
        ("depth", "8", 8.0),
        ("rate", "0.1", 0.1),
    }


def test_the_last_tag_wins_and_can_be_dropped(experiment):
    run = make_run(experiment)
    metricstore.append(run.pk, tags={"team": "a", "old": "yes"})
    metricstore.append(run.pk, tags={"team": "b"})
    assert metricstore.drop_tag(run.pk, "old") is True
    assert metricstore.drop_tag(run.pk, "old") is False
    run.refresh_from_db()
    assert run.tags == '{"team":"b"}'
    assert list(RunTag.objects.filter(run=run).values_list("key__name", "value")) == [("team", "b")]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ({"metrics": [("m", 1.0, 0, 0)] * 1001}, ("batch_too_large", "metrics", 1000, 1001)),
        ({"params": {f"p{i}": "" for i in range(101)}}, ("batch_too_large", "params", 100, 101)),
        ({"tags": {f"t{i}": "" for i in range(101)}}, ("batch_too_large", "tags", 100, 101)),
        (
            {"metrics": [("m", 1.0, 0, 0)] * 950, "tags": {f"t{i}": "" for i in range(51)}},
            ("batch_too_large", "batch", 1000, 1001),
        ),
        ({"metrics": [("m", 1.0, 0, 0), ("x" * 251, 1.0, 0, 0)]}, ("bad_key", "metrics[1].key", 250, 251)),
        ({"params": {"a#b": "1"}}, ("bad_key", "params", 250, 3)),
        ({"params": {"../b": "1"}}, ("bad_key", "params", 250, 4)),
        ({"tags": {"": "1"}}, ("bad_key", "tags", 250, 0)),
        ({"params": {"p": "x" * 6001}}, ("too_long", "params.p", 6000, 6001)),
        ({"tags": {"t": "x" * 8001}}, ("too_long", "tags.t", 8000, 8001)),
        ({"params": {"p": 3}}, ("wrong_type", "params.p", None, "int")),
        ({"params": {"p": "a\0"}}, ("bad_character", "params.p", None, None)),
        ({"tags": {"t": "\ud800"}}, ("bad_character", "tags.t", None, None)),
        ({"metrics": [("m", True, 0, 0)]}, ("wrong_value", "metrics[0].value", None, "True")),
        ({"metrics": [("m", "1", 0, 0)]}, ("wrong_value", "metrics[0].value", None, "1")),
        ({"metrics": [("m", 10**400, 0, 0)]}, ("wrong_value", "metrics[0].value", None, "1" + "0" * 39)),
        ({"metrics": [("m", 1.0, -1, 0)]}, ("wrong_value", "metrics[0].timestamp", None, "-1")),
        ({"metrics": [("m", 1.0, 0, 2**63)]}, ("wrong_value", "metrics[0].step", None, str(2**63))),
        ({"metrics": [("m", 1.0, 0, 0), ("m", 1.0, 0, 1.5)]}, ("wrong_value", "metrics[1].step", None, "1.5")),
    ],
)
def test_a_batch_past_a_limit_is_refused_by_name_and_nothing_is_written(experiment, batch, expected):
    run = make_run(experiment)
    with pytest.raises(Invalid) as caught:
        metricstore.append(run.pk, **batch)
    fault = caught.value
    assert (fault.code, fault.field, fault.limit, fault.got) == expected
    assert MetricChunk.objects.filter(run=run).count() == 0


def test_the_largest_legal_batch_is_taken(experiment):
    run = make_run(experiment)
    params = {f"p{i}": "x" * 6000 for i in range(100)}
    tags = {f"t{i}": "y" * 8000 for i in range(100)}
    metricstore.append(
        run.pk, metrics=[(f"m{i}", INF, 2**63 - 1, -(2**63)) for i in range(800)], params=params, tags=tags
    )
    assert len(metricstore.latest([run.pk])[run.pk]) == 800
    assert RunParam.objects.filter(run=run).count() == RunTag.objects.filter(run=run).count() == 100


def test_an_unknown_run_is_missing(experiment):
    for batch in ({"metrics": [("m", 1.0, 0, 0)]}, {"tags": {"a": "b"}}):
        with pytest.raises(Missing):
            metricstore.append(10**9, **batch)


def test_a_stale_key_cache_heals_itself(experiment):
    run = make_run(experiment)
    from experiments.metricstore import keys

    keys._remember({"ghost": 987654})
    metricstore.append(run.pk, metrics=[("ghost", 1.0, 0, 0)])
    assert shown(run) == {"ghost": ("1.0", 0, 0, 1.0, 1.0)}


def test_nan_is_a_flag_in_the_narrow_table(experiment):
    run = make_run(experiment)
    metricstore.append(run.pk, metrics=[("loss", NAN, 5, 1)])
    metricstore.fold(run.pk)
    row = RunMetric.objects.get(run=run)
    assert (row.value, row.is_nan, row.step, row.stamp_ms) == (0.0, True, 1, 5)


def test_runs_of_before_get_their_latest_points_as_a_text(experiment):
    run, empty = make_run(experiment), make_run(experiment)
    metricstore.append(run.pk, metrics=[("loss", NAN, 5, 1), ("auc", 0.1 + 0.2, 7, 3), ("f1", -INF, 0, 0)])
    metricstore.fold(run.pk)
    Run.objects.update(latest=None)
    migration = importlib.import_module("experiments.migrations.0008_pack_latest_points")
    migration.pack(None, SimpleNamespace(connection=connection))
    assert packed(run) == {"loss": ("NaN", 5, 1), "auc": (0.1 + 0.2, 7, 3), "f1": ("-Infinity", 0, 0)}
    assert Run.objects.get(pk=empty.pk).latest is None


@pytest.mark.only_on("sqlite")
def test_sqlite_finds_its_file_sound(experiment):
    run = make_run(experiment)
    metricstore.append(run.pk, metrics=[("auc", 0.5, 1, 0)], params={"a": "1"}, tags={"b": "2"})
    metricstore.fold(run.pk)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA quick_check")
        assert cursor.fetchall() == [("ok",)]
