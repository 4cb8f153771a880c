"""Parameter importance: the engine against scikit-learn, the study from question to answer, refusals."""

import random

import numpy as np
import pytest
from django.test import Client
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from experiments.models import ImportanceStudy
from experiments.pipeline import importance as pipeline
from experiments.training import param_importance
from mlportal.lib import lease
from projects.models import Event
from tests.factories.experiments import log, make_experiment, make_run
from tests.factories.projects import make_project, make_user

BASE = "/p/churn/experiments/churn-gbm/compare/"


def rows(count=60):
    drawn = random.Random(5)
    params = [
        {"depth": str(drawn.randint(2, 9)), "kind": drawn.choice("abc"), "seed": str(drawn.random()), "same": "1"}
        for _ in range(count)
    ]  # fmt: skip
    target = [int(p["depth"]) * 1.0 + {"a": 0.0, "b": 0.5, "c": 1.0}[p["kind"]] for p in params]
    return params, target


def test_the_engine_gives_what_scikit_learn_gives():
    params, target = rows()
    found = param_importance.study(params, target)
    table = np.array([[float(p["depth"]), "abc".index(p["kind"]), float(p["seed"])] for p in params])
    forest = RandomForestRegressor(200, oob_score=True, random_state=17, min_samples_leaf=2).fit(table, target)
    oracle = permutation_importance(forest, table, target, n_repeats=20, random_state=17, scoring="r2")
    assert [p["name"] for p in found["params"]] == ["depth", "kind", "seed"]
    np.testing.assert_allclose([p["mean"] for p in found["params"]], oracle.importances_mean)
    np.testing.assert_allclose([p["std"] for p in found["params"]], oracle.importances_std)
    assert found["oob"] == pytest.approx(forest.oob_score_)


def test_the_sign_of_the_correlation_is_told_for_numbers_only():
    params, target = rows()
    found = {p["name"]: p for p in param_importance.study(params, [-t for t in target])["params"]}
    assert found["depth"]["correlation"] < -0.9
    assert found["kind"]["correlation"] is None


def test_missing_and_odd_values_have_a_place_of_their_own():
    np.testing.assert_array_equal(param_importance.encoded(["3", None, "1"]), [3.0, 0.0, 1.0])
    np.testing.assert_array_equal(param_importance.encoded(["b", None, "7"]), [1.0, -1.0, 0.0])


@pytest.fixture
def web(db):
    project = make_project()
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=project))
    experiment = make_experiment(project)
    for at, (params, value) in enumerate(zip(*rows(24), strict=True)):
        log(make_run(experiment, f"r{at}", params=params), "roc_auc", [value / 10])
    return client


def test_a_study_is_asked_computed_once_and_shown(web, django_capture_on_commit_callbacks):
    asked = {"state": "im=roc_auc"}
    with django_capture_on_commit_callbacks():
        assert web.post(f"{BASE}importance/", asked)["Location"] == f"{BASE}?im=roc_auc"
        web.post(f"{BASE}importance/", asked)
    study = ImportanceStudy.objects.get()
    assert (study.state, len(study.run_ids)) == ("queued", 24)
    assert 'hx-trigger="every 2s"' in web.get(f"{BASE}importance/").content.decode()
    assert pipeline.execute(study.pk, worker="test") == "succeeded"
    assert pipeline.execute(study.pk, worker="test") == "not claimed"
    page = web.get(f"{BASE}importance/?q=depth>0").content.decode()
    assert "depth matters most for ROC AUC over 24 runs; out-of-bag score 0." in page
    assert "not what causes it" in page
    assert "<script" not in page  # htmx takes script elements out of what it swaps in
    assert '<div id="d-importance" hidden>{&quot;kind&quot;: &quot;bars&quot;' in page
    assert Event.objects.filter(verb="importance.asked").count() == 1


def test_a_run_that_changed_makes_another_question(web):
    web.post(f"{BASE}importance/", {"state": ""})
    study = ImportanceStudy.objects.get()
    log(make_run(study.experiment, "new", params={"depth": "3"}), "roc_auc", [0.1])
    assert "Compute importance" in web.get(f"{BASE}importance/").content.decode()
    ImportanceStudy.objects.update(key="0" * 64)
    assert pipeline.execute(study.pk, worker="test") == "changed"
    study.refresh_from_db()
    assert (study.state, study.failure) == ("failed", pipeline.CHANGED)


def test_few_runs_and_lost_claims_are_refused(web, monkeypatch):
    answer = web.post(f"{BASE}importance/", {"state": "q=depth:2"})
    assert (answer.status_code, "at least 20 are needed" in answer.content.decode()) == (400, True)
    web.post(f"{BASE}importance/", {"state": ""})
    study = ImportanceStudy.objects.get()
    held = lease.claim(ImportanceStudy.objects.all(), study.pk, worker="a")
    ImportanceStudy.objects.update(fence=9)
    question = pipeline._question(study)
    assert pipeline._compute(held, question) == (None, "The claim was lost.")
