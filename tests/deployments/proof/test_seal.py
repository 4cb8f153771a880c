import json

import pytest

from deployments.proof import seal

PARTS = {
    "model": 4,
    "version": 15,
    "manifest_sha256": "a" * 64,
    "dataset_sha256": "b" * 64,
    "metrics": {"roc_auc": 0.8792},
    "gates": [{"kind": "run_succeeded", "level": "blocking"}],
    "results": [{"name": "run_succeeded", "passed": True}],
    "policy": {"number": 1, "min_approvals": 1},
    "card": {"number": 2, "texts_sha256": "c" * 64},
    "environment": "production",
    "endpoint": {"name": "churn-production", "revision": 3},
}


def test_compute_golden_vector():
    assert seal.compute(seal.snapshot(PARTS)) == "a940e462a3149da45e548748b0ae6aa8b751c7a16c487a52697277e15bdb673f"


def test_compute_does_not_depend_on_key_order():
    backwards = dict(reversed(PARTS.items()))
    assert seal.snapshot(backwards) == seal.snapshot(PARTS)


@pytest.mark.parametrize("name", seal.PARTS)
def test_every_part_changes_the_seal(name):
    old, new = seal.snapshot(PARTS), seal.snapshot({**PARTS, name: "changed"})
    assert seal.compute(old) != seal.compute(new)
    assert seal.changed(old, new) == [name]


def test_a_snapshot_from_before_cards_were_sealed_is_not_overtaken_by_one():
    old = json.dumps({name: value for name, value in json.loads(seal.snapshot(PARTS)).items() if name != "card"})
    assert seal.changed(old, seal.snapshot(PARTS)) == []


def test_snapshot_refuses_a_missing_or_unknown_part():
    with pytest.raises(ValueError, match="covers"):
        seal.snapshot({name: value for name, value in PARTS.items() if name != "policy"})
    with pytest.raises(ValueError, match="covers"):
        seal.snapshot({**PARTS, "mood": "good"})
