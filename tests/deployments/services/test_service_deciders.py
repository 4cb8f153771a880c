"""Four eyes and service accounts: who answers for one, or has minted a token of it, is the same person."""

import pytest

from deployments.services import deciders, delegations, promotions
from mlportal.lib.errors import Forbidden
from projects.actor import Actor
from projects.services import entry, members, service_accounts, tokens
from tests.factories.deployments import environment, make_request, make_team, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(db):
    return make_team()


def service(team, *, owner: str, role: str, scopes: list[str]) -> Actor:
    account = service_accounts.create(team.admin, project=team.project, name="ci", owner=team.people[owner], role=role)
    new = tokens.create(team.admin, project=team.project, name="build", scopes=scopes, owner=account)
    return entry.of_token(new.secret).actor


def asked_by_a_service(team, *, owner: str):
    by = service(team, owner=owner, role="scientist", scopes=["read", "register"])
    version = make_version(team)
    return promotions.request(by, version=version, environment=environment(team), reason="Better on recent customers.")


def test_e1_the_owner_of_the_asking_account_does_not_decide(team):
    request = asked_by_a_service(team, owner="manager")
    assert deciders.barred(team.people["manager"], request) == "asked for this promotion"
    assert deciders.barred(team.people["manager2"], request) == ""
    with pytest.raises(Forbidden, match="asked for this promotion"):
        promotions.decide(team.manager, request=request, verdict="reject", comment="Not on my own word.")


def test_e1_who_minted_its_token_does_not_decide(team):
    members.add(team.admin, project=team.project, user=team.people["admin"], role="manager")
    request = asked_by_a_service(team, owner="scientist")
    assert deciders.barred(team.people["admin"], request) == "asked for this promotion"


def test_e1_a_former_owner_does_not_decide(team):
    request = asked_by_a_service(team, owner="manager")
    service_accounts.change_owner(team.admin, account=request.requested_by, owner=team.people["scientist"])
    assert deciders.barred(team.people["manager"], request) == "asked for this promotion"


def test_e13_a_service_account_decides_with_a_token_minted_for_it_only(team):
    by = service(team, owner="ops", role="manager", scopes=["read", "write"])
    request = make_request(team)
    with pytest.raises(Forbidden, match="scope"):
        promotions.decide(by, request=request, verdict="approve")
    account = by.user
    new = tokens.create(team.admin, project=team.project, name="sign", scopes=["approve"], owner=account)
    done = promotions.decide(entry.of_token(new.secret).actor, request=request, verdict="approve")
    assert done.state == "approved"


def test_a_role_given_after_the_request_by_who_minted_the_token_is_given_to_oneself(team):
    request = make_request(team)
    by = service(team, owner="ops", role="manager", scopes=["approve"])
    with pytest.raises(Forbidden, match="gave yourself the right"):
        promotions.decide(by, request=request, verdict="approve")


def test_e7_an_account_and_its_owner_are_one_approval(team):
    by = service(team, owner="manager", role="manager", scopes=["approve"])
    assert deciders.keys([by.user]) & deciders.keys([team.people["manager"]])
    assert deciders.keys([by.user]) & deciders.keys([team.people["admin"]])  # who minted the token
    assert not deciders.keys([by.user]) & deciders.keys([team.people["manager2"]])


def test_a_right_is_handed_to_people_only(team):
    by = service(team, owner="scientist", role="ops", scopes=["read"])
    assert by.user not in delegations.eligible(team.project)
