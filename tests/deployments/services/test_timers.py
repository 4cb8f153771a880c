"""What time does to requests and approvals, by an explicit clock, once however often it runs (E9)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deployments import tasks
from deployments.models import ModelVersion, PromotionRequest
from deployments.services import endpoints, promotions, timers
from mlportal.lib.errors import Conflict
from projects.models import Event
from tests.factories.deployments import make_live, make_request, set_policy

HOUR = timedelta(hours=1)


def state_of(request) -> str:
    return PromotionRequest.objects.get(pk=request.pk).state


def twice(now) -> dict[str, int]:
    """Run the clock at one moment, then again: the second run finds nothing to do."""
    first = timers.tick(now=now)
    before = Event.objects.count()
    assert not any(timers.tick(now=now).values())
    assert Event.objects.count() == before
    return {name: count for name, count in first.items() if count}


def test_reminders_come_every_so_many_hours_and_name_who_is_asked(team):
    set_policy(team, reminder_hours=24)
    request = make_request(team)
    now = timezone.now()
    assert twice(now + 23 * HOUR) == {}
    assert twice(now + 25 * HOUR) == {"reminded": 1}
    assert twice(now + 48 * HOUR) == {}
    assert twice(now + 50 * HOUR) == {"reminded": 1}
    said = Event.objects.filter(verb="promotion.reminder").order_by("seq")
    assert [row.target_id for row in said] == [request.pk] * 2
    assert said[0].data["waits_for"] == "Manager (approver)"


def test_no_reminder_without_the_rule_or_after_the_decision(team):
    make_request(team)
    set_policy(team, "staging", reminder_hours=1)
    decided = make_request(team, place="staging")
    promotions.decide(team.manager, request=decided, verdict="approve")
    assert twice(timezone.now() + 5 * HOUR) == {}


@pytest.mark.parametrize(
    ("action", "state", "verb"),
    [
        ("expire", "expired", "promotion.expired"),
        ("reject", "rejected", "promotion.rejected"),
        ("escalate", "pending", "promotion.escalated"),
    ],
)
def test_time_out_does_what_the_rules_say(team, action, state, verb):
    set_policy(team, timeout_hours=48, timeout_action=action)
    request = make_request(team)
    now = timezone.now()
    assert twice(now + 47 * HOUR) == {}
    assert twice(now + 49 * HOUR) == {"timed_out": 1}
    held = PromotionRequest.objects.get(pk=request.pk)
    assert (held.state, held.decided_by) == (state, None)
    assert Event.objects.get(verb=verb).data["note"] == "Nobody decided within 48 h."
    assert (held.escalated_at is not None) == (action == "escalate")


def test_an_escalated_request_can_be_decided_and_expires_in_the_end(team):
    set_policy(team, timeout_hours=1, timeout_action="escalate")
    first, second = make_request(team), make_request(team)
    now = timezone.now()
    assert twice(now + 2 * HOUR) == {"timed_out": 2}
    promotions.decide(team.manager, request=first, verdict="reject", comment="Not on these numbers.")
    assert twice(now + timedelta(days=8)) == {"expired": 1}
    assert (state_of(first), state_of(second)) == ("rejected", "expired")


def test_e9_an_unused_approval_lapses_by_the_clock(team):
    set_policy(team, switch_at_approval=False, approval_days=3)
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve")
    now = timezone.now()
    assert twice(now + timedelta(days=2)) == {}
    assert twice(now + timedelta(days=4)) == {"lapsed": 1}
    held = PromotionRequest.objects.get(pk=request.pk)
    assert (held.state, held.decided_by) == ("lapsed", team.people["manager"])
    with pytest.raises(Conflict) as caught:
        endpoints.switch(team.ops, request=request)
    assert caught.value.code == "request_lapsed"


def test_e9_an_approval_in_use_does_not_lapse(team):
    make_live(team)
    assert twice(timezone.now() + timedelta(days=400)) == {}


def test_e5_what_changed_is_stale_within_a_tick_without_anybody_acting(team):
    set_policy(team, switch_at_approval=False)
    waiting, approved = make_request(team), make_request(team)
    promotions.decide(team.manager, request=approved, verdict="approve")
    assert twice(timezone.now()) == {}
    ModelVersion.objects.update(metrics={"roc_auc": 0.99})
    assert twice(timezone.now()) == {"stale": 2}
    assert (state_of(waiting), state_of(approved)) == ("stale", "stale")


def test_the_beat_task_uses_the_clock_of_now(team):
    request = make_request(team)
    PromotionRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now())
    tasks.keep_time()
    assert state_of(request) == "expired"
