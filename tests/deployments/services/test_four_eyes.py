"""Who may decide (E1, E2, E3, E7, E8, E13, E14): each test goes red when its rule is taken out."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from deployments.models import (
    Decision,
    EndpointRevision,
    ModelVersion,
    Policy,
)
from deployments.services import late_roles, policies, promotions
from experiments.models import Artifact
from mlportal.lib.errors import Conflict, Forbidden
from projects.actor import Actor
from projects.models import ApiToken, Event, Group, Membership, User
from projects.services import accounts
from tests.deployments.services.test_promotions import COMMENT, WHY, approve, code_of, state_of
from tests.deployments.test_pages import browser
from tests.factories.deployments import (
    environment,
    evaluate,
    make_request,
    make_version,
)
from tests.factories.projects import actor, make_token, make_user


def test_e1_the_requester_never_decides_by_session_or_token(team):
    version = make_version(team)
    both = make_user("both", role="scientist", project=team.project)
    Membership.objects.create(user=both, project=team.project, role="manager")
    request = promotions.request(actor(both), version=version, environment=environment(team), reason=WHY)
    evaluate(request)
    for by in (actor(both), token_actor(both, team, ["approve"])):
        for verdict in ("approve", "reject", "changes"):
            with pytest.raises(Forbidden) as caught:
                promotions.decide(by, request=request, verdict=verdict, comment=COMMENT)
            assert code_of(caught) == "four_eyes"
    assert state_of(request) == "pending"


@pytest.mark.parametrize("email", ["CHURN-scientist2@example.org", "churn-scientist2+two@example.org"])
def test_e1_nor_by_a_second_account_of_the_same_mail_box(team, email):
    request = make_request(team)
    second = make_user("second", role="manager", project=team.project, email=email)
    with pytest.raises(Forbidden) as caught:
        approve(actor(second), request)
    assert code_of(caught) == "four_eyes"


def test_e1_nor_after_typing_another_address(team):
    """An address that nobody confirmed makes nobody another person; a site administrator's word does."""
    email = "churn-scientist2+two@example.org"
    second = make_user("second", role="manager", project=team.project, email=email)
    for typed in ("other@example.org", "third@example.org"):
        kept = {"display_name": "", "theme": "", "density": "compact", "time_zone": "UTC", "single_keys": True}
        accounts.edit_profile(actor(second), email=typed, **kept)
    request = make_request(team)
    with pytest.raises(Forbidden) as caught:
        approve(actor(second), request)
    assert code_of(caught) == "four_eyes"
    accounts.confirm_email(actor(make_user("chief", is_site_admin=True)), user=second)
    approve(actor(User.objects.get(pk=second.pk)), request)
    assert state_of(request) == "approved"


def test_e2_who_trained_registered_or_uploaded_counts_as_requester(team):
    trainer = team.people["scientist"]
    Membership.objects.create(user=trainer, project=team.project, role="manager")
    request = make_request(team)
    with pytest.raises(Forbidden, match="registered this version"):
        approve(actor(trainer), request)
    ModelVersion.objects.filter(pk=request.version_id).update(created_by=team.people["scientist2"])
    with pytest.raises(Forbidden, match="trained this version"):
        approve(actor(trainer), request)
    type(request.version.run).objects.filter(pk=request.version.run_id).update(created_by=team.people["scientist2"])
    with pytest.raises(Forbidden, match="uploaded a file"):
        approve(actor(trainer), request)
    Artifact.objects.filter(run=request.version.run).update(created_by=team.people["scientist2"])
    approve(actor(trainer), request)
    assert state_of(request) == "approved"


def test_e2_who_last_changed_the_rules_counts_as_requester(team):
    admin = team.people["admin"]
    Membership.objects.create(user=admin, project=team.project, role="manager")
    policies.change(team.admin, environment=environment(team), expiry_days=5)
    request = make_request(team)
    with pytest.raises(Forbidden, match="last changed the rules"):
        approve(actor(admin), request)


def test_e2_who_put_the_rules_into_force_counts_as_requester(team):
    second = make_user("ada2", role="admin", project=team.project)
    Membership.objects.create(user=second, project=team.project, role="manager")
    proposal = policies.change(team.admin, environment=environment(team), expiry_days=5)
    policies.confirm(actor(second), policy=proposal)
    request = make_request(team)
    with pytest.raises(Forbidden, match="put the rules of this environment into force"):
        approve(actor(second), request)
    approve(team.manager, request)
    assert state_of(request) == "approved"


def test_e3_rights_are_read_inside_the_decision(team):
    request = make_request(team)
    by = team.manager
    assert by.permissions_in(team.project)  # remembered, as in a request that began before the change
    Membership.objects.filter(user=by.user, project=team.project).update(valid_to=timezone.now())
    with pytest.raises(Forbidden):
        approve(by, request)
    other = team.manager2
    type(other.user).objects.filter(pk=other.user.pk).update(is_active=False)
    assert other.user.is_active
    with pytest.raises(Forbidden) as caught:
        approve(other, request)
    assert code_of(caught) == "inactive"
    assert state_of(request) == "pending"


def test_e7_quorum_counts_distinct_people_and_a_reject_ends_it(team):
    policies.change(team.admin, environment=environment(team), min_approvals=2)
    request = make_request(team)
    approve(team.manager, request)
    assert state_of(request) == "pending"
    with pytest.raises(Conflict) as caught:
        approve(team.manager, request)
    assert code_of(caught) == "decided_before"
    twin = make_user("twin", role="manager", project=team.project, email="churn-manager+1@example.org")
    with pytest.raises(Conflict) as caught:
        approve(actor(twin), request)
    assert (code_of(caught), caught.value.got["by"]) == ("decided_before", "churn-manager")
    assert state_of(request) == "pending"
    approve(team.manager2, request)
    assert state_of(request) == "approved"
    other = make_request(team)
    approve(team.manager, other)
    promotions.decide(team.manager2, request=other, verdict="reject", comment=COMMENT)
    assert state_of(other) == "rejected"


def test_e8_rules_are_copied_and_a_change_makes_open_requests_stale(team):
    request = make_request(team)
    old = request.policy
    new = policies.change(team.admin, environment=environment(team), min_approvals=2)
    assert (state_of(request), new.number, new.state) == ("stale", 2, "active")
    old.refresh_from_db()
    assert (old.state, old.min_approvals) == ("replaced", 1)


def test_e8_a_second_admin_confirms_a_change(team):
    second = make_user("ada2", role="admin", project=team.project)
    request = make_request(team)
    proposal = policies.change(team.admin, environment=environment(team), four_eyes=False)
    assert (proposal.state, state_of(request)) == ("proposed", "pending")
    assert policies.current(environment(team)).four_eyes is True
    with pytest.raises(Forbidden) as caught:
        policies.confirm(team.admin, policy=proposal)
    assert code_of(caught) == "four_eyes"
    with pytest.raises(Conflict) as conflict:
        policies.change(team.admin, environment=environment(team), min_approvals=3)
    assert code_of(conflict) == "proposal_open"
    policies.confirm(actor(second), policy=proposal)
    assert policies.current(environment(team)).four_eyes is False
    assert state_of(request) == "stale"
    with pytest.raises(Conflict):
        policies.confirm(actor(second), policy=proposal)


def test_e8_a_dropped_proposal_changes_nothing(team):
    make_user("ada2", role="admin", project=team.project)
    proposal = policies.change(team.admin, environment=environment(team), min_approvals=2)
    policies.drop(team.admin, policy=proposal)
    assert policies.current(environment(team)).min_approvals == 1


def test_e8_the_right_to_decide_given_to_oneself_does_not_count(team):
    request = make_request(team)
    admin = team.people["admin"]
    Membership.objects.create(user=admin, project=team.project, role="manager", granted_by=admin)
    with pytest.raises(Forbidden, match="gave yourself"):
        approve(actor(admin), request)
    group = Group.objects.create(name="Signers", name_key="signers", created_by=team.people["manager"])
    ended = Membership.objects.create(
        user=admin, project=team.project, role="manager", granted_by=team.people["manager"], group=group,
        valid_until=timezone.now(),
    )  # fmt: skip
    Membership.objects.filter(pk=ended.pk).update(valid_from=request.requested_at - timedelta(days=9))
    with pytest.raises(Forbidden, match="gave yourself"):  # what has ended gives nothing, before the beat ends it too
        approve(actor(admin), request)
    Membership.objects.filter(user=admin, role="manager").update(granted_by=team.people["manager"])
    approve(actor(admin), request)
    assert state_of(request) == "approved"


@pytest.mark.parametrize("giver", ["scientist2", "scientist"])
def test_e8_the_right_to_decide_given_by_who_wants_it_live_does_not_count(team, giver):
    """The second scientist asked, the first one trained; a role from before the request counts, whoever gave it."""
    request = make_request(team)
    ops = team.people["ops"]
    given = {"user": ops, "project": team.project, "role": "manager", "granted_by": team.people[giver]}
    row = Membership.objects.create(**given)
    with pytest.raises(Forbidden, match=f"churn-{giver}, who has a part in this version or request, gave you"):
        approve(actor(ops), request)
    late = late_roles.since(request)
    assert [(str(one.person), one.role, one.gained, str(one.by)) for one in late] == [
        ("churn-ops", "Manager (approver)", True, f"churn-{giver}")
    ]
    words = " ".join(browser(team, "manager").get(f"/p/churn/promotions/{request.pk}/").content.decode().split())
    assert "churn-ops became Manager (approver)" in words
    assert "Manager (approver): churn-manager, churn-manager2<" in words  # who could sign
    assert (f"by churn-{giver}, who asked: does not count here" in words) == (giver == "scientist2")
    Membership.objects.filter(pk=row.pk).update(valid_from=request.requested_at)
    assert late_roles.since(request) == []
    approve(actor(ops), request)
    assert state_of(request) == "approved"


def test_e8_the_database_refuses_to_change_the_rules_of_a_policy(team):
    policy = policies.current(environment(team))
    for change in ({"steps": []}, {"four_eyes": False}, {"gates": []}, {"expiry_days": 9}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Policy.objects.filter(pk=policy.pk).update(**change)


def token_actor(user, team, scopes) -> Actor:
    make_token(user, team.project, scopes)
    return Actor.for_token(ApiToken.objects.select_related("user").filter(user=user).order_by("-pk")[0])


def test_e13_a_token_decides_only_with_the_scope_approve(team):
    request = make_request(team)
    manager = team.people["manager"]
    everything_else = ["read", "write", "train", "register", "deploy", "predict", "alerts", "admin"]
    with pytest.raises(Forbidden):
        approve(token_actor(manager, team, everything_else), request)
    by = token_actor(manager, team, ["approve"])
    ApiToken.objects.filter(pk=by.token.pk).update(revoked_at=timezone.now())
    with pytest.raises(Forbidden) as caught:
        approve(by, request)
    assert code_of(caught) == "token_scope"
    # The scope was taken away after the request had begun: the row counts, not what was read before.
    ApiToken.objects.filter(pk=by.token.pk).update(revoked_at=None, scopes=["read"])
    with pytest.raises(Forbidden) as caught:
        approve(by, request)
    assert code_of(caught) == "token_scope"
    ApiToken.objects.filter(pk=by.token.pk).update(scopes=["approve"])
    approve(by, request)
    assert Decision.objects.get(request=request).token_id == by.token.pk


def test_e13_a_part_of_the_portal_never_decides(team):
    request = make_request(team)
    from projects.permissions import Permission

    by = Actor.system("x", project=team.project, grants=set(Permission), on_behalf_of=team.people["manager"])
    with pytest.raises(Forbidden) as caught:
        approve(by, request)
    assert code_of(caught) == "people_only"


def test_e14_without_four_eyes_one_person_may_do_both_and_it_is_marked(team):
    policies.change(team.admin, environment=environment(team), four_eyes=False)
    Membership.objects.create(user=team.people["scientist2"], project=team.project, role="manager")
    request = make_request(team)
    approve(team.scientist2, request)
    request.refresh_from_db()
    assert (request.state, request.single_person) == ("approved", True)
    assert Event.objects.get(verb="promotion.approved").data["single_person"] is True
    assert EndpointRevision.objects.count() == 1


def test_e14_two_people_are_not_marked_and_only_an_admin_switches_it_off(team):
    for role in ("viewer", "scientist", "manager", "ops"):
        with pytest.raises(Forbidden):
            policies.change(getattr(team, role), environment=environment(team), four_eyes=False)
    policies.change(team.admin, environment=environment(team), four_eyes=False)
    request = make_request(team)
    approve(team.manager, request)
    request.refresh_from_db()
    assert request.single_person is False
