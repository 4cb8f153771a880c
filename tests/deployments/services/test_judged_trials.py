"""Trials of AUC and F1: nothing to see before the horizon, judged once at it, and nothing changes that."""

import random
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from sklearn.metrics import f1_score, roc_auc_score

from deployments.models import Endpoint, ModelVersion, Trial, TrialJudgement
from deployments.services import judging, promotions, trial_plans, trials
from deployments.traffic import assignment
from mlportal.lib.errors import Conflict, Invalid
from monitoring.models import Prediction
from monitoring.services import predictions
from projects.models import Event
from tests.deployments.services.test_rollouts import now_of
from tests.deployments.services.test_trials import REASON, begun, lines
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_live, make_request, set_policy
from tests.monitoring.log import line

PLAN = {
    "name": "Ranks better", "hypothesis": "The new version ranks customers better.", "metric": "auc",
    "minimum_effect": 0.02, "minimum_units": 300,
}  # fmt: skip
WEEK = timedelta(days=7, minutes=1)


@pytest.fixture
def approved(team):
    make_live(team)
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve")
    return request


def started(team, approved, **changes) -> Trial:
    return begun(team, approved, {**PLAN, **changes})


def predict(
    team, trial: Trial, units: range, *, apart=(0.5, 3.0), yes: float = 0.4, kept=(1.0, 1.0)
) -> dict[str, list[tuple[int, float, str]]]:
    """Two labelled predictions a unit; returns truth, score and answer of each by variant."""
    chance = random.Random(units.start)
    told: dict[str, list[dict]] = {"control": [], "treatment": []}
    found: dict[str, list[tuple[int, float, str]]] = {"control": [], "treatment": []}
    truths = []
    for unit in units:
        place = assignment.place(b"unit-%d" % unit, trial.salt.encode())
        treated = assignment.pick(assignment.bounds([trial.share, 1 - trial.share]), place) == 0
        if chance.random() > kept[treated]:
            continue
        for _turn in range(2):
            truth = int(chance.random() < yes)
            score = 1 / (1 + 2.718 ** -(chance.gauss(0, 1) + apart[treated] * (truth - 0.5)))
            answer = "yes" if score > 0.5 else "no"
            record = line(unit=assignment.signed(place), sticky=True, y=[answer], s=[score], p=[[1 - score, score]])
            variant = "treatment" if treated else "control"
            told[variant].append(record)
            found[variant].append((truth, score, answer))
            truths.append({"prediction_id": record["ids"][0], "label": "yes" if truth else "no"})
    for variant, records in told.items():
        lines(trial, variant, records)
    predictions.record_truth(team.ops, project=team.project, items=truths)
    return found


def look(trial: Trial, after: timedelta):
    return trials.look(Trial.objects.with_subject().get(pk=trial.pk), now=trial.started_at + after)


def refused(team, trial: Trial) -> str:
    with pytest.raises(Conflict) as caught:
        trials.stop(team.ops, trial=trial, decision="promote", reason=REASON)
    assert caught.value.code == "not_decided"
    return caught.value.message


def told(team, trial: Trial) -> tuple[dict, list[dict], str]:
    """The trial and its looks over REST, and the text of its page."""
    endpoint, api = Endpoint.objects.get(), Api(team, "ops", "deploy", "read")
    one = f"endpoints/{endpoint.name}/trials/{trial.pk}/"
    page = browser(team, "ops").get(f"/p/churn/deployments/{endpoint.name}/trials/{trial.pk}/")
    return api.get(one).json(), api.get(f"{one}looks/").json()["results"], page.content.decode()


def test_before_its_horizon_a_trial_tells_how_far_it_is_and_nothing_to_peek_at(team, approved):
    trial = started(team, approved)
    predict(team, trial, range(400))
    with CaptureQueriesContext(connection) as asked:
        look(trial, timedelta(days=3))
        look(trial, timedelta(days=6, hours=23))
    assert not any("monitoring_prediction" in query["sql"] for query in asked)
    empty = trial.looks.filter(difference=None, control_mean=None, treatment_mean=None, low=None, high=None)
    assert (empty.count(), trial.looks.count(), TrialJudgement.objects.exists()) == (2, 2, False)
    row, seen, page = told(team, trial)
    assert (row["judgement"], row["positive"], {item["difference"] for item in seen}) == (None, "yes", {None})
    assert seen[0]["control_units"] + seen[0]["treatment_units"] == 400
    assert "nothing to peek at" in page
    assert ('<svg class="judged"' in page, "data-chart" in page) == (False, False)
    assert refused(team, trial).startswith("It is judged once, after 7 days, which end on ")
    watching = browser(team, "viewer"), "/p/churn/monitoring/performance/"
    beside = watching[0].get(watching[1]).content.decode()
    assert f'/trials/{trial.pk}/">Ranks better: v2 against v1, ROC AUC, judged once at the end</a>' in beside
    trials.stop(team.ops, trial=trial, decision="keep", reason="Nobody needs it any more.")
    assert "A trial runs here" not in watching[0].get(watching[1]).content.decode()


@pytest.mark.parametrize("units", [(150, 149), (260, 49)], ids=["too few", "one variant has too few"])
def test_the_horizon_needs_days_and_units(team, approved, units):
    trial = started(team, approved)
    late, early = (trial.started_at + WEEK * part for part in (1, 0.5))
    assert judging.waits_for(trial, *units, late).startswith("It is judged once, after 300 units with ground truth, 50")
    assert "days" in judging.waits_for(trial, 150, 150, early)
    assert judging.waits_for(trial, 150, 150, late) == ""


def test_it_is_judged_once_at_its_horizon_and_late_labels_change_nothing(team, approved):
    trial = started(team, approved)
    found = predict(team, trial, range(400))
    look(trial, WEEK)
    values = {name: roc_auc_score([row[0] for row in rows], [row[1] for row in rows]) for name, rows in found.items()}
    judged = TrialJudgement.objects.get()
    assert (judged.control, judged.treatment) == pytest.approx((values["control"], values["treatment"]), abs=2e-3)
    assert judged.control_units + judged.treatment_units == 400
    assert 0 < judged.low < judged.difference < judged.high
    before = TrialJudgement.objects.values().get()
    turned = [
        {"prediction_id": str(pk), "label": "no" if value == "yes" else "yes"}
        for pk, value in Prediction.objects.values_list("pk", "value")
    ]
    predictions.record_truth(team.ops, project=team.project, items=turned)  # every answer was wrong, it turns out
    predict(team, trial, range(400, 600), apart=(3.0, 0.5))
    with CaptureQueriesContext(connection) as asked:
        look(trial, WEEK + timedelta(days=1))
    assert not any("monitoring_prediction" in query["sql"] for query in asked)
    assert TrialJudgement.objects.values().get() == before
    assert list(Event.objects.filter(verb="trial.judged").values_list("target_id", flat=True)) == [trial.pk]
    with pytest.raises(DatabaseError), transaction.atomic():
        TrialJudgement.objects.update(low=0.5)
    with pytest.raises(DatabaseError), transaction.atomic():
        trial.looks.update(control_units=1)
    row, seen, page = told(team, trial)
    assert (row["judgement"]["low"], {item["low"] for item in seen}) == (judged.low, {None})
    assert '<svg class="judged"' in page
    stopped = trials.stop(team.ops, trial=trial, decision="promote", reason=REASON)
    assert (stopped.decision, now_of(trial.endpoint).version) == ("promote", approved.version)


def test_the_same_labels_and_plan_give_the_same_interval(team, approved):
    trial = started(team, approved)
    predict(team, trial, range(400))
    found = []
    for _turn in range(2):
        look(trial, WEEK + timedelta(minutes=len(found)))
        found.append(TrialJudgement.objects.values("control", "difference", "low", "high").get())
        TrialJudgement.objects.all().delete()
    assert found[0] == found[1]


def test_f1_is_that_of_the_last_class_and_no_difference_puts_nothing_live(team, approved):
    trial = started(team, approved, metric="f1")
    found = predict(team, trial, range(400), apart=(1.0, 1.0))
    look(trial, WEEK)
    judged = TrialJudgement.objects.get()
    values = {
        name: f1_score([row[0] for row in rows], [row[2] == "yes" for row in rows]) for name, rows in found.items()
    }
    assert (judged.control, judged.treatment) == pytest.approx((values["control"], values["treatment"]))
    assert judged.low < 0 < judged.high
    assert refused(team, trial) == trials.NOT_BETTER
    trials.stop(team.ops, trial=trial, decision="keep", reason="Nothing was found.")


def test_one_truth_alone_and_a_broken_split_are_not_judged(team, approved):
    trial = started(team, approved)
    predict(team, trial, range(400), yes=0.0)
    look(trial, WEEK)
    late = trial.started_at + WEEK
    assert (TrialJudgement.objects.count(), trials.too_early(trial, late)) == (0, judging.AT_HORIZON)
    predict(team, trial, range(400, 900), kept=(1.0, 0.3))
    made = look(trial, WEEK + timedelta(minutes=10))
    assert (made.mismatch_p < 0.001, TrialJudgement.objects.count()) == (True, 0)
    assert "sample ratio mismatch" in refused(team, trial)
    trials.stop(team.ops, trial=trial, decision="keep", reason="The split is broken.")
    assert "It ended before it was judged" in told(team, trial)[2]


def test_a_log_with_too_rare_a_truth_is_read_again_once_there_is_new_truth(team, approved):
    trial = started(team, approved)
    predict(team, trial, range(400), yes=0.0)

    def reads(minutes: int) -> bool:
        with CaptureQueriesContext(connection) as asked:
            look(trial, WEEK + timedelta(minutes=minutes))
        return any("monitoring_prediction" in query["sql"] for query in asked)

    assert [reads(minutes) for minutes in range(0, 40, 10)] == [True, False, False, False]
    turned = [{"prediction_id": str(pk), "label": "yes"} for pk in Prediction.objects.values_list("pk", flat=True)[:1]]
    predictions.record_truth(team.ops, project=team.project, items=turned)
    predictions.record_truth(team.ops, project=team.project, items=turned)  # told twice, it is no news
    assert [reads(minutes) for minutes in (40, 50)] == [True, False]
    predict(team, trial, range(400, 800))
    assert (reads(60), TrialJudgement.objects.count()) == (True, 1)


def outputs(*classes: str, name: str = "probability") -> dict:
    return {"outputs": [{"name": name, "classes": list(classes)}]}


@pytest.mark.parametrize(
    ("task", "signature"),
    [("regression", {}), ("binary", outputs("a", "b", name="prediction")), ("multiclass", outputs("a", "b", "c"))],
    ids=["regression", "no probabilities", "three classes"],
)
def test_only_two_classes_with_probabilities_have_them(task, signature):
    version = ModelVersion(task=task, signature=signature)
    assert {"auc", "f1"}.isdisjoint(trial_plans.metrics_of(version))
    for metric in ("auc", "f1"):
        with pytest.raises(Invalid) as caught:
            trial_plans.checked({**PLAN, "metric": metric}, version=version)
        assert (caught.value.field, "probabilities of two classes" in caught.value.message) == ("metric", True)


@pytest.mark.parametrize(
    ("wrong", "limit"), [({"alpha": 0.001}, 0.01), ({"minimum_days": 31}, 30), ({"positive": "yes"}, None)]
)
def test_a_plan_that_could_not_be_judged_is_refused(team, approved, wrong, limit):
    with pytest.raises(Invalid) as caught:
        trials.register(team.ops, request=approved, **{**PLAN, **wrong})
    assert (caught.value.field, caught.value.limit) == (next(iter(wrong)), limit)


def test_ops_registers_it_on_the_page_of_a_promotion(team, approved):
    page = browser(team, "ops").get(f"/p/churn/promotions/{approved.pk}/").content.decode()
    assert '<option value="auc">ROC AUC' in page
    assert '<option value="error">' not in page
    form = {**PLAN, "minimum_effect": "0.02", "minimum_units": "300", "minimum_days": "7", "positive": ""}
    place = f"/p/churn/promotions/{approved.pk}/trial/"
    assert browser(team, "ops").post(place, form | {"minimum_days": "90"}).status_code == 422
    assert browser(team, "ops").post(place, form).status_code == 303
    assert "7 days and 300 units" in told(team, Trial.objects.get())[2]
