"""Each step of a request is told by mail and by webhook (issue: e-mail and webhook on each step)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deployments.models import Condition, PromotionRequest
from deployments.services import endpoints, promotions, timers
from projects.models import Delivery, EventDelivery
from projects.services import channels, deliveries
from tests.factories.deployments import make_request, set_policy, step

HOUR = timedelta(hours=1)
STEPS = {
    "asked": "promotion.requested", "reminded": "promotion.reminder", "voted": "promotion.approval_added",
    "decided": "promotion.approved", "rejected": "promotion.rejected", "sent back": "promotion.changes_requested",
    "withdrawn": "promotion.withdrawn", "expired": "promotion.expired", "suspended": "promotion.suspended",
    "switched": "endpoint.switched",
}  # fmt: skip


@pytest.fixture
def told(team):
    """A channel of each kind that wants every step."""
    for kind, place in (
        ("email", {"recipients": ["a@example.org"]}),
        ("webhook", {"url": "https://hook.example.org/"}),
    ):
        channels.create(team.admin, project=team.project, name=kind, kind=kind, verbs=list(STEPS.values()), **place)

    def steps() -> dict[str, set[str]]:
        for pk in EventDelivery.objects.filter(task="projects.notify", done_at=None).values_list("pk", flat=True):
            deliveries.fan_out(pk)
        found: dict[str, set[str]] = {}
        for verb, kind in Delivery.objects.values_list("verb", "channel__kind"):
            found.setdefault(verb, set()).add(kind)
        return found

    return steps


def test_every_step_reaches_mail_and_webhook(team, told):
    set_policy(team, steps=[step("manager", needed=2)], reminder_hours=1, switch_at_approval=False)
    request = make_request(team)
    timers.tick(now=timezone.now() + 2 * HOUR)
    terms = [{"kind": "until", "until": (timezone.now() + 30 * HOUR).isoformat(), "action": "notify"}]
    for by in (team.manager, team.manager2):
        promotions.decide(by, request=request, verdict="approve", conditions=terms if by.user else [])
    endpoints.switch(team.ops, request=request)
    Condition.objects.filter(request=request).update(state="watched")
    timers.tick(now=timezone.now() + 40 * HOUR)
    assert PromotionRequest.objects.get(pk=request.pk).state == "suspended"
    promotions.decide(team.manager, request=make_request(team), verdict="reject", comment="Not on these numbers.")
    promotions.decide(team.manager, request=make_request(team), verdict="changes", comment="Name the segment first.")
    promotions.withdraw(team.scientist2, request=make_request(team))
    make_request(team)
    timers.tick(now=timezone.now() + timedelta(days=30))
    found = told()
    assert found == {verb: {"email", "webhook"} for verb in STEPS.values()}
    assert {row.payload["type"] for row in Delivery.objects.all()} == set(STEPS.values())


def test_a_channel_can_be_told_of_every_step():
    assert set(STEPS.values()) <= set(channels.VERBS)
