"""What a worker does: really trained models, evaluated on really held-out rows; and retraining after an alert."""

import time
from pathlib import Path

import pandas as pd
import pytest
from django.db import transaction
from django.db.models import F

from deployments import pipeline, tasks
from deployments.models import Automation, Endpoint, Evaluation, ModelVersion, PromotionRequest, RetrainTrigger
from deployments.services import automations, promotions, registry, retraining
from experiments.models import TrainingJob
from experiments.pipeline import execute_job
from mlportal.lib import lease
from mlportal.lib.errors import Forbidden, Invalid
from monitoring.models import Monitor
from monitoring.pipeline import ship
from monitoring.services import predictions
from projects.models import Event, EventDelivery, Membership
from projects.pipeline import split_rows
from projects.services import events, split_carrying, splits
from tests.deployments.services.test_registry import tamper
from tests.deployments.test_pages import browser
from tests.factories.deployments import Team, environment, make_live
from tests.factories.jobs import iris, make_job
from tests.factories.jobs import make_version as make_data
from tests.factories.projects import system
from tests.monitoring.log import header, line, write

WHY = "Better on recent customers."
pytestmark = pytest.mark.slow


def train(team: Team, algorithm: str = "logistic_regression", **spec) -> TrainingJob:
    job = make_job(team.project, spec={"algorithm": algorithm, **spec})
    execute_job(job.pk, worker="test")
    job.refresh_from_db()
    assert job.state == "succeeded", job.failure
    return job


def register(team: Team, job: TrainingJob) -> ModelVersion:
    return registry.register(team.scientist, run=job.run, model_name="iris")


def ask(team: Team, version: ModelVersion) -> PromotionRequest:
    request = promotions.request(team.scientist2, version=version, environment=environment(team), reason=WHY)
    tasks.evaluate_request(request.evaluation.pk)
    return PromotionRequest.objects.with_subject().get(pk=request.pk)


def failed_advisory(request: PromotionRequest) -> list[str]:
    return [item.name for item in request.gate_results.filter(phase="request", passed=False, level="advisory")]


def test_the_whole_line_with_real_models(team):
    first = ask(team, register(team, train(team, "dummy")))
    assert first.evaluation.state == "succeeded", first.evaluation.failure
    assert first.evaluation.result["metrics"][0]["production"] is None
    promotions.decide(team.manager, request=first, verdict="approve", acknowledged=failed_advisory(first))
    endpoint = Endpoint.objects.with_live().get()
    assert endpoint.current_revision.version.number == 1
    monitor = Monitor.objects.get()
    assert {"petal_l", "sepal_w", "__prediction__"} <= set(monitor.reference)
    better = ask(team, register(team, train(team)))
    found = {row["metric"]: row for row in better.evaluation.result["metrics"]}
    assert found["accuracy"]["low"] > 0.3
    assert found["log_loss"]["high"] < 0
    assert better.evaluation.result["rounds"] == 1000
    assert better.evaluation.inputs_sha256
    assert better.version.metrics["accuracy"] == pytest.approx(found["accuracy"]["candidate"])
    assert better.version.metrics["roc_auc"] == pytest.approx(found["roc_auc"]["candidate"])
    promotions.decide(team.manager, request=better, verdict="approve", acknowledged=failed_advisory(better))
    assert Endpoint.objects.with_live().get().current_revision.version.number == 2
    worse = ask(team, register(team, train(team, "dummy")))
    red = list(
        worse.gate_results.filter(phase="request", passed=False, level="blocking").values_list("name", flat=True)
    )
    assert red == ["metric_not_worse:roc_auc"]


def test_an_evaluation_is_done_once_and_a_second_message_changes_nothing(team):
    request = ask(team, register(team, train(team)))
    seal = request.seal
    assert seal
    assert pipeline.evaluate_request(request.evaluation.pk, worker="late") is False
    request.refresh_from_db()
    assert request.seal == seal
    assert Event.objects.filter(verb="promotion.evaluated").count() == 1


def test_a_tampered_model_is_not_evaluated_and_not_approved(team):
    version = register(team, train(team))
    tamper(version.file("model/model.skops"))
    request = ask(team, version)
    assert request.evaluation.state == "failed"
    assert "changed on disk" in request.evaluation.failure
    assert request.gate_results.filter(name="metric_not_worse:roc_auc", passed=False).exists()


def test_a_lost_evaluation_is_taken_up_again_and_after_three_times_judged_without(team):
    version = register(team, train(team))
    request = promotions.request(team.scientist2, version=version, environment=environment(team), reason=WHY)
    rows = Evaluation.objects.all()
    for turn in range(3):
        held = lease.claim(rows, request.evaluation.pk, worker=f"w{turn}")
        assert held is not None
        assert lease.heartbeat(rows, held, phase="x", progress=0.5)
        rows.update(lease_until=F("lease_until") - lease.timedelta(hours=1))
        tasks.sweep_evaluations()
        assert lease.heartbeat(rows, held, phase="late", progress=0.9) is False
    request.refresh_from_db()
    assert Evaluation.objects.get().state == "failed"
    assert request.seal
    assert request.gate_results.filter(passed=False, level="blocking").exists()


def test_a_worker_that_lost_its_lease_writes_nothing(team, monkeypatch):
    version = register(team, train(team))
    request = promotions.request(team.scientist2, version=version, environment=environment(team), reason=WHY)
    calls = []

    def heartbeat(rows, held, **changes):
        calls.append(changes)
        if len(calls) == 3:
            rows.filter(pk=held.pk).update(fence=F("fence") + 1, state="queued", lease_until=None)
        return real(rows, held, **changes)

    real = lease.heartbeat
    monkeypatch.setattr(lease, "heartbeat", heartbeat)
    assert pipeline.evaluate_request(request.evaluation.pk, worker="frozen") is False
    request.refresh_from_db()
    assert (request.seal, Evaluation.objects.get().result) == ("", None)


# --- automation ----------------------------------------------------------------------------------


def live_iris(team: Team) -> Endpoint:
    make_data(team.project)
    request = ask(team, register(team, train(team)))
    promotions.decide(team.manager, request=request, verdict="approve", acknowledged=failed_advisory(request))
    return Endpoint.objects.with_live().get()


def configure(team: Team, endpoint: Endpoint, **values) -> Automation:
    return automations.configure(team.ops, endpoint=endpoint, trigger="drift", **values)


def fire(
    team: Team, endpoint: Endpoint, *, alert: int = 1, version: str = "v1", kind: str = "drift", rule: int = 0, **more
) -> None:
    data = {"alert": alert, "rule": "drift", "rule_id": rule or 100 + alert, "severity": "high", "kind": kind}
    data |= {"window_end": "2026-11-21T12:00:00Z", **more}
    where = {"endpoint": endpoint.name, "version": version}
    with transaction.atomic():
        events.record(system(team.project), "alert.firing", project=team.project, data={**data, **where})
    deliver()


def deliver() -> None:
    for pk in EventDelivery.objects.filter(task="deployments.react", done_at=None).values_list("pk", flat=True):
        tasks.react(pk)


def finish_job(trigger: RetrainTrigger) -> None:
    execute_job(TrainingJob.objects.get(run=trigger.run_id).pk, worker="test")
    deliver()


def predicted(team: Team, endpoint: Endpoint, folder: Path, frame: pd.DataFrame) -> None:
    """Predictions in the log of an endpoint, and what turned out to be true of each."""
    live = Endpoint.objects.with_live().get(pk=endpoint.pk).current_revision
    features = frame.drop(columns="species")
    head = header(
        team.project, source=live.pk, endpoint=endpoint.name, model="iris", label=live.version.label,
        columns=list(features), kinds=["numeric"] * 4, classes=sorted(set(frame["species"])),
    )  # fmt: skip
    refs = [f"r{number}" for number in range(len(frame))]
    made = line(len(frame), at_ms=int(time.time() * 1000), refs=refs, source=live.pk) | {
        "x": [features[name].tolist() for name in features], "y": list(frame["species"]), "p": [[0.2, 0.3, 0.5]] * 60,
    }  # fmt: skip
    write(folder, [made], head)
    ship.ship(folder)
    items = [{"inference_id": ref, "label": label} for ref, label in zip(refs, frame["species"], strict=True)]
    assert predictions.record_truth(team.scientist, project=team.project, items=items).matched == len(frame)


def test_an_alert_retrains_and_asks_but_never_deploys(team, tmp_path):
    endpoint = live_iris(team)
    configure(team, endpoint)
    fresh = iris().sample(60, random_state=3)
    fresh[["sepal_l", "petal_w"]] += 0.013  # rows that neither model was trained on
    predicted(team, endpoint, tmp_path, fresh)
    newer = make_data(team.project, iris().iloc[1:])
    fire(team, endpoint, alert=77)
    trigger = RetrainTrigger.objects.get()
    assert (trigger.state, trigger.alert_id) == ("training", 77)
    job = TrainingJob.objects.get(run=trigger.run_id)
    assert (job.dataset_version, job.spec) == (newer, TrainingJob.objects.order_by("pk")[0].spec)
    finish_job(trigger)
    trigger.refresh_from_db()
    request = PromotionRequest.objects.get(pk=trigger.request_id)
    assert trigger.state == "requested"
    assert (request.alert_id, request.by_automation, request.requested_by) == (77, True, team.people["ops"])
    assert "alert 77" in request.reason
    assert Endpoint.objects.with_live().get().current_revision.version.number == 1
    fire(team, endpoint, alert=77)
    deliver()
    assert RetrainTrigger.objects.count() == 1
    tasks.evaluate_request(request.evaluation.pk)
    found = Evaluation.objects.get(request=request).result["retraining"]
    assert found["report"]["alert"]["number"] == 77
    assert (found["newest"]["rows"], found["newest"]["why"]) == (60, "")
    assert {row["metric"] for row in found["newest"]["metrics"]} >= {"accuracy", "roc_auc"}
    assert all(row["candidate"] > 0.9 and row["production"] > 0.9 for row in found["newest"]["metrics"][:2])
    assert (
        "which leaves too few to compare on" in found["holdout"]["why"]
    )  # the newer data holds nearly all of these rows
    page = browser(team, "manager").get(f"/p/churn/promotions/{request.pk}/").content.decode()
    assert "The newest predictions whose label came" in page
    assert "which leaves too few to compare on" in page


def test_a_recipe_with_a_split_is_repeated_on_the_next_version_once_that_is_cut(team):
    recipe = {"kind": "stratified", "column": "species", "seed": 4}
    first = make_data(team.project)
    split_rows.cut_split(splits.save(team.scientist, version=first, name="fixed", recipe=recipe).pk, worker="test")
    request = ask(team, register(team, train(team, split="fixed")))
    promotions.decide(team.manager, request=request, verdict="approve", acknowledged=failed_advisory(request))
    endpoint = Endpoint.objects.with_live().get()
    configure(team, endpoint)
    newer = make_data(team.project, iris().iloc[1:])
    [carried] = split_carrying.follow_profile(newer)
    with pytest.raises(retraining.NotYet, match="is being cut"):
        fire(team, endpoint, alert=7)
    assert not RetrainTrigger.objects.exists()
    split_rows.cut_split(carried.pk, worker="test")
    deliver()
    trigger = RetrainTrigger.objects.get()
    job = TrainingJob.objects.get(run=trigger.run_id)
    assert (trigger.state, job.dataset_version, job.split) == ("training", newer, carried)


def test_guards_hold_a_retraining_back(team):
    endpoint = live_iris(team)
    fire(team, endpoint, alert=1)
    assert not RetrainTrigger.objects.exists()
    configure(team, endpoint)
    fire(team, endpoint, alert=2, kind="latency")
    assert not RetrainTrigger.objects.exists()
    fire(team, endpoint, alert=3, version="v9")
    fire(team, endpoint, alert=4)
    fire(team, endpoint, alert=5)
    first = RetrainTrigger.objects.get(alert_id=4)
    finish_job(first)
    fire(team, endpoint, alert=6)
    said = dict(RetrainTrigger.objects.values_list("alert_id", "reason"))
    assert said == {
        3: "the alert is about v9, but v1 is live", 4: "", 5: "another retraining of this model is under way",
        6: "within the cooldown of 24 h",
    }  # fmt: skip
    assert TrainingJob.objects.count() == 2


def test_several_alerts_of_one_rule_in_one_window_are_one_reason(team):
    endpoint = make_live(team)
    configure(team, endpoint)
    fire(team, endpoint, alert=1, rule=5)
    fire(team, endpoint, alert=2, rule=5)
    fire(team, endpoint, alert=3, rule=6)
    assert list(RetrainTrigger.objects.order_by("pk").values_list("alert_id", flat=True)) == [1, 3]
    fire(team, endpoint, alert=4, silenced=True)
    assert RetrainTrigger.objects.get(alert_id=4).reason == "the alert is silenced"


def test_an_owner_without_the_right_retrains_nothing(team):
    endpoint = live_iris(team)
    configure(team, endpoint)
    Membership.objects.filter(user=team.people["ops"]).update(valid_to="2026-01-01T00:00Z")
    fire(team, endpoint)
    assert "may not run automations" in RetrainTrigger.objects.get().reason


def test_two_failures_in_a_row_stop_it_until_it_is_configured_again(team):
    endpoint = live_iris(team)
    automation = configure(team, endpoint)
    for alert in (1, 2):
        Automation.objects.update(cooldown_hours=1)
        RetrainTrigger.objects.update(created_at="2026-01-01T00:00Z")
        make_data(team.project, iris().iloc[alert:].drop(columns="species"))  # the recipe cannot be repeated on it
        fire(team, endpoint, alert=alert)
    automation.refresh_from_db()
    assert automation.failures == 2
    assert automation.stop_reason.startswith("2 retrainings in a row failed.")
    assert Event.objects.filter(verb="automation.stopped").count() == 1
    fire(team, endpoint, alert=3)
    assert RetrainTrigger.objects.get(alert_id=3).reason.startswith("stopped:")
    configure(team, endpoint)
    automation.refresh_from_db()
    assert (automation.failures, automation.stopped_at, automation.stop_reason) == (0, None, "")


def test_configure_refuses(team):
    endpoint = make_live(team)
    for values, field in (
        ({"trigger": "moon"}, "trigger"), ({"cooldown_hours": 0}, "cooldown_hours"), ({"enabled": 1}, "enabled"),
        ({"cooldown_hours": True}, "cooldown_hours"), ({"dataset_name": "nothing"}, "dataset_name"),
    ):  # fmt: skip
        with pytest.raises(Invalid) as caught:
            automations.configure(team.ops, endpoint=endpoint, **{"trigger": "drift", **values})
        assert caught.value.field == field
    for by in (team.scientist, team.manager, team.viewer):
        with pytest.raises(Forbidden):
            automations.configure(by, endpoint=endpoint, trigger="drift")
