"""Explanations of a version: asked for, computed by a worker, shown row by row, masked where marks say so."""

import json

import pytest

from deployments import pipeline, tasks
from deployments.models import Explanation
from deployments.services import explanations
from deployments.views.explained import importance
from mlportal.lib.errors import Conflict, Forbidden
from projects.models import Event
from tests.deployments.services.test_registry import tamper
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.deployments.test_pipeline import ask, register, train
from tests.factories.deployments import Team, make_version

RESULT = {
    "method": "linear", "scale": "log-odds", "why": "", "class": "yes", "columns": ["age", "plan"],
    "rows": [
        {"values": ["41", "basic"], "contributions": [0.1, -0.4], "base": 0.2, "output": -0.1, "prediction": "no"},
        {"values": ["63", "plus"], "contributions": [0.9, 0.3], "base": 0.2, "output": 1.4, "prediction": "yes"},
    ],
    "partial_dependence": [
        {"feature": "age", "kind": "numeric", "grid": [20.0, 60.0], "mean": [0.3, 0.7]},
        {"feature": "plan", "kind": "categorical", "grid": ["basic", "plus"], "mean": [0.4, 0.6]},
    ],
}  # fmt: skip


def explained(team: Team):
    version = make_version(team)
    Explanation.objects.create(version=version, state="succeeded", result=RESULT)
    return version


@pytest.mark.slow
def test_a_promotion_has_its_version_explained(team):
    request = ask(team, register(team, train(team)))
    work = Explanation.objects.get(version=request.version)
    assert work.state == "queued"
    tasks.explain_version(work.pk)
    work.refresh_from_db()
    assert work.state == "succeeded", work.failure
    assert work.result["method"] == "permutation"
    for row in work.result["rows"]:
        assert row["base"] + sum(row["contributions"]) == pytest.approx(row["output"])
    assert pipeline.explain_version(work.pk, worker="late") is False
    found = request.evaluation.result["explanations"]
    assert {row["feature"] for row in found["importance"]} == {"petal_l", "petal_w", "sepal_l", "sepal_w"}
    assert found["partial_dependence"][0]["kind"] == "numeric"


@pytest.mark.slow
def test_a_damaged_model_is_not_explained_and_can_be_asked_again(team):
    version = register(team, train(team, "dummy"))
    tamper(version.file("model/model.skops"))
    work = explanations.ask(team.scientist, version=version)
    assert pipeline.explain_version(work.pk, worker="test") is True
    work.refresh_from_db()
    assert work.state == "failed"
    assert "changed on disk" in work.failure
    assert explanations.ask(team.scientist, version=version).state == "queued"
    assert Event.objects.filter(verb="version.explanation_asked").count() == 2


def test_asking_twice_is_one_explanation(team):
    version = make_version(team)
    first = explanations.ask(team.scientist, version=version)
    assert explanations.ask(team.scientist, version=version) == first
    assert Event.objects.filter(verb="version.explanation_asked").count() == 1
    with pytest.raises(Forbidden):
        explanations.ask(team.viewer, version=version)
    version.origin, version.manifest = "mlflow", []
    with pytest.raises(Conflict):
        explanations.ask(team.scientist, version=version)


def test_the_page_shows_what_the_model_goes_by_before_anybody_asked(team):
    make_version(team)
    page = browser(team, "viewer").get("/p/churn/models/churn/v/1/")
    assert json.loads(page.context["explained"]["importance"]["bars"])["label"] == "age matters most."
    assert "Permutation importance" in page.content.decode()


def test_importance_is_sorted_and_leaves_out_what_is_none():
    good = [{"feature": "plan", "mean": 0.1, "std": 0.0}, {"feature": "age", "mean": 0.3, "std": 0.01}]
    bad = [3, {}, {"feature": 3, "mean": 1, "std": 0}, {"feature": "x", "mean": float("nan"), "std": 0},
           {"feature": "y", "mean": 1}, {"feature": "z", "mean": 10**400, "std": 0}]  # fmt: skip
    drawn = json.loads(importance([*bad, *reversed(good)])["bars"])
    assert (drawn["labels"], drawn["values"]) == (["plan", "age"], [0.1, 0.3])
    assert importance(bad) is None


def test_the_page_shows_one_row_at_a_time(team):
    explained(team)
    client = browser(team, "scientist")
    page = client.get("/p/churn/models/churn/v/1/")
    told = page.context["explained"]
    assert told["finding"] == "Row 1: plan moves the log-odds most, by -0.4."
    other = client.get("/p/churn/models/churn/v/1/?row=2").context["explained"]
    assert [(line["column"], line["value"]) for line in other["lines"]] == [("age", "63"), ("plan", "plus")]
    for wrong in ("0", "3", "x", "9" * 30):
        assert client.get(f"/p/churn/models/churn/v/1/?row={wrong}").context["explained"]["number"] == 1
    assert "Coefficient" not in page.content.decode()
    assert b"Exact for a linear model" in client.get("/p/churn/models/churn/v/1/explain/").content


def test_values_of_marked_columns_are_masked_for_those_who_may_not_see_them(team):
    version = explained(team)
    dataset = version.dataset_version.dataset
    dataset.marks = {"age": "sensitive"}
    dataset.save(update_fields=["marks"])
    path = "models/churn/versions/1/explanation/"
    seen = Api(team, "viewer", "read").get(path).json()["result"]
    assert [row["values"] for row in seen["rows"]] == [["•••", "basic"], ["•••", "plus"]]
    assert [curve["feature"] for curve in seen["partial_dependence"]] == ["plan"]
    whole = browser(team, "scientist").get("/p/churn/models/churn/v/1/").context["explained"]
    assert {line["value"] for line in whole["lines"]} == {"41", "basic"}
    page = browser(team, "viewer").get("/p/churn/models/churn/v/1/?row=2").content.decode()
    assert "63" not in page[page.index('id="explain"') : page.index("Numbers of 2 columns")]


def test_ask_over_the_api_and_the_page(team):
    make_version(team)
    path = "models/churn/versions/1/explanation/"
    assert Api(team, "viewer", "read").get(path).json()["state"] == "none"
    assert Api(team, "viewer", "read").post(path).status_code == 403
    answer = Api(team, "scientist", "register").post(path)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    client = browser(team, "scientist")
    assert b"Waits for a worker" in client.get("/p/churn/models/churn/v/1/").content
    assert client.post("/p/churn/models/churn/v/1/explain/")["Location"] == "/p/churn/models/churn/v/1/#explain"
