"""What an approval holds for and how long (E4, E5, E6, E9, E10): each test goes red when its rule is taken out."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from deployments.models import (
    Decision,
    Endpoint,
    EndpointInterval,
    EndpointRevision,
    ModelVersion,
    PromotionRequest,
)
from deployments.services import endpoints, policies, promotions, timers
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event, Membership
from tests.deployments.services.test_promotions import COMMENT, approve, code_of, state_of
from tests.deployments.services.test_registry import tamper
from tests.factories.deployments import (
    environment,
    make_live,
    make_request,
    result,
)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda r: type(r.version.model).objects.filter(pk=r.version.model_id).update(name="renamed"), "the model"),
        (lambda r: ModelVersion.objects.filter(pk=r.version_id).update(state="damaged"), "the version"),
        (lambda r: ModelVersion.objects.filter(pk=r.version_id).update(manifest=[]), "the files"),
        (lambda r: type(r.version.dataset_version).objects.update(sha256="f" * 64), "the dataset"),
        (lambda r: ModelVersion.objects.filter(pk=r.version_id).update(metrics={"roc_auc": 0.99}), "the metrics"),
        (lambda r: type(r.evaluation).objects.update(result=result(auc=0.99)), "the metrics"),
        (lambda r: type(r.version.run).objects.update(state="failed"), "the gate results"),
        (lambda r: type(r.environment).objects.filter(pk=r.environment_id).update(name="prod2"), "the environment"),
    ],
)
def test_e4_e5_any_change_after_the_request_makes_it_stale(team, change, part):
    request = make_request(team)
    change(request)
    with pytest.raises(Conflict) as caught:
        promotions.decide(team.manager, request=request, verdict="reject", comment=COMMENT)
    assert code_of(caught) == "request_stale"
    assert part in caught.value.message
    assert state_of(request) == "stale"
    assert not Decision.objects.exists()
    again = Event.objects.filter(verb="promotion.stale").count()
    with pytest.raises(Conflict):
        approve(team.manager, request)
    assert Event.objects.filter(verb="promotion.stale").count() == again == 1


def test_e5_another_version_going_live_makes_it_stale_at_once(team):
    one, two = make_request(team), make_request(team)
    elsewhere = make_request(team, version=two.version, place="staging")
    approve(team.manager, one)
    assert (state_of(two), state_of(elsewhere)) == ("stale", "pending")
    with pytest.raises(Conflict) as caught:
        approve(team.manager, two)
    assert code_of(caught) == "request_stale"
    assert Endpoint.objects.get().current_revision.version == one.version


@pytest.mark.parametrize("how", ["settings", "disabled"])
def test_e5_a_change_of_the_endpoint_makes_it_stale_at_once(team, how):
    endpoint = make_live(team)
    request = make_request(team)
    if how == "settings":
        endpoints.configure(team.ops, endpoint=endpoint, log_mode="none")
    else:
        endpoints.disable(team.ops, endpoint=endpoint, reason="Planned maintenance.")
    assert state_of(request) == "stale"


def test_e5_old_approvals_do_not_carry_over(team):
    policies.change(team.admin, environment=environment(team), min_approvals=2)
    first = make_request(team)
    approve(team.manager, first)
    ModelVersion.objects.filter(pk=first.version_id).update(metrics={"roc_auc": 0.5})
    with pytest.raises(Conflict):
        approve(team.manager2, first)
    second = make_request(team, version=first.version)
    approve(team.manager2, second)
    assert state_of(second) == "pending"


@pytest.mark.parametrize("at_once", [True, False])
def test_e6_a_red_gate_blocks_at_the_request_and_at_the_decision(team, at_once):
    make_live(team)
    if not at_once:  # then nothing but the decision looks at the gates
        policies.change(team.admin, environment=environment(team), switch_at_approval=False)
    request = make_request(team, found=result(auc=0.80, production=0.87))
    with pytest.raises(Conflict) as caught:
        approve(team.manager, request, acknowledged=["metric_not_worse:roc_auc"])
    assert (code_of(caught), caught.value.got) == ("gates_failed", ["metric_not_worse:roc_auc"])
    assert state_of(request) == "pending"


def test_e6_an_override_is_a_right_of_its_own_with_a_reason_and_a_second_person(team):
    make_live(team)
    request = make_request(team, found=result(auc=0.80, production=0.87))
    gate, reason = "metric_not_worse:roc_auc", "The old metric counted test accounts."
    for by in (team.manager, team.scientist, team.ops):
        with pytest.raises(Forbidden):
            promotions.override(by, request=request, gate=gate, reason=reason)
    with pytest.raises(Invalid) as caught:
        promotions.override(team.admin, request=request, gate=gate, reason="x" * 19)
    assert caught.value.limit == 20
    with pytest.raises(Conflict) as conflict:
        promotions.override(team.admin, request=request, gate="run_succeeded", reason=reason)
    assert code_of(conflict) == "gate_not_red"
    Membership.objects.create(user=team.people["admin"], project=team.project, role="manager")
    promotions.override(team.admin, request=request, gate=gate, reason=reason)
    assert Event.objects.get(verb="gate.overridden").data == {"gate": gate, "reason": reason}
    with pytest.raises(Conflict) as conflict:
        promotions.override(team.admin, request=request, gate=gate, reason=reason)
    assert code_of(conflict) == "already_overridden"
    with pytest.raises(Forbidden) as forbidden:
        approve(team.admin, request)
    assert code_of(forbidden) == "four_eyes"
    approve(team.manager, request)
    assert state_of(request) == "approved"


def test_e6_who_counts_as_requester_cannot_override(team):
    make_live(team)
    Membership.objects.create(user=team.people["scientist2"], project=team.project, role="admin")
    request = make_request(team, found=result(auc=0.80, production=0.87))
    with pytest.raises(Forbidden) as caught:
        promotions.override(team.scientist2, request=request, gate="metric_not_worse:roc_auc", reason="x" * 20)
    assert code_of(caught) == "four_eyes"


@pytest.mark.parametrize("moment", ["approve", "switch"])
def test_e6_a_tampered_artifact_is_refused_and_the_version_marked(team, moment):
    policies.change(team.admin, environment=environment(team), switch_at_approval=moment == "approve", expiry_days=6)
    request = make_request(team)
    if moment == "switch":
        approve(team.manager, request)
    tamper(request.version.file("model/model.skops"))
    act = approve if moment == "approve" else lambda by, request: endpoints.switch(by, request=request)
    with pytest.raises(Conflict) as caught:
        act(team.manager if moment == "approve" else team.ops, request)
    assert code_of(caught) == "artifact_damaged"
    assert not Endpoint.objects.exists()
    assert ModelVersion.objects.get(pk=request.version_id).state == "damaged"
    assert Event.objects.filter(verb="version.damaged").count() == 1


def test_e9_a_request_expires(team):
    request = make_request(team)
    assert request.expires_at - request.requested_at == pytest.approx(timedelta(days=7), abs=timedelta(seconds=5))
    PromotionRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now())
    with pytest.raises(Conflict) as caught:
        approve(team.manager, request)
    assert code_of(caught) == "request_expired"
    assert state_of(request) == "expired"


def test_e9_the_sweeper_closes_what_nobody_decided(team):
    due, fresh = make_request(team), make_request(team)
    PromotionRequest.objects.filter(pk=due.pk).update(expires_at=timezone.now())
    assert timers.tick(now=timezone.now())["expired"] == 1
    assert (state_of(due), state_of(fresh)) == ("expired", "pending")
    assert Event.objects.filter(verb="promotion.expired").count() == 1


def test_e9_an_unused_approval_expires(team):
    policies.change(team.admin, environment=environment(team), switch_at_approval=False)
    request = make_request(team)
    approve(team.manager, request)
    assert not Endpoint.objects.exists()
    PromotionRequest.objects.filter(pk=request.pk).update(decided_at=timezone.now() - timedelta(days=8))
    with pytest.raises(Conflict) as caught:
        endpoints.switch(team.ops, request=request)
    assert code_of(caught) == "request_lapsed"
    assert state_of(request) == "lapsed"


def test_e10_an_approved_request_is_used_once_and_by_ops_only(team):
    policies.change(team.admin, environment=environment(team), switch_at_approval=False)
    request = make_request(team)
    with pytest.raises(Conflict) as caught:
        endpoints.switch(team.ops, request=request)
    assert code_of(caught) == "not_approved"
    approve(team.manager, request)
    for by in (team.manager, team.scientist2, team.viewer):
        with pytest.raises(Forbidden):
            endpoints.switch(by, request=request)
    assert endpoints.switch(team.ops, request=request).number == 1
    with pytest.raises(Conflict) as caught:
        endpoints.switch(team.ops, request=request)
    assert code_of(caught) == "already_live"


def test_e10_history_is_append_only_and_has_one_open_interval(team):
    endpoint = make_live(team)
    make_live(team)
    rows = list(EndpointInterval.objects.order_by("pk"))
    assert [row.valid_to is None for row in rows] == [False, True]
    assert rows[0].valid_to == rows[1].valid_from
    with pytest.raises(DatabaseError), transaction.atomic():
        EndpointRevision.objects.filter(endpoint=endpoint).update(reason="other")
    with pytest.raises(DatabaseError), transaction.atomic():
        Decision.objects.update(comment="other")
    with pytest.raises(IntegrityError), transaction.atomic():
        EndpointInterval.objects.create(endpoint=endpoint, revision=rows[0].revision, valid_from=timezone.now())
