"""Sign-off asks for a recent proof: each service that signs, and the page that goes on with what was typed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from deployments.models import Decision, RollbackReview
from deployments.services import breakglass, delegations, endpoints, looks, policies, promotions
from mlportal.lib.errors import Forbidden
from projects.actor import Actor
from projects.models import ApiToken
from projects.services import credentials, stepup
from projects.views.step_up import FIELD
from tests.factories.deployments import make_live, make_request, make_team, make_version
from tests.factories.projects import PASSWORD, make_token
from tests.projects.test_sessions import grow_old, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def team():
    return make_team("churn")


def stale(by: Actor) -> Actor:
    return replace(by, authenticated_at=timezone.now() - timedelta(minutes=11))


def rolled_back(team) -> RollbackReview:
    make_live(team)
    endpoint = make_live(team)
    endpoints.rollback(team.ops, endpoint=endpoint, reason="long enough to be a reason")
    return RollbackReview.objects.get()


SIGNING = {
    "decide": lambda team, request: promotions.decide(stale(team.manager), request=request, verdict="approve"),
    "override": lambda team, request: promotions.override(
        stale(team.admin), request=request, gate="auc", reason="long enough to be a reason"
    ),
    "break-glass": lambda team, request: breakglass.promote(
        stale(team.ops), version=request.version, environment=request.environment, reason="long enough to be a reason"
    ),
    "draft": lambda team, request: policies.draft(stale(team.admin), environment=request.environment),
    "change": lambda team, request: policies.change(stale(team.admin), environment=request.environment),
    "activate": lambda team, request: policies.activate(stale(team.admin), policy=request.policy),
    "confirm": lambda team, request: policies.confirm(stale(team.admin), policy=request.policy),
    "hand over": lambda team, _request: delegations.give(
        stale(team.manager),
        project=team.project,
        taker="churn-ops",
        until=timezone.now() + timedelta(days=2),
        reason="long enough to be a reason",
    ),
    "second look": lambda team, _request: looks.close(
        stale(team.manager), review=rolled_back(team), comment="long enough to be a comment"
    ),
}


@pytest.mark.parametrize("name", SIGNING)
def test_it_is_refused_from_a_session_that_was_left_open(team, name):
    request = make_request(team, version=make_version(team))
    with pytest.raises(Forbidden) as refused:
        SIGNING[name](team, request)
    assert refused.value.code == stepup.CODE


def test_a_token_that_may_sign_is_not_asked(team):
    request = make_request(team, version=make_version(team))
    secret = make_token(team.manager.user, team.project, ["approve"])
    token = ApiToken.objects.select_related("user", "project").get(sha256=credentials.fingerprint(secret))
    promotions.decide(Actor.for_token(token), request=request, verdict="approve")
    assert Decision.objects.count() == 1


def test_the_review_page_asks_in_place_and_the_decision_needs_no_further_click(team):
    request = make_request(team, version=make_version(team))
    client = Client()
    client.force_login(team.manager.user)
    page = f"/p/churn/promotions/{request.pk}/"
    assert FIELD not in client.get(page).content.decode()
    grow_old(client, 11)
    assert FIELD in client.get(page).content.decode()
    vote = {"verdict": "approve", "comment": "Kept\nover lines", "seen": request.seal}
    asked = send(client, f"{page}decide/", vote)
    assert asked.status_code == 403
    assert "Kept\nover lines" in asked.content.decode().replace("\r\n", "\n")
    assert not Decision.objects.exists()
    assert send(client, f"{page}decide/", {**vote, FIELD: PASSWORD}).status_code == 303
    assert Decision.objects.get().comment.replace("\r\n", "\n") == "Kept\nover lines"
