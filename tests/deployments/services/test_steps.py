"""Who signs, in which order and in whose right: E1, E2, E3 and E7 with steps and delegations."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deployments.models import Decision, Delegation, PromotionRequest
from deployments.services import deciders, delegations, promotions
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.models import Event, Membership
from projects.permissions import Permission
from tests.factories.deployments import make_request, make_version, set_policy, step
from tests.factories.projects import actor, make_user, system

COMMENT = "Not on these numbers."
REASON = "On leave until Monday."
TWO_STEPS = [step("ops", name="Operations"), step("manager", needed=2, name="Business")]


def approve(by, request, **extra):
    return promotions.decide(by, request=request, verdict="approve", **extra)


def reload(request) -> PromotionRequest:
    return PromotionRequest.objects.with_subject().get(pk=request.pk)


def refused(by, request, kind=Forbidden, **extra) -> str:
    with pytest.raises(kind) as caught:
        promotions.decide(by, request=request, **{"verdict": "approve", "comment": COMMENT, **extra})
    return caught.value.code


def hand_over(team, giver="manager", taker="ops", days=3):
    until = timezone.now() + timedelta(days=days)
    return delegations.give(
        getattr(team, giver), project=team.project, taker=team.people[taker].username, until=until, reason=REASON
    )


def test_e7_only_the_roles_of_the_step_that_is_asked_may_approve_in_sequence(team):
    set_policy(team, steps=TWO_STEPS)
    request = make_request(team)
    assert request.asked_roles == ",ops,"
    for by in (team.manager, team.scientist, team.admin, team.viewer):
        assert refused(by, request) in ("not_asked", "forbidden", "four_eyes")
    approve(team.ops, request)
    held = reload(request)
    assert (held.state, held.step, held.asked_roles) == ("pending", 1, ",manager,")
    assert Event.objects.get(verb="promotion.approval_added").data["waits_for"] == ["2 of Business"]
    assert refused(team.ops, request, Forbidden) == "not_asked"
    approve(team.manager, request)
    assert reload(request).state == "pending"
    approve(team.manager2, request)
    assert reload(request).state == "approved"
    rows = Decision.objects.filter(request=request).values_list("user__username", "step", "role")
    assert list(rows) == [("churn-ops", 0, "ops"), ("churn-manager", 1, "manager"), ("churn-manager2", 1, "manager")]


def test_e7_one_person_never_signs_twice_with_two_roles(team):
    set_policy(team, steps=[step("ops"), step("manager")])
    Membership.objects.create(user=team.people["ops"], project=team.project, role="manager")
    twin = make_user("twin", role="manager", project=team.project, email="churn-ops+x@example.org")
    request = make_request(team)
    approve(team.ops, request)
    assert refused(team.ops, request, Conflict) == "decided_before"
    assert refused(actor(twin), request, Conflict) == "decided_before"
    assert reload(request).state == "pending"


def test_e7_a_reject_in_any_step_ends_the_request(team):
    set_policy(team, steps=TWO_STEPS)
    first, second = make_request(team), make_request(team)
    promotions.decide(team.ops, request=first, verdict="reject", comment=COMMENT)
    assert reload(first).state == "rejected"
    approve(team.ops, second)
    promotions.decide(team.manager, request=second, verdict="changes", comment=COMMENT)
    assert reload(second).state == "changes_requested"
    assert refused(team.manager2, second, Conflict) == "already_decided"


def test_e2_without_the_rule_only_the_one_who_asked_is_excluded(team):
    trainer = team.people["scientist"]
    Membership.objects.create(user=trainer, project=team.project, role="manager")
    set_policy(team, exclude_trainer=False)
    request = make_request(team)
    assert [why for _, why in deciders.involved(request)] == ["asked for this promotion"]
    Membership.objects.create(user=team.people["scientist2"], project=team.project, role="manager")
    assert refused(team.scientist2, request) == "four_eyes"
    approve(actor(trainer), request)
    assert reload(request).state == "approved"


def test_e3_a_role_of_the_step_is_read_inside_the_decision(team):
    set_policy(team, steps=[step("ops")])
    request = make_request(team)
    by = team.ops
    assert by.permissions_in(team.project)
    Membership.objects.filter(user=by.user).update(valid_to=timezone.now())
    assert refused(by, request) == "forbidden"


def test_a_decision_by_delegation_names_both(team):
    handed = hand_over(team)
    request = make_request(team)
    assert refused(team.scientist, request) == "four_eyes"
    approve(team.ops, request)
    made = Decision.objects.get(request=request)
    assert (made.user, made.delegation, made.role) == (team.people["ops"], handed, "manager")
    said = Event.objects.get(verb="promotion.approved")
    giver = team.people["manager"].pk
    assert (said.on_behalf_of, said.data["for"], said.data["role"]) == (giver, giver, "manager")


def test_e7_a_delegation_does_not_make_two_people_of_one_right(team):
    set_policy(team, steps=[step("manager", needed=2)])
    hand_over(team)
    request = make_request(team)
    approve(team.ops, request)
    assert refused(team.manager, request, Conflict) == "decided_before"
    assert deciders.progress(request).counts == [1]
    approve(team.manager2, request)
    assert reload(request).state == "approved"


def test_e1_the_requester_is_no_delegate_and_hands_over_nothing(team):
    hand_over(team, taker="scientist2")
    request = make_request(team)
    assert refused(team.scientist2, request) == "four_eyes"
    Delegation.objects.all().delete()
    Membership.objects.create(user=team.people["scientist2"], project=team.project, role="manager")
    hand_over(team, giver="scientist2")
    assert refused(team.ops, make_request(team, version=make_version(team))) == "not_asked"


def test_e1_e8_a_right_is_not_laundered_through_somebody_one_made_a_manager(team):
    """An admin makes a friend manager after the request, and the friend hands the right back."""
    request = make_request(team)
    Membership.objects.create(
        user=team.people["viewer"], project=team.project, role="manager", granted_by=team.people["ops"]
    )
    hand_over(team, giver="viewer", taker="ops")
    assert refused(team.ops, request) == "not_asked"
    Membership.objects.filter(user=team.people["viewer"], role="manager").update(granted_by=team.people["admin"])
    approve(team.ops, request)
    assert reload(request).state == "approved"


def test_e2_nor_does_who_trained_the_version(team):
    trainer = team.people["scientist"]
    Membership.objects.create(user=trainer, project=team.project, role="manager")
    hand_over(team, giver="scientist")
    assert refused(team.ops, make_request(team)) == "not_asked"


@pytest.mark.parametrize("end", ["revoked", "over", "giver left", "giver inactive"])
def test_e3_a_delegation_that_does_not_hold_now_gives_nothing(team, end):
    handed = hand_over(team)
    request = make_request(team)
    if end == "revoked":
        delegations.revoke(team.manager, delegation=handed)
    elif end == "over":
        handed.delete()
        past = timezone.now() - timedelta(days=2)
        Delegation.objects.create(
            project=team.project, giver=handed.giver, taker=handed.taker, reason=REASON, valid_from=past,
            until=past + timedelta(days=1),
        )  # fmt: skip
    elif end == "giver left":
        Membership.objects.filter(user=team.people["manager"]).update(valid_to=timezone.now())
    else:
        type(handed.giver).objects.filter(pk=handed.giver_id).update(is_active=False)
    assert refused(team.ops, request) == "not_asked"


def test_a_delegation_is_not_passed_on(team):
    hand_over(team)
    other = make_user("other", role="scientist", project=team.project)
    until = timezone.now() + timedelta(days=1)
    delegations.give(team.ops, project=team.project, taker=other.username, until=until, reason=REASON)
    assert refused(actor(other), make_request(team)) == "not_asked"


@pytest.mark.parametrize(
    ("change", "kind", "field"),
    [
        ({"reason": "short"}, Invalid, "reason"),
        ({"until": timezone.now() - timedelta(days=1)}, Invalid, "until"),
        ({"until": timezone.now() + timedelta(days=91)}, Invalid, "until"),
        ({"until": "tomorrow"}, Invalid, "until"),
        ({"taker": "nobody"}, Missing, "taker"),
        ({"taker": "churn-viewer"}, Missing, "taker"),
        ({"taker": "churn-manager"}, Invalid, "taker"),
    ],
)
def test_delegations_refuse_what_is_wrong(team, change, kind, field):
    values = {"taker": "churn-ops", "until": timezone.now() + timedelta(days=1), "reason": REASON, **change}
    with pytest.raises(kind) as caught:
        delegations.give(team.manager, project=team.project, **values)
    assert caught.value.field == field


def test_delegations_are_given_by_people_and_taken_back_by_their_giver_or_an_admin(team):
    handed = hand_over(team)
    with pytest.raises(Conflict):
        hand_over(team)
    for by in (team.manager2, team.ops, team.scientist):
        with pytest.raises(Forbidden):
            delegations.revoke(by, delegation=handed)
    with pytest.raises(Forbidden):
        delegations.give(team.viewer, project=team.project, taker="churn-ops", until=handed.until, reason=REASON)
    portal = system(team.project, *Permission, on_behalf_of=team.people["manager"])
    with pytest.raises(Forbidden) as caught:
        delegations.give(portal, project=team.project, taker="churn-ops", until=handed.until, reason=REASON)
    assert caught.value.code == "people_only"
    delegations.revoke(team.admin, delegation=handed)
    with pytest.raises(Conflict):
        delegations.revoke(team.manager, delegation=handed)
    verbs = list(Event.objects.filter(target_type="delegation").order_by("seq").values_list("verb", flat=True))
    assert verbs == ["delegation.given", "delegation.revoked"]
