"""What a retraining brought, and what a version showed against its promise."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments import tasks
from deployments.models import Automation, Endpoint, ModelVersion, PromotionRequest, RetrainTrigger, VersionGap
from deployments.services import ledger, promotions
from monitoring.models import Bucket, LabelBucket, Monitor
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import Team, difference, evaluate, make_live, make_request, make_version, result

GOOD = {"n": 400, "confusion": {"no": {"no": 180, "yes": 20}, "yes": {"yes": 180, "no": 20}}, "positive": {"yes": 1}}
BAD = {"n": 400, "confusion": {"no": {"no": 140, "yes": 60}, "yes": {"yes": 140, "no": 60}}, "positive": {"yes": 1}}


def judged_by_accuracy(team: Team) -> ModelVersion:
    version = make_version(team)
    version.run.primary_metric = "accuracy"
    version.run.save()
    return version


def promise(request: PromotionRequest, accuracy: float) -> None:
    found = result()
    found["metrics"].append(
        difference("accuracy", accuracy, None) | {"candidate_low": accuracy - 0.03, "candidate_high": accuracy + 0.03}
    )
    evaluate(request, found)


def answered(endpoint: Endpoint, cells: dict, *, days: float = 9, predictions: int = 800) -> Monitor:
    """Let the live version have answered for days, with labels."""
    monitor = Monitor.objects.live().get(endpoint=endpoint.name)
    since = timezone.now() - timedelta(days=days)
    Monitor.objects.filter(pk=monitor.pk).update(valid_from=since)
    monitor.refresh_from_db()
    hour = monitor.bucket_of(since + timedelta(hours=2))
    LabelBucket.objects.create(monitor=monitor, hour=hour, segment="", cells=cells)
    counts = {"counts": [predictions // 2, predictions // 2], "nulls": 0}
    Bucket.objects.create(monitor=monitor, hour=hour, column="__prediction__", counts=counts, rows=predictions)
    return monitor


@pytest.fixture
def endpoint(team: Team) -> Endpoint:
    request = make_request(team, version=judged_by_accuracy(team), evaluated=False)
    promise(request, 0.9)
    held = PromotionRequest.objects.with_subject().get(pk=request.pk)
    promotions.decide(team.manager, request=held, verdict="approve")
    return Endpoint.objects.with_live().get()


def retrained(team: Team, endpoint: Endpoint, **values) -> RetrainTrigger:
    """A trigger whose training asked for a promotion."""
    automation, _ = Automation.objects.get_or_create(
        project=team.project, endpoint=endpoint, trigger="drift", owner=team.people["ops"]
    )
    found = result(production=0.87)
    found["metrics"].append(difference("accuracy", 0.92, 0.9))
    request = make_request(team, version=judged_by_accuracy(team), found=found)
    before = {"metric": "accuracy", "value": 0.7, "low": 0.65, "high": 0.75, "labelled": 400, "drift": {"share": 0.6}}
    return RetrainTrigger.objects.create(
        automation=automation, model=endpoint.model, alert_id=request.pk, rule_id=1, window=str(request.pk),
        state="requested", request=request, before=before, cpu_seconds=120.0, **values,
    )  # fmt: skip


@pytest.mark.parametrize(("cells", "verdict", "gain"), [(GOOD, "same", 0.0), (BAD, "worse", -0.2)])
def test_the_gap_of_a_version(team, endpoint, cells, verdict, gain):
    answered(endpoint, cells)
    assert ledger.measure_gaps() == 1
    row = VersionGap.objects.get()
    assert (row.metric, row.promised, row.labelled, row.verdict) == ("accuracy", 0.9, 400, verdict)
    assert row.gain == pytest.approx(gain)
    assert row.gain_low < gain < row.gain_high
    assert (row.answered, row.promised_low) == (800, pytest.approx(0.87))
    ledger.measure_gaps()
    assert VersionGap.objects.count() == 1
    [told] = Api(team, "viewer", "read").get("models/churn/gaps/").json()["results"]
    assert (told["version"], told["endpoint"], told["verdict"]) == (1, endpoint.name, verdict)
    page = browser(team, "viewer").get("/p/churn/models/churn/v/1/").content.decode()
    assert "Promised and live" in page
    assert row.get_verdict_display() in page


def test_labels_that_are_not_due_are_not_counted(team, endpoint):
    monitor = answered(endpoint, BAD, days=1)
    Monitor.objects.filter(pk=monitor.pk).update(label_delay_seconds=2 * 86_400)
    assert ledger.measure_gaps() == 0


def test_without_labels_nothing_is_said(team, endpoint):
    answered(endpoint, {})
    ledger.measure_gaps()
    assert (VersionGap.objects.get().verdict, VersionGap.objects.get().gain) == ("unknown", None)
    assert ledger.bias(team.project, "accuracy") is None


def test_the_ledger_of_a_retraining_that_helped(team, endpoint):
    row = retrained(team, endpoint)
    assert tasks.measure_retrainings() == 1  # the gap of what is live; the request waits
    row.refresh_from_db()
    assert (row.effect, row.live_at) == ("", None)
    promotions.decide(team.manager, request=PromotionRequest.objects.get(pk=row.request_id), verdict="approve")
    answered(endpoint, GOOD)
    assert ledger.measure() == 1
    row.refresh_from_db()
    assert row.live_at is not None
    assert (row.effect, row.after["labelled"], row.after["value"]) == ("better", 400, pytest.approx(0.9))
    assert row.measured_at is not None
    assert ledger.measure() == 0  # its week is over
    assert ledger.balance(endpoint.model).sentence == (
        "1 retraining, 1 went live; 1 of 1 measured ones made labelled performance better, 0 worse."
    )
    page = browser(team, "viewer").get("/p/churn/models/churn/retrainings/").content.decode()
    assert "1 retraining, 1 went live" in page
    assert "0.900 (" in page
    [told] = Api(team, "viewer", "read").get("models/churn/retrainings/").json()["results"]
    assert (told["effect"], told["cpu_seconds"], told["promotion_state"]) == ("better", 120.0, "approved")


def test_a_retraining_is_measured_until_its_week_is_over(team, endpoint):
    row = retrained(team, endpoint)
    promotions.decide(team.manager, request=PromotionRequest.objects.get(pk=row.request_id), verdict="approve")
    answered(endpoint, BAD, days=2)
    ledger.measure()
    row.refresh_from_db()
    assert (row.effect, row.measured_at) == ("same", None)


def test_a_rejected_retraining_brought_nothing(team, endpoint):
    row = retrained(team, endpoint)
    promotions.decide(
        team.manager,
        request=PromotionRequest.objects.get(pk=row.request_id),
        verdict="reject",
        comment="Not before the holidays.",
    )
    ledger.measure()
    row.refresh_from_db()
    assert (row.effect, row.live_at) == ("unknown", None)
    assert "whether they helped is not known yet" in ledger.balance(endpoint.model).sentence


def test_the_review_tells_what_versions_lose_on_average(team, endpoint):
    answered(endpoint, BAD)
    ledger.measure_gaps()
    second = judged_by_accuracy(team)
    request = make_request(team, version=second)
    address = f"/p/churn/promotions/{request.pk}/"
    assert "on average between approval" not in browser(team, "manager").get(address).content.decode()
    gap = VersionGap.objects.get()
    gap.pk, gap.version, gap.gain = None, second, -0.1
    gap.save()
    page = browser(team, "manager").get(address).content.decode()
    assert (
        "2 versions in this project lost 0.150 accuracy on average between approval and labelled predictions." in page
    )


def test_the_ledger_costs_the_same_queries_for_one_and_three(team, endpoint, django_assert_max_num_queries):
    client = browser(team, "viewer")
    retrained(team, endpoint)
    client.get("/p/churn/models/churn/retrainings/")
    with CaptureQueriesContext(connection) as one:
        client.get("/p/churn/models/churn/retrainings/")
    retrained(team, endpoint)
    retrained(team, endpoint)
    with django_assert_max_num_queries(len(one)):
        assert client.get("/p/churn/models/churn/retrainings/").status_code == 200


def test_a_project_without_live_versions_has_an_empty_ledger(team):
    make_live(team)
    page = browser(team, "viewer").get("/p/churn/models/churn/retrainings/").content.decode()
    assert "No alert has retrained this model yet." in page
