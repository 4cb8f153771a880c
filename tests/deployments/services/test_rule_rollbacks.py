"""Rules that roll back: what they undo, when they leave it to a person, and who may set one."""

import pytest
from django.db import transaction

from deployments import tasks
from deployments.models import Endpoint
from deployments.services import endpoints, promotions, rollouts
from mlportal.lib.errors import Forbidden, Invalid
from monitoring.models import Alert, AlertRule
from monitoring.services import rules
from projects.models import Event, EventDelivery, Membership
from projects.services import events
from tests.factories.deployments import make_live, make_request, set_policy
from tests.factories.monitoring import make_alert, watcher

GOOD = {"name": "Errors", "metric": "error.rate", "warn": 0.01, "critical": 0.05, "action": "rollback"}


def live(endpoint: Endpoint) -> str:
    found = Endpoint.objects.with_live().get(pk=endpoint.pk)
    assert found.current_revision is not None
    return found.current_revision.version.label


@pytest.fixture
def endpoint(team):
    """Two versions, the second one live."""
    make_live(team)
    return make_live(team)


@pytest.fixture
def rule(team, endpoint) -> AlertRule:
    return rules.create(team.ops, project=team.project, endpoint=endpoint.name, **GOOD)


def fire(team, rule: AlertRule, about: Endpoint, *, verb: str = "alert.firing", **extra: object) -> list[Event]:
    """The event that monitoring writes when an alert moves, consumed as the worker does; gives what came of it."""
    alert = make_alert(rule, endpoint=about.name, version="v2")
    data = {
        "alert": alert.pk, "rule_id": rule.pk, "version": "v2", "title": "Half of the requests fail",
        "level": "critical", "endpoint": about.name, "kind": "errors", "action": rule.action, **extra,
    }  # fmt: skip
    with transaction.atomic():
        event = events.record(team.ops, verb, project=team.project, data=data)
    for pk in EventDelivery.objects.filter(event=event, task="deployments.roll_back").values_list("pk", flat=True):
        tasks.roll_back(pk)
    return list(Event.objects.filter(seq__gt=event.seq, verb__startswith="endpoint.").order_by("seq"))


@pytest.mark.parametrize("verb", ["alert.firing", "alert.raised"])
def test_a_critical_alert_of_such_a_rule_rolls_back_in_one_event(team, rule, endpoint, verb):
    [event] = fire(team, rule, endpoint, verb=verb)
    assert (event.verb, event.data["to"], live(endpoint)) == ("endpoint.rolled_back", "v1", "v1")
    assert event.data["alert"] == Alert.objects.latest("pk").pk
    assert event.reason.startswith("Rule Errors, alert ")
    assert event.on_behalf_of == team.people["ops"].pk
    assert endpoint.revisions.latest("number").review.closed_at is None


@pytest.mark.parametrize(
    ("extra", "held"),
    [
        ({"level": "warn"}, 0), ({"action": ""}, 0), ({"version": "v7"}, 0), ({"endpoint": "another"}, 0),
        ({"silenced": True}, 1), ({"inhibited_by": "No requests"}, 1),
    ],
)  # fmt: skip
def test_it_leaves_alone_what_is_not_meant_and_says_what_it_held_back(team, rule, endpoint, extra, held):
    told = fire(team, rule, endpoint, **extra)
    assert [event.verb for event in told] == ["endpoint.rollback_held"] * held
    assert live(endpoint) == "v2"


def test_it_never_undoes_a_rollback(team, rule, endpoint):
    fire(team, rule, endpoint)
    [event] = fire(team, rule, endpoint, version="v1")
    assert (event.verb, live(endpoint)) == ("endpoint.rollback_held", "v1")
    assert "a person decides" in event.reason


def test_without_an_earlier_version_it_says_so(team):
    endpoint = make_live(team)
    rule = rules.create(team.ops, project=team.project, **GOOD)
    [event] = fire(team, rule, endpoint, version="v1")
    assert event.verb == "endpoint.rollback_held"
    assert "no earlier approved version" in event.reason


def test_it_acts_only_while_its_person_may(team, rule, endpoint):
    Membership.objects.filter(user=team.people["ops"]).update(role="viewer")
    [event] = fire(team, rule, endpoint)
    assert (event.verb, live(endpoint)) == ("endpoint.rollback_held", "v2")


def test_an_alert_about_what_a_rollback_leads_to_moves_nothing(team):
    """While a canary runs the way back leads to what was live all the time, whose alert it would not end."""
    stable = make_live(team)
    set_policy(team, switch_at_approval=False)
    request = promotions.decide(team.manager, request=make_request(team), verdict="approve")
    steps = [{"share": 0.1, "minutes": 60, "requests": 100}, {"share": 1, "minutes": 60, "requests": 100}]
    rollouts.start(team.ops, rollout=rollouts.plan(team.ops, request=request, reason="A canary first", steps=steps))
    ways = [endpoints.way_back(team.project, stable.name, version) for version in ("v1", "v2")]
    assert ways == [None, "v1"]
    errors = rules.create(team.ops, project=team.project, endpoint=stable.name, **GOOD)
    [event] = fire(team, errors, stable, version="v1")
    assert event.verb == "endpoint.rollback_held"
    assert event.data["reason"] == "A rollback would lead to v1, which the alert is about, so a person decides."
    assert fire(team, errors, stable)[-1].verb == "endpoint.rolled_back"


def test_who_may_not_roll_back_sets_no_such_rule_and_moves_none(team, rule):
    by = watcher(team.project)  # may change rules, not endpoints
    with pytest.raises(Forbidden):
        rules.create(by, project=team.project, **GOOD | {"name": "Another"})
    with pytest.raises(Forbidden):
        rules.update(by, rule=rule, critical=0.02)
    assert rules.update(by, rule=rule, action="none").on_behalf_of is None
    with pytest.raises(Forbidden):
        rules.update(by, rule=rule, action="rollback")


def test_a_rule_that_rolls_back_needs_a_critical_limit(team):
    with pytest.raises(Invalid) as caught:
        rules.create(team.ops, project=team.project, **GOOD | {"critical": None})
    assert caught.value.field == "critical"


def test_a_rollback_names_its_alert_only_if_it_is_of_the_endpoint(team, rule, endpoint):
    other = make_alert(rule, endpoint="another")
    with pytest.raises(Invalid) as caught:
        endpoints.rollback(team.ops, endpoint=endpoint, reason="Errors doubled.", alert=other.pk)
    assert (caught.value.field, live(endpoint)) == ("alert", "v2")
