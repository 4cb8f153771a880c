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
    "use": {"risk_class": "high", "intended_purpose": "Retention offers.", "out_of_scope_use": ""},
}


def test_compute_golden_vector():
    assert seal.compute(seal.snapshot(PARTS)) == "bf40899f6975cc2ac868609c8fe971bf564e2eac237c06ef87b9f6589cf0a219"


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


def test_a_part_that_was_not_sealed_cannot_have_changed():
    """Requests of an earlier release were sealed without the purpose of the model."""
    new = seal.snapshot(PARTS)
    old = json.dumps({name: value for name, value in json.loads(new).items() if name != "use"})
    assert seal.changed(old, new) == []
