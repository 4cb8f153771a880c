"""The four-eyes rules: each test goes red when its rule is taken out."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from deployments.models import (
    Decision,
    Endpoint,
    EndpointInterval,
    EndpointRevision,
    GateResult,
    ModelVersion,
    Policy,
    PromotionRequest,
)
from deployments.proof import seal
from deployments.services import endpoints, policies, promotions, timers
from experiments.models import Artifact
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing, Unprocessable
from monitoring.models import Monitor
from projects.actor import Actor
from projects.models import ApiToken, Event, Group, Membership, User
from projects.services import accounts
from tests.deployments.services.test_registry import tamper
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
from tests.factories.projects import actor, make_token, make_user

WHY = "Better on recent customers."
COMMENT = "Not on these numbers."


def approve(by, request, **extra):
    return promotions.decide(by, request=request, verdict="approve", **extra)


def state_of(request) -> str:
    return PromotionRequest.objects.get(pk=request.pk).state


def code_of(caught) -> str:
    return caught.value.code


# --- asking -----------------------------------------------------------------------------------


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


# --- deciding -----------------------------------------------------------------------------------


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


# --- E1 to E14 ----------------------------------------------------------------------------------


def test_e1_the_requester_never_decides_by_session_or_token(team):
    version = make_version(team)
    both = make_user("both", role="scientist", project=team.project)
    Membership.objects.create(user=both, project=team.project, role="manager")
    request = promotions.request(actor(both), version=version, environment=environment(team), reason=WHY)
    evaluate(request)
    for by in (actor(both), token_actor(both, team, ["approve"])):
        for verdict in ("approve", "reject", "changes"):
            with pytest.raises(Forbidden) as caught:
                promotions.decide(by, request=request, verdict=verdict, comment=COMMENT)
            assert code_of(caught) == "four_eyes"
    assert state_of(request) == "pending"


@pytest.mark.parametrize("email", ["CHURN-scientist2@example.org", "churn-scientist2+two@example.org"])
def test_e1_nor_by_a_second_account_of_the_same_mail_box(team, email):
    request = make_request(team)
    second = make_user("second", role="manager", project=team.project, email=email)
    with pytest.raises(Forbidden) as caught:
        approve(actor(second), request)
    assert code_of(caught) == "four_eyes"


def test_e1_nor_after_typing_another_address(team):
    """An address that nobody confirmed makes nobody another person; a site administrator's word does."""
    email = "churn-scientist2+two@example.org"
    second = make_user("second", role="manager", project=team.project, email=email)
    for typed in ("other@example.org", "third@example.org"):
        kept = {"display_name": "", "theme": "", "density": "compact", "time_zone": "UTC", "single_keys": True}
        accounts.edit_profile(actor(second), email=typed, **kept)
    request = make_request(team)
    with pytest.raises(Forbidden) as caught:
        approve(actor(second), request)
    assert code_of(caught) == "four_eyes"
    accounts.confirm_email(actor(make_user("chief", is_site_admin=True)), user=second)
    approve(actor(User.objects.get(pk=second.pk)), request)
    assert state_of(request) == "approved"


def test_e2_who_trained_registered_or_uploaded_counts_as_requester(team):
    trainer = team.people["scientist"]
    Membership.objects.create(user=trainer, project=team.project, role="manager")
    request = make_request(team)
    with pytest.raises(Forbidden, match="registered this version"):
        approve(actor(trainer), request)
    ModelVersion.objects.filter(pk=request.version_id).update(created_by=team.people["scientist2"])
    with pytest.raises(Forbidden, match="trained this version"):
        approve(actor(trainer), request)
    type(request.version.run).objects.filter(pk=request.version.run_id).update(created_by=team.people["scientist2"])
    with pytest.raises(Forbidden, match="uploaded a file"):
        approve(actor(trainer), request)
    Artifact.objects.filter(run=request.version.run).update(created_by=team.people["scientist2"])
    approve(actor(trainer), request)
    assert state_of(request) == "approved"


def test_e2_who_last_changed_the_rules_counts_as_requester(team):
    admin = team.people["admin"]
    Membership.objects.create(user=admin, project=team.project, role="manager")
    policies.change(team.admin, environment=environment(team), expiry_days=5)
    request = make_request(team)
    with pytest.raises(Forbidden, match="last changed the rules"):
        approve(actor(admin), request)


def test_e2_who_put_the_rules_into_force_counts_as_requester(team):
    second = make_user("ada2", role="admin", project=team.project)
    Membership.objects.create(user=second, project=team.project, role="manager")
    proposal = policies.change(team.admin, environment=environment(team), expiry_days=5)
    policies.confirm(actor(second), policy=proposal)
    request = make_request(team)
    with pytest.raises(Forbidden, match="put the rules of this environment into force"):
        approve(actor(second), request)
    approve(team.manager, request)
    assert state_of(request) == "approved"


def test_e3_rights_are_read_inside_the_decision(team):
    request = make_request(team)
    by = team.manager
    assert by.permissions_in(team.project)  # remembered, as in a request that began before the change
    Membership.objects.filter(user=by.user, project=team.project).update(valid_to=timezone.now())
    with pytest.raises(Forbidden):
        approve(by, request)
    other = team.manager2
    type(other.user).objects.filter(pk=other.user.pk).update(is_active=False)
    assert other.user.is_active
    with pytest.raises(Forbidden) as caught:
        approve(other, request)
    assert code_of(caught) == "inactive"
    assert state_of(request) == "pending"


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


def test_e7_quorum_counts_distinct_people_and_a_reject_ends_it(team):
    policies.change(team.admin, environment=environment(team), min_approvals=2)
    request = make_request(team)
    approve(team.manager, request)
    assert state_of(request) == "pending"
    with pytest.raises(Conflict) as caught:
        approve(team.manager, request)
    assert code_of(caught) == "decided_before"
    twin = make_user("twin", role="manager", project=team.project, email="churn-manager+1@example.org")
    with pytest.raises(Conflict) as caught:
        approve(actor(twin), request)
    assert (code_of(caught), caught.value.got["by"]) == ("decided_before", "churn-manager")
    assert state_of(request) == "pending"
    approve(team.manager2, request)
    assert state_of(request) == "approved"
    other = make_request(team)
    approve(team.manager, other)
    promotions.decide(team.manager2, request=other, verdict="reject", comment=COMMENT)
    assert state_of(other) == "rejected"


def test_e8_rules_are_copied_and_a_change_makes_open_requests_stale(team):
    request = make_request(team)
    old = request.policy
    new = policies.change(team.admin, environment=environment(team), min_approvals=2)
    assert (state_of(request), new.number, new.state) == ("stale", 2, "active")
    old.refresh_from_db()
    assert (old.state, old.min_approvals) == ("replaced", 1)


def test_e8_a_second_admin_confirms_a_change(team):
    second = make_user("ada2", role="admin", project=team.project)
    request = make_request(team)
    proposal = policies.change(team.admin, environment=environment(team), four_eyes=False)
    assert (proposal.state, state_of(request)) == ("proposed", "pending")
    assert policies.current(environment(team)).four_eyes is True
    with pytest.raises(Forbidden) as caught:
        policies.confirm(team.admin, policy=proposal)
    assert code_of(caught) == "four_eyes"
    with pytest.raises(Conflict) as conflict:
        policies.change(team.admin, environment=environment(team), min_approvals=3)
    assert code_of(conflict) == "proposal_open"
    policies.confirm(actor(second), policy=proposal)
    assert policies.current(environment(team)).four_eyes is False
    assert state_of(request) == "stale"
    with pytest.raises(Conflict):
        policies.confirm(actor(second), policy=proposal)


def test_e8_a_dropped_proposal_changes_nothing(team):
    make_user("ada2", role="admin", project=team.project)
    proposal = policies.change(team.admin, environment=environment(team), min_approvals=2)
    policies.drop(team.admin, policy=proposal)
    assert policies.current(environment(team)).min_approvals == 1


def test_e8_the_right_to_decide_given_to_oneself_does_not_count(team):
    request = make_request(team)
    admin = team.people["admin"]
    Membership.objects.create(user=admin, project=team.project, role="manager", granted_by=admin)
    with pytest.raises(Forbidden, match="gave yourself"):
        approve(actor(admin), request)
    group = Group.objects.create(name="Signers", name_key="signers", created_by=team.people["manager"])
    ended = Membership.objects.create(
        user=admin, project=team.project, role="manager", granted_by=team.people["manager"], group=group,
        valid_until=timezone.now(),
    )  # fmt: skip
    Membership.objects.filter(pk=ended.pk).update(valid_from=request.requested_at - timedelta(days=9))
    with pytest.raises(Forbidden, match="gave yourself"):  # what has ended gives nothing, before the beat ends it too
        approve(actor(admin), request)
    Membership.objects.filter(user=admin, role="manager").update(granted_by=team.people["manager"])
    approve(actor(admin), request)
    assert state_of(request) == "approved"


def test_e8_the_database_refuses_to_change_the_rules_of_a_policy(team):
    policy = policies.current(environment(team))
    for change in ({"steps": []}, {"four_eyes": False}, {"gates": []}, {"expiry_days": 9}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Policy.objects.filter(pk=policy.pk).update(**change)


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


def token_actor(user, team, scopes) -> Actor:
    make_token(user, team.project, scopes)
    return Actor.for_token(ApiToken.objects.select_related("user").filter(user=user).order_by("-pk")[0])


def test_e13_a_token_decides_only_with_the_scope_approve(team):
    request = make_request(team)
    manager = team.people["manager"]
    everything_else = ["read", "write", "train", "register", "deploy", "predict", "alerts", "admin"]
    with pytest.raises(Forbidden):
        approve(token_actor(manager, team, everything_else), request)
    by = token_actor(manager, team, ["approve"])
    ApiToken.objects.filter(pk=by.token.pk).update(revoked_at=timezone.now())
    with pytest.raises(Forbidden) as caught:
        approve(by, request)
    assert code_of(caught) == "token_scope"
    # The scope was taken away after the request had begun: the row counts, not what was read before.
    ApiToken.objects.filter(pk=by.token.pk).update(revoked_at=None, scopes=["read"])
    with pytest.raises(Forbidden) as caught:
        approve(by, request)
    assert code_of(caught) == "token_scope"
    ApiToken.objects.filter(pk=by.token.pk).update(scopes=["approve"])
    approve(by, request)
    assert Decision.objects.get(request=request).token_id == by.token.pk


def test_e13_a_part_of_the_portal_never_decides(team):
    request = make_request(team)
    from projects.permissions import Permission

    by = Actor.system("x", project=team.project, grants=set(Permission), on_behalf_of=team.people["manager"])
    with pytest.raises(Forbidden) as caught:
        approve(by, request)
    assert code_of(caught) == "people_only"


def test_e14_without_four_eyes_one_person_may_do_both_and_it_is_marked(team):
    policies.change(team.admin, environment=environment(team), four_eyes=False)
    Membership.objects.create(user=team.people["scientist2"], project=team.project, role="manager")
    request = make_request(team)
    approve(team.scientist2, request)
    request.refresh_from_db()
    assert (request.state, request.single_person) == ("approved", True)
    assert Event.objects.get(verb="promotion.approved").data["single_person"] is True
    assert EndpointRevision.objects.count() == 1


def test_e14_two_people_are_not_marked_and_only_an_admin_switches_it_off(team):
    for role in ("viewer", "scientist", "manager", "ops"):
        with pytest.raises(Forbidden):
            policies.change(getattr(team, role), environment=environment(team), four_eyes=False)
    policies.change(team.admin, environment=environment(team), four_eyes=False)
    request = make_request(team)
    approve(team.manager, request)
    request.refresh_from_db()
    assert request.single_person is False


# --- what a worker leaves behind ------------------------------------------------------------------


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
