"""The REST routes of models, promotions and endpoints by token."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from deployments.models import PromotionRequest
from experiments.models import Run
from tests.factories.deployments import (
    Team,
    environment,
    evaluate,
    make_live,
    make_request,
    make_team,
    make_trained_run,
    make_version,
    result,
)
from tests.factories.projects import make_token, make_user

REASON = "Errors doubled after the switch."


class Api:
    """A client with a token of one person."""

    def __init__(self, team: Team, role: str, *scopes: str) -> None:
        token = make_token(team.people[role], team.project, list(scopes))
        self.client = Client(headers={"Authorization": f"Bearer {token}"})
        self.base = f"/api/v1/projects/{team.project.slug}"

    def get(self, path: str, **params: str):
        return self.client.get(f"{self.base}/{path}", params)

    def send(self, method: str, path: str, body: object = None, **headers: str):
        call = getattr(self.client, method)
        return call(f"{self.base}/{path}", body or {}, content_type="application/json", headers=headers)

    def post(self, path: str, body: object = None, **headers: str):
        return self.send("post", path, body, **headers)


def test_the_line_by_token_alone(team):
    run = make_trained_run(team)
    scientist = Api(team, "scientist", "read", "register")
    version = scientist.post("models/churn/versions/", {"run": run.pk})
    assert version.status_code == 201
    assert (version.json()["number"], version.json()["dataset"]) == (1, "customers v1")
    assert scientist.get("models/").json()["results"][0]["name"] == "churn"
    assert scientist.get("models/churn/").json()["created_by"] == "churn-scientist"
    assert scientist.get("models/churn/versions/").json()["results"][0]["metrics"] == {"roc_auc": 0.88, "f1": 0.7}
    assert len(scientist.get("models/churn/versions/1/").json()["manifest"]) == 4
    assert scientist.post("models/churn/versions/1/verify/").json()["damaged"] == []
    ask = {"model": "churn", "version": 1, "environment": "production", "reason": "Better on recent customers."}
    request = scientist.post("promotions/", ask)
    assert (request.status_code, request.json()["state"], request.json()["evaluated"]) == (201, "pending", False)
    number = request.json()["id"]
    evaluate(PromotionRequest.objects.get(pk=number))
    assert scientist.post(f"promotions/{number}/decide/", {"verdict": "approve"}).status_code == 403
    manager = Api(team, "manager", "read", "approve")
    decided = manager.post(f"promotions/{number}/decide/", {"verdict": "approve", "comment": "Good."})
    assert (decided.status_code, decided.json()["state"]) == (200, "approved")
    assert decided.json()["decisions"][0]["user"] == "churn-manager"
    assert {gate["passed"] for gate in decided.json()["gates"]} == {True}
    ops = Api(team, "ops", "read", "deploy")
    endpoint = ops.get("endpoints/churn-production/").json()
    assert (endpoint["version"], endpoint["revision"], endpoint["enabled"]) == (1, 1, True)
    assert ops.get("endpoints/").json()["results"] == [endpoint]
    assert ops.get("endpoints/churn-production/revisions/").json()["results"][0]["promotion"] == number


def test_ops_by_token(team):
    make_live(team)
    make_live(team)
    ops = Api(team, "ops", "read", "deploy", "admin")
    base = "endpoints/churn-production"
    assert ops.post(f"{base}/rollback/", {"reason": "x"}).status_code == 400
    assert ops.post(f"{base}/rollback/", {"reason": REASON, "version": 9}).status_code == 404
    assert ops.post(f"{base}/rollback/", {"reason": REASON}).json()["version"] == 1
    assert ops.post(f"{base}/rollback/", {"reason": REASON, "version": 2}).json()["version"] == 2
    assert ops.post(f"{base}/disable/", {"reason": REASON}).json()["enabled"] is False
    assert ops.post(f"{base}/enable/").json()["enabled"] is True
    assert ops.post(f"{base}/enable/").status_code == 409
    assert ops.send("patch", f"{base}/", {"log_mode": "none"}).json()["log_mode"] == "none"
    assert ops.send("patch", f"{base}/", {"log_mode": "x"}).status_code == 400
    assert ops.send("put", f"{base}/automations/", {"trigger": "drift"}).json()["cooldown_hours"] == 24
    assert ops.get(f"{base}/automations/").json()["results"][0]["owner"] == "churn-ops"


def test_admin_by_token(team):
    make_live(team)
    request = make_request(team, found=result(auc=0.5, production=0.87))
    admin = Api(team, "admin", "read", "admin", "register")
    body = {"gate": "metric_not_worse:roc_auc", "reason": "The old metric counted test accounts."}
    assert admin.post(f"promotions/{request.pk}/override/", body).status_code == 200
    assert admin.get("environments/production/policy/").json()["min_approvals"] == 1
    changed = admin.send("patch", "environments/production/policy/", {"min_approvals": 2})
    assert (changed.json()["state"], changed.json()["number"]) == ("active", 2)
    second = make_user("ada2", role="admin", project=team.project)
    team.people["admin2"] = second
    proposed = admin.send("patch", "environments/production/policy/", {"min_approvals": 3}).json()
    where = f"environments/production/policy/{proposed['number']}/confirm/"
    assert (proposed["state"], admin.post(where).status_code) == ("proposed", 403)
    assert Api(team, "admin2", "admin").post(where).json()["state"] == "active"
    assert [row["name"] for row in admin.get("environments/").json()["results"]] == ["production", "staging"]
    assert admin.send("put", "models/churn/aliases/best/", {"version": 1}).json()["version"] == 1
    assert admin.get("models/churn/aliases/").json()["results"][0]["name"] == "best"
    assert admin.send("put", "models/churn/aliases/production/", {"version": 1}).json()["code"] == "governed_pointer"
    assert admin.send("delete", "models/churn/aliases/best/").status_code == 204
    assert admin.send("patch", "models/churn/", {"description": "Who leaves."}).json()["description"] == "Who leaves."


def test_refusals_are_problems_that_name_the_field(team):
    make_version(team)
    by = Api(team, "scientist", "read", "register")
    ask = {"model": "churn", "version": 1, "environment": "production", "reason": "Better on recent customers."}
    for change, status, field in (
        ({"model": "nothing"}, 404, "version"),
        ({"version": 7}, 404, "version"),
        ({"version": "x"}, 400, "version"),
        ({"environment": "moon"}, 404, "environment"),
        ({"reason": "short"}, 400, "reason"),
        ({"reason": None}, 400, "reason"),
    ):
        answer = by.post("promotions/", {**ask, **change})
        assert (answer.status_code, answer.json()["field"]) == (status, field), change
        assert answer["Content-Type"] == "application/problem+json"
    assert by.post("models/churn/versions/", {"run": 10**9}).status_code == 404
    bad_name = by.post("models/a:b/versions/", {"run": Run.objects.get().pk})
    assert (bad_name.status_code, bad_name.json()["field"]) == (400, "model_name")
    assert by.get("promotions/", state="nothing").status_code == 400
    assert by.get("promotions/999/").status_code == 404
    assert by.get("models/churn/versions/99999999999999999999/").status_code == 404
    late = by.post("promotions/", ask)
    again = by.post("promotions/", ask)
    assert (late.status_code, again.status_code, again.json()["got"]) == (201, 409, late.json()["id"])


def test_an_idempotency_key_makes_one_request_and_one_answer(team):
    make_version(team)
    by = Api(team, "scientist", "read", "register")
    ask = {"model": "churn", "version": 1, "environment": "production", "reason": "Better on recent customers."}
    headers = {"Idempotency-Key": "once"}
    first, second = by.post("promotions/", ask, **headers), by.post("promotions/", ask, **headers)
    assert first.json()["id"] == second.json()["id"]
    assert PromotionRequest.objects.count() == 1


def test_scopes_and_foreign_projects(team):
    make_live(team)
    request = make_request(team)
    for scope, path, body in (
        ("read", f"promotions/{request.pk}/decide/", {"verdict": "approve"}),
        ("read", "endpoints/churn-production/rollback/", {"reason": REASON}),
        ("read", "models/churn/versions/", {"run": 1}),
        ("approve", "promotions/", {}),
    ):
        assert Api(team, "manager", scope).post(path, body).status_code == 403, path
    other = make_team("other")
    stranger = Api(other, "admin", "read", "admin")
    stranger.base = "/api/v1/projects/churn"
    for path in ("models/", "promotions/", f"promotions/{request.pk}/", "endpoints/", "environments/"):
        assert stranger.get(path).status_code == 404
    assert Client().get("/api/v1/projects/churn/models/").status_code == 401


@pytest.mark.parametrize("path", ["models/", "models/churn0/versions/", "promotions/", "endpoints/", "environments/"])
def test_lists_take_the_same_queries_for_one_and_three(team, path):
    by = Api(team, "viewer", "read")
    run = make_trained_run(team)
    environment(team)
    by.get("promotions/")  # the first use of a token is written down
    taken = []
    for turn in range(3):
        make_live(team, version=make_version(team, model=f"churn{turn}", run=run))
        with CaptureQueriesContext(connection) as seen:
            assert by.get(path).status_code == 200
        taken.append(len(seen))
    assert taken[0] == taken[2]
    assert taken[0] <= 8


def test_the_whole_review_as_json(team):
    make_live(team)
    request = make_request(team, found=result(auc=0.9, production=0.87, missing=[{"part": "fairness", "why": "none"}]))
    found = Api(team, "viewer", "read").get(f"promotions/{request.pk}/evidence/").json()
    assert found["verdict"]["headline"].startswith("Better than production: ROC AUC +0.03 (+0.02 to +0.04)")
    assert found["evaluation"]["state"] == "succeeded"
    assert found["result"]["metrics"][0]["metric"] == "roc_auc"
    assert found["missing"] == [{"part": "fairness", "why": "none"}]
    assert {part["part"] for part in found["changes"]} == {"parameters", "data", "code", "packages"}
    assert len(found["gates"]) == request.gate_results.filter(phase="request").count()
    assert found["seal"] == request.seal


def test_a_failed_evaluation_is_measured_again(team):
    request = make_request(team, evaluated=False)
    evaluate(request, failure="The file model/model.skops has changed on disk.")
    by = Api(team, "scientist", "register")
    answer = by.post(f"promotions/{request.pk}/retry/")
    assert answer.status_code == 202
    assert (answer.json()["evaluation"]["state"], answer.json()["seal"], answer.json()["gates"]) == ("queued", "", [])
    again = by.post(f"promotions/{request.pk}/retry/")
    assert (again.status_code, again.json()["code"]) == (409, "evaluation_not_failed")
    evaluate(request)
    request.refresh_from_db()
    assert request.seal
    assert Api(team, "viewer", "read").post(f"promotions/{request.pk}/retry/").status_code == 403
