"""Decisions that somebody changed behind the portal's back are found and named before anything answers (E4, E7)."""

import pytest
from django.db import connection
from django.utils import timezone

from deployments.models import Condition, Decision, Endpoint, EndpointRevision, PromotionRequest
from deployments.services import endpoints, promotions, signatures
from mlportal.lib.errors import Conflict
from tests.factories.deployments import make_live, make_request, set_policy, step

REASON = "Errors doubled after the switch."


@pytest.fixture
def approved(team):
    """Two people approved; ops deploys later."""
    set_policy(team, switch_at_approval=False, steps=[step("manager", needed=2)])
    request = make_request(team)
    for by in (team.manager, team.manager2):
        terms = [{"kind": "traffic", "limit": 100}]
        promotions.decide(by, request=request, verdict="approve", conditions=terms)
    return PromotionRequest.objects.with_subject().get(pk=request.pk)


def tampering(statement: str, *values: object) -> None:
    """Change rows the way somebody with the database's password would: without the triggers."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
            for name, _sql in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
        cursor.execute(statement, values)
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = DEFAULT")
        else:
            for _name, sql in triggers:
                cursor.execute(sql)


def refused(team, request) -> str:
    with pytest.raises(Conflict) as caught:
        endpoints.switch(team.ops, request=request)
    assert caught.value.code == "decision_altered"
    assert not Endpoint.objects.exists()
    return caught.value.message


def test_what_people_said_fits_the_audit_log(team, approved):
    assert signatures.faults(approved) == []
    endpoints.switch(team.ops, request=approved)
    assert signatures.faults(approved) == []


@pytest.mark.parametrize(
    "change",
    ["comment = 'Fine with me.'", "verdict = 'reject'", "role = 'ops'", "acknowledged = '[\"f1\"]'", "step = 1"],
)
def test_e7_a_changed_decision_is_named(team, approved, change):
    first = Decision.objects.filter(request=approved).order_by("pk")[0]
    tampering(f"UPDATE deployments_decision SET {change} WHERE id = %s", first.pk)
    assert f"Decision {first.pk} of churn-manager was changed after it was given." in refused(team, approved)


def test_e7_a_changed_condition_is_named(team, approved):
    item = Condition.objects.filter(request=approved).order_by("pk")[0]
    tampering('UPDATE deployments_condition SET "limit" = 1000000 WHERE id = %s', item.pk)
    assert f"Decision {item.decision_id} of churn-manager was changed" in refused(team, approved)


def test_e7_a_replayed_approval_is_named(team, approved):
    other = make_request(team)
    first = Decision.objects.filter(request=approved).order_by("pk")[0]
    copied = Decision.objects.create(
        request=other, user=first.user, verdict="approve", comment=first.comment, seal=other.seal, step=0,
        role="manager",
    )  # fmt: skip
    Decision.objects.create(request=other, user=team.people["ops"], verdict="approve", seal=first.seal, role="manager")
    PromotionRequest.objects.filter(pk=other.pk).update(
        state="approved", decided_by=first.user, decided_at=timezone.now()
    )
    message = refused(team, other)
    assert f"Decision {copied.pk} of churn-manager is not in the audit log." in message
    faults = signatures.faults(PromotionRequest.objects.with_subject().get(pk=other.pk))
    assert any("given for another seal" in item for item in faults)


def test_e7_a_removed_decision_is_named(team, approved):
    last = Decision.objects.filter(request=approved).order_by("-pk")[0]
    tampering("DELETE FROM deployments_condition WHERE decision_id = %s", last.pk)
    tampering("DELETE FROM deployments_decision WHERE id = %s", last.pk)
    assert f"Decision {last.pk} is in the audit log but not in the request." in refused(team, approved)


def test_e7_a_state_written_by_hand_is_no_approval(team):
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    PromotionRequest.objects.filter(pk=request.pk).update(
        state="approved", decided_by=team.people["manager"], decided_at=timezone.now()
    )
    assert "Approval lacks 1 of 1 approvals." in refused(team, request)


def test_e12_a_return_asks_the_decisions_as_well(team):
    first = make_live(team)
    made = Decision.objects.get(request=first.current_revision.promotion_id)
    endpoint = make_live(team)
    tampering("UPDATE deployments_decision SET comment = 'changed' WHERE id = %s", made.pk)
    with pytest.raises(Conflict) as caught:
        endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON)
    assert caught.value.code == "decision_altered"
    assert EndpointRevision.objects.count() == 2


def test_e5_a_decision_on_what_was_not_shown_is_refused(team):
    request = make_request(team)
    with pytest.raises(Conflict) as caught:
        promotions.decide(team.manager, request=request, verdict="approve", seen="0" * 64)
    assert caught.value.code == "seal_changed"
    promotions.decide(team.manager, request=request, verdict="approve", seen=request.seal)
