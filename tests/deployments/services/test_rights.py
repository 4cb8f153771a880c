"""Why and who on environments and promotion requests: the answer is the one of a decision."""

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from deployments.models import Delegation
from deployments.services import deciders, delegations, promotions
from mlportal.lib import moments
from mlportal.lib.errors import Conflict, Forbidden
from projects.models import Membership
from projects.services import things, who, why
from projects.services.why import Question
from tests.factories.deployments import environment, make_request, make_team
from tests.factories.projects import make_user

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.fixture
def team(db):
    return make_team()


def test_the_answer_is_that_of_the_decision(team):
    request = make_request(team)
    thing = things.find(team.project, f"promotion:{request.pk}")
    may = []
    for name, person in team.people.items():
        question = Question(person, None, "promotion.sign", team.project, thing)
        refusal = why.refusal_of(question)
        if refusal is None:
            assert deciders.check(question.actor, request).person == person
            may.append(name)
            continue
        with pytest.raises((Forbidden, Conflict)) as error:
            deciders.check(question.actor, request)
        assert refusal.message == error.value.message
    assert may == ["manager", "manager2"]
    page = who.holders(team.admin, project=team.project, permission="promotion.sign", on=thing.key)
    assert [row.user.username for row in page.rows if not row.excluded] == ["churn-manager", "churn-manager2"]


def test_who_could_then_counts_the_delegations_of_then(team):
    request, now = make_request(team), timezone.now()
    handed = Delegation.objects.create(
        project=team.project, giver=team.people["manager"], taker=team.people["ops"], reason="Away this week.",
        valid_from=now - timedelta(hours=5), until=now + timedelta(days=3),
    )  # fmt: skip
    end = delegations.revoke(team.manager, delegation=handed).revoked_at
    Membership.objects.update(valid_from=now - timedelta(days=1))

    def could(hours, asked="promotion.decide"):
        span = moments.read((now - timedelta(hours=hours)).isoformat(), field="as_of")
        key = f"promotion:{request.pk}"
        page = who.holders(team.admin, project=team.project, permission=asked, on=key, span=span)
        return {row.user.username: row.sources for row in page.rows}

    words = f"for churn-manager by a delegation until {end:%Y-%m-%d %H:%M} UTC"
    assert could(2)["churn-ops"] == [words]
    assert could(2, "promotion.sign")["churn-ops"] == ["Ops directly", words]
    assert "churn-ops" not in could(6)
    assert all(words not in sources for sources in could(2, "model.view").values())
    now_page = who.holders(
        team.admin, project=team.project, permission="promotion.decide", on=f"promotion:{request.pk}"
    )
    assert handed.taker not in [row.user for row in now_page.rows]


def test_four_eyes_is_named_for_asker_and_trainer(team):
    request = make_request(team)
    key = f"promotion:{request.pk}"
    for name, word in (("churn-scientist2", "asked for this promotion"), ("churn-scientist", "this version")):
        answer = why.explain(team.admin, project=team.project, permission="promotion.sign", on=key, person=name)
        stops = [each.words for each in answer.reasons if each.effect == "stops"]
        assert not answer.may
        assert answer.refusal.code == "four_eyes"
        assert len(stops) == 1
        assert stops[0].startswith("Four eyes: they ")
        assert stops[0].endswith(word)
        assert answer.remedies == ["Another person has to do it"]


@pytest.mark.parametrize("name", ["churn-scientist", "churn-scientist2"])
def test_no_role_is_offered_to_whom_four_eyes_excludes(team, name):
    key, about = f"promotion:{make_request(team).pk}", {"permission": "promotion.decide", "person": name}
    answer = why.explain(team.admin, project=team.project, on=key, **about)
    assert "Your role does not allow" in answer.refusal.message
    assert (answer.remedies, answer.granters) == (["Another person has to do it"], [])
    others = why.explain(team.admin, project=team.project, on=key, **{**about, "person": "churn-viewer"})
    assert (others.remedies, others.granters) == (["The role Manager (approver)"], ["churn-admin"])


def test_no_role_is_offered_for_a_request_that_is_closed(team):
    request = make_request(team)
    promotions.withdraw(team.scientist2, request=request)
    about = {"permission": "promotion.decide", "person": "churn-viewer", "on": f"promotion:{request.pk}"}
    answer = why.explain(team.admin, project=team.project, **about)
    assert (answer.may, answer.remedies, answer.granters) == (False, [], [])


def test_a_closed_request_is_told(team):
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="reject", comment="Worse on new customers.")
    key = f"promotion:{request.pk}"
    answer = why.explain(team.manager2, project=team.project, permission="promotion.decide", on=key)
    assert not answer.may
    assert "rejected" in answer.refusal.message


def test_an_environment_tells_its_rules(team):
    environment(team)
    answer = why.explain(team.viewer, project=team.project, permission="promotion.decide", on="environment:production")
    assert not answer.may
    assert any("with the role Manager (approver)" in each.words for each in answer.reasons)
    assert any(each.words.startswith("Four eyes") for each in answer.reasons)


def test_a_decision_refused_says_what_to_ask(team):
    request = make_request(team)
    with pytest.raises(Forbidden) as error:
        promotions.decide(team.scientist2, request=request, verdict="approve")
    assert (error.value.permission, error.value.on) == ("promotion.sign", f"promotion:{request.pk}")
    assert error.value.as_dict()["on"] == error.value.on


def test_the_page_of_a_refusal_leads_to_the_answer(team, client):
    request = make_request(team)
    client.force_login(team.people["viewer"])
    page = client.post(f"/p/churn/promotions/{request.pk}/decide/", {"verdict": "approve"})
    assert page.status_code == 403
    assert "/p/churn/settings/access/why/?permission=promotion" in page.content.decode()
    client.force_login(make_user("outsider"))
    assert "access/why" not in client.get(f"/p/churn/promotions/{request.pk}/").content.decode()


def test_rights_that_ask_for_a_proof_are_those_whose_services_ask():
    """``why.PROVED`` against every ``require`` that stands right before ``stepup.require_recent``."""
    found = set()
    for app in ("projects", "deployments", "experiments", "monitoring"):
        for path in (ROOT / app / "services").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    lines = [ast.unparse(each) for each in node.body if isinstance(each, ast.Expr)]
                    calls = [line for line in lines if line.startswith(("require(", "stepup.require_recent"))]
                    if len(calls) == 2 and calls[1].startswith("stepup"):
                        found.add(calls[0].split("Permission.")[1].split(",")[0])
    inside = {name for name in found if name not in ("SITE_ADMIN", "ACCOUNT_EDIT")}
    asked = {permission.name for permission in why.PROVED}
    # Deploying asks only where no approval came before, changing a project only where a legal hold is lifted.
    assert inside - {"ENDPOINT_DEPLOY", "PROJECT_EDIT"} == asked
