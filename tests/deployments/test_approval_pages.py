"""Pages and REST of approvals: steps, conditions, delegations, break-glass, second looks, every door."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments import api_urls
from deployments.models import (
    Condition,
    Decision,
    Delegation,
    Endpoint,
    PromotionRequest,
    RollbackReview,
)
from deployments.services import delegations, promotions, suspensions, timers
from mlportal.views import waiting
from projects.actor import Actor
from projects.models import Delivery, Event, EventDelivery, IdempotencyKey
from projects.services import channels, deliveries
from tests.deployments.mlflow.calls import Caller
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_live, make_request, make_version, set_policy, step
from tests.factories.projects import actor, make_user

REASON = "The live version refuses every request since 03:00."
UNTIL = {"kind": "until", "until": (timezone.now() + timedelta(days=300)).date().isoformat()}


def page_of(request: PromotionRequest) -> str:
    return f"/p/churn/promotions/{request.pk}/"


def titles(by: Actor) -> list[str]:
    return [f"{item.label}: {item.title}" for item in waiting.for_person(by)]


def hand_over(team, taker="ops") -> Delegation:
    until = timezone.now() + timedelta(days=3)
    return delegations.give(
        team.manager, project=team.project, taker=team.people[taker].username, until=until, reason="On leave now."
    )


# --- deciding ---------------------------------------------------------------------------------------


def test_the_page_shows_who_has_signed_and_who_is_still_needed(team):
    set_policy(team, steps=[step("ops", name="Operations"), step("manager", needed=2, name="Business")])
    request = make_request(team)
    promotions.decide(team.ops, request=request, verdict="approve", comment="Fits the machine.")
    words = " ".join(browser(team, "manager").get(page_of(request)).content.decode().split())
    assert "<b>Operations</b> 1 of 1" in words
    assert "<b>Business</b> 0 of 2" in words
    assert "Manager (approver): churn-manager, churn-manager2" in words
    assert "Fits the machine." in words
    assert 'name="verdict" value="approve"' in words
    assert 'name="verdict"' not in browser(team, "ops").get(page_of(request)).content.decode()


def test_approve_with_conditions_by_form_without_script(team):
    request = make_request(team)
    form = {
        "verdict": "approve", "seen": request.seal, "condition_until": UNTIL["until"], "condition_rate": "500",
        "condition_drift": "0.2", "condition_metric": "error.rate", "condition_op": "above", "condition_limit": "0.05",
        "condition_action": "rollback",
    }  # fmt: skip
    wrong = browser(team, "manager").post(f"{page_of(request)}decide/", {**form, "condition_rate": "many"})
    assert wrong.status_code == 422
    assert b"limit must be a number" in wrong.content
    assert b'value="many"' in wrong.content
    part = browser(team, "manager").post(f"{page_of(request)}decide/", {**form, "condition_share": "25"})
    assert part.status_code == 409
    assert b"holds for at most 25 % of the requests only" in part.content  # nothing is planned that would divide them
    assert b'name="condition_share" value="25"' in part.content
    assert browser(team, "manager").post(f"{page_of(request)}decide/", form).status_code == 303
    rows = Condition.objects.order_by("pk").values_list("kind", "action", "limit")
    assert list(rows) == [
        ("until", "rollback", None), ("traffic", "rollback", 500.0), ("drift", "rollback", 0.2),
        ("metric", "rollback", 0.05),
    ]  # fmt: skip
    assert b"requests an hour at most 500" in browser(team, "viewer").get(page_of(request)).content


def test_a_form_that_showed_something_else_is_refused(team):
    request = make_request(team)
    answer = browser(team, "manager").post(f"{page_of(request)}decide/", {"verdict": "approve", "seen": "f" * 64})
    assert answer.status_code == 409
    assert not Decision.objects.exists()


def test_e13_decide_by_token_is_idempotent_and_needs_the_scope(team):
    request = make_request(team)
    body = {"verdict": "approve", "conditions": [UNTIL], "seen": request.seal}
    path = f"promotions/{request.pk}/decide/"
    assert Api(team, "manager", "read", "write", "deploy", "admin").post(path, body).status_code == 403
    manager = Api(team, "manager", "read", "approve")
    first = manager.post(path, body, **{"Idempotency-Key": "once"})
    second = manager.post(path, body, **{"Idempotency-Key": "once"})
    assert (first.status_code, second.json()) == (200, first.json())
    told = first.json()
    assert told["steps"] == [{"name": "Approval", "roles": ["manager"], "needed": 1, "approvals": 1}]
    assert (told["conditions"][0]["kind"], told["conditions"][0]["state"]) == ("until", "watched")
    assert Decision.objects.count() == 1
    bad = manager.post(f"promotions/{make_request(team).pk}/decide/", {"verdict": "approve", "conditions": [{}]})
    assert (bad.status_code, bad.json()["field"]) == (400, "conditions")


def test_e5_e9_a_refusal_with_a_key_leaves_behind_what_it_leaves_without_one(team):
    manager = Api(team, "manager", "read", "approve")
    stale, late = make_request(team, place="staging"), make_request(team)
    model = stale.version.model
    type(model).objects.filter(pk=model.pk).update(intended_purpose="Something else.")
    PromotionRequest.objects.filter(pk=late.pk).update(expires_at=timezone.now())
    for request, state in ((stale, "stale"), (late, "expired")):
        body, path = {"verdict": "approve", "seen": request.seal}, f"promotions/{request.pk}/decide/"
        turns = [manager.post(path, body, **{"Idempotency-Key": f"key {request.pk}"}) for _ in range(2)]
        assert [turn.status_code for turn in turns] == [409, 409]
        assert turns[1].json()["message"] == turns[0].json()["message"]
        assert PromotionRequest.objects.get(pk=request.pk).state == state
        assert Event.objects.filter(verb=f"promotion.{state}", target_id=request.pk).count() == 1
    assert IdempotencyKey.objects.count() == 0


def test_every_step_of_a_promotion_takes_a_key(team):
    """One effect and one answer for each call that is sent again: what has no key says so in its view."""
    request = make_request(team)
    scientist, manager = Api(team, "scientist2", "read", "register"), Api(team, "manager", "read", "approve")
    until = (timezone.now() + timedelta(days=3)).isoformat()
    ask = {"model": "churn", "version": make_version(team).number, "environment": "staging", "reason": "Once more."}
    calls = [
        (scientist, "promotions/", ask),
        (manager, "delegations/", {"taker": "churn-manager2", "until": until, "reason": "On leave until then."}),
        (scientist, f"promotions/{request.pk}/withdraw/", {"reason": "Not yet."}),
    ]
    for number, (api, path, body) in enumerate(calls):
        first, second = (api.post(path, body, **{"Idempotency-Key": f"step {number}"}) for _ in range(2))
        assert first.status_code < 300, (path, first.content)
        assert (second.status_code, second.json()) == (first.status_code, first.json()), path
    assert Event.objects.filter(verb="promotion.requested").count() == 2
    assert Event.objects.filter(verb="promotion.withdrawn").count() == 1
    views = {pattern.callback.view_class for pattern in api_urls.urlpatterns}
    changing = {view for view in views if hasattr(view, "post")}
    without = {view.__name__ for view in changing if not view.idempotent}
    assert without == {"Predict", "ProductionEvidence", "PersonSearches"}
    assert len(changing) > 40


def test_e13_no_get_decides(team):
    request = make_request(team)
    assert browser(team, "manager").get(f"{page_of(request)}decide/?verdict=approve").status_code == 405
    assert Client().post(f"{page_of(request)}decide/", {"verdict": "approve"}).status_code in (302, 403)
    assert PromotionRequest.objects.get(pk=request.pk).is_pending


def test_e14_four_eyes_off_is_a_banner_and_the_list_marks_the_single_person(team):
    set_policy(team, four_eyes=False)
    request = make_request(team)
    assert b"Four eyes are off" in browser(team, "viewer").get(page_of(request)).content
    PromotionRequest.objects.filter(pk=request.pk).update(single_person=True)
    assert b"single person" in browser(team, "viewer").get("/p/churn/promotions/").content


# --- every door -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["suspended", "lapsed", "stale"])
def test_e5_e9_e11_no_door_opens_for_an_approval_that_does_not_hold(team, state):
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve", conditions=[UNTIL])
    if state == "suspended":
        suspensions.breach(Condition.objects.get(), now=timezone.now(), found="by hand")
    elif state == "lapsed":
        timers.tick(now=timezone.now() + timedelta(days=8))
    else:
        type(request.version).objects.update(metrics={"roc_auc": 0.1})
        timers.tick(now=timezone.now())
    assert PromotionRequest.objects.get(pk=request.pk).state == state
    assert browser(team, "ops").post(f"{page_of(request)}switch/").status_code == 409
    by_token = Api(team, "ops", "read", "deploy").post(f"promotions/{request.pk}/switch/")
    assert (by_token.status_code, by_token.json()["code"]) == (409, f"request_{state}")
    assert (by_token.json()["got"]["state"], bool(by_token.json()["got"]["at"])) == (state, True)
    named = {"name": "churn", "version": "1"}
    client = Caller(team)
    alias, _ = client.send("POST", "registered-models/alias", {**named, "alias": "production"})
    stage, _ = client.send(
        "POST", "model-versions/transition-stage", {**named, "stage": "Production", "archive_existing_versions": False}
    )
    assert (alias, stage) == (403, 403)
    assert not Endpoint.objects.filter(current_revision__isnull=False).exists()


# --- delegations ------------------------------------------------------------------------------------


def test_hand_over_and_take_back_in_the_inbox(team):
    client = browser(team, "manager")
    assert b'value="churn/churn-ops"' in client.get("/inbox/").content
    until = (timezone.now() + timedelta(days=2)).date().isoformat()
    form = {"taker": "churn/churn-ops", "until": until, "reason": "On leave until Monday."}
    for wrong in ({"until": "soon"}, {"reason": "x"}, {"taker": "churn/churn-viewer"}):
        answer = client.post("/inbox/delegations/", {**form, **wrong}, follow=True)
        assert b"Nothing was handed over" in answer.content
    assert client.post("/inbox/delegations/", {**form, "taker": "other/x"}).status_code == 404
    answer = client.post("/inbox/delegations/", form, follow=True)
    assert b"churn-ops decides for you" in answer.content
    request = make_request(team)
    assert f"Review: Promote {request.version} to production" in titles(team.ops)
    page = browser(team, "ops").get(page_of(request)).content
    assert b"You decide for churn-manager" in page
    assert browser(team, "ops").post(f"{page_of(request)}decide/", {"verdict": "approve"}).status_code == 303
    page = " ".join(browser(team, "viewer").get(page_of(request)).content.decode().split())
    assert "churn-ops for churn-manager" in page
    [handed] = Delegation.objects.all()
    assert browser(team, "scientist").post(f"/inbox/delegations/{handed.pk}/revoke/").status_code == 403
    assert b"does not decide for you" in client.post(f"/inbox/delegations/{handed.pk}/revoke/", follow=True).content


def test_delegations_by_rest(team):
    manager = Api(team, "manager", "read", "approve")
    body = {"taker": "churn-ops", "until": (timezone.now() + timedelta(days=2)).isoformat(), "reason": "On leave now."}
    made = manager.post("delegations/", body)
    assert (made.status_code, made.json()["taker"], made.json()["giver"]) == (201, "churn-ops", "churn-manager")
    assert manager.post("delegations/", body).status_code == 409
    assert Api(team, "manager", "read", "write").post("delegations/", body).status_code == 403
    assert manager.get("delegations/", active="true").json()["results"] == [made.json()]
    ended = manager.post(f"delegations/{made.json()['id']}/revoke/")
    assert ended.json()["revoked_by"] == "churn-manager"
    assert manager.get("delegations/", active="true").json()["results"] == []
    assert manager.post("delegations/999/revoke/").status_code == 404


# --- break-glass and second looks ---------------------------------------------------------------------


def test_break_glass_by_page_is_marked_everywhere_and_looked_at(team):
    set_policy(team, allow_break_glass=True)
    version = make_version(team)
    address = f"/p/churn/models/churn/v/{version.number}/"
    assert b"Put live without approval" in browser(team, "ops").get(address).content
    assert b"Put live without approval" not in browser(team, "manager").get(address).content
    short = browser(team, "ops").post(f"{address}break-glass/", {"environment": "production", "reason": "now"})
    assert short.status_code == 422
    done = browser(team, "ops").post(f"{address}break-glass/", {"environment": "production", "reason": REASON})
    assert done.status_code == 303
    request = PromotionRequest.objects.get()
    viewer = browser(team, "viewer")
    for place in (page_of(request), "/p/churn/promotions/", "/p/churn/deployments/churn-production/"):
        assert b"reak-glass" in viewer.get(place).content, place
    assert titles(team.manager)[0] == "Second look: Break-glass on churn-production"
    assert not any(title.startswith("Second look") for title in titles(team.ops))
    look = "/p/churn/deployments/churn-production/reviews/1/close/"
    manager = browser(team, "manager")
    assert manager.post(look, {"comment": "Right call, it was down."}).status_code == 422
    assert manager.post(look, {"comment": "Right call, it was down.", "outcome": "confirmed"}).status_code == 303
    assert not any(title.startswith("Second look") for title in titles(team.manager))


def test_break_glass_and_second_look_by_rest(team):
    set_policy(team, allow_break_glass=True)
    make_live(team)
    make_version(team)
    ops, manager = Api(team, "ops", "read", "deploy"), Api(team, "manager", "read", "approve")
    body = {"model": "churn", "version": 2, "environment": "production", "reason": REASON}
    assert manager.post("promotions/break-glass/", body).status_code == 403
    made = ops.post("promotions/break-glass/", body)
    assert (made.status_code, made.json()["break_glass"], made.json()["single_person"]) == (201, True, True)
    look = "endpoints/churn-production/reviews/2/close/"
    assert manager.post(look, {"comment": "No.", "outcome": "noted"}).status_code == 400
    back = manager.post(look, {"comment": "It answers worse than v1.", "outcome": "rolled_back"})
    assert (back.status_code, back.json()["version"]) == (200, 1)
    looks = [row["second_look"] for row in manager.get("endpoints/churn-production/revisions/").json()["results"]]
    assert looks == ["open", "rolled_back", None]
    assert RollbackReview.objects.filter(closed_at=None).count() == 1


# --- suspended --------------------------------------------------------------------------------------


def test_a_suspension_is_seen_on_request_endpoint_inbox_and_rest(team):
    endpoint = make_live(team, conditions=[{"kind": "traffic", "limit": 5, "action": "freeze"}])
    suspensions.breach(Condition.objects.get(), now=timezone.now(), found="9 requests in this hour.")
    request = PromotionRequest.objects.get()
    page = browser(team, "viewer").get(page_of(request)).content
    assert b"This approval is suspended" in page
    assert b"9 requests in this hour." in page
    place = browser(team, "viewer").get(f"/p/churn/deployments/{endpoint.name}/").content
    assert b"Frozen since" in place
    assert b"The approval of v1 is suspended." in place
    for by in (team.manager, team.ops):
        assert "Suspended: churn v1 in production" in titles(by)
    told = Api(team, "ops", "read").get("endpoints/churn-production/").json()
    assert (told["approval"], bool(told["frozen_at"])) == ("suspended", True)
    make_live(team)
    assert not any(title.startswith("Suspended") for title in titles(team.manager))


# --- statements ---


def queries_of(client: Client, address: str) -> int:
    """How many queries a page takes, once what is read a first time is known."""
    client.get(address)
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    return len(seen)


def test_the_page_of_a_request_takes_the_same_queries_for_1_and_3_approvals(team):
    set_policy(team, steps=[step("manager", needed=4)])
    request = make_request(team)
    third = actor(make_user("third", role="manager", project=team.project))
    client, taken = browser(team, "viewer"), []
    for by in (team.manager, team.manager2, third):
        promotions.decide(by, request=request, verdict="approve", conditions=[UNTIL])
        taken.append(queries_of(client, page_of(request)))
    assert taken[0] == taken[2]


# --- messages ---------------------------------------------------------------------------------------


def test_each_step_is_told_by_mail_and_webhook_with_the_address_of_its_page(team):
    set_policy(team, steps=[step("ops"), step("manager")], reminder_hours=1)
    verbs = ["promotion.requested", "promotion.approval_added", "promotion.reminder", "promotion.approved"]
    channels.create(
        team.admin, project=team.project, name="desk", kind="email", recipients=["a@example.org"], verbs=verbs
    )
    request = make_request(team)
    promotions.decide(team.ops, request=request, verdict="approve")
    timers.tick(now=timezone.now() + timedelta(hours=2))
    promotions.decide(team.manager, request=request, verdict="approve")
    for pk in EventDelivery.objects.filter(task="projects.notify").values_list("pk", flat=True):
        deliveries.fan_out(pk)
    sent = list(Delivery.objects.order_by("pk"))
    assert [item.verb for item in sent] == verbs
    assert {item.payload["data"]["link"].partition("/p/")[2] for item in sent} == {f"churn/promotions/{request.pk}/"}
