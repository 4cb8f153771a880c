"""Production is never compared on rows it was trained on (reliability paper 5.2, E6: gates judge evidence)."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from deployments.models import ModelVersion
from deployments.pipeline import seen
from deployments.services import promotions
from experiments.training import seen as engine
from projects.pipeline import split_rows
from projects.services import splits
from tests.deployments.test_pipeline import ask, failed_advisory, register, train
from tests.factories.deployments import Team
from tests.factories.jobs import make_version as make_data

pytestmark = pytest.mark.slow
ROWS = 1500


def customers(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: random.normal(size=rows) for name in ("a", "b", "c")})
    return frame.assign(species=np.where(frame["a"] + random.normal(size=rows) > 0, "yes", "no"))


def live(team: Team, **spec: object) -> ModelVersion:
    first = ask(team, register(team, train(team, **spec)))
    promotions.decide(team.manager, request=first, verdict="approve", acknowledged=failed_advisory(first))
    return first.version


def test_rows_production_learned_from_are_left_out(team):
    data = customers()
    make_data(team.project, data)
    live(team, seed=0)
    request = ask(team, register(team, train(team, seed=1)))
    cut = {
        seed: train_test_split(np.arange(ROWS), test_size=0.2, random_state=seed, stratify=data["species"])
        for seed in (0, 1)
    }
    both = len(set(cut[0][0]) & set(cut[1][1]))
    result = request.evaluation.result
    assert (result["seen"]["excluded"], result["rows"]) == (both, len(cut[1][1]) - both)
    assert f"{both:,} of 300 rows are left out" in result["missing"][0]["why"]
    assert result["metrics"][0]["production"] is not None


def test_too_few_fair_rows_are_no_comparison_and_no_evidence(team):
    live(team, seed=0)
    request = ask(team, register(team, train(team, seed=1)))
    result = request.evaluation.result
    assert result["seen"]["excluded"] > 0
    assert "too few to compare on" in result["note"]
    assert result["metrics"][0]["production"] is None
    gate = request.gate_results.get(phase="request", name="metric_not_worse:roc_auc")
    assert not gate.passed
    assert "too few to compare on" in gate.found


def test_the_same_cut_is_fair_by_construction(team):
    live(team, seed=0)
    result = ask(team, register(team, train(team, "random_forest", seed=0))).evaluation.result
    assert result["seen"] == {"excluded": 0, "kept": 30, "why": ""}


def test_a_saved_split_is_looked_up_by_its_rows(team):
    data = make_data(team.project, customers())
    cut = {"kind": "stratified", "column": "species", "seed": 4}
    split_rows.cut_split(splits.save(team.scientist, version=data, name="holdout", recipe=cut).pk, worker="test")
    live(team, split="holdout")
    result = ask(team, register(team, train(team, seed=3))).evaluation.result
    assert result["seen"]["excluded"] > 0


def test_rows_that_changed_their_type_between_versions_are_found():
    held = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "__target__": [True, False, True], "more": [0, 0, 0]})
    learned = pd.DataFrame({"b": pd.Categorical(["x", None]), "a": [1.0, 2.0], "__target__": [1, 1]})
    assert engine.among(held, learned).tolist() == [True, False, False]


def test_a_client_model_in_production_is_said_loudly(team):
    candidate = register(team, train(team))
    foreign = ModelVersion(model=candidate.model, number=9)
    found = seen.leave_out(pd.DataFrame({"a": [1.0]}), candidate, foreign)
    assert (found.excluded, len(found.frame)) == (None, 1)
    assert "may have been trained on these rows" in found.why
