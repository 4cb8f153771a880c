import pytest

from deployments.proof import manifest
from deployments.proof.manifest import File
from mlportal.lib.errors import Invalid

A = File("model/model.skops", "a" * 64, 10)
B = File("metrics.json", "b" * 64, 2)
PROVENANCE = {"run": "r1", "dataset_sha256": "d" * 64}


def test_build_sorts_by_path():
    assert manifest.build([A, B]) == [
        {"path": "metrics.json", "sha256": "b" * 64, "size_bytes": 2},
        {"path": "model/model.skops", "sha256": "a" * 64, "size_bytes": 10},
    ]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([], "no_files"),
        ([A, A], "path_twice"),
        ([File("../x", "a" * 64, 1)], "bad_path"),
        ([File("/x", "a" * 64, 1)], "bad_path"),
        ([File("", "a" * 64, 1)], "bad_path"),
        ([File("x", "A" * 64, 1)], "bad_sha256"),
        ([File("x", "a" * 64, -1)], "bad_size"),
    ],
)
def test_build_refuses(files, code):
    with pytest.raises(Invalid) as caught:
        manifest.build(files)
    assert caught.value.code == code


def test_digest_golden_vector():
    assert manifest.digest(manifest.build([A, B]), PROVENANCE) == (
        "a78610f80beea0b0aeb9e55cc00a81bfb4eee915bad407892bd2db0331b8ed1e"
    )


def test_digest_does_not_depend_on_order_but_on_every_field():
    rows = manifest.build([A, B])
    whole = manifest.digest(rows, PROVENANCE)
    assert manifest.digest(rows[::-1], PROVENANCE) == whole
    changed = [
        manifest.digest(manifest.build([File("model/model.skops", "c" * 64, 10), B]), PROVENANCE),
        manifest.digest(manifest.build([File("model/model.skops", "a" * 64, 11), B]), PROVENANCE),
        manifest.digest(manifest.build([File("model/other.skops", "a" * 64, 10), B]), PROVENANCE),
        manifest.digest(rows, {**PROVENANCE, "run": "r2"}),
        manifest.digest(rows[:1], PROVENANCE),
    ]
    assert len({whole, *changed}) == 6
