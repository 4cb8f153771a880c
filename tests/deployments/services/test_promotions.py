"""Asking for a promotion, deciding on it, withdrawing it."""

import pytest
from django.db import IntegrityError, transaction

from deployments.models import (
    Decision,
    Endpoint,
    EndpointInterval,
    GateResult,
    ModelVersion,
    PromotionRequest,
)
from deployments.proof import seal
from deployments.services import policies, promotions
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing, Unprocessable
from monitoring.models import Monitor
from projects.models import Event
from tests.factories.deployments import (
    difference,
    environment,
    evaluate,
    make_live,
    make_request,
    make_team,
    make_version,
    result,
)

WHY = "Better on recent customers."
COMMENT = "Not on these numbers."


def approve(by, request, **extra):
    return promotions.decide(by, request=request, verdict="approve", **extra)


def state_of(request) -> str:
    return PromotionRequest.objects.get(pk=request.pk).state


def code_of(caught) -> str:
    return caught.value.code


def test_request_waits_for_its_evaluation_and_is_sealed_by_it(team):
    request = make_request(team, evaluated=False)
    assert (request.state, request.seal, request.endpoint_name) == ("pending", "", "churn-production")
    with pytest.raises(Conflict) as caught:
        approve(team.manager, request)
    assert code_of(caught) == "not_evaluated"
    evaluate(request)
    request.refresh_from_db()
    assert request.seal == seal.compute(request.snapshot)
    names = list(GateResult.objects.filter(request=request, phase="request").values_list("name", "passed"))
    assert names == [
        (name, True)
        for name in (
            "metric_not_worse:roc_auc", "run_succeeded", "artifact_verified", "signature_present", "dataset_profiled",
            "size_at_most", "metric_not_worse:f1", "dataset_warnings", "latency_at_most",
        )
    ]  # fmt: skip
    verbs = list(Event.objects.filter(target_type="promotionrequest").order_by("seq").values_list("verb", flat=True))
    assert verbs == ["promotion.requested", "promotion.evaluated"]


@pytest.mark.parametrize("reason", ["", "   ", "short", "x" * 4001, "with\x00nul and more", 3])
def test_request_needs_a_reason(team, reason):
    with pytest.raises(Invalid) as caught:
        promotions.request(team.scientist, version=make_version(team), environment=environment(team), reason=reason)
    assert caught.value.field == "reason"


def test_one_open_request_a_version_and_environment(team):
    request = make_request(team)
    with pytest.raises(Conflict) as caught:
        make_request(team, version=request.version)
    assert (code_of(caught), caught.value.got) == ("already_requested", request.pk)
    make_request(team, version=request.version, place="staging")
    with pytest.raises(IntegrityError), transaction.atomic():
        PromotionRequest.objects.create(
            project=request.project, version=request.version, environment=request.environment, policy=request.policy,
            requested_by=request.requested_by, expires_at=request.expires_at, reason="x",
        )  # fmt: skip


def test_request_refuses_what_is_live_foreign_or_damaged(team):
    endpoint = make_live(team)
    version = endpoint.current_revision.version
    with pytest.raises(Conflict) as caught:
        make_request(team, version=version)
    assert code_of(caught) == "already_live"
    with pytest.raises(Missing):
        promotions.request(team.scientist, version=version, environment=environment(make_team("other")), reason=WHY)
    damaged = make_version(team)
    ModelVersion.objects.filter(pk=damaged.pk).update(state="damaged")
    damaged.refresh_from_db()
    with pytest.raises(Conflict) as caught:
        make_request(team, version=damaged)
    assert code_of(caught) == "artifact_damaged"


@pytest.mark.parametrize("role", ["viewer", "manager", "ops"])
def test_request_needs_the_right(team, role):
    version = make_version(team)
    with pytest.raises(Forbidden):
        promotions.request(getattr(team, role), version=version, environment=environment(team), reason=WHY)


def test_withdraw_is_for_the_one_who_asked(team):
    request = make_request(team)
    with pytest.raises(Forbidden):
        promotions.withdraw(team.scientist, request=request)
    promotions.withdraw(team.scientist2, request=request)
    assert state_of(request) == "withdrawn"
    with pytest.raises(Conflict) as caught:
        approve(team.manager, request)
    assert code_of(caught) == "already_decided"


def test_approval_switches_the_endpoint_in_one_go(team):
    request = make_request(team)
    approve(team.manager, request)
    endpoint = Endpoint.objects.with_live().get()
    revision = endpoint.current_revision
    assert (endpoint.name, revision.number, revision.version, revision.promotion_id) == (
        "churn-production", 1, request.version, request.pk,
    )  # fmt: skip
    assert EndpointInterval.objects.get(valid_to=None).revision == revision
    monitor = Monitor.objects.get()
    assert (monitor.endpoint, monitor.version, monitor.links["number"]) == ("churn-production", "v1", 1)
    assert monitor.reference["age"]["weight"] == 1.0
    verbs = list(Event.objects.order_by("-seq").values_list("verb", flat=True)[:3])
    assert verbs == ["endpoint.switched", "monitor.bound", "promotion.approved"]
    phases = set(GateResult.objects.filter(request=request).values_list("phase", flat=True))
    assert phases == {"request", "decision", "switch"}


@pytest.mark.parametrize(("verdict", "state"), [("reject", "rejected"), ("changes", "changes_requested")])
def test_refusals_need_a_comment_and_end_the_request(team, verdict, state):
    request = make_request(team)
    for comment in ("", "no", "         "):
        with pytest.raises(Invalid) as caught:
            promotions.decide(team.manager, request=request, verdict=verdict, comment=comment)
        assert caught.value.field == "comment"
    promotions.decide(team.manager, request=request, verdict=verdict, comment=COMMENT)
    request.refresh_from_db()
    assert (request.state, request.decided_by) == (state, team.people["manager"])
    assert not Endpoint.objects.exists()
    assert Event.objects.get(verb=f"promotion.{state}").data["comment"] == COMMENT


@pytest.mark.parametrize("verdict", ["", "yes", "APPROVE", None, 1])
def test_decide_refuses_an_unknown_verdict(team, verdict):
    with pytest.raises(Invalid) as caught:
        promotions.decide(team.manager, request=make_request(team), verdict=verdict)
    assert caught.value.field == "verdict"


def test_the_second_decision_is_told_who_and_when(team):
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="reject", comment=COMMENT)
    with pytest.raises(Conflict) as caught:
        approve(team.manager2, request)
    assert code_of(caught) == "already_decided"
    assert caught.value.got["by"] == "churn-manager"
    assert caught.value.got["at"] == PromotionRequest.objects.get(pk=request.pk).decided_at.isoformat()


def test_advisory_failures_need_a_tick(team):
    make_live(team)
    found = result(production=0.87)
    found["metrics"][1] = difference("f1", 0.5, 0.7)
    request = make_request(team, found=found)
    with pytest.raises(Unprocessable) as caught:
        approve(team.manager, request)
    assert (code_of(caught), caught.value.got) == ("advisory_not_acknowledged", ["metric_not_worse:f1"])
    with pytest.raises(Unprocessable):
        approve(team.manager, request, acknowledged=["metric_not_worse:roc_auc"])
    approve(team.manager, request, acknowledged=["metric_not_worse:f1"])
    assert Decision.objects.get(request=request).acknowledged == ["metric_not_worse:f1"]


@pytest.mark.parametrize("ticked", ["metric", [1], [["x"]], ["x"] * 101])
def test_decide_refuses_ticks_that_are_no_names(team, ticked):
    with pytest.raises(Invalid):
        approve(team.manager, make_request(team), acknowledged=ticked)


def test_a_failed_evaluation_blocks_approval_but_not_refusal(team):
    request = make_request(team, evaluated=False)
    evaluate(request, failure="the model file holds types that are not allowed")
    with pytest.raises(Conflict) as caught:
        approve(team.manager, request)
    assert code_of(caught) == "gates_failed"
    assert "not allowed" in caught.value.message
    promotions.decide(team.manager, request=request, verdict="changes", comment=COMMENT)
    assert state_of(request) == "changes_requested"


@pytest.mark.parametrize(
    "change",
    [{"min_approvals": 0}, {"min_approvals": True}, {"expiry_days": 91}, {"four_eyes": 1}, {"gates": [{"kind": "x"}]}],
)
def test_policies_refuse_bad_rules(team, change):
    with pytest.raises(Invalid) as caught:
        policies.change(team.admin, environment=environment(team), **change)
    assert caught.value.field.partition(".")[0] == next(iter(change))


def test_policies_refuse_a_change_that_changes_nothing(team):
    with pytest.raises(Conflict) as caught:
        policies.change(team.admin, environment=environment(team), min_approvals=1)
    assert code_of(caught) == "no_change"
