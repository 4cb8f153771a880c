"""The inbox: what waits for a person, by risk and age, on its page and over REST."""

from datetime import timedelta

from django.urls import resolve
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from deployments.models import (
    Condition,
    PromotionRequest,
    RegisteredModel,
)
from deployments.services import delegations, promotions, suspensions, timers
from mlportal.views import waiting
from tests.deployments.test_api import Api
from tests.deployments.test_approval_pages import UNTIL, hand_over, page_of, queries_of, titles
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_live, make_request, make_version, set_policy


def test_the_inbox_holds_what_waits_for_me_by_risk_and_age(team):
    set_policy(team, timeout_hours=1, timeout_action="escalate")
    set_policy(team, "staging", switch_at_approval=False, approval_days=1)
    calm, soon = make_request(team), make_request(team)
    PromotionRequest.objects.filter(pk=soon.pk).update(expires_at=timezone.now() + timedelta(hours=5))
    unused = make_request(team, version=calm.version, place="staging")
    promotions.decide(team.manager, request=unused, verdict="approve")
    timers.tick(now=timezone.now() + timedelta(hours=2))
    assert titles(team.manager) == [
        f"Review: Promote {soon.version} to production", f"Review: Promote {calm.version} to production",
    ]  # fmt: skip
    assert [title for title in titles(team.admin) if title.startswith("Escalated")] == [
        "Escalated: churn v2 in production", "Escalated: churn v1 in production",
    ]  # fmt: skip
    assert "Expiring: churn v1 in staging" in titles(team.ops)
    assert not any(title.startswith("Review: Promote") for title in titles(team.scientist2))
    promotions.decide(team.manager, request=calm, verdict="reject", comment="Not on these numbers.")
    assert waiting.count(team.manager) == 1


def test_the_inbox_ranks_requests_by_the_risk_class_of_their_model(team):
    made = {}
    for name, risk in (("calm", "minimal"), ("untold", ""), ("loans", "high"), ("mail", "limited"), ("cards", "high")):
        made[name] = make_request(team, version=make_version(team, model=name))
        RegisteredModel.objects.filter(name=name).update(risk_class=risk)
    PromotionRequest.objects.filter(pk=made["calm"].pk).update(expires_at=timezone.now() + timedelta(hours=5))
    waiting_ = [item for item in waiting.for_person(team.manager) if item.label == "Review"]
    assert [item.title.split()[1] for item in waiting_] == ["loans", "cards", "mail", "untold", "calm"]
    assert waiting_[0].detail.startswith("high risk · ")
    assert "risk" not in waiting_[3].detail


def test_a_role_whose_end_has_passed_brings_nothing_into_the_inbox(team):
    make_request(team)
    delegations.give(
        team.manager2, project=team.project, taker=team.people["ops"].username, reason="I am on leave.",
        until=timezone.now() + timedelta(days=2),
    )  # fmt: skip
    assert (waiting.count(team.manager), waiting.count(team.ops)) == (1, 1)
    team.project.memberships.filter(role="manager").update(valid_until=timezone.now())  # the beat has not ended it yet
    assert (waiting.count(team.manager), waiting.count(team.ops)) == (0, 0)


def test_the_inbox_by_rest(team):
    request = make_request(team)
    client = Api(team, "manager", "read").client
    [item] = client.get("/api/v1/inbox/").json()
    assert (item["label"], item["page"], item["project"]) == ("Review", page_of(request), "churn")
    assert (item["kind"], item["risk_class"]) == ("promotion", "not_stated")
    assert parse_datetime(item["ends_at"]) == request.expires_at
    signer = Api(team, "manager", "read", "approve").client
    body = {"verdict": "reject", "comment": "Not on these numbers.", "seen": request.seal}
    assert signer.post(item["call"], body, content_type="application/json").status_code == 200
    assert client.get("/api/v1/inbox/").json() == []


def test_whatever_waits_says_where_a_program_acts_and_what_it_is(team):
    hand_over(team)
    make_live(team, conditions=[UNTIL])
    suspensions.breach(Condition.objects.get(), now=timezone.now(), found="by hand")
    set_policy(team, "staging", switch_at_approval=False, approval_days=1, timeout_hours=1, timeout_action="escalate")
    unused = make_request(team, place="staging")
    promotions.decide(team.manager, request=unused, verdict="approve")
    make_request(team, place="staging")
    timers.tick(now=timezone.now() + timedelta(hours=2))
    found = {}
    for person in ("manager", "ops", "admin"):
        for item in Api(team, person, "read").client.get("/api/v1/inbox/").json():
            resolve(item["call"])
            found[item["kind"]] = item
    assert {"promotion", "suspended", "expiring", "escalated"} <= set(found)
    assert set(found) <= set(waiting.KINDS)
    assert found["expiring"]["ends_at"]


def test_the_inbox_says_when_it_leaves_some_out(team, monkeypatch):
    client = browser(team, "manager")
    make_request(team)
    assert b"At most 100 of a kind" not in client.get("/inbox/").content
    monkeypatch.setattr(waiting, "AT_MOST", 1)
    assert b"At most 100 of a kind" in client.get("/inbox/").content


def test_a_live_approval_that_ends_soon_is_told(team):
    end = (timezone.now() + timedelta(days=3)).isoformat()
    make_live(team, conditions=[{"kind": "until", "until": end}])
    assert "Expiring: churn v1 in production" in titles(team.manager)


def test_the_inbox_takes_the_same_queries_for_1_and_3_rows(team):
    hand_over(team)
    client, taken = browser(team, "manager"), []
    for turn in range(3):
        make_live(team, version=make_version(team, model=f"m{turn}"), conditions=[UNTIL])
        suspensions.breach(Condition.objects.order_by("-pk")[0], now=timezone.now(), found="by hand")
        make_request(team)
        taken.append(queries_of(client, "/inbox/"))
    assert taken[0] == taken[2]
