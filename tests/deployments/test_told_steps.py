"""Each step of a request is told by mail and by webhook (issue: e-mail and webhook on each step)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deployments.models import Condition, PromotionRequest
from deployments.services import delegations, endpoints, policies, promotions, timers
from projects.models import Delivery, EventDelivery
from projects.services import channels, deliveries
from tests.factories.deployments import environment, make_live, make_request, result, set_policy, step
from tests.factories.projects import actor, make_user

HOUR = timedelta(hours=1)
STEPS = {
    "asked": "promotion.requested", "reminded": "promotion.reminder", "voted": "promotion.approval_added",
    "decided": "promotion.approved", "rejected": "promotion.rejected", "sent back": "promotion.changes_requested",
    "withdrawn": "promotion.withdrawn", "expired": "promotion.expired", "suspended": "promotion.suspended",
    "switched": "endpoint.switched",
}  # fmt: skip
# What moves who decides, and by which rules.
AROUND = {
    "handed over": "delegation.given", "taken back": "delegation.revoked", "let pass": "gate.overridden",
    "rules proposed": "policy.proposed", "rules in force": "policy.changed",
}  # fmt: skip


@pytest.fixture
def told(team):
    """A channel of each kind that wants every step."""
    for kind, place in (
        ("email", {"recipients": ["a@example.org"]}),
        ("webhook", {"url": "https://hook.example.org/"}),
    ):
        channels.create(
            team.admin, project=team.project, name=kind, kind=kind, verbs=[*STEPS.values(), *AROUND.values()], **place
        )

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


def test_what_stands_around_a_request_is_told_with_a_link_to_where_one_acts(team, told):
    make_live(team)
    request = make_request(team, found=result(auc=0.80, production=0.87))
    reason = "The old metric counted test accounts."
    promotions.override(team.admin, request=request, gate="metric_not_worse:roc_auc", reason=reason)
    taker, until = team.people["ops"].username, timezone.now() + 30 * HOUR
    handed = delegations.give(team.manager, project=team.project, taker=taker, until=until, reason=reason)
    delegations.revoke(team.manager, delegation=handed)
    other = actor(make_user("ada2", role="admin", project=team.project))
    place = environment(team, "production")
    policies.confirm(other, policy=policies.change(team.admin, environment=place, min_approvals=2))
    found = told()
    assert {verb: found[verb] for verb in AROUND.values()} == {verb: {"email", "webhook"} for verb in AROUND.values()}
    links = set(Delivery.objects.filter(verb="policy.proposed").values_list("payload__data__link", flat=True))
    assert [link.partition("/p/")[2] for link in links] == ["churn/settings/policies/production/"]


def test_a_channel_can_be_told_of_every_step():
    assert {*STEPS.values(), *AROUND.values()} <= set(channels.VERBS)
