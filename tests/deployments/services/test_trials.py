"""A trial: registered before, divided by unit, looked at as often as one likes, decided by what was planned."""

import random
import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.models import Endpoint, Trial
from deployments.services import outcomes, promotions, timers, trials
from deployments.traffic import assignment
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from monitoring.models import Alert, Division, DivisionUnit, GroundTruth, IngestedSegment, Prediction
from monitoring.pipeline import ship
from monitoring.services import predictions, units
from projects.models import Event
from tests.deployments.services.test_rollouts import answers, log, now_of, refusals
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_live, make_request, set_policy
from tests.monitoring.log import header, line

PLAN = {
    "name": "Right more often", "hypothesis": "The new version is right more often.", "metric": "correct",
    "minimum_effect": 0.02, "minimum_units": 400,
}  # fmt: skip
REASON = "The interval lies above nothing."


@pytest.fixture
def approved(team):
    make_live(team)
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve")
    return request


@pytest.fixture
def trial(team, approved) -> Trial:
    return begun(team, approved, PLAN)


def begun(team, approved, plan: dict) -> Trial:
    """Registered and started; the salt, drawn otherwise, divides the units alike at each run of the test."""
    made = trials.register(team.ops, request=approved, **plan)
    Trial.objects.filter(pk=made.pk).update(salt="5" * 32)
    return trials.start(team.ops, trial=Trial.objects.with_subject().get(pk=made.pk))


def lines(trial: Trial, variant: str, records: list[dict]) -> None:
    """Take lines of a variant in as the shipper does, without the file of their features."""
    revision = now_of(trial.endpoint)
    draft = ship.Draft(
        header(trial.endpoint.project, endpoint=trial.endpoint.name, source=f"{revision.pk}/{variant}", variant=variant,
               revision_id=revision.pk, revision=revision.number, mode="live", edges=[0.5], label="v")
    )  # fmt: skip
    for record in records:
        draft.add(record)
    with transaction.atomic():
        segment = IngestedSegment.objects.create(name=uuid.uuid4().hex)
        ship.insert(segment, [draft], {draft.header["source"]: ""})


def predict(
    team, trial: Trial, *, units: int = 600, right: tuple[float, float] = (0.6, 0.9), lost: float = 0.0
) -> list[dict]:
    """Two predictions a unit with their truth, divided as serving does; some of the treatment's may get lost."""
    chance = random.Random(5)
    told: dict[bool, list[dict]] = {True: [], False: []}
    truths = []
    for unit in range(units):
        place = assignment.place(b"unit-%d" % unit, trial.salt.encode())
        treated = assignment.pick(assignment.bounds([trial.share, 1 - trial.share]), place) == 0
        if treated and chance.random() < lost:
            continue
        for _turn in range(2):
            record = line(unit=assignment.signed(place), sticky=True)
            told[treated].append(record)
            label = "yes" if chance.random() < right[treated] else "no"
            truths.append({"prediction_id": record["ids"][0], "label": label})
    lines(trial, "treatment", told[True])
    lines(trial, "control", told[False])
    predictions.record_truth(team.ops, project=team.project, items=truths)
    return truths


def of_log(trial: Trial, monkeypatch) -> tuple[dict, dict]:
    """Arms and units as the log says, read whole."""
    sources = list(trial.revisions.values_list("pk", flat=True))
    with monkeypatch.context() as patched:
        patched.setattr(outcomes, "_kept", lambda _sources: None)
        return outcomes.arms(sources, metric=trial.metric, positive=trial.positive), outcomes.units(sources)


def kept(trial: Trial) -> tuple[dict, dict]:
    """The same by the sums."""
    sources = list(trial.revisions.values_list("pk", flat=True))
    return outcomes.arms(sources, metric=trial.metric, positive=trial.positive), outcomes.units(sources)


def agree(trial: Trial, monkeypatch) -> None:
    (arms, met), (whole, counted) = kept(trial), of_log(trial, monkeypatch)
    assert met == counted
    assert arms.keys() == whole.keys()
    for variant, arm in arms.items():
        assert (arm.units, arm.total, arm.squares) == pytest.approx(
            (whole[variant].units, whole[variant].total, whole[variant].squares)
        )


@pytest.mark.parametrize(
    "plan",
    [{"metric": "correct"}, {"metric": "conversion", "positive": "yes"}, {"metric": "latency"}],
    ids=lambda plan: plan["metric"],
)
def test_sums_of_units_are_what_the_log_says(team, approved, monkeypatch, plan):
    trial = begun(team, approved, {**PLAN, **plan})
    truths = predict(team, trial, units=80)
    agree(trial, monkeypatch)
    changed = [{**item, "label": "no" if item["label"] == "yes" else "yes"} for item in truths[::3]]
    predictions.record_truth(team.ops, project=team.project, items=changed)
    predictions.record_truth(team.ops, project=team.project, items=changed)
    agree(trial, monkeypatch)
    # a label before its prediction, two rows of one request, requests without a unit, and one that named the version
    early = line(2, unit=77, refs=["early", None])
    predictions.record_truth(team.ops, project=team.project, items=[{"inference_id": "early", "label": "yes"}])
    lines(trial, "control", [early, line(unit=78, us=70_000), line()])
    agree(trial, monkeypatch)
    other = line(unit=79)
    lines(trial, "treatment", [other])
    for here in (early["ids"][1], other["ids"][0]):  # a label that moves takes its outcome along
        GroundTruth.objects.filter(external_id="early").update(external_id="late")
        Prediction.objects.filter(pk=here).update(external_id="late")
        predictions.record_truth(team.ops, project=team.project, items=[{"inference_id": "late", "label": "yes"}])
        agree(trial, monkeypatch)


def test_a_look_reads_sums_and_no_prediction(team, trial):
    predict(team, trial, units=60)
    sources = list(trial.revisions.values_list("pk", flat=True))
    with CaptureQueriesContext(connection) as asked:
        outcomes.arms(sources, metric=trial.metric)
        outcomes.units(sources)
    assert len(asked) == 4
    assert not any("prediction" in query["sql"] for query in asked)


def test_a_division_that_is_over_adds_nothing_and_forgets_its_units(team, trial):
    truths = predict(team, trial, units=60)
    before = kept(trial)
    trials.stop(team.ops, trial=trial, decision="keep", reason=REASON)
    assert (units.forget_ended(most=50), units.forget_ended(), units.forget_ended()) == (50, 10, 0)
    predictions.record_truth(team.ops, project=team.project, items=[{**truths[0], "label": "maybe"}])
    assert kept(trial) == before
    assert DivisionUnit.objects.count() == 0


def test_what_began_before_sums_were_kept_is_read_from_the_log(team, trial):
    Division.objects.all().delete()
    predict(team, trial, units=60)
    trials.tick(now=timezone.now())
    found = trial.looks.get()
    assert found.control_units + found.treatment_units == 60


def test_a_trial_is_decided_by_what_was_planned(team, trial, approved):
    routes = now_of(trial.endpoint).routes
    assert [(row["variant"], row["weight"]) for row in routes] == [("treatment", 0.5), ("control", 0.5)]
    with pytest.raises(Conflict) as caught:
        trials.stop(team.ops, trial=trial, decision="promote", reason=REASON)
    assert (caught.value.code, caught.value.message) == ("not_decided", "Nobody has looked yet.")
    predict(team, trial)
    log(trial.endpoint, "treatment", answers(600))
    log(trial.endpoint, "control", answers(600))
    now = timezone.now()
    assert (trials.tick(now=now), trials.tick(now=now + timedelta(minutes=1))) == (1, 0)
    found = trial.looks.get()
    assert found.control_units + found.treatment_units == 600
    assert found.difference == pytest.approx(0.3, abs=0.06)
    assert 0 < found.low < found.difference < found.high
    assert found.mismatch_p > 0.01
    stopped = trials.stop(team.ops, trial=trial, decision="promote", reason=REASON)
    assert (stopped.state, stopped.decision, now_of(trial.endpoint).version) == ("stopped", "promote", approved.version)
    words = Event.objects.filter(target_type="trial").order_by("seq").values_list("verb", flat=True)
    assert list(words) == ["trial.registered", "trial.started", "trial.stopped"]


def test_no_difference_and_a_broken_split_put_nothing_live(team, trial):
    predict(team, trial, right=(0.7, 0.7), lost=0.5)
    trials.tick(now=timezone.now())
    found = trial.looks.get()
    assert (found.low < 0 < found.high, found.mismatch_p < 0.001) == (True, True)
    assert Event.objects.filter(verb="trial.mismatch").count() == 1
    alert = Alert.objects.get(rule__metric="experiment.srm")
    assert (alert.state, alert.severity, alert.labels["trial"]) == ("firing", "high", str(trial.pk))
    trials.tick(now=timezone.now() + timedelta(minutes=11))
    assert Alert.objects.filter(rule__metric="experiment.srm").count() == 1
    with pytest.raises(Conflict) as caught:
        trials.stop(team.ops, trial=trial, decision="promote", reason=REASON)
    assert "sample ratio mismatch" in caught.value.message
    kept = trials.stop(team.ops, trial=trial, decision="keep", reason="The split is broken.")
    trial.promotion.refresh_from_db()
    assert (kept.state, now_of(trial.endpoint).routes, trial.promotion.state) == ("stopped", [], "stale")
    trials.tick(now=timezone.now())
    alert.refresh_from_db()
    assert alert.state == "resolved"


def test_a_broken_guardrail_puts_nothing_live(team, trial):
    predict(team, trial)
    log(trial.endpoint, "control", answers(600))
    log(trial.endpoint, "treatment", answers(500) + refusals(100))
    trials.tick(now=timezone.now())
    assert trial.looks.get().low > 0  # better by its metric
    with pytest.raises(Conflict) as caught:
        trials.stop(team.ops, trial=trial, decision="promote", reason=REASON)
    assert caught.value.message.startswith("A guardrail is broken: Error rate, ")
    page = browser(team, "ops").get(f"/p/churn/deployments/{trial.endpoint.name}/trials/{trial.pk}/")
    assert [guard.state for guard in page.context["guards"]] == ["ok", "abort", "waiting", "ok"]


def test_the_plan_is_frozen_and_has_limits(team, trial, approved):
    with pytest.raises(DatabaseError), transaction.atomic():
        Trial.objects.filter(pk=trial.pk).update(alpha=0.2)
    for wrong in (
        {"metric": "roc_auc"}, {"metric": "error"}, {"minimum_effect": 0}, {"alpha": 0.5}, {"share": 1}, {"name": ""},
        {"minimum_units": 1}, {"minimum_days": 0}, {"positive": "yes"}, {"metric": "conversion"}, {"hypothesis": "x"},
    ):  # fmt: skip
        with pytest.raises(Invalid) as caught:
            trials.register(team.ops, request=approved, **{**PLAN, **wrong})
        assert caught.value.field in {*wrong, "positive"}
    with pytest.raises(Forbidden):
        trials.register(team.scientist, request=approved, **PLAN)
    with pytest.raises(Conflict) as caught:
        trials.register(team.ops, request=approved, **PLAN)
    assert caught.value.code == "divided"


def test_a_trial_needs_the_approval_that_a_switch_needs(team):
    make_live(team)
    set_policy(team, switch_at_approval=False)
    registered = trials.register(team.ops, request=make_request(team), **PLAN)
    with pytest.raises(Conflict) as caught:
        trials.start(team.ops, trial=registered)
    assert (caught.value.code, now_of(registered.endpoint).kind) == ("not_approved", "promotion")


def test_pages_and_rest(team, trial):
    predict(team, trial)
    trials.tick(now=timezone.now())
    endpoint = Endpoint.objects.get()
    place = f"/p/churn/deployments/{endpoint.name}/trials/{trial.pk}/"
    page = browser(team, "viewer").get(place)
    text = page.content.decode()
    assert (page.context["plot"]["limit"], "frozen" in text, "Put the treatment live" in text) == (0.02, True, False)
    assert place in browser(team, "ops").get(f"/p/churn/deployments/{endpoint.name}/").content.decode()
    api, one = Api(team, "ops", "deploy", "read"), f"endpoints/{endpoint.name}/trials/{trial.pk}/"
    assert api.get(one).json()["plan_sha256"] == trial.plan_sha256
    assert api.get(f"{one}looks/").json()["results"][0]["low"] > 0
    assert browser(team, "ops").post(f"{place}stop/", {"decision": "keep", "reason": "x"}).status_code == 422
    stopped = api.post(f"{one}stop/", {"decision": "keep", "reason": "It costs too much."})
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")


def test_ops_registers_a_trial_on_the_page_of_a_promotion(team, approved):
    form = {**PLAN, "minimum_effect": "0.02", "minimum_units": "400", "minimum_days": "7", "positive": ""}
    place = f"/p/churn/promotions/{approved.pk}/trial/"
    assert browser(team, "ops").post(place, form | {"alpha": "x"}).status_code == 422
    assert browser(team, "ops").post(place, form).status_code == 303
    made = Trial.objects.get()
    page = f"/p/churn/deployments/{made.endpoint.name}/trials/{made.pk}/"
    assert browser(team, "ops").post(f"{page}start/").status_code == 303
    made.refresh_from_db()
    assert (made.state, made.share, len(made.plan_sha256)) == ("running", 0.5, 64)


def test_a_trial_over_the_share_of_its_approval_ends_and_none_begins_with_more(team):
    made = make_live(team)
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    terms = [{"kind": "share", "limit": 20, "action": "freeze"}]
    promotions.decide(team.manager, request=request, verdict="approve", conditions=terms)
    much = trials.register(team.ops, request=request, **PLAN, share=0.5)
    with pytest.raises(Conflict) as refused:
        trials.start(team.ops, trial=much)
    assert refused.value.code == "share_bound"
    Trial.objects.filter(pk=much.pk).update(share=0.2)
    running = trials.start(team.ops, trial=Trial.objects.with_subject().get(pk=much.pk))
    log(running.endpoint, "treatment", answers(300))
    log(running.endpoint, "control", answers(300))
    assert timers.tick(now=timezone.now())["suspended"] == 1
    running.refresh_from_db()
    made.refresh_from_db()
    assert (running.state, running.decision, now_of(made).routes) == ("stopped", "keep", [])
    assert made.frozen_by == request.conditions.get()
    assert "gave its requests back to v1. churn-production is frozen" in request.conditions.get().done
