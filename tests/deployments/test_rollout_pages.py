"""A rollout on pages, over REST and by command."""

import pytest

from deployments.models import Endpoint, Rollout
from deployments.services import promotions
from mlportal import cli
from tests.deployments.services.test_rollouts import STEPS, answers, begun, log, look
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_live, make_request, set_policy

FORM = {
    "shares": "10, 100%", "minutes": "10", "requests": "100", "label_margin": "0", "reason": "Better on customers.",
}  # fmt: skip


@pytest.fixture
def approved(team):
    make_live(team)
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve")
    return request


def page(team, endpoint, person="ops"):
    return browser(team, person).get(f"/p/churn/deployments/{endpoint.name}/")


def test_ops_rolls_out_from_the_promotion_and_watches_on_the_endpoint(team, approved):
    ops, place = browser(team, "ops"), f"/p/churn/promotions/{approved.pk}/"
    assert "Roll out by steps instead" in ops.get(place).content.decode()
    refused = ops.post(f"{place}rollout/", FORM | {"shares": "200"})
    assert (refused.status_code, "share must be over 0" in refused.content.decode()) == (422, True)
    assert ops.post(f"{place}rollout/", FORM | {"minutes": "soon"}).status_code == 422
    assert browser(team, "scientist").post(f"{place}rollout/", FORM).status_code == 403
    assert ops.post(f"{place}rollout/", FORM).status_code == 303
    rollout = begun(Rollout.objects.with_subject().get())
    endpoint = rollout.endpoint
    log(endpoint, "canary", answers(60))
    log(endpoint, "champion", answers(540))
    look(rollout, minutes=2)
    shown = page(team, endpoint)
    text = shown.content.decode()
    assert 'aria-label="Traffic split: 90% v1, 10% v2"' in text
    assert "60 of 100 requests" in text
    assert [item.words for item in shown.context["stretches"]][:2] == ["90% v1, 10% v2", "100% v1, 0% v2"]
    assert [(side.variant, side.requests) for side in shown.context["sides"]] == [("champion", 540), ("canary", 60)]
    assert [item["heading"] for item in shown.context["pictures"][:3]] == ["Latency p99", "Requests a minute", "Errors"]
    assert "Hold the rollout?" in text
    assert "Hold the rollout?" not in page(team, endpoint, "viewer").content.decode()
    where = f"/p/churn/deployments/{endpoint.name}/rollouts/{rollout.pk}/"
    assert ops.post(f"{where}pause/", {"reason": "no"}).status_code == 422
    assert ops.post(f"{where}pause/", {"reason": "Waiting for the night."}).status_code == 303
    assert "Waiting for the night." in page(team, endpoint).content.decode()
    assert ops.post(f"{where}resume/").status_code == 303
    assert ops.post(f"{where}abort/", {"reason": "Customers complain."}).status_code == 303
    rollout.refresh_from_db()
    ended = page(team, endpoint)
    assert (rollout.state, ended.context["routes"]) == ("aborted", [])
    text = ended.content.decode()
    assert ("Last rollout" in text, text.count('id="tr-h"'), text.count('id="dv-h"')) == (True, 1, 1)


def test_the_way_over_rest(team, approved):
    endpoint = Endpoint.objects.get()
    ops, viewer = Api(team, "ops", "deploy", "read"), Api(team, "viewer", "read")
    place = f"endpoints/{endpoint.name}/rollouts/"
    body = {"promotion": approved.pk, "reason": "Better on customers.", "steps": STEPS}
    assert viewer.post(place, body).status_code == 403
    assert ops.post(place, body | {"promotion": 10**12}).status_code == 404
    assert ops.post(place, body | {"steps": [{"share": 7}]}).status_code == 400
    made = ops.post(place, body)
    assert (made.status_code, made.json()["state"], made.json()["steps"]) == (201, "draft", STEPS)
    one = f"{place}{made.json()['id']}/"
    assert ops.post(f"{one}start/", {}).json()["state"] == "validating"
    assert (ops.post(f"{one}advance/", {}).status_code, ops.post(f"{one}resume/", {}).status_code) == (409, 409)
    look(begun(Rollout.objects.with_subject().get()), minutes=2)
    assert viewer.get(one).json()["share"] == 0.1
    checks = viewer.get(f"{one}checks/").json()["results"]
    assert {row["key"] for row in checks[0]["criteria"]} >= {"errors", "split"}
    revisions = viewer.get(f"endpoints/{endpoint.name}/revisions/").json()["results"]
    assert [row["weight"] for row in revisions[0]["routes"]] == [0.1, 0.9]
    assert ops.post(f"{one}promote/", {}).json()["state"] == "promoted"
    assert viewer.get(f"endpoints/{endpoint.name}/").json()["version"] == 2


def test_the_command_knows_every_act():
    for act in ("start", "resume", "advance", "promote"):
        given = cli.parser().parse_args(["rollout", act, "churn-production", "7"])
        assert (given.endpoint, given.rollout, given.act) == ("churn-production", 7, act)
    given = cli.parser().parse_args(["rollout", "plan", "e", "3", "--reason", "r", "--steps", "5%,100", "--start"])
    assert (given.promotion, given.start) == (3, True)
    plan = ["--name", "n", "--hypothesis", "h", "--metric", "latency", "--minimum-effect", "0.1", "--share", "0.2"]
    given = cli.parser().parse_args(["trial", "register", "e", "3", *plan])
    assert (given.minimum_effect, given.share, given.positive) == (0.1, 0.2, None)
