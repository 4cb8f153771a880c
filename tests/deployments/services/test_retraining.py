"""Alerts that ask for a retraining: what holds them back, what goes on later, and when it stops."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from deployments import tasks
from deployments.models import Automation, Endpoint, PromotionRequest, RetrainTrigger
from deployments.services import automations, promotions, retraining
from experiments.models import TrainingJob
from experiments.services import jobs
from mlportal.lib.errors import Forbidden, Invalid
from monitoring.models import Alert, LabelBucket, Monitor, Silence
from projects.models import Event, EventDelivery
from projects.services import events
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import Team, make_live, make_trained_run, make_version
from tests.factories.jobs import make_version as make_data
from tests.factories.monitoring import make_rule
from tests.factories.projects import system

KEPT = ("state", "guard")


@pytest.fixture
def endpoint(team: Team) -> Endpoint:
    """An endpoint whose live version has a recipe that can be launched again."""
    data = make_data(team.project)
    run = make_trained_run(team, dataset_version=data)
    spec = {"task": "classification", "target": "species", "algorithm": "dummy"}
    launched = jobs.launch(
        team.scientist, project=team.project, experiment="first", dataset_version=data, spec=spec, baseline=None
    )
    TrainingJob.objects.filter(pk=launched.pk).update(run=run, state="succeeded")
    return make_live(team, version=make_version(team, run=run))


def configure(team: Team, endpoint: Endpoint, **values) -> Automation:
    return automations.configure(team.ops, endpoint=endpoint, **{"trigger": "drift"} | values)


def alert_of(team: Team, endpoint: Endpoint, number: int = 1, *, state: str = "firing") -> Alert:
    rule = make_rule(team.project, f"Rule {number}")
    now = timezone.now()
    return Alert.objects.create(
        project=team.project, rule=rule, fingerprint=f"{number:064x}", endpoint=endpoint.name, version="v1",
        state=state, severity="high", title="age drifted", opened_at=now, changed_at=now, value=0.4, limit=0.25,
        monitor=Monitor.objects.live().get(endpoint=endpoint.name),
    )  # fmt: skip


def fire(team: Team, endpoint: Endpoint, number: int = 1, *, rule: int = 0, **more) -> RetrainTrigger | None:
    """The event that monitoring writes, consumed as the worker does; returns what was kept for the alert."""
    alert = alert_of(team, endpoint, number)
    data = {
        "alert": alert.pk, "rule_id": rule or alert.rule_id, "kind": "drift", "severity": "high", "title": alert.title,
        "window_end": "2026-11-21T12:00:00Z", "endpoint": endpoint.name, "version": "v1", **more,
    }  # fmt: skip
    with transaction.atomic():
        events.record(system(team.project), "alert.firing", project=team.project, data=data)
    for pk in EventDelivery.objects.filter(task="deployments.react", done_at=None).values_list("pk", flat=True):
        tasks.react(pk)
    return RetrainTrigger.objects.filter(alert_id=alert.pk).first()


def ended(trigger: RetrainTrigger, verb: str) -> RetrainTrigger:
    """Say that its training ended, as a worker's event does."""
    job = TrainingJob.objects.get(run=trigger.run_id)
    job.started_at, job.ended_at = timezone.now() - timedelta(minutes=2), timezone.now()
    job.usage = {"cpu_seconds": 90.0}
    job.save()
    with transaction.atomic():
        by = system(trigger.automation.project)
        events.record(by, verb, project=trigger.automation.project, target=job, data={"run": trigger.run_id})
    for pk in EventDelivery.objects.filter(task="deployments.react", done_at=None).values_list("pk", flat=True):
        tasks.react(pk)
    trigger.refresh_from_db()
    return trigger


def label(endpoint: Endpoint, right: int, wrong: int = 0) -> None:
    """Labelled predictions of the live version, as the label buckets count them."""
    monitor = Monitor.objects.live().get(endpoint=endpoint.name)
    confusion = {"yes": {"yes": right // 2, "no": wrong}, "no": {"no": right - right // 2}}
    LabelBucket.objects.update_or_create(
        monitor=monitor, hour=monitor.valid_from.replace(minute=0, second=0, microsecond=0), segment="",
        defaults={"cells": {"n": right + wrong, "confusion": confusion}},
    )  # fmt: skip


def test_the_first_goes_without_new_rows_and_the_next_waits_for_them(team, endpoint):
    configure(team, endpoint)
    first = fire(team, endpoint, 1)
    assert first is not None
    assert (first.state, first.facts["needed_rows"], first.facts["new_rows"]) == ("training", 15, 0)
    assert first.report["alert"]["title"] == "age drifted"
    assert first.report["words"].startswith("Whether performance fell cannot be told")
    asked = PromotionRequest.objects.order_by("pk")[0]
    RetrainTrigger.objects.update(state="requested", request=asked, created_at=timezone.now() - timedelta(days=2))
    second = fire(team, endpoint, 2)
    assert [getattr(second, name) for name in KEPT] == ["skipped", "rows"]
    assert second.reason == "0 new labelled rows, 15 are needed"
    label(endpoint, 20)
    third = fire(team, endpoint, 3)
    assert (third.state, third.facts["new_rows"]) == ("training", 20)


def test_rows_that_the_dataset_grew_by_count_as_new(team, endpoint):
    configure(team, endpoint, labelled_rows="required")
    assert fire(team, endpoint, 1).guard == "rows"
    live = Endpoint.objects.with_live().get().current_revision.version.dataset_version
    live.dataset.versions.create(
        number=2, sha256="2" * 64, row_count=live.row_count + 15, state="succeeded", schema=live.schema,
        parquet_sha256=live.parquet_sha256, created_by=live.created_by, filename="iris.parquet",
    )  # fmt: skip
    assert fire(team, endpoint, 2).state == "training"


def test_a_budget_of_runs_and_of_processor_time(team, endpoint):
    configure(team, endpoint, monthly_runs=1)
    first = fire(team, endpoint, 1)
    ended(first, "job.failed")
    assert (first.state, first.cpu_seconds) == ("failed", 90.0)
    RetrainTrigger.objects.update(created_at=timezone.now().replace(day=1, hour=0, minute=0, second=1))
    Automation.objects.update(cooldown_hours=1)
    assert fire(team, endpoint, 2).guard in ("runs", "cooldown")
    configure(team, endpoint, monthly_runs=None, monthly_cpu_minutes=1, cooldown_hours=1)
    RetrainTrigger.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(hours=2))
    held = fire(team, endpoint, 3)
    # on the first of a month two hours ago may be the month before, and its budget is not this one's
    assert held.guard == ("cpu" if timezone.now() - timedelta(hours=2) >= month() else "")


def month():
    return timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def test_one_rule_and_window_is_one_trigger_for_the_model(team, endpoint):
    configure(team, endpoint)
    configure(team, endpoint, trigger="performance")
    fire(team, endpoint, 1, rule=5)
    assert fire(team, endpoint, 2, rule=5) is None
    assert fire(team, endpoint, 3, rule=5, kind="performance") is None
    assert fire(team, endpoint, 4, rule=5, window_end="2026-11-21T13:00:00Z").guard == "active"


def test_a_rule_says_whether_its_alerts_retrain(team, endpoint):
    configure(team, endpoint)
    assert fire(team, endpoint, 1, action="none") is None
    assert fire(team, endpoint, 2, kind="quality") is None
    assert fire(team, endpoint, 3, kind="quality", action="retrain").state == "training"


def test_a_held_one_goes_on_when_its_guard_is_over_and_the_alert_still_fires(team, endpoint):
    configure(team, endpoint)
    silence = Silence.objects.create(
        project=team.project, endpoint=endpoint.name, starts_at=timezone.now() - timedelta(hours=1),
        ends_at=timezone.now() + timedelta(hours=1), author=team.people["ops"],
    )  # fmt: skip
    held = fire(team, endpoint, 1, silenced=True)
    assert held.guard == "silenced"
    assert tasks.look_at_held_retrainings() == 0
    Silence.objects.filter(pk=silence.pk).update(ended_at=timezone.now())
    Alert.objects.update(state="resolved")
    assert tasks.look_at_held_retrainings() == 0
    Alert.objects.update(state="firing")
    assert tasks.look_at_held_retrainings() == 1
    held.refresh_from_db()
    assert (held.state, held.guard, held.facts["held_by"]) == ("training", "", "silenced")
    assert tasks.look_at_held_retrainings() == 0


def test_two_failures_stop_the_model_with_an_alert_until_it_is_set_again(team, endpoint):
    configure(team, endpoint)
    configure(team, endpoint, trigger="performance")
    for number in (1, 2):
        trigger = fire(team, endpoint, number)
        ended(trigger, "job.failed")
        RetrainTrigger.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert set(Automation.objects.values_list("failures", flat=True)) == {2}
    assert all(row.stop_reason.startswith("2 retrainings in a row failed") for row in Automation.objects.all())
    alert = Alert.objects.get(rule__metric="retraining.stopped")
    assert (alert.state, alert.kind, alert.severity, alert.endpoint) == ("firing", "retraining", "high", endpoint.name)
    assert alert.title == "Retraining of churn stopped"
    assert Event.objects.filter(verb="alert.firing", data__alert=alert.pk).exists()
    assert fire(team, endpoint, 3).guard == "stopped"
    configure(team, endpoint)
    alert.refresh_from_db()
    assert alert.state == "resolved"
    assert Automation.objects.get(trigger="drift").stopped_at is None


def test_a_request_says_that_only_inputs_drifted(team, endpoint):
    request = PromotionRequest.objects.get()
    result = request.evaluation.result
    result["metrics"].append({"metric": "accuracy", "candidate": 0.9, "candidate_low": 0.85, "candidate_high": 0.95})
    request.evaluation.result = result
    request.evaluation.save()
    live = Endpoint.objects.with_live().get().current_revision.version
    live.run.primary_metric = "accuracy"
    live.run.save()
    configure(team, endpoint)
    Monitor.objects.update(valid_from=timezone.now() - timedelta(days=1))
    label(endpoint, 90, 10)
    first = fire(team, endpoint, 1)
    assert first.report["only_inputs"] is True
    assert first.report["words"] == (
        "Only inputs drifted; labelled performance holds: accuracy is 0.900 over 100 labels, 0.900 promised."
    )
    assert first.before["value"] == pytest.approx(0.9)
    RetrainTrigger.objects.all().delete()
    label(endpoint, 60, 40)
    second = fire(team, endpoint, 2)
    assert (second.report["only_inputs"], second.report["performance"]["verdict"]) == (False, "worse")
    assert second.report["words"].startswith("Labelled performance fell as well: accuracy is 0.6")


def test_why_nothing_happened_is_told_on_the_page_and_over_the_api(team, endpoint):
    configure(team, endpoint, labelled_rows="required")
    held = fire(team, endpoint, 1)
    page = browser(team, "viewer").get(f"/p/churn/deployments/{endpoint.name}/").content.decode()
    assert "0 new labelled rows, 15 are needed" in page
    assert f"/p/churn/alerts/{held.alert_id}/" in page
    [row] = Api(team, "viewer", "read").get(f"endpoints/{endpoint.name}/retrainings/").json()["results"]
    assert (row["state"], row["guard"], row["alert"]) == ("skipped", "rows", held.alert_id)
    assert row["facts"]["needed_rows"] == 15


def test_limits_are_set_on_the_page_and_over_the_api(team, endpoint):
    client, address = browser(team, "ops"), f"/p/churn/deployments/{endpoint.name}/automation/"
    good = {"trigger": "performance", "enabled": "on", "cooldown_hours": "6", "labelled_rows": "ignored",
            "monthly_runs": "", "monthly_cpu_minutes": "30", "least_severity": "high"}  # fmt: skip
    assert client.post(address, good).status_code == 303
    made = Automation.objects.get()
    assert (made.labelled_rows, made.monthly_runs, made.monthly_cpu_minutes, made.least_severity) == (
        "ignored", None, 30, "high",
    )  # fmt: skip
    page = client.post(address, {**good, "monthly_runs": "0"})
    assert page.status_code == 422
    ops = Api(team, "ops", "read", "admin")
    sent = ops.send("put", f"endpoints/{endpoint.name}/automations/", {"trigger": "drift", "monthly_runs": None})
    assert (sent.json()["monthly_runs"], sent.json()["monthly_cpu_minutes"], sent.json()["labelled_rows"]) == (
        None, 600, "after_first",
    )  # fmt: skip


def test_wrong_limits_are_refused_by_name(team, endpoint):
    for values, field in (
        ({"monthly_runs": 0}, "monthly_runs"), ({"monthly_cpu_minutes": True}, "monthly_cpu_minutes"),
        ({"labelled_rows": "maybe"}, "labelled_rows"), ({"least_severity": "loud"}, "least_severity"),
    ):  # fmt: skip
        with pytest.raises(Invalid) as caught:
            configure(team, endpoint, **values)
        assert caught.value.field == field
    with pytest.raises(Forbidden):
        automations.configure(team.scientist, endpoint=endpoint, trigger="drift")


def test_an_unknown_training_moves_nothing(team, endpoint):
    with transaction.atomic():
        by = system(team.project)
        event = events.record(by, "job.succeeded", project=team.project, data={"run": 10**6})
        retraining.react(event)
    assert promotions.State.PENDING not in PromotionRequest.objects.values_list("state", flat=True)
