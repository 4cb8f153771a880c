"""Pages beside the drift map: what labels, estimates, groups and any window show, and with how many queries."""

import json
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from monitoring import drift
from monitoring.drift import shape
from monitoring.models import GroundTruth, Monitor
from monitoring.pipeline import ship
from monitoring.services import predictions
from projects.models import Dataset
from projects.permissions import Permission
from projects.services import marks
from tests.factories.deployments import make_dataset_version
from tests.factories.monitoring import KINDS, SAMPLE, make_monitor
from tests.factories.projects import make_project, make_token, make_user, system
from tests.monitoring import log

pytestmark = pytest.mark.django_db
BASE = "/p/churn/monitoring"
LEARNED = SAMPLE | {
    shape.TARGET: ["yes" if score > 0.3 else "no" for score in SAMPLE[shape.SCORE]],
    shape.PREDICTION: ["yes" if score > 0.4 else "no" for score in SAMPLE[shape.SCORE]],
}
GRIDS = json.loads(json.dumps(drift.reference(LEARNED, KINDS | {shape.PREDICTION: "categorical"})))


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def site(client, project):
    client.force_login(make_user("olga", role="ops", project=project))
    return client


@pytest.fixture
def watched(project, tmp_path):
    """60 predictions of an hour ago, half of them labelled, groups of a column compared."""
    at = timezone.now() - timedelta(hours=1)
    monitor = make_monitor(project, reference_grids=GRIDS, since=at - timedelta(hours=1), pace={})
    Monitor.objects.filter(pk=monitor.pk).update(sensitive_columns=["plan"])
    given = ["yes", "no"] * 35
    plans = ["a"] * 35 + ["b"] * 35
    line = log.line(
        70, at_ms=int(at.timestamp() * 1000), refs=[f"r{row}" for row in range(70)], y=given,
        s=[0.9 if answer == "yes" else 0.1 for answer in given], x=[[40.0] * 70, plans, [True] * 70],
    )  # fmt: skip
    log.write(tmp_path, [line], log.header(project))
    ship.ship(tmp_path)
    items = [{"inference_id": f"r{row}", "label": given[row] if row % 5 else "no"} for row in range(30)]
    predictions.record_truth(system(project, Permission.PREDICTION_LABEL), project=project, items=items)
    monitor.refresh_from_db()
    return monitor


def test_performance_shows_labels_estimate_and_coverage(site, watched, django_assert_num_queries):
    page = site.get(f"{BASE}/performance/", {"range": "24h"})
    text = page.content.decode()
    assert page.context["figure"] == "accuracy"
    lines = {
        line["name"]: [value for value in line["y"] if value is not None] for line in page.context["plot"]["lines"]
    }
    assert lines["From labels"] == [0.9]
    assert len(lines["Estimate"]) == 1
    assert lines["Usual, low"][0] < lines["Usual, high"][0]
    assert "estimate, assumes P(y|x) unchanged" in text
    assert "30 of 70 predictions have a label." in text
    with django_assert_num_queries(page_queries(site, "performance")):
        site.get(f"{BASE}/performance/", {"range": "90d"})


def page_queries(site, name):
    """The same page of another range costs the same: it reads buckets, not predictions."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as seen:
        site.get(f"{BASE}/{name}/", {"range": "24h"})
    assert not [query for query in seen if 'FROM "monitoring_prediction"' in query["sql"]]
    return len(seen)


def test_a_segment_has_its_own_figures(site, watched):
    page = site.get(f"{BASE}/performance/", {"range": "24h", "segment": "plan=a", "figure": "recall"})
    assert (page.context["segments"], page.context["segment"]) == (["plan=a", "plan=b"], "plan=a")
    assert page.context["words"] == "Recall"
    other = site.get(f"{BASE}/performance/", {"range": "24h", "segment": "plan=b"})
    assert other.context["facts"][0]["small"] == "0 of 35 predictions have a label."


def test_fairness_compares_groups(site, watched):
    page = site.get(f"{BASE}/fairness/", {"range": "24h"})
    (column,) = page.context["columns"]
    assert [(group.name, group.rows, group.labelled) for group in column.groups] == [("a", 35, 30), ("b", 35, 0)]
    assert page_queries(site, "fairness") < 20


def test_any_window_and_segment_is_compared_from_counts(site, watched):
    now = timezone.now()
    span = {"from": (now - timedelta(hours=3)).isoformat(), "to": now.isoformat()}
    page = site.get(f"{BASE}/window/", span | {"segment": "plan=b", "column": "plan"})
    held = {one.column: one for one in page.context["scores"]}
    assert (held["plan"].samples, held["plan"].state) == (35, "too_few")
    assert page.context["name"] == "plan"
    assert site.get(f"{BASE}/window/", {"from": "soon", "to": "later"}).context["fault"].startswith("Give both moments")
    assert site.get(f"{BASE}/window/", {"from": span["to"], "to": span["from"]}).context["fault"].startswith("The end")


def test_groups_of_a_marked_column_have_codes_for_who_may_not_see_its_values(site, client, project, watched):
    marked = make_dataset_version(project).dataset
    Dataset.objects.filter(pk=marked.pk).update(marks={"plan": "personal"})
    Monitor.objects.filter(pk=watched.pk).update(links={"dataset": marked.name})
    first, second = (marks.Hidden(["plan"], dataset=marked.pk).called("plan", name) for name in ("a", "b"))
    (column,) = site.get(f"{BASE}/fairness/", {"range": "24h"}).context["columns"]
    assert [(group.name, group.rows, group.labelled) for group in column.groups] == [
        (first, 35, 30), (second, 35, 0),
    ]  # fmt: skip
    page = site.get(f"{BASE}/performance/", {"range": "24h", "segment": f"plan={second}"})
    assert page.context["segments"] == [f"plan={first}", f"plan={second}"]
    assert page.context["segment"] == f"plan={second}"
    assert page.context["facts"][0]["small"] == "0 of 35 predictions have a label."
    guessed = site.get(f"{BASE}/performance/", {"range": "24h", "segment": "plan=b"})
    assert (guessed.context["segment"], guessed.context["facts"][0]["small"]) == (
        "",
        "30 of 70 predictions have a label.",
    )
    now = timezone.now()
    span = {"from": (now - timedelta(hours=3)).isoformat(), "to": now.isoformat(), "column": "plan"}
    bars = site.get(f"{BASE}/window/", span | {"segment": f"plan={second}"}).context["bars"]
    assert bars.names[:2] == [first, second]
    client.force_login(make_user("sara", role="scientist", project=project))
    (column,) = client.get(f"{BASE}/fairness/", {"range": "24h"}).context["columns"]
    assert [group.name for group in column.groups] == ["a", "b"]
    assert client.get(f"{BASE}/window/", span | {"segment": "plan=b"}).context["bars"].names[0] == "a"


def test_quality_and_empty_pages_answer(site, watched):
    assert "Repeated rows" in site.get(f"{BASE}/quality/", {"range": "24h"}).content.decode()
    Monitor.objects.all().delete()
    for name in ("performance", "quality", "fairness", "window"):
        assert "Nothing is watched yet" in site.get(f"{BASE}/{name}/").content.decode()


def send(site, text):
    return site.post(f"{BASE}/labels/", {"file": SimpleUploadedFile("labels.csv", text.encode())}, follow=True)


def test_labels_come_as_a_file(site, watched):
    done = send(site, "inference_id,label\nr40,yes\nr41,no\nlate,1.0\n")
    assert "2 labels recorded; 1 wait up to 30 days" in done.content.decode()
    assert GroundTruth.objects.filter(external_id="r40", label="yes").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("inference_id,label\nr1,yes\nr2\n", "Line 3 has 1 values, the first line 2."),
        ("inference_id,label\nr1,\n", "line 2.label must be a text"),
        ("id,label\nr1,yes\n", "unknown or there twice"),
        ("label\nyes\n", "needs the columns label and prediction_id or inference_id"),
        ("inference_id,label\n", "The file holds no label."),
        ("inference_id,label\n\n\nr1,yes,\n", "Line 4 has 3 values"),
    ],
)
def test_a_wrong_file_is_refused_whole(site, watched, text, told):
    before = GroundTruth.objects.count()
    answer = send(site, text)
    assert (answer.status_code, told in answer.content.decode()) == (422, True)
    assert GroundTruth.objects.count() == before


def test_labels_as_csv_and_figures_by_the_api(client, watched, project):
    secret = make_token(make_user("rob", role="ops", project=project), project, ["read", "write", "alerts"])
    head = {"authorization": f"Bearer {secret}"}
    base = "/api/v1/projects/churn"
    sent = client.post(f"{base}/ground-truth/", "inference_id,label\nr50,yes\n", content_type="text/csv", headers=head)
    assert (sent.status_code, sent.json()) == (200, {"matched": 1, "waiting": 0})
    found = client.get(f"{base}/monitors/{watched.pk}/measures/", headers=head).json()
    assert found["performance.accuracy"]["samples"] == 31
    assert client.get(f"{base}/monitors/{watched.pk}/measures/?to=soon", headers=head).status_code == 400
    watch = client.patch(
        f"{base}/monitors/{watched.pk}/watch/",
        {"segment_columns": ["on"]},
        content_type="application/json",
        headers=head,
    )
    assert (watch.status_code, watch.json()["segment_columns"]) == (200, ["on"])


def test_columns_are_chosen_on_a_page(site, watched):
    where = f"{BASE}/monitors/{watched.pk}/watch/"
    assert site.get(where).status_code == 200
    answer = site.post(where, {"segment_columns": ["on"], "sensitive_columns": ["plan"], "label_delay_hours": "48"})
    assert answer.status_code == 302
    watched.refresh_from_db()
    assert (watched.segment_columns, watched.label_delay_seconds) == (["on"], 48 * 3600)
    assert site.post(where, {"label_delay_hours": "-1"}).status_code == 422
