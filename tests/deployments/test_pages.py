"""Every page of models, promotions and deployments: who sees what, what a form changes, how many queries it takes."""

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.models import Automation, Endpoint, ModelVersion, PromotionRequest
from deployments.services import policies
from deployments.views.evidence import Evidence
from monitoring.models import Incident
from projects.models import Event
from tests.deployments.services.test_registry import tamper
from tests.deployments.test_api import Api
from tests.factories.deployments import (
    Team,
    difference,
    environment,
    evaluate,
    make_live,
    make_request,
    make_trained_run,
    make_version,
    result,
)
from tests.factories.monitoring import make_alert, make_rule
from tests.factories.projects import make_user

REASON = "Errors doubled after the switch."


def browser(team: Team, role: str) -> Client:
    client = Client()
    client.force_login(team.people[role])
    return client


def addresses(team: Team, request: PromotionRequest, endpoint: Endpoint) -> list[str]:
    base = f"/p/{team.project.slug}"
    return [
        f"{base}/models/", f"{base}/models/churn/", f"{base}/models/churn/v/1/", f"{base}/promotions/",
        f"{base}/promotions/{request.pk}/", f"{base}/promotions/{request.pk}/progress/", f"{base}/deployments/",
        f"{base}/deployments/{endpoint.name}/", f"{base}/settings/policies/",
    ]  # fmt: skip


def test_each_role_reads_each_page_and_an_outsider_none(team):
    endpoint = make_live(team)
    request = make_request(team)
    stranger = Client()
    stranger.force_login(make_user("stranger"))
    for address in addresses(team, request, endpoint):
        for role in ("viewer", "scientist", "manager", "ops", "admin"):
            assert browser(team, role).get(address).status_code == 200, (role, address)
        assert stranger.get(address).status_code == 404, address


def test_pages_of_an_empty_project_say_what_to_do(team):
    client = browser(team, "scientist")
    for name, words in (
        ("models/", b"No model yet"), ("promotions/", b"No promotion here"), ("deployments/", b"No endpoint yet"),
        ("settings/policies/", b"No environment yet"),
    ):  # fmt: skip
        assert words in client.get(f"/p/churn/{name}").content


def test_register_by_form(team):
    run = make_trained_run(team)
    client = browser(team, "scientist")
    page = client.get(f"/p/churn/models/register/run/?run={run.pk}")
    assert page.context["form"].initial == {"run": run.pk, "model_name": "churn-gbm"}
    answer = client.post("/p/churn/models/register/run/", {"run": run.pk, "model_name": "churn", "description": ""})
    assert (answer.status_code, answer["Location"]) == (303, "/p/churn/models/churn/v/1/")
    again = client.post("/p/churn/models/register/run/", {"run": run.pk, "model_name": "churn"})
    assert again.status_code == 422
    assert f"Run {run.pk} is churn v1 already." in again.content.decode()
    for bad in (
        {"run": 10**9, "model_name": "x"},
        {"run": "x", "model_name": "x"},
        {"run": run.pk, "model_name": "a/b"},
    ):
        assert client.post("/p/churn/models/register/run/", bad).status_code == 422
    assert browser(team, "viewer").get("/p/churn/models/register/run/").status_code == 403


def test_ask_on_the_version_page(team):
    version = make_version(team)
    place = environment(team)
    client = browser(team, "scientist2")
    address = "/p/churn/models/churn/v/1/request/"
    refused = client.post(address, {"environment": place.pk, "reason": "short"})
    assert refused.status_code == 422
    assert b"at least 10 characters" in refused.content
    answer = client.post(address, {"environment": place.pk, "reason": "Better on recent customers."})
    request = PromotionRequest.objects.get(version=version)
    assert (answer.status_code, answer["Location"]) == (303, f"/p/churn/promotions/{request.pk}/")
    assert client.post(address, {"environment": place.pk, "reason": "Better on recent customers."}).status_code == 422
    page = client.get(answer["Location"]).content.decode()
    assert "churn v1 to production" in page
    assert "v1 is being measured." in page
    progress = client.get(f"/p/churn/promotions/{request.pk}/progress/")
    assert "HX-Refresh" not in progress
    evaluate(request)
    assert client.get(f"/p/churn/promotions/{request.pk}/progress/")["HX-Refresh"] == "true"
    assert browser(team, "viewer").post(address, {"environment": place.pk, "reason": "x" * 20}).status_code == 403


def test_the_review_says_what_is_true(team):
    make_live(team)
    found = result(auc=0.8792, production=0.8711)
    found["metrics"][0] |= {"low": 0.003, "high": 0.012}
    found["metrics"][1] = difference("f1", 0.5, 0.7)
    request = make_request(team, found=found)
    review = browser(team, "manager").get(f"/p/churn/promotions/{request.pk}/").context["review"]
    assert review.headline == (
        "Better than production: ROC AUC +0.0081 (+0.003 to +0.012) on 100 frozen rows; 1 of 9 gates needs reading."
    )
    assert review.summary == ("Advisory: F1 not worse than production (−0.2). Got worse: F1.")
    assert [(item.label, item.value, item.change) for item in review.numbers] == [
        ("ROC AUC ↑", "0.8792", "+0.0081"), ("F1 ↑", "0.5", "−0.2"), ("Predict p99 ↓", "12 ms", ""),
    ]  # fmt: skip
    row = review.rows[0]
    assert (row.interval.low, row.interval.mid, row.interval.high, row.interval.tone) == (61.0, 79.7, 94.0, "ok")


def rates(selected: float, tpr: float | None) -> dict:
    known = {"selection_rate": selected, "tpr": tpr, "fpr": 0.1, "accuracy": 0.9}
    return {
        name: {"value": value, "low": None if value is None else value - 0.05, "high": None if value is None else value}
        for name, value in known.items()
    }  # fmt: skip


def moved(tpr: float | None) -> dict:
    same = {name: {"value": 0.0, "low": -0.01, "high": 0.01} for name in ("selection_rate", "fpr", "accuracy")}
    ends = (None, None) if tpr is None else (tpr - 0.02, tpr + 0.02)
    return {**same, "tpr": {"value": tpr, "low": ends[0], "high": ends[1]}}


def test_the_review_shows_the_difference_of_each_group_with_its_interval(team):
    make_live(team)
    groups = [
        {"value": "f", "rows": 60, "candidate": rates(0.4, 0.7), "baseline": rates(0.4, 0.8),
         "difference": moved(-0.1)},
        {"value": "m", "rows": 40, "candidate": rates(0.5, None), "baseline": rates(0.5, None),
         "difference": moved(None)},
        {"value": "x", "rows": 40, "candidate": rates(0.5, 0.8), "baseline": rates(0.5, 0.8)},  # of an earlier release
    ]  # fmt: skip
    column = {
        "column": "sex", "groups": groups, "selection_ratio": {"candidate": 0.8, "baseline": 0.8}, "four_fifths": True,
        "small": [],
    }  # fmt: skip
    request = make_request(team, found=result(production=0.87, fairness=[column]))
    page = browser(team, "viewer").get(f"/p/churn/promotions/{request.pk}/")
    review = page.context["review"]
    first, second, third = review.evidence.fairness[0]["lines"]
    assert first["rates"][1]["change"] == {"words": "−10", "range": "−12 to −8", "clear": "down"}
    assert first["rates"][2]["change"] == {"words": "+0", "range": "−1 to +1", "clear": ""}
    assert second["rates"][1]["change"] is None
    assert {rate["change"] for rate in third["rates"]} == {None}
    assert "(−12 to −8)" in page.content.decode()
    assert review.summary == "Got worse: true positive rate of sex f."


EXAMPLES = {
    "method": "tree", "scale": "probability", "why": "", "class": "yes", "columns": ["age", "plan", "other columns"],
    "rows": [
        {"values": ["41", "basic"], "contributions": [0.1, -0.25, 0.01], "base": 0.5, "output": 0.36,
         "prediction": "no"},
        {"values": ["63", "plus"], "contributions": [0.2, 0.1, 0.0], "base": 0.5, "output": 0.8, "prediction": "yes"},
    ],
}  # fmt: skip
TOLD = {
    "metric": "roc_auc", "importance": [{"feature": "age", "mean": 0.1, "std": 0.01}], "examples": EXAMPLES,
    "partial_dependence": [
        {"feature": "age", "kind": "numeric", "grid": [20.0, 77.0], "mean": [0.3, 0.7]},
        {"feature": "plan", "kind": "categorical", "grid": ["basic", "plus"], "mean": [0.4, 0.6]},
    ],
}  # fmt: skip


def test_the_review_shows_curves_and_examples_but_no_value_that_marks_hide(team):
    request = make_request(team, found=result(explanations=TOLD))
    dataset = request.version.dataset_version.dataset
    dataset.marks = {"age": "personal"}
    dataset.save(update_fields=["marks"])
    seen = {role: browser(team, role).get(f"/p/churn/promotions/{request.pk}/") for role in ("scientist", "manager")}
    told = {role: page.context["review"].evidence for role, page in seen.items()}
    assert [each["feature"] for each in told["scientist"].curves] == ["age", "plan"]
    assert [each["feature"] for each in told["manager"].curves] == ["plan"]
    lines = told["manager"].examples["lines"]
    assert [[cell["value"] for cell in line["cells"]] for line in lines] == [
        ["•••", "•••"], ["basic", "plus"], ["", ""],
    ]  # fmt: skip
    assert [cell["adds"] for cell in lines[0]["cells"]] == [0.1, 0.2]
    assert told["scientist"].examples["lines"][0]["cells"][1]["value"] == "63"
    assert b"What each column added to 2 answers" in seen["manager"].content
    wide = {
        **EXAMPLES, "columns": [f"c{at}" for at in range(14)],
        "rows": [{**EXAMPLES["rows"][0], "values": ["1"] * 14, "contributions": [0.25] * 14}],
    }  # fmt: skip
    folded = Evidence(request, {"explanations": {"examples": wide}}).examples["lines"]
    assert (len(folded), folded[-1]) == (13, {"column": "other columns", "cells": [{"value": "", "adds": 0.5}]})
    for path in ("", "evidence/"):
        text = Api(team, "manager", "read").get(f"promotions/{request.pk}/{path}").content.decode()
        assert '"plus"' in text
        assert '"63"' not in text
        assert "77.0" not in text
        assert "77.0" in Api(team, "scientist", "read", "write").get(f"promotions/{request.pk}/{path}").content.decode()
    sealed = json.loads(request.snapshot)["metrics"]["compared"]["explanations"]["examples"]
    assert [row["values"] for row in sealed["rows"]] == [["41", "basic"], ["63", "plus"]]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.02, "Better than production: ROC AUC +0 (+0.001 to +0.02)"),
        (8.67e-18, 0.02, "About equal to production: ROC AUC +0 (+0 to +0.02)"),  # dust of arithmetic
        (-0.02, -0.001, "Worse than production: ROC AUC +0 (−0.02 to −0.001)"),
        (-0.01, 0.02, "About equal to production: ROC AUC +0 (−0.01 to +0.02)"),
    ],
)
def test_the_verdict_follows_the_interval(team, low, high, words):
    make_live(team)
    found = result(auc=0.88, production=0.88)
    found["metrics"][0] |= {"low": low, "high": high}
    request = make_request(team, found=found)
    page = browser(team, "viewer").get(f"/p/churn/promotions/{request.pk}/")
    assert page.context["review"].headline.startswith(words)


def test_who_sees_the_buttons(team):
    request = make_request(team)
    address = f"/p/churn/promotions/{request.pk}/"
    approve = 'value="approve"'
    assert approve in browser(team, "manager").get(address).content.decode()
    for role in ("scientist", "scientist2", "viewer", "ops", "admin"):
        assert approve not in browser(team, role).get(address).content.decode(), role
    assert "Withdraw the request" in browser(team, "scientist2").get(address).content.decode()
    team.project.memberships.create(user=team.people["scientist2"], role="manager")
    page = browser(team, "scientist2").get(address).content.decode()
    assert approve not in page
    assert "You asked for this promotion." in page


def test_decide_on_the_page(team):
    request = make_request(team)
    client = browser(team, "manager")
    address = f"/p/churn/promotions/{request.pk}/"
    refused = client.post(f"{address}decide/", {"verdict": "reject", "comment": ""})
    assert refused.status_code == 422
    assert "comment needs at least 10 characters" in refused.content.decode()
    answer = client.post(f"{address}decide/", {"verdict": "approve"})
    assert (answer.status_code, answer["Location"]) == (303, address)
    page = client.get(address).content.decode()
    assert "churn-production</a> as revision 1" in page
    late = browser(team, "manager2").post(f"{address}decide/", {"verdict": "approve"})
    assert late.status_code == 409
    assert "was approved by churn-manager" in late.content.decode()
    assert client.get(f"{address}decide/").status_code == 405
    assert browser(team, "scientist").post(f"{address}decide/", {"verdict": "approve"}).status_code == 403


def test_approve_is_closed_while_a_gate_is_red_and_says_which(team):
    make_live(team)
    request = make_request(team, found=result(auc=0.5, production=0.87))
    page = browser(team, "manager").get(f"/p/churn/promotions/{request.pk}/").content.decode()
    assert "Approve is blocked by ROC AUC not worse than production." in page
    assert 'type="submit" disabled' in page
    admin = browser(team, "admin")
    gate = {"gate": "metric_not_worse:roc_auc", "reason": "The old metric counted test accounts."}
    assert admin.post(f"/p/churn/promotions/{request.pk}/override/", {**gate, "reason": "no"}).status_code == 422
    assert admin.post(f"/p/churn/promotions/{request.pk}/override/", gate).status_code == 303
    assert browser(team, "manager").post(f"/p/churn/promotions/{request.pk}/override/", gate).status_code == 403
    page = browser(team, "manager").get(f"/p/churn/promotions/{request.pk}/").content.decode()
    assert "overrode it: The old metric" in page
    assert "Approve is blocked" not in page


def test_withdraw_and_switch_by_hand(team):
    policies.change(team.admin, environment=environment(team), switch_at_approval=False)
    request = make_request(team)
    address = f"/p/churn/promotions/{request.pk}/"
    assert browser(team, "manager").post(f"{address}decide/", {"verdict": "approve"}).status_code == 303
    assert "Deploy now" in browser(team, "ops").get(address).content.decode()
    assert "Deploy now" not in browser(team, "manager").get(address).content.decode()
    assert browser(team, "ops").post(f"{address}switch/").status_code == 303
    assert browser(team, "ops").post(f"{address}switch/").status_code == 409
    other = make_request(team)
    assert browser(team, "scientist2").post(f"/p/churn/promotions/{other.pk}/withdraw/").status_code == 303
    assert PromotionRequest.objects.get(pk=other.pk).state == "withdrawn"


def test_verify_on_the_page(team):
    version = make_version(team)
    client = browser(team, "viewer")
    address = "/p/churn/models/churn/v/1/"
    answer = client.post(f"{address}verify/", follow=True)
    assert b"matches its hash" in answer.content
    tamper(version.file("model/model.skops"))
    answer = client.post(f"{address}verify/", follow=True)
    assert b"has changed on disk" in answer.content
    assert ModelVersion.objects.get().state == "damaged"


def test_ops_rolls_back_from_the_page_of_an_alert_or_its_incident(team):
    make_live(team)
    endpoint = make_live(team)
    rule = make_rule(team.project)
    incident = Incident.objects.create(
        project=team.project, endpoint=endpoint.name, title="All is slow", opened_at=timezone.now()
    )
    known = {"endpoint": endpoint.name, "incident": incident}
    old = make_alert(rule, version="v1", severity_rank=0, **known)
    alert = make_alert(rule, version="v2", severity_rank=1, title="Half of the requests fail", **known)
    client, address = browser(team, "ops"), f"/p/churn/deployments/{endpoint.name}/rollback/"
    shown = client.get(f"/p/churn/alerts/{alert.pk}/").content.decode()
    assert "Roll back to v1" in shown
    assert f">Alert {alert.pk}: Half of the requests fail</textarea>" in shown
    both = client.get(f"/p/churn/incidents/{incident.pk}/").content.decode()
    assert "Roll back to v1" in both
    assert f">Incident {incident.pk}: All is slow</textarea>" in both
    assert f'name="alert" value="{alert.pk}"' in both, "of the version that answers, not of the worst one"
    assert "Roll back" not in browser(team, "manager").get(f"/p/churn/incidents/{incident.pk}/").content.decode()
    assert "Roll back to" not in client.get(f"/p/churn/alerts/{old.pk}/").content.decode()
    assert "Roll back to" not in browser(team, "manager").get(f"/p/churn/alerts/{alert.pk}/").content.decode()
    assert client.post(address, {"reason": REASON, "alert": "x"}).status_code == 422
    assert client.post(address, {"reason": REASON, "alert": "999"}).status_code == 422
    assert client.post(address, {"reason": REASON, "alert": alert.pk}).status_code == 303
    assert Event.objects.get(verb="endpoint.rolled_back").data["alert"] == alert.pk
    assert Endpoint.objects.with_live().get().current_revision.version.number == 1
    page = client.get(f"/p/churn/deployments/{endpoint.name}/").content.decode()
    assert f"{Event.objects.get(verb='endpoint.rolled_back').actor_name} rolled back {endpoint.name}" in page


def test_ops_rolls_back_switches_off_and_on_and_configures(team):
    make_live(team)
    endpoint = make_live(team)
    client, address = browser(team, "ops"), f"/p/churn/deployments/{endpoint.name}/"
    assert "Roll back to v1" in client.get(address).content.decode()
    assert client.post(f"{address}rollback/", {"reason": "x"}).status_code == 422
    assert client.post(f"{address}rollback/", {"reason": REASON, "version": "99"}).status_code == 404
    assert client.post(f"{address}rollback/", {"reason": REASON}).status_code == 303
    assert Endpoint.objects.with_live().get().current_revision.version.number == 1
    manager = browser(team, "manager")
    assert "Review of the rollback in revision 3" in manager.get(address).content.decode()
    assert manager.post(f"{address}rollback/", {"reason": REASON}).status_code == 403
    assert manager.post(f"{address}reviews/3/close/", {"comment": "Agreed."}).status_code == 303
    assert "reviewed by churn-manager" in manager.get(address).content.decode()
    assert client.post(f"{address}disable/", {"reason": "Planned maintenance."}).status_code == 303
    assert "Switch on" in client.get(address).content.decode()
    assert client.post(f"{address}enable/").status_code == 303
    assert client.post(f"{address}enable/").status_code == 409
    assert client.post(f"{address}configure/", {"log_mode": "none"}).status_code == 303
    assert client.post(f"{address}configure/", {"log_mode": "x"}).status_code == 422
    assert Endpoint.objects.get().log_mode == "none"
    limits = {"log_mode": "none", "logging": "durable", "masked_columns": "age, city", "requests_per_minute": "90"}
    assert client.post(f"{address}configure/", limits).status_code == 303
    held = Endpoint.objects.get()
    assert (held.logging, held.masked_columns, held.requests_per_minute) == ("durable", ["age", "city"], 90)


def test_ops_sets_retraining(team):
    endpoint = make_live(team)
    client, address = browser(team, "ops"), f"/p/churn/deployments/{endpoint.name}/automation/"
    good = {"trigger": "drift", "enabled": "on", "cooldown_hours": "6", "dataset_name": "customers"}
    assert client.post(address, {**good, "dataset_name": "nothing"}).status_code == 422
    assert client.post(address, {**good, "cooldown_hours": "0"}).status_code == 422
    assert client.post(address, good).status_code == 303
    made = Automation.objects.get()
    assert (made.cooldown_hours, made.dataset_name, made.owner) == (6, "customers", team.people["ops"])
    assert browser(team, "scientist").post(address, good).status_code == 403


def test_the_four_eyes_banner(team):
    policies.change(team.admin, environment=environment(team), four_eyes=False)
    request = make_request(team)
    page = browser(team, "viewer").get(f"/p/churn/promotions/{request.pk}/").content.decode()
    assert "Four eyes are off for production." in page


@pytest.mark.parametrize("page", ["models/", "promotions/", "deployments/", "models/churn/"])
def test_lists_take_the_same_queries_for_one_and_three(team, page):
    client = browser(team, "viewer")
    one_model = page == "models/churn/"
    taken = []
    run = make_trained_run(team)
    for turn in range(3):
        run = make_trained_run(team) if one_model else run
        make_live(team, version=make_version(team, model="churn" if one_model else f"churn{turn}", run=run))
        with CaptureQueriesContext(connection) as seen:
            assert client.get(f"/p/churn/{page}").status_code == 200
        taken.append(len(seen))
    assert taken[0] == taken[2]
    assert taken[0] < 25
