"""Long series read by the glances of their segments: as good a picture as from all points."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import metricstore
from experiments.metricstore import codec, glances, reading, thinning
from experiments.metricstore.codec import DamagedChunk, Points
from experiments.models import MetricChunk
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
POINTS = 20_000
NONE = np.empty(0, np.int32)


@pytest.fixture
def run():
    return make_run(make_experiment(make_project()))


def log(run, steps, values):
    for start in range(0, len(steps), 1000):
        part = slice(start, start + 1000)
        metricstore.append(
            run.pk, metrics=[("loss", v, 10 * s, s) for s, v in zip(steps[part], values[part], strict=True)]
        )


def waves(count):
    return [math.sin(at / 700) for at in range(count)]


def test_a_glance_keeps_ends_even_points_and_extremes():
    values = np.array(waves(4096))
    values[77], values[3000], values[9] = 50.0, -50.0, math.nan
    steps = np.arange(4096) * 3
    packed = codec.pack_segment(Points(NONE, steps, steps * 10, values))
    even, every = codec.glance(packed[: codec.GLANCE_BYTES])
    assert even["at"].tolist() == [*range(0, 4096, 64), 4095]
    assert {77, 3000, 0, 4095} <= set(every["at"].tolist())
    assert (np.diff(every["at"]) > 0).all()
    assert every["step"].tolist() == steps[every["at"]].tolist()
    assert every["stamp"].tolist() == (10 * steps[every["at"]]).tolist()
    assert every["value"].tolist() == pytest.approx(values[every["at"]].tolist(), nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(1000, 4096), st.randoms(use_true_random=False))
def test_a_glanced_segment_gives_back_every_bit(count, random):
    values = np.array([random.choice([0.5, math.nan, math.inf, -math.inf, random.random()]) for _ in range(count)])
    series = Points(NONE, np.arange(count) - 500, np.arange(count) * 7, codec.clean_values(values))
    packed = codec.pack_segment(series)
    back = codec.unpack_segment(packed)
    assert back.steps.tolist() == series.steps.tolist()
    assert back.values.view(np.int64).tolist() == series.values.view(np.int64).tolist()
    assert codec.stamp_span(packed[: codec.SPAN_BYTES]) == (0, 7 * (count - 1))
    assert (codec.glance(packed) is None) == (count < glances.GLANCED_FROM)


def test_a_damaged_glance_is_told():
    series = Points(NONE, np.arange(2000), np.arange(2000), np.zeros(2000))
    packed = bytearray(codec.pack_segment(series)[: codec.GLANCE_BYTES])
    packed[200] ^= 1
    with pytest.raises(DamagedChunk):
        codec.glance(bytes(packed))


def test_a_long_series_is_thinned_from_glances_with_ends_spikes_and_total(run, monkeypatch):
    values = waves(POINTS)
    values[7777], values[12_345] = 99.0, -99.0
    log(run, range(POINTS), values)
    monkeypatch.setattr(reading, "GLANCED_TIMES", 100)
    decoded = []
    real = codec.unpack_segment
    metricstore.fold_runs([run.pk])
    monkeypatch.setattr(codec, "unpack_segment", lambda data: decoded.append(1) or real(data))
    thin = metricstore.series(run.pk, "loss", at_most=200)
    assert len(decoded) == 2  # the first segment and the last, which keep the ends exact
    assert (thin.total, thin.steps[0], thin.steps[-1]) == (POINTS, 0, POINTS - 1)
    assert len(thin.values) <= 200
    assert (max(thin.values), min(thin.values)) == (99.0, -99.0)
    assert np.diff(thin.steps).max() < 4 * POINTS / 200


@pytest.mark.parametrize("span", [None, (0, POINTS - 1), (3333, 17_777), (500, 500), (30_000, 40_000)])
@pytest.mark.parametrize("at_most", [1, 2, 50])
def test_an_even_sample_from_glances_has_both_ends_and_even_steps(run, monkeypatch, span, at_most):
    log(run, range(POINTS), waves(POINTS))
    exact = metricstore.sampled([run.pk], "loss", at_most, span)[run.pk].steps if not span or span[0] < POINTS else []
    monkeypatch.setattr(reading, "GLANCED_TIMES", 100)
    found = metricstore.sampled([run.pk], "loss", at_most, span)
    steps = found[run.pk].steps.tolist() if run.pk in found else []
    assert len(steps) == len(exact)
    assert all(abs(one - other) <= 64 for one, other in zip(steps, exact, strict=True))
    assert steps[-1:] == list(exact[-1:])
    assert steps[:1] == list(exact[:1])


def test_overlapping_segments_are_read_whole(run, monkeypatch):
    log(run, range(0, POINTS, 2), waves(POINTS // 2))
    metricstore.fold_runs([run.pk])
    log(run, range(1, POINTS, 2), waves(POINTS // 2))
    metricstore.fold_runs([run.pk])
    exact = metricstore.series(run.pk, "loss", at_most=50)
    monkeypatch.setattr(reading, "GLANCED_TIMES", 100)
    found = metricstore.series(run.pk, "loss", at_most=50)
    assert (found.total, found.steps.tolist()) == (POINTS, exact.steps.tolist())


def test_segments_of_before_glances_are_read_whole(run, monkeypatch):
    monkeypatch.setattr(glances, "GLANCED_FROM", 10**9)
    log(run, range(POINTS), waves(POINTS))
    metricstore.fold_runs([run.pk])
    monkeypatch.undo()
    assert codec.glance(bytes(MetricChunk.objects.filter(run=run).order_by("pk").first().data)) is None
    monkeypatch.setattr(reading, "GLANCED_TIMES", 100)
    assert metricstore.series(run.pk, "loss", at_most=50).total == POINTS


def test_glances_take_at_most_a_tenth():
    noise = np.random.default_rng(1).normal(size=4096)
    packed = codec.pack_segment(Points(NONE, np.arange(4096), np.arange(4096), noise))
    glance = glances.size(memoryview(packed)[codec.SEGMENT_HEADER.size + codec.BOUNDS.size :])
    assert glance < len(packed) / 8
    assert zlib.crc32(packed[codec.SEGMENT_HEADER.size :]) == codec.SEGMENT_HEADER.unpack_from(packed)[4]


def test_an_even_sample_of_all_points_is_what_it_was():
    part = Points(NONE, np.arange(1000), np.arange(1000), np.zeros(1000))
    found = thinning.spread(thinning.whole(part), 7, None)
    assert found.steps.tolist() == np.linspace(0, 999, 7).astype(int).tolist()
