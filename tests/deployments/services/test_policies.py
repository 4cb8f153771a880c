"""Versions of the rules: drafts, second admins, what is refused, and that nothing changes behind anybody's back."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from deployments.models import Policy, PromotionRequest
from deployments.proof import rules
from deployments.services import holders, policies, promotions
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event, Membership
from tests.factories.deployments import environment, make_live, make_request, make_version
from tests.factories.projects import actor, make_user

pytestmark = pytest.mark.django_db
TWO = [{"name": "Peer", "roles": ["scientist"], "needed": 1}, {"name": "Sign", "roles": ["manager"], "needed": 2}]


def production(team):
    return environment(team)


def state_of(row):
    return type(row).objects.get(pk=row.pk).state


def second_admin(team):
    return actor(make_user("ada2", role="admin", project=team.project))


def test_a_draft_changes_nothing_until_it_is_activated(team):
    request = make_request(team)
    draft = policies.draft(team.admin, environment=production(team), steps=TWO, approval_days=3)
    assert (draft.state, draft.number, draft.based_on, draft.min_approvals) == ("draft", 2, 1, 3)
    assert (policies.current(production(team)).number, state_of(request)) == (1, "pending")
    made = policies.activate(team.admin, policy=draft)
    assert (made.state, policies.current(production(team)).steps, state_of(request)) == ("active", TWO, "stale")
    with pytest.raises(Conflict) as caught:
        policies.activate(team.admin, policy=draft)
    assert caught.value.code == "not_proposed"


def test_a_new_draft_of_the_same_person_drops_the_old_one(team):
    other = second_admin(team)
    first = policies.draft(team.admin, environment=production(team), expiry_days=3)
    theirs = policies.draft(other, environment=production(team), expiry_days=4)
    second = policies.draft(team.admin, environment=production(team), expiry_days=5)
    assert [state_of(row) for row in (first, theirs, second)] == ["dropped", "draft", "draft"]


def test_a_draft_made_from_older_rules_is_not_activated(team):
    draft = policies.draft(team.admin, environment=production(team), expiry_days=3)
    policies.change(team.admin, environment=production(team), switch_at_approval=False)
    again = Policy.objects.get(pk=draft.pk)
    assert again.state == "dropped"  # the change was the same person's next draft
    other = second_admin(team)
    theirs = policies.draft(other, environment=production(team), expiry_days=3)
    mine = policies.change(team.admin, environment=production(team), expiry_days=4)
    policies.confirm(other, policy=mine)
    with pytest.raises(Conflict) as caught:
        policies.activate(other, policy=theirs)
    assert (caught.value.code, state_of(theirs)) == ("draft_outdated", "draft")


def test_e8_lowering_the_bar_makes_open_requests_and_unused_approvals_stale_and_is_told(team):
    policies.change(team.admin, environment=production(team), switch_at_approval=False, min_approvals=2)
    request = make_request(team)
    unused = make_request(team)
    for name in ("manager", "manager2"):
        promotions.decide(getattr(team, name), request=unused, verdict="approve")
    assert state_of(unused) == "approved"
    policies.change(team.admin, environment=production(team), min_approvals=1)
    assert (state_of(request), state_of(unused)) == ("stale", "stale")
    assert Event.objects.filter(verb="policy.changed").latest("seq").data["lowered"] == [
        "Approvals: 1 manager; was 2 manager."
    ]


def weaker_gate(before):
    return [{**row, "margin": 0.5} if row["name"] == "metric_not_worse:primary" else row for row in before]


@pytest.mark.parametrize("change", ["approvals", "gate", "gone", "four_eyes", "card"])
def test_e8_each_way_of_lowering_the_bar_waits_for_a_second_admin(team, change):
    policies.change(team.admin, environment=production(team), min_approvals=2, card_sections=["risk"])
    other = second_admin(team)
    request = make_request(team)
    gates = policies.current(production(team)).gates
    given = {
        "approvals": {"min_approvals": 1}, "gate": {"gates": weaker_gate(gates)}, "gone": {"gates": gates[2:]},
        "four_eyes": {"four_eyes": False},
        "card": {"card_sections": [], "gates": [row for row in gates if row["kind"] != "card_complete"]},
    }[change]  # fmt: skip
    proposed = policies.change(team.admin, environment=production(team), **given)
    assert (proposed.state, state_of(request)) == ("proposed", "pending")
    assert Event.objects.get(verb="policy.proposed").data["lowered"]
    with pytest.raises(Forbidden) as caught:
        policies.confirm(team.admin, policy=proposed)
    assert caught.value.code == "four_eyes"
    policies.confirm(other, policy=proposed)
    assert (state_of(proposed), state_of(request)) == ("active", "stale")


def test_e8_a_second_account_with_the_same_mail_is_no_second_admin(team):
    twin = make_user("twin", role="admin", project=team.project, email="churn-admin+2@example.org")
    made = policies.change(team.admin, environment=production(team), min_approvals=2)
    assert made.state == "active"  # alone: marked, and nobody else is there to ask
    assert Event.objects.get(verb="policy.changed").data["single_person"] is True
    second_admin(team)
    proposed = policies.change(team.admin, environment=production(team), min_approvals=1)
    with pytest.raises(Forbidden):
        policies.confirm(actor(twin), policy=proposed)


def test_e8_a_confirmer_who_lost_the_role_in_between_is_refused(team):
    other = second_admin(team)
    proposed = policies.change(team.admin, environment=production(team), min_approvals=2)
    Membership.objects.filter(user=other.user).update(valid_to="2026-01-01T00:00Z")
    with pytest.raises(Forbidden):
        policies.confirm(other, policy=proposed)


def test_e6_gates_are_judged_again_at_the_decision(team):
    gates = [*rules.DEFAULT_GATES, rules.Gate("data_fresh", limit=1.0)]
    policies.change(team.admin, environment=production(team), gates=[rules.plain(gate) for gate in gates])
    make_live(team)
    request = make_request(team)
    data = request.version.dataset_version
    type(data).objects.filter(pk=data.pk).update(created_at="2020-01-01T00:00Z")
    with pytest.raises(Conflict) as caught:
        promotions.decide(team.manager, request=request, verdict="approve")
    assert caught.value.code in ("gates_failed", "request_stale")
    assert state_of(request) != "approved"


def test_a_required_part_of_the_card_brings_its_gate_and_blocks(team):
    made = policies.change(team.admin, environment=production(team), card_sections=["risk", "description"])
    assert made.gates[-1] == {"kind": "card_complete", "level": "blocking", "name": "card_complete"}
    assert made.card_sections == ["description", "risk"]
    request = make_request(team)
    found = request.gate_results.get(name="card_complete")
    assert (found.passed, found.found) == (False, "missing: description, risk")
    with pytest.raises(Conflict):
        promotions.decide(team.manager, request=request, verdict="approve")
    version = make_version(team)
    version.description = "Trained on the customers of this autumn."
    version.save(update_fields=["description"])
    version.tag_rows.create(key="risk", value="limited")
    written = make_request(team, version=version)
    assert written.gate_results.get(name="card_complete").passed


def test_no_evidence_is_kept_with_the_verdict(team):
    gates = [{"kind": "reproduced_within", "limit": 30}, {"kind": "dataset_checks", "level": "advisory"}]
    policies.change(team.admin, environment=production(team), gates=gates)
    request = make_request(team)
    found = {row.name: (row.passed, row.evidence) for row in request.gate_results.all()}
    assert found == {"reproduced_within": (False, False), "dataset_checks": (False, False)}


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"steps": []}, "steps", "1 to 9"),
        ({"steps": "manager"}, "steps", "1 to 9"),
        ({"steps": [{"name": "A", "roles": ["admin"]}]}, "steps.1.roles", "scientist, manager, ops"),
        ({"steps": [{"name": "A", "roles": ["boss"]}]}, "steps.1.roles", "one or more of"),
        ({"steps": [{"name": "A", "roles": []}]}, "steps.1.roles", "one or more of"),
        ({"steps": [{"name": "A", "roles": [["manager"]]}]}, "steps.1.roles", "one or more of"),
        ({"steps": [{"name": " ", "roles": ["ops"]}]}, "steps.1.name", "1 to 60"),
        ({"steps": [{"name": "A", "roles": ["ops"], "needed": 10}]}, "steps.1.needed", "from 1 to 9"),
        ({"steps": [{"name": "A", "roles": ["ops"], "who": 1}]}, "steps.1", "nothing else"),
        ({"approval_days": 0}, "approval_days", "from 1 to 365"),
        ({"reminder_hours": -1}, "reminder_hours", "from 0 to 2160"),
        ({"timeout_hours": 168}, "timeout_hours", "less than the 168 hours"),
        ({"timeout_action": "shout"}, "timeout_action", "expire, reject, escalate"),
        ({"allow_break_glass": "yes"}, "allow_break_glass", "true or false"),
        ({"card_sections": ["poem"]}, "card_sections", "intended_purpose"),
        ({"gates": [{"kind": "card_complete"}]}, "card_sections", "Name the parts"),
        ({"colour": "red"}, "colour", "not a rule"),
        ({"min_approvals": 10}, "min_approvals", "from 1 to 9"),
    ],
)
def test_a_bad_rule_is_refused_with_its_field_and_limit(team, given, field, words):
    with pytest.raises(Invalid) as caught:
        policies.draft(team.admin, environment=production(team), **given)
    assert caught.value.field == field
    assert words in caught.value.message
    assert not Policy.objects.filter(state="draft").exists()


def test_only_admins_write_rules(team):
    for role in ("viewer", "scientist", "manager", "ops"):
        with pytest.raises(Forbidden):
            policies.draft(getattr(team, role), environment=production(team), expiry_days=2)


def test_warnings_say_who_is_missing(team):
    def warned(steps, **more):
        made = policies.draft(team.admin, environment=production(team), steps=steps, **more)
        return " ".join(holders.warnings(made))

    assert warned([{"name": "Sign", "roles": ["manager"], "needed": 2}]) == ""
    assert "the project has 2" in warned([{"name": "Sign", "roles": ["manager"], "needed": 3}])
    twice = [{"name": name, "roles": ["manager"], "needed": needed} for name, needed in (("One", 2), ("Two", 1))]
    assert "need 3 different people" in warned(twice)
    peers = [{"name": "Peer", "roles": ["scientist"], "needed": 2}]
    assert "if one of the 2 people" in warned(peers)
    assert warned(peers, four_eyes=False) == ""


# --- the database itself --------------------------------------------------------------------------

RAW = {
    "gates": "'[]'", "steps": "'[]'", "four_eyes": "NOT four_eyes", "exclude_trainer": "NOT exclude_trainer",
    "switch_at_approval": "NOT switch_at_approval", "expiry_days": "expiry_days + 1",
    "approval_days": "approval_days + 1", "reminder_hours": "5", "timeout_hours": "5", "timeout_action": "'reject'",
    "allow_break_glass": "NOT allow_break_glass", "card_sections": "'[1]'", "number": "number + 40",
    "created_at": "'2020-01-01 00:00:00'", "valid_from": "'2020-01-01 00:00:00'",
}  # fmt: skip


@pytest.mark.parametrize("column", RAW)
def test_e4_raw_sql_cannot_change_a_policy(team, column):
    request = make_request(team)
    with pytest.raises(DatabaseError, match="never change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE deployments_policy SET {column} = {RAW[column]} WHERE id = %s", [request.policy_id])


def test_raw_sql_cannot_bring_old_rules_back_or_remove_used_ones(team):
    request = make_request(team)
    policies.change(team.admin, environment=production(team), min_approvals=2)
    with pytest.raises(DatabaseError, match="never change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE deployments_policy SET state = 'proposed' WHERE id = %s", [request.policy_id])
    with pytest.raises(IntegrityError), transaction.atomic():
        _remove(request.policy_id)
    assert PromotionRequest.objects.get(pk=request.pk).policy.number == 1


def _remove(policy_id):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM deployments_policy WHERE id = %s", [policy_id])
    connection.check_constraints()
