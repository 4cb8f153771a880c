"""A version takes over by steps: who may, what each look finds, and what follows."""

import csv
import io
import zipfile
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from deployments.models import Endpoint, EndpointRevision, PromotionRequest, Rollout, RolloutCheck
from deployments.services import dividing, endpoints, past, past_evidence, promotions, rollout_clock, rollouts, timers
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from mlportal.lib.moments import Span
from monitoring.models import Monitor
from monitoring.pipeline import variants
from projects.models import Event
from tests.factories.deployments import make_live, make_request, make_version, set_policy
from tests.factories.projects import actor

REASON = "Better on recent customers."
STEPS = [{"share": 0.1, "minutes": 10, "requests": 100}, {"share": 1.0, "minutes": 10, "requests": 100}]


@pytest.fixture
def endpoint(team) -> Endpoint:
    made = make_live(team)
    set_policy(team, switch_at_approval=False)
    return made


@pytest.fixture
def approved(team, endpoint) -> PromotionRequest:
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve")
    return PromotionRequest.objects.with_subject().get(pk=request.pk)


@pytest.fixture
def rollout(team, approved) -> Rollout:
    made = rollouts.plan(team.ops, request=approved, reason=REASON, steps=STEPS)
    return rollouts.start(team.ops, rollout=made)


def now_of(endpoint: Endpoint) -> EndpointRevision:
    return Endpoint.objects.with_live().get(pk=endpoint.pk).current_revision


def log(endpoint: Endpoint, variant: str, records: list[dict], *, at=None, mode: str = "live") -> None:
    """Count lines of a variant of the present revision, as the shipper does."""
    revision = now_of(endpoint)
    moment = int((at or timezone.now()).timestamp() * 1000)
    header = {
        "revision_id": revision.pk, "variant": variant, "project": endpoint.project_id, "endpoint": endpoint.name,
        "label": "v", "mode": mode, "edges": dividing.SHARES,
    }  # fmt: skip
    with transaction.atomic():
        variants.count(header, [{"at": moment, **record} for record in records])


def answers(count: int, *, score: float = 0.25, us: int = 900) -> list[dict]:
    one = {"kind": "prediction", "us": us, "unit": 1, "sticky": True, "y": ["yes"], "s": [score],
           "p": [[1 - score, score]]}  # fmt: skip
    return [one] * count


def refusals(count: int, code: str = "internal_error") -> list[dict]:
    return [{"kind": "refusal", "us": 50, "status": 500, "code": code}] * count


def load(endpoint: Endpoint) -> None:
    log(endpoint, "canary", [{"kind": "standing", "ready": True}])


def look(rollout: Rollout, *, minutes: float = 0) -> Rollout:
    rollout_clock.tick(now=timezone.now() + timedelta(minutes=minutes))
    return Rollout.objects.with_subject().get(pk=rollout.pk)


def begun(rollout: Rollout) -> Rollout:
    """The rollout at its first step."""
    load(rollout.endpoint)
    return look(rollout)


def test_a_rollout_moves_by_steps_and_ends_as_the_switch_its_approval_allows(team, endpoint, approved, rollout):
    stable = now_of(endpoint)
    assert (rollout.state, stable.kind, stable.version, stable.put_live) == (
        "validating", "rollout", endpoint.current_revision.version, endpoint.current_revision_id,
    )  # fmt: skip
    assert [(row["variant"], row["weight"]) for row in stable.routes] == [("canary", 0.0), ("champion", 1.0)]
    assert look(rollout).state == "validating"
    rollout = begun(rollout)
    assert (rollout.state, rollout.step, rollout.share) == ("canary", 0, 0.1)
    log(endpoint, "canary", answers(60))
    log(endpoint, "champion", answers(540))
    assert look(rollout, minutes=11).step == 0
    log(endpoint, "canary", answers(40))
    log(endpoint, "champion", answers(360))
    rollout = look(rollout, minutes=13)
    assert (rollout.step, [row["weight"] for row in now_of(endpoint).routes]) == (1, [1.0, 0.0])
    assert len({revision.salt for revision in rollout.revisions.all()}) == 1
    log(endpoint, "canary", answers(100))
    rollout = look(rollout, minutes=23)
    assert rollout.state == "promoted"
    live = now_of(endpoint)
    assert (live.kind, live.version, live.promotion, live.routes) == ("promotion", approved.version, approved, [])
    assert Monitor.objects.filter(valid_to=None).get().version == approved.version.label
    words = list(Event.objects.filter(target_type="rollout").order_by("seq").values_list("verb", flat=True))
    assert words == ["rollout.planned", *["rollout.moved"] * 3, "rollout.promoted"]
    check = RolloutCheck.objects.filter(rollout=rollout).earliest("at")
    assert {row["key"] for row in check.criteria} == {
        "loading", "errors", "latency", "scores", "outputs", "labels", "split",
    }  # fmt: skip


def test_the_time_machine_names_every_version_that_answered_a_share(team, endpoint, approved, rollout):
    begun(rollout)
    now = Span(timezone.now(), timezone.now())
    rows = {row["version"]: row for row in past.traffic(team.project, now)}
    assert {number: row["share"] for number, row in rows.items()} == {1: "90 %", 2: "10 %"}
    assert rows[2]["promotion"]["number"] == approved.pk
    assert [said["by"] for said in rows[2]["promotion"]["decisions"]] == ["churn-manager"]
    assert rows[1]["promotion"]["number"] == endpoint.current_revision.promotion_id
    assert [row["share"] for row in past.traffic(team.project, now, version=approved.version)] == ["10 %"]
    told = past_evidence.export(actor(team.people["manager"]), project=team.project, span=now)
    with zipfile.ZipFile(io.BytesIO(told)) as archive:
        lines = list(csv.DictReader(io.TextIOWrapper(archive.open("evidence.csv"))))
    assert {(line["version"], line["share"]) for line in lines} == {("1", "90 %"), ("2", "10 %")}


def test_only_who_may_deploy_moves_a_rollout(team, endpoint, approved, rollout):
    for by in (team.manager, team.scientist, team.viewer):
        for act in (rollouts.advance, rollouts.resume, rollouts.promote, rollouts.start):
            with pytest.raises(Forbidden):
                act(by, rollout=rollout)
        with pytest.raises(Forbidden):
            rollouts.abort(by, rollout=rollout, reason=REASON)
        with pytest.raises(Forbidden):
            rollouts.plan(by, request=approved, reason=REASON)


def test_a_canary_without_an_approval_is_refused_like_a_switch(team, endpoint):
    request = make_request(team)
    rollout = rollouts.plan(team.ops, request=request, reason=REASON)
    with pytest.raises(Conflict) as caught:
        rollouts.start(team.ops, rollout=rollout)
    assert (caught.value.code, now_of(endpoint).kind) == ("not_approved", "promotion")
    promotions.decide(team.manager, request=request, verdict="reject", comment="Not good enough yet.")
    with pytest.raises(Conflict):
        rollouts.start(team.ops, rollout=rollout)
    assert not EndpointRevision.objects.filter(kind="rollout").exists()


def test_an_approval_starts_the_planned_rollout_instead_of_switching(team):
    endpoint = make_live(team)
    request = make_request(team)
    rollout = rollouts.plan(team.ops, request=request, reason=REASON)
    promotions.decide(team.manager, request=request, verdict="approve")
    rollout.refresh_from_db()
    assert (rollout.state, now_of(endpoint).version) == ("validating", endpoint.current_revision.version)


def test_a_rollout_does_not_make_other_requests_stale_and_a_rollback_leads_out_of_it(team, endpoint, approved, rollout):
    waiting = make_request(team)
    rollout = begun(rollout)
    waiting.refresh_from_db()
    approved.refresh_from_db()
    assert (waiting.state, approved.state) == ("pending", "approved")
    made = endpoints.rollback(team.ops, endpoint=rollout.endpoint, reason="Errors doubled after the switch.")
    rollout.refresh_from_db()
    approved.refresh_from_db()
    assert (made.version, made.routes, rollout.state) == (endpoint.current_revision.version, [], "aborted")
    assert approved.state == "stale"


def test_abort_copies_what_was_live_and_uses_the_approval_up(team, endpoint, approved, rollout):
    rollout = begun(rollout)
    rollouts.abort(team.ops, rollout=rollout, reason="The customers complain.")
    live = now_of(endpoint)
    assert (live.version, live.routes, live.put_live) == (
        endpoint.current_revision.version, [], endpoint.current_revision_id,
    )  # fmt: skip
    approved.refresh_from_db()
    assert approved.state == "stale"
    with pytest.raises(Conflict) as caught:
        rollouts.abort(team.ops, rollout=rollout, reason="The customers complain.")
    assert caught.value.code == "ended"


@pytest.mark.parametrize(
    ("canary", "state", "word"),
    [
        (answers(60) + refusals(30), "aborted", "Error rate"),
        ([{"kind": "standing", "ready": False, "reason": "A file is damaged."}], "aborted", "A file is damaged."),
        (refusals(5, "timeout"), "aborted", "5 timeouts in a row"),
        ([{"kind": "prediction", "us": 900, "y": [None], "s": [None], "p": None}], "aborted", "1 empty or impossible"),
        (answers(600, score=0.85), "paused", "PSI"),
    ],
)
def test_a_bad_canary_is_stopped(rollout, canary, state, word):
    rollout = begun(rollout)
    log(rollout.endpoint, "champion", answers(5400))
    log(rollout.endpoint, "canary", canary)
    if state == "aborted":
        assert look(rollout, minutes=1).state == state
    rollout = look(rollout, minutes=2)
    assert (rollout.state, word in rollout.note) == (state, True), rollout.note


def test_a_slow_canary_is_aborted_after_two_windows(rollout):
    rollout = begun(rollout)
    start = timezone.now().replace(second=0, microsecond=0)
    for minute, state in ((1, "canary"), (6, "aborted")):
        at = start + timedelta(minutes=minute)
        log(rollout.endpoint, "champion", answers(5000, us=5_000), at=at)
        log(rollout.endpoint, "canary", answers(550, us=60_000), at=at)
        rollout = look(rollout, minutes=minute + 2)
        assert rollout.state == state
    assert rollout.note.startswith("Latency p99")


def test_a_broken_split_holds_until_a_person_accepts_it(team, rollout):
    rollout = begun(rollout)
    log(rollout.endpoint, "canary", answers(400))
    log(rollout.endpoint, "champion", answers(600))
    rollout = look(rollout, minutes=2)
    assert (rollout.state, rollout.paused_in, rollout.share) == ("paused", "canary", 0.1)
    assert look(rollout, minutes=30).state == "paused"
    rollout = rollouts.resume(team.ops, rollout=rollout)
    assert (rollout.state, rollout.accepted) == ("canary", ["split"])
    assert look(rollout, minutes=45).step == 1


def test_without_data_it_stays_and_is_held_after_a_day(rollout):
    rollout = begun(rollout)
    assert look(rollout, minutes=23 * 60).state == "canary"
    rollout = look(rollout, minutes=24 * 60 + 2)
    assert (rollout.state, rollout.note) == ("paused", "0 of 100 requests in 24 h: too few to judge.")
    assert Event.objects.filter(verb="rollout.paused").exists()


def test_a_shadow_listens_before_it_gets_requests(team, approved):
    rollout = rollouts.plan(team.ops, request=approved, reason=REASON, steps=STEPS, shadow=True)
    rollout = begun(rollouts.start(team.ops, rollout=rollout))
    routes = now_of(rollout.endpoint).routes
    assert (rollout.state, [row["mode"] for row in routes]) == ("shadow", ["shadow", "live"])
    shadow = {"kind": "shadow", "us": 900, "rows": 1, "differing": 0, "y": ["yes"], "s": [0.2], "p": [[0.8, 0.2]]}
    log(rollout.endpoint, "shadow", [shadow] * 999, mode="shadow")
    assert look(rollout, minutes=2).state == "shadow"
    log(rollout.endpoint, "shadow", [shadow], mode="shadow")
    assert look(rollout, minutes=4).state == "canary"


def test_an_approval_that_ends_takes_its_requests_back(rollout, approved, endpoint):
    rollout = begun(rollout)
    PromotionRequest.objects.filter(pk=approved.pk).update(state="suspended")
    rollout = look(rollout, minutes=2)
    assert (rollout.state, now_of(endpoint).routes) == ("aborted", [])


def test_a_hand_may_hold_advance_and_put_live(team, endpoint, rollout, approved):
    with pytest.raises(Conflict) as caught:
        rollouts.advance(team.ops, rollout=rollout)
    assert caught.value.code == "validating"
    rollout = begun(rollout)
    held = rollouts.pause(team.ops, rollout=rollout, reason="Waiting for the night.")
    assert held.state == "paused"
    with pytest.raises(Conflict):
        rollouts.pause(team.ops, rollout=rollout, reason="Waiting for the night.")
    assert rollouts.advance(team.ops, rollout=rollout).step == 1
    assert rollouts.advance(team.ops, rollout=rollout).state == "promoted"
    assert now_of(endpoint).version == approved.version


def test_plans_have_limits(team, endpoint, approved):
    for steps in (
        [], "x", [{"share": 2}], [{"share": 0.5}, {"share": 0.1}], [{"share": 0.1, "minutes": 0}],
        [{"share": 0.1, "requests": 1}], [{"minutes": 5}], [{"share": True}], [{"share": 0.1, "x": 1}],
    ):  # fmt: skip
        with pytest.raises(Invalid) as caught:
            rollouts.plan(team.ops, request=approved, reason=REASON, steps=steps)
        assert caught.value.field == "steps"
    with pytest.raises(Invalid):
        rollouts.plan(team.ops, request=approved, reason=REASON, label_margin=-1)
    with pytest.raises(Invalid):
        rollouts.plan(team.ops, request=approved, reason="now")
    made = rollouts.plan(team.ops, request=approved, reason=REASON, steps=[{"share": 0.2}])
    assert [row["share"] for row in made.steps] == [0.2, 1.0]
    with pytest.raises(Conflict) as caught:
        rollouts.plan(team.ops, request=approved, reason=REASON)
    assert caught.value.code == "rollout_planned"


def test_what_cannot_be_compared_is_refused(team, endpoint, approved):
    Endpoint.objects.filter(pk=endpoint.pk).update(logging="off")
    with pytest.raises(Conflict) as caught:
        rollouts.plan(team.ops, request=approved, reason=REASON)
    assert caught.value.code == "log_off"
    fresh = make_request(team, version=make_version(team, model="other"))
    with pytest.raises(Missing):
        rollouts.plan(team.ops, request=fresh, reason=REASON)
    Endpoint.objects.filter(pk=endpoint.pk).update(logging="safe")
    signature = {**approved.version.signature, "inputs": approved.version.signature["inputs"][:1]}
    type(approved.version).objects.filter(pk=approved.version_id).update(signature=signature)
    with pytest.raises(Conflict) as caught:
        rollouts.plan(team.ops, request=approved, reason=REASON)
    assert caught.value.code == "schema_differs"


def test_the_database_keeps_checks_and_revisions_as_they_are(rollout):
    look(begun(rollout), minutes=2)
    for rows in (RolloutCheck.objects.all(), EndpointRevision.objects.all()):
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.update(**({"verdict": "ok"} if rows.model is RolloutCheck else {"reason": "other"}))


def test_a_rollout_that_cannot_be_judged_does_not_keep_the_others_from_it(team, rollout):
    make_live(team, place="staging")
    set_policy(team, place="staging", switch_at_approval=False)
    request = make_request(team, place="staging")
    promotions.decide(team.manager, request=request, verdict="approve")
    approved = PromotionRequest.objects.with_subject().get(pk=request.pk)
    other = rollouts.start(team.ops, rollout=rollouts.plan(team.ops, request=approved, reason=REASON, steps=STEPS))
    rollout, other = begun(rollout), begun(other)
    Rollout.objects.filter(pk=rollout.pk).update(steps=[{"share": 0.1}, {"share": 1.0}], judged_at=None)
    log(other.endpoint, "canary", answers(120))
    log(other.endpoint, "champion", answers(1080))
    assert rollout_clock.tick(now=timezone.now() + timedelta(minutes=11)) == 1
    assert (look(rollout).step, look(other).step) == (0, 1)


# --- a share that the approval is bound to ----------------------------------------------------------


def bound(team, limit: float = 10, action: str = "notify") -> PromotionRequest:
    """An approval for a part of the requests."""
    request = make_request(team)
    terms = [{"kind": "share", "limit": limit, "action": action}]
    promotions.decide(team.manager, request=request, verdict="approve", conditions=terms)
    return PromotionRequest.objects.with_subject().get(pk=request.pk)


def started(team, request: PromotionRequest, steps=STEPS) -> Rollout:
    return rollouts.start(team.ops, rollout=rollouts.plan(team.ops, request=request, reason=REASON, steps=steps))


def test_no_door_gives_a_version_more_than_the_share_its_approval_is_bound_to(team, endpoint):
    request = bound(team, 9.5)
    with pytest.raises(Conflict) as switched:
        endpoints.switch(team.ops, request=request)
    assert (switched.value.code, switched.value.got) == ("share_bound", 1.0)
    assert "at most 9.5 % of the requests only" in switched.value.message
    with pytest.raises(Conflict) as began:
        started(team, request)
    assert (began.value.code, began.value.got) == ("share_bound", 0.1)
    assert now_of(endpoint).put_live == endpoint.current_revision_id


def test_an_approval_for_a_share_that_would_switch_at_once_decides_nothing(team):
    make_live(team)
    request = make_request(team)
    with pytest.raises(Conflict) as refused:
        promotions.decide(team.manager, request=request, verdict="approve", conditions=[{"kind": "share", "limit": 25}])
    assert refused.value.code == "share_bound"
    assert PromotionRequest.objects.get(pk=request.pk).is_pending


def test_a_rollout_is_held_before_the_step_that_is_over_the_share(team, endpoint):
    rollout = begun(started(team, bound(team)))
    log(endpoint, "canary", answers(100))
    log(endpoint, "champion", answers(900))
    rollout = look(rollout, minutes=13)
    assert (rollout.state, rollout.share) == ("paused", 0.1)
    assert "at most 10 % of the requests only" in rollout.note
    with pytest.raises(Conflict) as onward:
        rollouts.advance(team.ops, rollout=rollout)
    assert onward.value.code == "share_bound"
    assert [row["weight"] for row in now_of(endpoint).routes] == [0.1, 0.9]


@pytest.mark.parametrize(("action", "frozen"), [("notify", False), ("freeze", True), ("rollback", False)])
def test_a_measured_share_over_the_limit_suspends_and_gives_the_requests_back(team, endpoint, action, frozen):
    request = bound(team, action=action)
    rollout = begun(started(team, request))
    log(endpoint, "canary", answers(110))
    log(endpoint, "champion", answers(890))  # 11 % is chance
    assert timers.tick(now=timezone.now())["suspended"] == 0
    log(endpoint, "canary", answers(400))
    assert timers.tick(now=timezone.now())["suspended"] == 1
    request.refresh_from_db()
    rollout.refresh_from_db()
    condition = request.conditions.get()
    assert (request.state, condition.state, rollout.state) == ("suspended", "breached", "aborted")
    assert condition.found == "510 of 1,400 requests in this hour (36.4%)."
    assert condition.done.startswith(f"{endpoint.name} gave its requests back to v1.")
    assert (now_of(endpoint).version.label, now_of(endpoint).routes) == ("v1", [])
    endpoint.refresh_from_db()
    assert (endpoint.frozen_at is not None) is frozen
    assert timers.tick(now=timezone.now())["suspended"] == 0
