"""What clients upload as a pickle is kept and handed out, and nothing of ours ever opens it."""

import json
import pickle
import sys

import pytest
from django.db import transaction

from deployments import gates, pipeline
from deployments.models import Evaluation, ModelVersion, PromotionRequest
from deployments.pipeline import evaluation
from deployments.services import deciders, endpoints, holds, promotions
from experiments.models import Artifact, LoggedModel
from mlportal.lib.errors import Conflict, Unprocessable
from mlportal.lib.modelfile import ModelRefused
from tests.deployments.mlflow.calls import MLMODEL, PICKLED, SKOPS, Caller, client_run, logged_model
from tests.factories.deployments import environment, make_live, make_request

REASON = "Better on recent customers."
EXAMPLE = {"serving_input_example.json": b'{"dataframe_split": {"columns": ["age", "plan"], "data": [[31, "plus"]]}}'}


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return exec, ("import sys; sys.modules['unpickled_cargo'] = sys",)


@pytest.fixture
def bomb(monkeypatch) -> bytes:
    monkeypatch.delitem(sys.modules, "unpickled_cargo", raising=False)
    made = pickle.dumps(Bomb())
    pickle.loads(made)
    assert sys.modules.pop("unpickled_cargo") is sys
    return made


def cargo(team, files: dict[str, bytes]) -> ModelVersion:
    caller = Caller(team)
    caller.model("m")
    logged = logged_model(team, files)
    caller.version("m", f"models:/{logged.uuid}", model_id=logged.uuid)
    return ModelVersion.objects.select_related("model__project", "run", "logged_model").get(model__name="m")


@pytest.mark.parametrize(
    ("files", "word"),
    [
        (PICKLED, "needs a safe format"),
        ({**PICKLED, "sub/model.skops": b"x"}, "needs a safe format"),
        ({"MLmodel": b"flavors: {}", "model.skops": b"x", **EXAMPLE}, "no schema of named input columns"),
        (SKOPS, "no rows to try it on"),
        ({}, "no files in the portal"),
    ],
)
def test_a_version_that_cannot_be_served_is_not_promoted_and_says_why(team, files, word):
    version = cargo(team, files)
    with pytest.raises(Conflict) as caught:
        promotions.request(team.scientist, version=version, environment=environment(team), reason=REASON)
    assert caught.value.code == "not_servable"
    assert word in caught.value.message
    assert not PromotionRequest.objects.exists()


def test_pages_and_api_refuse_it_too(team):
    version = cargo(team, PICKLED)
    caller = Caller(team)
    caller.client.force_login(team.people["scientist"])
    page = caller.client.get("/p/churn/models/m/v/1/").content.decode()
    assert "needs a safe format" in page
    assert "Request promotion" not in page
    form = {"environment": environment(team).pk, "reason": REASON}
    answer = caller.client.post("/p/churn/models/m/v/1/request/", form)
    assert (answer.status_code, "needs a safe format" in answer.content.decode()) == (422, True)
    body = {"model": "m", "version": 1, "environment": "production", "reason": REASON}
    api = caller.client.post(
        "/api/v1/projects/churn/promotions/", json.dumps(body), content_type="application/json", headers=caller.headers
    )
    assert (api.status_code, api.json()["code"]) == (409, "not_servable")
    assert version.promotion_requests.count() == 0


def test_no_door_opens_an_uploaded_pickle(team, bomb):
    version = cargo(team, {**PICKLED, "model.pkl": bomb, "python_model.pkl": bomb})
    caller = Caller(team)
    caller.client.force_login(team.people["scientist"])
    key = {"name": "m", "version": "1"}
    caller.ok("GET", "model-versions/get", **key)
    caller.ok("GET", "model-versions/get-download-uri", **key)
    caller.ok("POST", "model-versions/transition-stage", {**key, "stage": "Staging"})
    caller.version("m", "models:/m/1")
    for page in ("/p/churn/models/", "/p/churn/models/m/", "/p/churn/models/m/v/1/", "/p/churn/models/m/v/2/"):
        assert caller.client.get(page).status_code == 200
    assert caller.client.post("/p/churn/models/m/v/1/verify/").status_code == 303
    with pytest.raises(Unprocessable) as caught:
        evaluation._model(version)
    assert caught.value.code == "no_model"
    assert "unpickled_cargo" not in sys.modules


def test_a_pickle_that_calls_itself_skops_is_refused_by_whoever_loads_models(team, bomb):
    version = cargo(team, {"MLmodel": MLMODEL, "model.skops": bomb, **EXAMPLE})
    assert gates.cargo(version) == ""
    with pytest.raises(ModelRefused):
        evaluation._model(version)
    assert "unpickled_cargo" not in sys.modules


def test_even_a_forced_request_is_not_evaluated_approved_or_switched(team):
    request = make_request(team)
    cargo_version = cargo(team, PICKLED)
    forced = PromotionRequest.objects.get(pk=request.pk)
    forced.pk, forced.version, forced.state, forced.decided_by = None, cargo_version, "approved", team.people["manager"]
    forced.save(force_insert=True)
    held = PromotionRequest.objects.with_subject().get(pk=forced.pk)
    with pytest.raises(Conflict):
        endpoints.switch(team.ops, request=held)
    assert pipeline.evaluate_request(Evaluation.objects.create(request=held).pk, worker="test")
    assert "needs a safe format" in Evaluation.objects.get(request=held).failure


def test_rollback_never_goes_to_cargo(team):
    endpoint = make_live(team)
    make_live(team)
    version = endpoint.current_revision.version
    ModelVersion.objects.filter(pk=version.pk).update(origin="mlflow")
    endpoint.refresh_from_db()
    with pytest.raises(Conflict) as caught:
        endpoints.rollback(team.ops, endpoint=endpoint, reason="Errors doubled after the switch.")
    assert caught.value.code == "not_servable"


def test_whoever_uploaded_a_file_of_a_clients_version_does_not_decide(team):
    version = cargo(team, {**SKOPS, **EXAMPLE})
    assert gates.cargo(version) == ""
    Artifact.objects.filter(logged_model=version.logged_model).update(created_by=team.people["manager"])
    LoggedModel.objects.update(created_by=team.people["manager2"])
    made = promotions.request(team.scientist2, version=version, environment=environment(team), reason=REASON)
    reasons = {person.username: why for person, why in deciders.involved(holds_locked(made)) if person}
    assert reasons["churn-manager"] == "uploaded a file of this version"
    assert reasons["churn-manager2"] == "logged the model of this version"


def holds_locked(request: PromotionRequest) -> PromotionRequest:
    with transaction.atomic():
        return holds.lock(request)


def test_pages_of_a_version_without_a_run(team):
    caller = Caller(team)
    caller.model("far", description="**Bold** text", tags=[{"key": "team", "value": "a<b"}])
    caller.version("far", "s3://bucket/m", run_id="of-another-server", description="Seen *elsewhere*.")
    caller.version("far", "s3://bucket/n", tags=[{"key": "note", "value": "hello"}])
    key = {"name": "far", "version": "2"}
    caller.ok("POST", "model-versions/transition-stage", {**key, "stage": "Staging"})
    caller.ok("POST", "registered-models/alias", {**key, "alias": "best"})
    caller.client.force_login(team.people["scientist"])
    page = caller.client.get("/p/churn/models/far/v/1/").content.decode()
    for word in ("s3://bucket/m", "of-another-server", "<em>elsewhere</em>", "No file in the portal"):
        assert word in page
    page = caller.client.get("/p/churn/models/far/v/2/").content.decode()
    for word in ("label of clients, moves nothing", "best", "note", "hello", "not recorded"):
        assert word in page
    page = caller.client.get("/p/churn/models/far/").content.decode()
    assert "a&lt;b" in page
    assert caller.client.get("/p/churn/models/").status_code == 200
    api = caller.client.get("/api/v1/projects/churn/models/far/versions/2/", headers=caller.headers).json()
    assert (api["run"], api["origin"], api["stage"], api["source"]) == (None, "mlflow", "Staging", "s3://bucket/n")


def test_pages_of_a_version_of_a_run(team):
    caller = Caller(team)
    caller.model("near")
    run = client_run(team)
    caller.version("near", f"runs:/{run.uuid}/model", run_id=run.uuid)
    caller.client.force_login(team.people["viewer"])
    page = caller.client.get("/p/churn/models/near/v/1/").content.decode()
    for word in ("sklearn 1.9.1", f"/p/churn/runs/{run.pk}/", "model.pkl", "age", "Registered by an MLflow client"):
        assert word in page
