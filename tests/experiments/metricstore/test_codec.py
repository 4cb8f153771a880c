"""Byte forms of metric points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.metricstore import codec, points
from experiments.metricstore.codec import DamagedChunk, Points

INT64 = st.integers(-(2**63), 2**63 - 1)
POINT = st.tuples(st.integers(1, 4), INT64, INT64, st.floats(allow_nan=True, allow_infinity=True))
CROWDED = st.tuples(
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf")]),
)


def columns(rows):
    keys, steps, stamps, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Points(
        np.array(keys, np.int32),
        np.array(steps, np.int64),
        np.array(stamps, np.int64),
        codec.clean_values(np.array(values, np.float64)),
    )


def rows(part):
    return list(
        zip(part.keys.tolist(), part.steps.tolist(), part.stamps.tolist(), map(repr, part.values.tolist()), strict=True)
    )


def model(batch):
    """The plain answer: a set of points, sorted, NaN last."""
    clean = {(k, s, t, repr(float(v) + 0.0)) for k, s, t, v in batch}
    return sorted(clean, key=lambda p: (p[0], p[1], p[2], p[3] == "nan", float(p[3]) if p[3] != "nan" else 0.0))


@given(st.lists(POINT, max_size=40))
def test_a_block_gives_back_what_was_packed(batch):
    assert rows(codec.unpack_block(codec.pack_block(columns(batch)))) == rows(columns(batch))


@given(st.lists(st.lists(POINT, max_size=3), min_size=1, max_size=6))
def test_blocks_read_together_give_what_each_gives_alone(batches):
    blocks = [codec.pack_block(columns(batch)) for batch in batches]
    together = sorted(row for part in codec.unpack_blocks(blocks) for row in rows(part))
    assert together == sorted(row for block in blocks for row in rows(codec.unpack_block(block)))
    with pytest.raises(DamagedChunk, match="unknown chunk format"):
        codec.unpack_blocks([*blocks, b"xx" + blocks[0][2:]])
    with pytest.raises(DamagedChunk, match="cannot have"):
        codec.unpack_blocks([*blocks, blocks[0] + b"x"])


@given(st.lists(POINT, min_size=1, max_size=60))
def test_a_segment_gives_back_every_bit(batch):
    series = points.merged([columns([(1, *p[1:]) for p in batch])])
    back = codec.unpack_segment(codec.pack_segment(series))
    assert back.steps.tolist() == series.steps.tolist()
    assert back.stamps.tolist() == series.stamps.tolist()
    assert back.values.view(np.int64).tolist() == series.values.view(np.int64).tolist()


@given(st.lists(CROWDED, min_size=1, max_size=40), st.randoms(use_true_random=False), st.integers(1, 5))
def test_merging_ignores_order_and_grouping(batch, random, groups):
    shuffled = random.sample(batch, len(batch))
    parts = [columns(shuffled[i::groups]) for i in range(groups)]
    assert rows(points.merged(parts)) == model(batch)


@given(st.lists(CROWDED, min_size=1, max_size=40))
def test_splitting_by_key_loses_nothing(batch):
    whole = points.merged([columns(batch)])
    parts = list(points.by_key(whole))
    assert [key for key, _ in parts] == sorted({p[0] for p in batch})
    assert sum(len(part) for _, part in parts) == len(whole)


def test_pieces_hold_at_most_a_segment():
    long = columns([(1, i, i, float(i)) for i in range(codec.SEGMENT_POINTS + 1)])
    assert [len(p) for p in points.pieces(long)] == [codec.SEGMENT_POINTS, 1]


def test_a_segment_takes_less_than_a_third_of_its_raw_bytes():
    steps = np.arange(4096)
    loss = np.round(np.exp(-steps / 900) + np.random.default_rng(7).normal(0, 0.01, 4096), 4)
    series = Points(np.empty(0, np.int32), steps, 1_760_000_000_000 + steps * 250, loss)
    assert len(codec.pack_segment(series)) < 4096 * 8


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:4], "a chunk is shorter than its header"),
        (lambda b: b"xx" + b[2:], "unknown chunk format b'xx' 1"),
        (lambda b: b[:-1], "a block of 1 points cannot have 35 bytes"),
    ],
)
def test_a_damaged_block_says_what_is_wrong(damage, message):
    block = codec.pack_block(columns([(1, 2, 3, 4.0)]))
    with pytest.raises(DamagedChunk, match=message):
        codec.unpack_block(damage(block))


@pytest.mark.parametrize("count", [1, 15, 16, 50, 600])
def test_a_flipped_bit_in_a_segment_is_noticed(count):
    series = columns([(1, i, i * i, float(i) / 7) for i in range(count)])
    data = codec.pack_segment(series)
    for at in range(codec.SEGMENT_HEADER.size - 4, len(data), max(1, len(data) // 40)):
        damaged = bytearray(data)
        damaged[at] ^= 4
        with pytest.raises(DamagedChunk, match="a segment does not have its checksum"):
            codec.unpack_segment(bytes(damaged))
    with pytest.raises(DamagedChunk, match="unknown chunk format b'mb' 2"):
        codec.unpack_segment(b"mb" + data[2:])


@pytest.mark.parametrize("count", [1, 15, 16, 511, 512, 4096])
@pytest.mark.parametrize("shape", ["regular", "noise", "wild"])
def test_long_segments_give_back_every_bit(count, shape):
    draw = np.random.default_rng(count)
    steps = np.arange(count) if shape == "regular" else np.sort(draw.integers(-(2**63), 2**63 - 1, count))
    stamps = 1_760_000_000_000 + 250 * np.arange(count)
    if shape != "regular":
        stamps = draw.integers(0, 2**63 - 1, count) if shape == "wild" else np.cumsum(draw.integers(1, 70_000, count))
    values = draw.integers(-(2**63), 2**63 - 1, count).view(np.float64) if shape == "wild" else draw.normal(size=count)
    values[np.isnan(values)] = np.nan  # random bits may be a NaN that signals
    series = Points(np.empty(0, np.int32), steps, stamps, codec.clean_values(values))
    data = codec.pack_segment(series)
    back = codec.unpack_segment(data)
    assert back.steps.tolist() == steps.tolist()
    assert back.stamps.tolist() == stamps.tolist()
    assert back.values.view(np.int64).tolist() == series.values.view(np.int64).tolist()
    assert codec.stamp_span(data[: codec.SPAN_BYTES]) == (stamps.min(), stamps.max())


@settings(max_examples=60)
@given(
    count=st.sampled_from([1, 15, 16, 40, 600, 1500]),
    space=st.sampled_from([0, 1, 7, 2**33]),
    first=st.integers(-(2**40), 2**40),
    seed=st.integers(0, 99),
    flat=st.booleans(),
)
def test_the_value_at_a_step_is_read_without_unpacking_the_rest(count, space, first, seed, flat):
    drawn = np.random.default_rng(seed)
    steps = first + space * np.arange(count)
    values = np.round(drawn.random(count), 2) if flat else drawn.normal(size=count)
    values[drawn.integers(count)] = np.nan
    points = Points(np.empty(0, np.int32), steps, steps * 0 + 5, values)
    data = codec.pack_segment(points)
    for step in (first, first + 1, first + 3 * space, int(steps[-1]), int(steps[-1]) + 9):
        wanted = float(values[np.searchsorted(steps, step, "right") - 1])
        assert codec.value_at(data, step) == pytest.approx(wanted, abs=0, rel=0, nan_ok=True) or count < 16
    if count > 15:
        steps[-1] += 1
        assert codec.value_at(codec.pack_segment(points), first) is None
