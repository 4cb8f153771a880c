"""Conditions bound to an approval: a breach suspends it, whatever door is used afterwards (N3, E9)."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from deployments import tasks
from deployments.models import Condition, Endpoint, PromotionRequest, Rollout
from deployments.services import conditions, endpoints, promotions, rollouts, suspensions, timers, trials
from mlportal.lib.errors import Conflict, Invalid
from monitoring import pipeline
from monitoring.drift import shape
from monitoring.models import Alert, AlertRule, Monitor
from monitoring.services import monitors, rules
from projects.models import Event, EventDelivery
from projects.services import events
from tests.deployments.services.test_rollouts import STEPS, begun
from tests.deployments.services.test_trials import PLAN
from tests.factories.deployments import make_live, make_request, set_policy
from tests.factories.monitoring import GRIDS, PACE, fill_traffic, requests

REASON = "Errors doubled after the switch."
DRIFT = {"kind": "drift", "limit": 0.2, "column": "age", "action": "rollback"}


def until(days: int = 5, action: str = "notify") -> dict[str, object]:
    return {"kind": "until", "until": (timezone.now() + timedelta(days=days)).isoformat(), "action": action}


def live(endpoint: Endpoint) -> str:
    found = Endpoint.objects.with_live().get(pk=endpoint.pk)
    assert found.current_revision is not None
    return found.current_revision.version.label


def of(endpoint: Endpoint) -> PromotionRequest:
    return PromotionRequest.objects.with_subject().get(pk=endpoint.current_revision.promotion_id)


def fire(team, condition: Condition, **extra: object) -> None:
    """The event that monitoring writes when the condition's rule fires, consumed as the worker does."""
    data = {
        "alert": 7, "rule_id": condition.rule_id, "version": condition.request.version.label, "title": "age drifted",
        "endpoint": condition.request.endpoint_name, "kind": "drift", **extra,
    }  # fmt: skip
    with transaction.atomic():
        event = events.record(team.ops, "alert.firing", project=team.project, data=data)
    for pk in EventDelivery.objects.filter(event=event, task="deployments.suspend").values_list("pk", flat=True):
        tasks.suspend(pk)


def test_conditions_are_kept_with_the_decision_and_watched_once_live(team):
    given = [until(), {"kind": "traffic", "limit": 500, "action": "freeze"}, DRIFT]
    endpoint = make_live(team, conditions=given)
    rows = Condition.objects.order_by("pk")
    assert [(row.kind, row.action, row.state) for row in rows] == [
        ("until", "notify", "watched"), ("traffic", "freeze", "watched"), ("drift", "rollback", "watched"),
    ]  # fmt: skip
    rule = AlertRule.objects.get(pk=rows[2].rule_id)
    assert (rule.endpoint, rule.metric, rule.column, rule.op, rule.critical, rule.needed, rule.of, rule.enabled) == (
        endpoint.name, "drift.psi", "age", "above", 0.2, 1, 1, True,
    )  # fmt: skip
    said = Event.objects.get(verb="promotion.approved").data["conditions"]
    assert said[1:] == [
        "requests an hour at most 500, else freeze the endpoint",
        "drift (PSI) of age at most 0.2, else roll back",
    ]


@pytest.mark.parametrize(
    "given",
    [
        "soon", [1], [{}], [{"kind": "x"}], [{"kind": "until"}], [{"kind": "until", "until": "2020-01-01"}],
        [{"kind": "until", "until": "2026-12-01T10:00"}], [{"kind": "traffic", "limit": 0}],
        [{"kind": "share", "limit": 0}], [{"kind": "share", "limit": 100}],
        [{"kind": "share", "limit": 5, "op": "above"}],
        [{"kind": "traffic", "limit": "many"}], [{"kind": "traffic", "limit": True}],
        [{"kind": "drift", "limit": float("nan")}], [{"kind": "drift", "limit": 0.2, "action": "explode"}],
        [{"kind": "metric", "metric": "nothing", "limit": 1}], [{"kind": "drift", "limit": 0.2, "metric": "x"}],
        [{"kind": "metric", "metric": "error.rate", "limit": 0.1, "column": "age"}], [until()] * 11,
    ],
)  # fmt: skip
def test_wrong_conditions_are_refused_and_nothing_is_decided(team, given):
    request = make_request(team)
    with pytest.raises(Invalid) as caught:
        promotions.decide(team.manager, request=request, verdict="approve", conditions=given)
    assert caught.value.field == "conditions"
    assert not Condition.objects.exists()


def test_a_refusal_takes_no_conditions(team):
    with pytest.raises(Invalid):
        promotions.decide(
            team.manager, request=make_request(team), verdict="reject", comment="Not on these numbers.",
            conditions=[until()],
        )  # fmt: skip


def test_a_breach_of_drift_suspends_and_rolls_back_in_one_go(team):
    make_live(team)
    endpoint = make_live(team, conditions=[DRIFT])
    [condition] = Condition.objects.all()
    fire(team, condition)
    request = of(endpoint)
    condition.refresh_from_db()
    assert (request.state, condition.state, live(endpoint)) == ("suspended", "breached", "v1")
    assert "Alert 7: age drifted" in condition.found
    assert condition.done == "churn-production answers with v1 again."
    assert request.decided_by == team.people["manager"]
    assert Event.objects.get(verb="promotion.suspended").data["action"] == "rollback"
    assert not AlertRule.objects.get(pk=condition.rule_id).enabled
    before = Event.objects.count()
    assert suspensions.breach(condition, now=timezone.now(), found="again") is None
    assert Event.objects.count() == before


def test_an_alert_about_another_version_breaks_nothing(team):
    endpoint = make_live(team, conditions=[DRIFT])
    fire(team, Condition.objects.get(), version="v9")
    assert of(endpoint).state == "approved"


def test_without_a_version_to_return_to_a_breach_freezes(team):
    endpoint = make_live(team, conditions=[DRIFT])
    fire(team, Condition.objects.get())
    assert live(endpoint) == "v1"
    endpoint.refresh_from_db()
    assert endpoint.frozen_by == Condition.objects.get()
    assert Condition.objects.get().done.startswith("No earlier version may answer.")


def test_a_frozen_endpoint_takes_a_newer_approval_only(team):
    set_policy(team, switch_at_approval=False)
    first = make_request(team)
    promotions.decide(team.manager, request=first, verdict="approve", conditions=[until(action="freeze")])
    endpoints.switch(team.ops, request=first)
    early = make_request(team)
    promotions.decide(team.manager, request=early, verdict="approve")
    assert timers.tick(now=timezone.now() + timedelta(days=6))["suspended"] == 1
    endpoint = Endpoint.objects.with_live().get()
    assert endpoint.frozen_at is not None
    Endpoint.objects.update(frozen_at=timezone.now())
    for act in (
        lambda: endpoints.switch(team.ops, request=early),
        lambda: endpoints.configure(team.ops, endpoint=endpoint, log_mode="none"),
    ):
        with pytest.raises(Conflict) as caught:
            act()
        assert caught.value.code == "endpoint_frozen"
    endpoints.disable(team.ops, endpoint=endpoint, reason=REASON)
    with pytest.raises(Conflict) as caught:
        endpoints.enable(team.ops, endpoint=endpoint)
    assert caught.value.code == "endpoint_frozen"
    again = make_request(team, version=first.version)
    promotions.decide(team.manager, request=again, verdict="approve")
    endpoints.switch(team.ops, request=again)
    first.refresh_from_db()
    endpoint.refresh_from_db()
    assert (first.state, first.lifted_by, endpoint.frozen_at) == ("suspended", again, None)
    assert Event.objects.filter(verb="endpoint.switched").order_by("-seq")[0].data["lifts"] == [first.pk]


def test_e9_a_date_that_is_over_suspends_at_the_given_clock_only_and_once(team):
    endpoint = make_live(team, conditions=[until(days=5)])
    now = timezone.now()
    assert timers.tick(now=now + timedelta(days=4))["suspended"] == 0
    assert timers.tick(now=now + timedelta(days=6))["suspended"] == 1
    assert timers.tick(now=now + timedelta(days=6))["suspended"] == 0
    assert (of(endpoint).state, live(endpoint)) == ("suspended", "v1")
    assert Event.objects.filter(verb="promotion.suspended").count() == 1


def test_e9_an_unused_approval_is_not_used_after_its_date(team):
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve", conditions=[until(days=1)])
    timers.tick(now=timezone.now() + timedelta(days=2))
    with pytest.raises(Conflict) as caught:
        endpoints.switch(team.ops, request=request)
    assert caught.value.code == "request_suspended"
    assert not Endpoint.objects.exists()


def test_more_requests_than_allowed_suspend(team):
    endpoint = make_live(team, conditions=[{"kind": "traffic", "limit": 100, "action": "notify"}])
    now = timezone.now()
    fill_traffic(team.project, endpoint=endpoint.name, at=now, requests=100)
    assert timers.tick(now=now)["suspended"] == 0
    fill_traffic(team.project, endpoint=endpoint.name, at=now, requests=50)
    assert timers.tick(now=now)["suspended"] == 1
    assert "150 requests" in Condition.objects.get().found


def test_e12_no_return_to_a_version_whose_approval_is_suspended(team):
    make_live(team)
    second = make_live(team, conditions=[until()])
    timers.tick(now=timezone.now() + timedelta(days=6))
    third = make_live(team)
    assert (live(third), endpoints.previous_version(third).label) == ("v3", "v1")
    version = of(second).version
    with pytest.raises(Conflict) as caught:
        endpoints.rollback(team.ops, endpoint=third, reason=REASON, version=version)
    assert caught.value.code == "approval_suspended"
    endpoints.rollback(team.ops, endpoint=third, reason=REASON)
    assert live(third) == "v1"


def test_conditions_rest_while_another_version_is_live_and_hold_again_after_a_return(team):
    make_live(team, conditions=[DRIFT])
    [condition] = Condition.objects.all()
    endpoint = make_live(team)
    condition.refresh_from_db()
    assert (condition.state, AlertRule.objects.get(pk=condition.rule_id).enabled) == ("ended", False)
    endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON)
    condition.refresh_from_db()
    assert (condition.state, AlertRule.objects.get(pk=condition.rule_id).enabled) == ("watched", True)


def test_who_edits_rules_does_not_disarm_a_condition(team):
    make_live(team, conditions=[DRIFT])
    [condition] = Condition.objects.all()
    rule = AlertRule.objects.get(pk=condition.rule_id)
    rules.update(team.ops, rule=rule, critical=9.0)
    rules.disable(team.ops, rule=rule)
    assert timers.tick(now=timezone.now())["watched_again"] == 1
    rule.refresh_from_db()
    assert (rule.enabled, rule.critical) == (True, 0.2)
    assert timers.tick(now=timezone.now())["watched_again"] == 0


def test_the_database_refuses_to_change_what_a_condition_says(team):
    make_live(team, conditions=[DRIFT])
    for change in ({"limit": 9.0}, {"action": "notify"}, {"kind": "until"}, {"column": "plan"}, {"metric": "x"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Condition.objects.update(**change)


# --- beside what is live ------------------------------------------------------------------------------


def begin_canary(team, given: list[dict[str, object]], *, trial: bool = False) -> tuple[Endpoint, PromotionRequest]:
    """A version that shares the requests of another one, by an approval that is bound to conditions."""
    endpoint = make_live(team, conditions=[{"kind": "metric", "metric": "error.rate", "limit": 0.5}])
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve", conditions=given)
    held = PromotionRequest.objects.with_subject().get(pk=request.pk)
    if trial:
        trials.start(team.ops, trial=trials.register(team.ops, request=held, **PLAN))
    else:
        begun(rollouts.start(team.ops, rollout=rollouts.plan(team.ops, request=held, reason=REASON, steps=STEPS)))
    return Endpoint.objects.with_live().get(pk=endpoint.pk), held


def fail_in(endpoint: Endpoint, variant: str) -> list[AlertRule]:
    """Half of a variant's answers are errors, and monitoring judges the window. Returns the rules that fired."""
    began = timezone.now() - timedelta(minutes=4)
    row = Monitor.objects.live().get(project=endpoint.project, endpoint=endpoint.name, variant=variant)
    Monitor.objects.filter(pk=row.pk).update(reference=GRIDS, valid_from=began, rolled_to=None, **PACE)
    row.refresh_from_db()
    with transaction.atomic():
        counts = requests() | {shape.TRAFFIC: shape.traffic([2000.0] * 200, errors=100)}
        monitors.add_counts(row, began + timedelta(minutes=2), counts)
    pipeline.roll_due()
    for pk in EventDelivery.objects.filter(task="deployments.suspend").values_list("pk", flat=True):
        tasks.suspend(pk)
    return [alert.rule for alert in Alert.objects.filter(monitor=row).select_related("rule")]


@pytest.mark.parametrize(("trial", "variant"), [(False, "canary"), (True, "treatment")])
@pytest.mark.parametrize(("action", "frozen"), [("freeze", True), ("rollback", False)])
def test_a_version_that_shares_requests_is_held_to_its_conditions(team, trial, variant, action, frozen):
    given = [{"kind": "metric", "metric": "error.rate", "op": "above", "limit": 0.2, "action": action}, DRIFT]
    endpoint, request = begin_canary(team, given, trial=trial)
    first, second = request.conditions.order_by("pk")
    assert (first.state, second.state) == ("watched", "watched")
    assert AlertRule.objects.get(pk=first.rule_id) in fail_in(endpoint, variant)
    first.refresh_from_db()
    second.refresh_from_db()
    request.refresh_from_db()
    endpoint.refresh_from_db()
    assert (request.state, first.state, second.state) == ("suspended", "breached", "ended")
    assert "gave its requests back to v1." in first.done
    assert ((endpoint.frozen_at is not None), live(endpoint), endpoint.current_revision.routes) == (frozen, "v1", [])
    assert [rule.enabled for rule in AlertRule.objects.filter(pk__in=[first.rule_id, second.rule_id])] == [False] * 2
    assert of(endpoint).state == "approved"  # what is live keeps its own approval
    with pytest.raises(Conflict) as refused:
        endpoints.switch(team.ops, request=request)
    assert refused.value.code == "request_suspended"


def test_what_goes_wrong_in_the_live_version_says_nothing_about_the_one_beside_it(team):
    given = [{"kind": "metric", "metric": "error.rate", "op": "above", "limit": 0.2, "action": "freeze"}]
    endpoint, request = begin_canary(team, given)
    condition = request.conditions.get()
    assert AlertRule.objects.get(pk=condition.rule_id) not in fail_in(endpoint, "")
    request.refresh_from_db()
    assert (request.state, of(endpoint).state) == ("approved", "approved")
    rollouts.abort(team.ops, rollout=Rollout.objects.with_subject().get(), reason=REASON)
    condition.refresh_from_db()
    assert (condition.state, AlertRule.objects.get(pk=condition.rule_id).enabled) == ("ended", False)


def test_a_version_that_only_loads_is_not_watched_and_one_that_goes_live_stays_so(team):
    endpoint, request = begin_canary(team, [DRIFT])
    rollout, whole = Rollout.objects.with_subject().get(), of(endpoint)
    loading, sharing = rollout.revisions.order_by("number")
    assert (loading.routes[0]["weight"], sharing.routes[0]["weight"]) == (0.0, 0.1)
    with transaction.atomic():
        conditions.follow(endpoint, loading, on_behalf_of=None)
    assert request.conditions.get().state == "ended"
    with transaction.atomic():
        conditions.follow(endpoint, sharing, on_behalf_of=None)
    assert (request.conditions.get().state, whole.conditions.get().state) == ("watched", "watched")
    rollouts.promote(team.ops, rollout=rollout)
    assert (request.conditions.get().state, whole.conditions.get().state) == ("watched", "ended")


def test_requests_an_hour_are_those_of_the_version_as_a_share_and_after_it(team):
    now = timezone.now()
    endpoint, request = begin_canary(team, [{"kind": "traffic", "limit": 100, "action": "notify"}])
    fill_traffic(team.project, endpoint=endpoint.name, at=now, requests=900)
    fill_traffic(team.project, endpoint=endpoint.name, at=now, requests=100, variant="canary")
    assert timers.tick(now=now)["suspended"] == 0
    rollouts.promote(team.ops, rollout=Rollout.objects.with_subject().get())
    assert (live(endpoint), timers.tick(now=now)["suspended"]) == ("v2", 0)
    fill_traffic(team.project, endpoint=endpoint.name, at=now, requests=1)
    assert timers.tick(now=now)["suspended"] == 1
    assert request.conditions.get().found == f"101 requests in the hour from {now:%H}:00 UTC."


def test_the_last_requests_of_an_hour_are_counted_after_it(team):
    endpoint = make_live(team, conditions=[{"kind": "traffic", "limit": 100, "action": "notify"}])
    now = timezone.now()
    fill_traffic(team.project, endpoint=endpoint.name, at=now, requests=101)
    after = now.replace(minute=0) + timedelta(hours=1)
    assert timers.tick(now=after + timedelta(hours=1))["suspended"] == 0
    assert timers.tick(now=after)["suspended"] == 1


@pytest.mark.parametrize(("seconds", "most"), [(7200, 200), (2400, 100), (60, 100)])
def test_who_counts_in_other_pieces_does_not_lift_a_cap(team, seconds, most):
    endpoint = make_live(team, conditions=[{"kind": "traffic", "limit": 100, "action": "notify"}])
    Monitor.objects.update(bucket_seconds=seconds, step_seconds=seconds, window_seconds=seconds)
    row, now = Monitor.objects.get(), timezone.now()
    for requests_, suspended in ((most, 0), (1, 1)):
        with transaction.atomic():
            monitors.add_counts(row, now, {shape.TRAFFIC: shape.traffic([900.0] * requests_, errors=0)})
        assert timers.tick(now=now)["suspended"] == suspended
    assert of(endpoint).state == "suspended"


@pytest.mark.parametrize(("variant", "op", "state"), [
    ("canary", "above", "suspended"),  # too many requests for what was approved
    ("canary", "below", "approved"),  # few requests are what a small share is for
    ("", "above", "approved"),  # those of another version
])  # fmt: skip
def test_a_metric_on_the_number_of_requests_holds_for_a_share(team, variant, op, state):
    limit = 150 if op == "above" else 1_000
    given = [{"kind": "metric", "metric": "traffic.requests", "op": op, "limit": limit, "action": "notify"}]
    endpoint, request = begin_canary(team, given)
    fail_in(endpoint, variant)
    request.refresh_from_db()
    assert request.state == state


def test_a_rule_on_the_requests_of_the_live_version_leaves_out_what_its_variants_got(team):
    endpoint, _request = begin_canary(team, [DRIFT])
    rule = {"metric": "traffic.requests", "op": "above", "critical": 150.0, "needed": 1, "of": 1}
    for name, version in (("Of v1", "v1"), ("Of the endpoint", "")):
        rules.create(team.ops, project=team.project, name=name, endpoint=endpoint.name, version=version, **rule)
    began = timezone.now() - timedelta(minutes=4)
    for variant in ("", "canary"):
        Monitor.objects.live().filter(variant=variant).update(valid_from=began, rolled_to=None, **PACE)
        row = Monitor.objects.live().get(variant=variant)
        with transaction.atomic():
            counts = {shape.TRAFFIC: shape.traffic([900.0] * 100, errors=0)}
            monitors.add_counts(row, began + timedelta(minutes=2), counts)
    pipeline.roll_due()
    fired = Alert.objects.filter(rule__name__startswith="Of ").values_list("rule__name", flat=True)
    assert list(fired) == ["Of the endpoint"]
