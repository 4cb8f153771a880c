"""The parts of an import that need neither a source nor a portal."""

import math
import random

import pytest

from mlportal.cli.importing.marks import Counts, done, fingerprint, read_done
from mlportal.cli.importing.mlflow_source import without_password
from mlportal.cli.importing.names import Names, clean_key
from mlportal.cli.importing.points import Sums, number, read, wire
from mlportal.cli.importing.progress import duration, size
from mlportal.cli.importing.runs import batches
from mlportal.cli.importing.things import Run, is_safe

POINTS = [("a", 1.0, 5, 0), ("a", 2.0, 6, 1), ("a", math.nan, 7, 2), ("b", math.inf, 5, -3), ("b", -0.0, 5, 9)]


def summed(points):
    sums = Sums()
    for point in points:
        sums.add(point)
    return sums


def test_order_of_points_does_not_matter():
    shuffled = POINTS.copy()
    random.Random(1).shuffle(shuffled)
    assert list(summed(POINTS).differences(summed(shuffled))) == []
    assert summed(shuffled).count == 5


def test_identical_neighbours_count_once_also_nan():
    assert summed([point for point in POINTS for _twice in range(2)]).count == 5


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (POINTS[1:], "metric a: 3 points in the source, 2 in the portal"),
        ([("a", 1.5, 5, 0), *POINTS[1:]], "metric a: 3 points on both sides, but not the same ones"),
        ([*POINTS[:-1], ("b", 0.0, 6, 9)], "metric b: 2 points on both sides, but not the same ones"),
        ([point for point in POINTS if point[0] == "a"], "metric b: 2 points in the source, 0 in the portal"),
    ],
)
def test_any_difference_of_points_is_seen(other, said):
    assert list(summed(POINTS).differences(summed(other))) == [said]


@pytest.mark.parametrize("value", [0.1, -1e300, math.inf, -math.inf, math.nan])
def test_numbers_survive_the_wire(value):
    there = read(number(value))
    assert there == value or (math.isnan(there) and math.isnan(value))
    assert wire(("k", value, 3, 4))["step"] == 4


def test_batches_hold_100_pairs_and_a_limited_length():
    assert [len(batch) for batch in batches({str(i): "v" for i in range(250)})] == [100, 100, 50]
    long = [len(batch) for batch in batches({str(i): "v" * 6000 for i in range(100)})]
    assert sum(long) == 100
    assert max(long) * 6000 <= 200_000
    assert list(batches({})) == []


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("loss/train", "loss/train"),
        ("ä b.c-d:e", "ä b.c-d:e"),
        ("odd?[0]", "odd__0_"),
        ("/a//b/", "a/b"),
        ("a/../b/./c", "a/b/c"),
        ("..", "_"),
        ("", "_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_keys_are_what_mlflow_takes(name, key):
    assert clean_key(name) == key


def test_keys_that_become_the_same_are_told_apart():
    names = Names()
    assert [names.of(name) for name in ("a?", "a!", "a?", "a_")] == ["a_", "a__2", "a_", "a__3"]


@pytest.mark.parametrize("path", ["", "/a", "a//b", "../a", "a/../b", "a/.", "a\0b"])
def test_unsafe_paths(path):
    assert not is_safe(path)


@pytest.mark.parametrize("path", ["a", "a/b.txt", "ü name+plus.bin", "..a/b..", "a\\b"])
def test_safe_paths(path):
    assert is_safe(path)


def test_mark_of_a_complete_run_can_be_read_back():
    mark = done("abc", Counts(runs=1, points=12, files=3, bytes=4567))
    assert read_done(mark) == ("abc", Counts(points=12, files=3, bytes=4567))
    assert read_done("") == ("", Counts())
    assert read_done("abc points=x files") == ("abc", Counts())


def test_any_change_of_a_run_changes_its_fingerprint():
    runs = [
        Run("1", "a"), Run("1", "b"), Run("1", "a", end=3), Run("1", "a", params={"x": "1"}),
        Run("1", "a", tags={"x": "1"}), Run("1", "a", latest={"x": 1.0}), Run("1", "a", latest={"x": math.nan}),
    ]  # fmt: skip
    assert len({fingerprint(run) for run in runs}) == len(runs)
    assert fingerprint(Run("1", "a")) == fingerprint(Run("2", "a", root="elsewhere"))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://ann:secret@ml.example.org/x/", "https://ml.example.org/x"),
        ("postgresql://ann:se@cret@db/mlflow", "postgresql://db/mlflow"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("/srv/mlruns", "/srv/mlruns"),
    ],
)
def test_passwords_are_not_kept(uri, shown):
    assert without_password(uri) == shown


def test_sizes_and_spans_for_people():
    assert [size(999), size(1500), size(2.5e9), size(3e15)] == ["999 B", "1.5 kB", "2.5 GB", "3000.0 TB"]
    assert [duration(5.4), duration(600), duration(8000)] == ["5 s", "10 min", "2.2 h"]
